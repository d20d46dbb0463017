"""Run folders: what every command that trains writes, and how an interrupted run resumes."""

import contextlib
import dataclasses
import json
import logging
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from morphtools.answers.score_names import score_name
from morphtools.models.cards import Card, find_card
from tfrecords_builder.checksums import file_checksum
from tfrecords_builder.claims import claim, identity, inputs_of
from tfrecords_builder.files import write_whole
from tfrecords_builder.json_files import read_json, write_json
from tfrecords_builder.naming import some

_WIDTH = 96  # characters of a line of a summary: a title of more is wrapped
_LOGGERS = [logging.getLogger(name) for name in ("morphtools", "tfrecords_builder")]


@dataclasses.dataclass(frozen=True)
class Run:
    """The folder of a run, finished or not.

    It holds `config.yaml`, `metrics.json` (written last), `history.csv`, `model.keras`, `predictions.parquet`,
    `figures/` and `log.txt`, and `state/` until the run is finished.

    Attributes:
        out: The folder.
        keep: Call it once the folder holds work worth keeping even if something fails later (see `claim`).
    """

    out: Path
    keep: Callable[[], None] = dataclasses.field(default=lambda: None, compare=False, repr=False)

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return (self.out / "metrics.json").exists()

    @property
    def metrics(self) -> dict:
        """The contents of `metrics.json`.

        Raises:
            ValueError: It is damaged, or is not the metrics of a run.
        """
        metrics = read_json(self.out / "metrics.json")
        missing = [name for name in ("title", "test") if name not in metrics]
        if missing:
            raise ValueError(f"{self.out / 'metrics.json'} is damaged: it has no {some(missing)}")
        return metrics

    def write_metrics(self, metrics: dict) -> None:
        """Writes `metrics.json`, with null for undefined scores and the tables' checksums: the run is finished."""
        metrics = metrics | {
            "checksums": {path.name: file_checksum(path) for path in sorted(self.out.glob("*.parquet"))}
        }
        write_json(self.out / "metrics.json", json.loads(json.dumps(metrics), parse_constant=lambda name: None))

    @property
    def summary(self) -> str:
        """The results of the run in a few lines."""
        metrics = self.metrics
        test = {score_name(name): score for name, score in metrics["test"].items()}
        width = 1 + max([17, *map(len, test)])
        rows = [
            f"  {name:<{width}}{_number(m['value'])}"
            + (f"  [{_number(m['low'])}, {_number(m['high'])}]" if "low" in m else "")
            for name, m in test.items()
        ]
        wrap = textwrap.TextWrapper(_WIDTH, subsequent_indent="    ", break_on_hyphens=False)
        baseline = [wrap.fill(f"  {metrics['baseline']}")] if metrics.get("baseline") else []
        if unfamiliar := metrics.get("unfamiliar"):
            usual = f"{unfamiliar['rare']:.0%} expected; see figures/unfamiliar.png"
            baseline.append(f"  unlike the training galaxies: {unfamiliar['share']:.1%} of test galaxies ({usual})")
        title = re.sub(r"tested on (\S+) galaxies", "tested\xa0on\xa0\\1\xa0galaxies", metrics["title"])  # not broken
        title = wrap.fill(title).replace("\xa0", " ")
        return "\n".join([title, *rows, *baseline, f"  see {self.out}; look at figures/ first"])


def _number(x: float | None) -> str:
    return "  –  " if x is None else f"{x:.3f}" if abs(x) >= 0.1 else f"{x:.4f}"


@contextlib.contextmanager
def open_run(out: str | Path, verb: str, arguments: dict) -> Iterator[Run]:
    """Claims the folder of a run for the duration of a command, and writes its log.

    Inputs of the run (catalogue, records, images, weights, and schema or augmentations from a file) are identified by
    their content. If a new run fails before `Run.keep`, its folder is removed.

    Args:
        out: The folder.
        verb: The command, which can be run again with `config.yaml`.
        arguments: Its keyword arguments except `out`: numbers, text and None.

    Yields:
        The run.

    Raises:
        FileExistsError: The folder belongs to a run with other arguments or inputs, or holds something else.
    """
    with claim(out, verb, arguments, _inputs(arguments), old="config.yaml") as claimed:
        run = Run(claimed.out, claimed.keep)
        if run.finished:
            _LOGGERS[0].info("%s is finished already", run.out)
            if (run.out / "state").exists():
                shutil.rmtree(run.out / "state", ignore_errors=True)
            yield run
            return
        (run.out / "figures").mkdir(exist_ok=True)
        (run.out / "state").mkdir(exist_ok=True)
        if not (run.out / "config.yaml").exists():
            text = f"# morphtools {verb} --config config.yaml --out ANOTHER_FOLDER\n"
            used = yaml.safe_dump(_used(arguments), sort_keys=False, allow_unicode=True)
            write_whole(run.out / "config.yaml", text + used)
        with LogFile(run):
            yield run


def _used(arguments: dict) -> dict:
    """The arguments, without those of a random encoder if the weights are not random."""
    unused = () if arguments.get("weights") in (None, "random") else ("encoder", "small_images")
    return {name: value for name, value in arguments.items() if name not in unused}


def _inputs(arguments: dict) -> dict[str, str]:
    """The identities of the inputs named by the arguments of a command."""
    inputs = inputs_of(**{name: arguments.get(name) for name in ("catalog", "images", "records")})
    names = str(arguments.get("weights") or "random").split(",")
    if names != ["random"]:
        inputs["weights"] = " ".join(Card.open(find_card(name.strip())).sha256 for name in names)
    for name in ("schema", "augmentations", "task"):
        path = arguments.get(name)
        if isinstance(path, str) and Path(path).is_file():
            inputs[name] = identity(path)
    return inputs


class LogFile(logging.FileHandler):
    """A context manager that adds the package's log messages to `log.txt` of a run."""

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
