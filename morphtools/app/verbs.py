"""The commands that the page can start: fine-tuning on labels, a map, clusters, suggestions."""

import threading
from pathlib import Path

import pandas as pd

from morphtools.app.atlas import Atlas, NotReady
from morphtools.app.jobs import Jobs
from morphtools.app.judging import Judging
from tfrecords_builder.build import build_records
from tfrecords_builder.catalog import read_catalog
from tfrecords_builder.naming import check_known
from tfrecords_builder.tables_out import write_csv

_FEWEST = 4  # minimum number of labels to fine-tune on: two of each of two classes


class Verbs:
    """Starts commands as jobs.

    Args:
        atlas: The galaxies.
        judging: The labels.
        weights: Weights to start a fine-tuning from; by default those of `finetune`.
        run: Run folder that suggests galaxies; by default the last one fine-tuned here.
    """

    def __init__(self, atlas: Atlas, judging: Judging, weights: str | Path | None, run: str | Path | None):
        self.atlas, self.judging, self._weights, self._run = atlas, judging, weights, run
        self.jobs = Jobs(atlas.out / "jobs", self._finished)
        self._lock = threading.Lock()

    def start(self, body: dict, name: str) -> dict:
        """Starts the command of a request, once even if the request is repeated.

        Raises:
            ValueError: The command cannot be run; the message gives the reason.
        """
        with self._lock:
            if name in self.jobs.names():
                return self.jobs.state(name)
            verbs = {"finetune": self._finetune, "make-map": self._map, "cluster": self._cluster}
            verbs["suggest-labels"] = self._suggest
            check_known("command", body.get("verb"), verbs)
            return verbs[body["verb"]](body, name)

    def command(self, table: str) -> dict:
        """The command that fine-tunes on a table of labels; if it cannot be run, the reason."""
        frame = self.judging.labels.frame(table)
        labels, why = int(frame[table].notna().sum()), self._why_not(frame[table])
        self.judging.write_labels(table)
        _, arguments, _ = self._arguments(table, labels)
        from shlex import join

        return {
            "command": join(["morphtools", "finetune", *arguments]),
            "labels": labels,
            "can_run": not why,
            "why_not": why,
        }

    def suggestions(self, table: str) -> Path:
        """The file of suggestions for a table, made by its last run.

        New ones are made when there is a newer run or all of the last ones are labelled. Until they are ready, the
        last ones are used as long as some are left.

        Raises:
            NotReady: The suggestions are being made.
            ValueError: Making them failed.
        """
        run, labels = self._run_of(table), self.judging.labels.table(table).agreed
        mine = [job for job in self._states("suggest-labels") if job["about"].get("table") == table]
        done = next((Path(job["folder"]) / "suggestions.csv" for job in mine if job["state"] == "done"), None)
        left = done is not None and not set(read_catalog(done)["id_str"]) <= labels.keys()
        of = {"table": table, "run": str(run), "labels": len(labels)}
        last: dict = mine[0] if mine else {"state": "", "about": {}}
        failed = last["state"] == "failed" and last["about"] == of
        newest = last["state"] == "done" and last["about"].get("run") == str(run) and left
        if not (failed or newest or last["state"] == "running"):
            with self._lock:
                self._suggest(of, f"suggest-{table.encode().hex()[:40]}-{len(mine)}")
        if done is not None and left:
            return done
        if failed:
            raise ValueError(f"suggest-labels failed: {last['error']}")
        raise NotReady("suggest-labels is choosing galaxies; this takes a minute or so")

    def _states(self, verb: str) -> list[dict]:
        return [job for job in map(self.jobs.state, self.jobs.names()) if job["verb"] == verb]

    def _why_not(self, labels: pd.Series) -> str:
        counts = labels.dropna().value_counts()
        if not self.atlas.thumbnails.available:
            return "there are no images: give records, or a catalogue and its images"
        if (
            isinstance(self.atlas.catalog, pd.DataFrame)
            and self.atlas.records is None
            and "file_loc" not in self.atlas.catalog
        ):
            return "the catalogue has no file_loc"
        if len(counts) < 2:
            return "fine-tuning needs galaxies with at least two different labels"
        if counts.sum() < _FEWEST or counts.min() < 2:
            return f"fine-tuning needs at least {_FEWEST} galaxies, two of each label"
        return ""

    def _arguments(self, table: str, labels: int) -> tuple[Path, list[str], Path | None]:
        """The next free run folder, the arguments to train there, and the folder of records to build first, if any."""
        number = 1
        while (self.atlas.out / "runs" / f"{_plain(table)}-{number}").exists():
            number += 1
        out = self.atlas.out / "runs" / f"{_plain(table)}-{number}"
        if self.atlas.records is not None:
            records = out.with_name(f"{out.name}-records")
            source = ["--records", str(records)]
        else:
            records, images = None, str(self.atlas.images)
            source = ["--catalog", str(self.judging.folder / f"{table}.csv"), "--images", images]
        start = ["--weights", str(self._weights)] if self._weights is not None else []
        return out, [*source, "--column", table, "--labels", str(labels), *start, "--out", str(out)], records

    def _finetune(self, body: dict, name: str) -> dict:
        table = self.judging.labels.table(body.get("table")).name
        frame = self.judging.labels.frame(table)
        if why := self._why_not(frame[table]):
            raise ValueError(why)
        path = self.judging.write_labels(table)
        out, arguments, records = self._arguments(table, int(frame[table].notna().sum()))
        if records is not None:  # records keep the labels they were built with, and these are new
            labelled = read_catalog(path)[["id_str", table]]
            labelled = labelled[labelled[table].notna()].assign(file_loc=lambda chosen: chosen["id_str"])
            build_records(labelled, records, images=self.atlas.records.source(), bands=self.atlas.records.bands)
        return self.jobs.start(name, "finetune", arguments, out, "metrics.json", {"table": table})

    def _map(self, body: dict, name: str) -> dict:
        out = self.atlas.out / "map"
        arguments = [str(self.atlas.store.folder), "--out", str(out)]
        return self.jobs.start(name, "make-map", arguments, out, "map.parquet", {})

    def _cluster(self, body: dict, name: str) -> dict:
        number = body.get("clusters", 20)
        if isinstance(number, bool) or not isinstance(number, int) or not 2 <= number <= 500:
            raise ValueError(f"clusters must be from 2 to 500, got {number!r:.40}")
        out = self.atlas.out / f"clusters-{number}"
        arguments = [str(self.atlas.store.folder), "--clusters", str(number), "--out", str(out)]
        return self.jobs.start(name, "cluster", arguments, out, "metrics.json", {"clusters": number})

    def _run_of(self, table: str) -> Path:
        """The run that suggests galaxies for a table."""
        done = (job for job in self._states("finetune") if job["state"] == "done" and job["about"]["table"] == table)
        run = self._run or next((job["folder"] for job in done), None)
        if run is None:
            raise ValueError("suggestions need a trained run: fine-tune on some labels first, or give --run")
        return Path(run)

    def _suggest(self, body: dict, name: str) -> dict:
        table = self.judging.labels.table(body.get("table"))
        run, out = self._run_of(table.name), self.atlas.out / "suggestions" / name
        out.mkdir(parents=True, exist_ok=True)
        write_csv(pd.DataFrame({"id_str": pd.Series(list(table.agreed), dtype=str)}), out / "labelled.csv")
        arguments = [str(run), str(self.atlas.store.folder), "--galaxies", "100", "--out", str(out)]
        if table.agreed:
            arguments += ["--exclude", str(out / "labelled.csv")]
        about = {"table": table.name, "run": str(run), "labels": len(table.agreed)}
        return self.jobs.start(name, "suggest-labels", arguments, out, "suggestions.csv", about)

    def _finished(self, job: dict) -> None:
        """Shows the results of a job."""
        if job["verb"] == "make-map":
            self.atlas.use_map(job["folder"])
        elif job["verb"] == "cluster":
            self.atlas.use_clusters(job["folder"])


def _plain(table: str) -> str:
    return "-".join(table.split())
