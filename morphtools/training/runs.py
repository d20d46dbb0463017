"""Run folders: what every verb that fits leaves behind, and how it finds its way back after a kill."""

import contextlib
import dataclasses
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

from tfrecords_builder.files import remove_partial, write_whole

_LOGGERS = [logging.getLogger(name) for name in ("morphtools", "tfrecords_builder")]


@dataclasses.dataclass(frozen=True)
class Run:
    """The folder of a run, finished or not.

    It holds `config.yaml`, `metrics.json` (written last), `history.csv`, `model.keras`, `predictions.parquet`,
    `figures/`, `log.txt`, and while the run is under way `state/`.
    """

    out: Path

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.out / "metrics.json").exists()

    @property
    def metrics(self) -> dict:
        """The contents of `metrics.json`."""
        return json.loads((self.out / "metrics.json").read_text())

    def write_metrics(self, metrics: dict) -> None:
        """Writes `metrics.json`, with null for what is not defined: the run is finished."""
        clean = json.loads(json.dumps(metrics), parse_constant=lambda name: None)
        write_whole(self.out / "metrics.json", json.dumps(clean, indent=1, ensure_ascii=False))

    @property
    def summary(self) -> str:
        """What the run found, in a few lines."""
        metrics = self.metrics
        width = 1 + max([17, *map(len, metrics["test"])])
        rows = [
            f"  {name.replace('_', ' '):<{width}}{_number(m['value'])}"
            + (f"  [{_number(m['low'])}, {_number(m['high'])}]" if "low" in m else "")
            for name, m in metrics["test"].items()
        ]
        return "\n".join([metrics["title"], *rows, f"  in {self.out} (figures/ to look at)"])


def _number(x: float | None) -> str:
    return "  –  " if x is None else f"{x:.3f}" if abs(x) >= 0.1 else f"{x:.4f}"


def plain_arguments(arguments: dict, may_be_zero: tuple[str, ...] = ("seed",)) -> None:
    """Makes the arguments that all verbs have in common plain numbers and text, with absolute paths, in place.

    Raises:
        ValueError: They do not make sense together, or a number is too small.
    """
    paths, names_or_paths = ("catalog", "images", "records"), ("weights", "schema", "augmentations")
    for name, value in arguments.items():
        if name in (*paths, *names_or_paths) and value is not None and not isinstance(value, list):
            path = Path(value).expanduser()
            arguments[name] = str(path.absolute() if name in paths or path.exists() else value)
        elif type(value) is int and value < 1 and name not in may_be_zero:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if arguments["records"] and (arguments["catalog"] or arguments["images"]):
        raise ValueError("give either records, or a catalog with images, not both")
    if arguments["images"] and not arguments["catalog"]:
        raise ValueError("images need a catalog that says what is on them")
    if not 0 <= arguments["seed"] < 2**32:
        raise ValueError(f"seed must be from 0 to 2³²-1, got {arguments['seed']}")


@contextlib.contextmanager
def open_run(out: str | Path, verb: str, arguments: dict) -> Iterator[Run]:
    """`start_run` with its log, as a context in which a verb collects what it needs.

    If that fails and the run was new, its folder goes away: it would stand in the way of the mended command.
    """
    begun = (Path(out) / "config.yaml").exists()
    run = start_run(out, verb, arguments)
    try:
        with LogFile(run):
            if run.finished:
                _LOGGERS[0].info("%s is finished already", run.out)
                shutil.rmtree(run.out / "state", ignore_errors=True)
            yield run
    except (ValueError, OSError):
        if not begun:
            shutil.rmtree(run.out)
        raise


def start_run(out: str | Path, verb: str, arguments: dict) -> Run:
    """Makes a run folder, or comes back to one that was begun with the same arguments.

    Args:
        out: The folder.
        verb: Command that can be given the `config.yaml` again.
        arguments: The verb's keyword arguments but for `out`; numbers, text and None.

    Returns:
        The run.

    Raises:
        FileExistsError: The folder belongs to a run with other arguments, or holds something else.
    """
    out = Path(out)
    config = out / "config.yaml"
    if config.exists():
        before = yaml.safe_load(config.read_text()) or {}
        changed = [k for k in arguments | before if before.get(k) != arguments.get(k)]
        if changed:
            listed = ", ".join(f"{k}: {before.get(k)} → {arguments.get(k)}" for k in changed)
            raise FileExistsError(f"{out} holds a run with other settings ({listed}); choose another out")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is there already and is no run of morphtools; choose another out")
    remove_partial(out)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    (out / "state").mkdir(exist_ok=True)
    if not config.exists():
        text = f"# morphtools {verb} --config config.yaml --out ANOTHER_FOLDER\n"
        write_whole(config, text + yaml.safe_dump(arguments, sort_keys=False, allow_unicode=True))
    return Run(out)


class LogFile(logging.FileHandler):
    """Adds what the package logs to `log.txt` of a run, as a context manager."""

    def __init__(self, run: Run):
        super().__init__(run.out / "log.txt", encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))

    def __enter__(self):
        for log in _LOGGERS:
            log.setLevel(logging.INFO)
            log.addHandler(self)
        return self

    def __exit__(self, kind, error, traceback):
        if error is not None:
            self.handle(_LOGGERS[0].makeRecord("", logging.ERROR, "", 0, f"{kind.__name__}: {error}", (), None))
        for log in _LOGGERS:
            log.removeHandler(self)
        self.close()
