"""Commands started by the page, each in its own process, which outlives the server and is picked up by the next."""

import contextlib
import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from morphtools.answers.score_names import score_name
from tfrecords_builder.json_files import read_json, write_json

if sys.platform == "win32":
    fcntl = None  # on Windows, jobs of an earlier server count as ended
else:
    import fcntl

log = logging.getLogger(__name__)

_LINES = 40
_NUMBER = re.compile(r"(\d+)%\|")
_FIGURE = re.compile(r"[\w][\w.-]*\.png")


class Jobs:
    """Jobs in a folder, each with its command, its log and, while running, a locked file.

    Args:
        folder: Where to keep them.
        finished: Called once with each job that has succeeded (the content of `job.json`).
    """

    def __init__(self, folder: Path, finished: Callable[[dict], None]):
        self.folder, self._finished, self._reported = folder, finished, set()
        self._lock, self._processes = threading.Lock(), {}
        for name in self.names():  # of earlier servers, whose results have been shown
            job = read_json(self.folder / name / "job.json")
            if not self._running(self.folder / name) and (Path(job["folder"]) / job["product"]).exists():
                self._reported.add(name)

    def start(self, name: str, verb: str, arguments: list[str], out: Path, product: str, about: dict) -> dict:
        """Starts a command, unless a job of that name already exists.

        Args:
            name: Name of the job.
            verb: The command.
            arguments: Arguments of the command.
            out: Folder that the command writes to.
            product: File in that folder that is written last.
            about: Further information to keep with the job.

        Returns:
            The job, as `state` returns it.
        """
        with self._lock:
            path = self.folder / name / "job.json"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                command = shlex.join(["morphtools", verb, *arguments])
                job = {"job": name, "verb": verb, "command": command, "folder": str(out), "product": product}
                write_json(path, job | {"about": about, "started": time.time(), "pid": None})
                self._run(path, [sys.executable, "-m", "morphtools", verb, *arguments])
        return self.state(name)

    def names(self) -> list[str]:
        """Names of all jobs, latest first."""
        paths = self.folder.glob("*/job.json") if self.folder.is_dir() else ()
        return [path.parent.name for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)]

    def state(self, name: str) -> dict:
        """The state of a job and its result.

        Raises:
            LookupError: No job has that name.
        """
        path = self.folder / name / "job.json"
        if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", name) or not path.exists():
            raise LookupError(f"there is no job {name!r:.80}")
        job = read_json(path)
        running, lines = self._running(path.parent), _lines(path.parent / "log.txt")
        out = Path(job["folder"])
        done = not running and (out / job["product"]).exists() and job["pid"] is not None
        stopped = (path.parent / "stopped").exists() or job["pid"] is None
        state = "running" if running else "done" if done else "stopped" if stopped else "failed"
        end = time.time() if running else (path.parent / "log.txt").stat().st_mtime if lines else job["started"]
        if done and name not in self._reported:
            self._reported.add(name)
            self._finished(job)
        shares = [int(match[1]) / 100 for line in lines[-1:] if (match := _NUMBER.search(line))]
        return {
            "job": name,
            "verb": job["verb"],
            "command": job["command"],
            "state": state,
            "seconds": round(max(0.0, end - job["started"]), 1),
            "progress": {"text": lines[-1] if lines else "", "share": shares[0] if shares else None},
            "log": lines[-_LINES:],
            "folder": job["folder"],
            "about": job["about"],
            "report": _report(out) if done else None,
            "error": (lines[-1] if lines else "it did not start") if state == "failed" else "",
        }

    def stop(self, name: str) -> dict:
        """Stops a job."""
        self.state(name)
        folder = self.folder / name
        if self._running(folder):
            (folder / "stopped").touch()
            with contextlib.suppress(OSError):
                os.killpg(read_json(folder / "job.json")["pid"], signal.SIGTERM)
            process = self._processes.get(name)
            if process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
        return self.state(name)

    def figure(self, name: str, figure: str) -> Path:
        """The file of a figure in the report of a job."""
        path = Path(self.state(name)["folder"]) / "figures" / figure
        if not _FIGURE.fullmatch(figure) or not path.is_file():
            raise LookupError(f"there is no figure {figure[:80]!r}")
        return path

    def _run(self, path: Path, command: list[str]) -> None:
        with (path.parent / "running").open("w") as held, (path.parent / "log.txt").open("w") as written:
            if fcntl is not None:
                fcntl.flock(held, fcntl.LOCK_EX)  # on the open file, which the process inherits
            environment = os.environ | {"PYTHONUNBUFFERED": "1"}
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=(held.fileno(),),
                start_new_session=True,
            )
        self._processes[path.parent.name] = process
        write_json(path, read_json(path) | {"pid": process.pid})

    def _running(self, folder: Path) -> bool:
        process = self._processes.get(folder.name)
        if process is not None:
            return process.poll() is None
        if fcntl is None or not (folder / "running").exists():
            return False
        with (folder / "running").open() as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
            except OSError:
                return True


def _lines(path: Path) -> list[str]:
    """The last lines of a log; of a progress bar its latest state."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 20_000))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in lines if line]


def _report(out: Path) -> dict:
    """The result of a run: title, baseline in words, scores, figures."""
    try:
        metrics = json.loads((out / "metrics.json").read_text(), parse_constant=lambda name: None)
    except (OSError, ValueError):
        metrics = {}
    figures = sorted(path.name for path in (out / "figures").glob("*.png")) if (out / "figures").is_dir() else []
    words = [str(metrics[name]) for name in ("title", "baseline") if name in metrics]
    scores = metrics.get("test", metrics)
    scores = {score_name(name): score for name, score in scores.items()} if isinstance(scores, dict) else {}
    return {"summary": "\n".join(words), "metrics": scores, "figures": figures}
