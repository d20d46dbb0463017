"""Processes of their own that need not import TensorFlow: `python forks.py` has imported it, and forks for every call.

Nothing is computed before the fork, so that a fork starts as `python -c` does.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).parent.parent


class Forks:
    """Calls code in forks of one process; `close` ends it."""

    def __init__(self):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([sys.executable, __file__], env=environment, **pipes)

    def __call__(self, code: str, *arguments, killed_before: str = "", nth: int = 1) -> None:
        """Runs code to its end, or until it is killed (SIGKILL), which must then happen.

        Args:
            code: Python, as for `python -c`.
            *arguments: What it finds in `sys.argv[1:]`.
            killed_before: A piece of a path: the process is killed before it renames a file to such a path.
            nth: Before which of these it is killed, counted from 1.
        """
        with tempfile.NamedTemporaryFile("r") as log:
            job = {"code": code, "argv": ["-c", *map(str, arguments)], "before": killed_before, "nth": nth}
            print(json.dumps(job | {"log": log.name}), file=self._process.stdin, flush=True)
            status = int(self._process.stdout.readline())
            expected = -signal.SIGKILL if killed_before else 0
            assert status == expected, f"ended with {status} instead of {expected}: {log.read()[-3000:]}"

    def close(self):
        self._process.communicate()


def _kill(before: str, nth: int) -> None:
    renamed = [0]

    def hook(event, arguments):
        if event == "os.rename" and before in os.fspath(arguments[1]):
            renamed[0] += 1
            if renamed[0] == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _fork(job: dict) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        log = os.open(job["log"], os.O_WRONLY)
        os.dup2(log, 1), os.dup2(log, 2)
        if job["before"]:
            _kill(job["before"], job["nth"])
        sys.argv = job["argv"]
        exec(job["code"], {"__name__": "__main__"})
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    import morphtools.inference.represent
    import morphtools.training.finetune
    import morphtools.training.pretrain
    import morphtools.training.train  # noqa: F401

    for line in sys.stdin:
        print(_fork(json.loads(line)), flush=True)
