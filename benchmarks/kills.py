"""Kills verbs again and again, resumes them, and compares their results with those of an uninterrupted run.

    python benchmarks/kills.py build-records predict --kills 100 --seed 0

A kill (SIGKILL) comes at a random moment or before a random file operation under the verb's `out` folder: opening,
renaming, removing a file, making or removing a folder. After one to three kills the same call runs to its end. A trial
passes when that call succeeds and its files are those of an uninterrupted run: the same names and no others, with the
same bytes or, for tables and arrays, the same values. `verbs_to_kill.py` has the verbs and makes their data.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from verbs_to_kill import VERBS, make_data

_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "sqlite3.connect"}
_CLOCKS = ["galaxies_per_second", "sha256", "checksum", "weights"]
_WEIGHTS = "model.weights.h5"
_PATIENCE = 1200.0  # seconds until a call counts as hanging
_REPORT = 60.0  # seconds between lines of progress


def run(verb: str, data: Path, out: Path, *, before: int = 0, after: float = np.inf, count: Path | None = None):
    """Runs a verb in a process of its own.

    Args:
        verb: A name of `VERBS`.
        data: What `make_data` filled.
        out: Its out folder.
        before: Kill it before this file operation under `out`, counted from 1.
        after: Or after so many seconds.
        count: Where to write the number of file operations.

    Returns:
        "killed", "done", or what went wrong.
    """
    log = out.with_name(f"{out.name}.log")
    child = os.fork()
    if child == 0:
        os.setsid()  # so that a kill hits its own children too
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        try:
            operations = _watch(str(out), before)
            VERBS[verb](data, out)
            if count is not None:
                count.write_text(str(operations[0]))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(3)
    start = time.monotonic()
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if not pid and time.monotonic() - start > min(after, _PATIENCE):
            _kill_all(child)
            _, status = os.waitpid(child, 0)
            if after > _PATIENCE:
                return "hangs"
        elif not pid:
            time.sleep(0.002)
            continue
        if os.WIFSIGNALED(status):
            _kill_all(child)
            return "killed"
        return "done" if status == 0 else log.read_text().strip().splitlines()[-1][:300]


def _kill_all(child: int) -> None:
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _watch(out: str, before: int) -> list[int]:
    """Counts file operations under `out`, and kills this process before one of them."""
    operations = [0]

    def hook(event, arguments):
        if event not in _EVENTS:
            return
        paths = [os.fsdecode(a) for a in arguments if isinstance(a, str | bytes | os.PathLike)]
        if any(out in path for path in paths):
            operations[0] += 1
            if operations[0] == before:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return operations


def difference(reference: Path, out: Path) -> list[str]:
    """The names of files that are missing, left over, or have other content."""
    names = [{path.relative_to(folder).as_posix() for path in folder.rglob("*")} for folder in (reference, out)]
    problems = [f"no {name}" for name in names[0] - names[1]] + [f"left over: {name}" for name in names[1] - names[0]]
    for name in names[0] & names[1]:
        if (reference / name).is_file() and not same(reference / name, out / name):
            problems.append(f"other content: {name}")
    return sorted(problems)


def same(one: Path, other: Path) -> bool:
    """Whether two files have the same bytes, or hold the same tables or arrays."""
    if one.read_bytes() == other.read_bytes() or one.name == "log.txt":
        return True
    if one.suffix == ".json":
        return _plain(json.loads(one.read_text())) == _plain(json.loads(other.read_text()))
    if one.suffix == ".keras":
        with zipfile.ZipFile(one) as a, zipfile.ZipFile(other) as b, a.open(_WEIGHTS) as c, b.open(_WEIGHTS) as d:
            return c.read() == d.read() and _config(a) == _config(b)
    if one.suffix == ".sqlite":
        query = "SELECT id_str, rating, rater, undone FROM ratings ORDER BY number"
        return len({str(sqlite3.connect(path).execute(query).fetchall()) for path in (one, other)}) == 1
    if one.suffix == ".parquet":
        return pq.read_table(one).equals(pq.read_table(other))
    if one.suffix == ".csv":
        tables = [pd.read_csv(path).drop(columns=_CLOCKS, errors="ignore") for path in (one, other)]
        return tables[0].equals(tables[1])
    if one.suffix == ".npz":
        with np.load(one) as a, np.load(other) as b:
            return set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)
    if one.suffix == ".npy":
        return np.array_equal(np.load(one), np.load(other))
    return False


def _config(archive: zipfile.ZipFile) -> str:
    """The configuration of a model, without the addresses in memory by which Keras tells objects apart."""
    return re.sub(r'"shared_object_id": \d+', "", archive.read("config.json").decode())


def _plain(content):
    """JSON without what differs between two uninterrupted runs: speeds, and the hashes of archives with times."""
    if isinstance(content, dict):
        return {name: _plain(value) for name, value in content.items() if name not in _CLOCKS}
    return content


def trials(verb: str, data: Path, folder: Path, kills: int, rng: random.Random) -> dict:
    """Kills a verb `kills` times; returns how many trials there were and what went wrong in them."""
    for name in ("whole", "killed"):
        (folder / name).mkdir(parents=True)
    reference, out = folder / "whole" / "out", folder / "killed" / "out"  # of one name: cards have it
    count = folder / "operations"
    start = time.monotonic()
    outcome = run(verb, data, reference, count=count)
    if outcome != "done":
        raise RuntimeError(f"{verb}: the uninterrupted run fails: {outcome}")
    whole, operations = time.monotonic() - start, int(count.read_text())
    tally = {"verb": verb, "trials": 0, "kills": 0, "failed": 0, "other files": 0, "examples": []}
    told = time.monotonic()
    while tally["kills"] < kills:
        shutil.rmtree(out, ignore_errors=True)
        history = []
        for _ in range(min(rng.choice([1, 1, 2, 3]), kills - tally["kills"])):
            when = {"before": rng.randint(1, operations)} if rng.random() < 0.65 else {"after": rng.uniform(0, whole)}
            outcome = run(verb, data, out, **when)
            tally["kills"] += outcome == "killed"
            history.append((when, outcome))
            if outcome not in ("killed", "done"):
                break
        if outcome in ("killed", "done"):
            outcome = run(verb, data, out)
        tally["trials"] += 1
        problems = difference(reference, out) if outcome == "done" else []
        tally["failed"] += outcome != "done"
        tally["other files"] += bool(problems)
        if outcome != "done" or problems:
            tally["examples"].append([history, outcome, problems[:5]])
        if time.monotonic() - told > _REPORT:
            told = time.monotonic()
            print(time.strftime("%H:%M:%S"), {k: v for k, v in tally.items() if k != "examples"}, flush=True)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verbs", nargs="*", default=list(VERBS), metavar="VERB", help=", ".join(VERBS))
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    import matplotlib
    import tensorflow  # noqa: F401 (imported once, not by every process)
    import umap  # noqa: F401

    import morphtools.inference.predict
    import morphtools.inference.represent
    import morphtools.studies.learning_curve
    import morphtools.training.pretrain
    import morphtools.training.train  # noqa: F401

    matplotlib.use("Agg")
    with tempfile.TemporaryDirectory() as name:
        make_data(Path(name) / "data")
        rows = []
        for i, verb in enumerate(options.verbs):
            rng = random.Random(f"{options.seed} {verb}")
            rows.append(trials(verb, Path(name) / "data", Path(name) / f"verb{i}", options.kills, rng))
            for example in rows[-1].pop("examples")[:5]:
                print(json.dumps(example), flush=True)
            print(rows[-1], flush=True)
    print(f"\n{pd.DataFrame(rows).to_string(index=False)}")


if __name__ == "__main__":
    main()
