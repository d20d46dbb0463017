"""Kills the server of `explore` at random moments while two people judge: no acknowledged judgement may be lost.

Two clients label, rate, undo and label many at once, each judgement under its own name. A request without
an answer is sent again, under the same name, once the next server answers. In the end, every judgement must have been
stored exactly once, and labels and ratings must be those that the server acknowledged.

    python benchmarks/app_kills.py --kills 50
"""

import argparse
import http.client
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from morphtools.anomalies.ratings import Ratings
from morphtools.app.judgements import Judgements
from morphtools.inference.representations import Representations

GALAXIES = 300
SERVE = "import sys; from morphtools.app.server import serve; serve(sys.argv[1], out=sys.argv[2])"
VALUES = [{"value": "yes", "key": "y"}, {"value": "no", "key": "n"}]


class Servers:
    """One server after the other."""

    def __init__(self, store: Path, out: Path):
        self._command = [sys.executable, "-c", SERVE, str(store), str(out)]
        self.process, self.url = None, None

    def start(self) -> float:
        """Starts a server; returns the seconds until it announced its address."""
        begin = time.perf_counter()
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("http"):
            raise SystemExit("the server does not start")
        self.url = urlsplit(line.strip())
        return time.perf_counter() - begin

    def kill(self) -> None:
        """Kills it without warning, as the kernel would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


class Person(threading.Thread):
    """A client that judges and remembers what was acknowledged.

    Attributes:
        labels: Their label of each galaxy, as acknowledged.
        ratings: Likewise.
        sent: Names of all judgements that were answered.
        again: How many had to be sent more than once.
    """

    def __init__(self, name: str, servers: Servers, seed: int):
        super().__init__(daemon=True)
        self.name, self._servers, self._random = name, servers, random.Random(seed)
        self.labels, self.ratings, self._done, self._number = {}, {}, [], 0
        self.sent, self.again, self.wrong, self.stopping = [], 0, [], False

    def run(self) -> None:
        """Judges until told to stop."""
        while not self.stopping:
            self._random.choice([self._label] * 3 + [self._rate] * 2 + [self._many, self._undo])()

    def _galaxy(self) -> str:
        return f"g{self._random.randrange(GALAXIES):03d}"

    def _label(self) -> None:
        name, value = self._galaxy(), self._random.choice(["yes", "no"])
        judgement = self._post("label", table="rings", id_str=name, value=value)
        self._done.append((judgement, {name: self.labels.get(name)}))
        self.labels[name] = value

    def _many(self) -> None:
        names, value = sorted({self._galaxy() for _ in range(10)}), self._random.choice(["yes", "no"])
        judgement = self._post("label-all", table="rings", ids=names, value=value, overwrite=True)
        self._done.append((judgement, {name: self.labels.get(name) for name in names}))
        self.labels |= dict.fromkeys(names, value)

    def _undo(self) -> None:
        if not self._done:  # only the last: earlier ones may lie below others
            return
        judgement, before = self._done.pop()
        self._post("label", table="rings", undo=judgement)
        self.labels |= before

    def _rate(self) -> None:
        name, rating = self._galaxy(), self._random.randrange(6)
        self._post("rate", rater=self.name, id_str=name, rating=rating)
        self.ratings[name] = rating

    def _post(self, path: str, **body) -> str:
        self._number += 1
        judgement, tries = f"{self.name}-{self._number:06d}", 0
        body = json.dumps({"judgement": judgement, "person": self.name} | body)
        while True:
            tries += 1
            status, answer = self._send(path, body)
            if status == 200:
                break
            if status not in (0, 503, 404):  # 404: the next server has another secret
                self.wrong.append((judgement, status, answer))
                break
            time.sleep(0.02)
        self.sent.append(judgement)
        self.again += tries > 1
        return judgement

    def _send(self, path: str, body: str) -> tuple[int, str]:
        url = self._servers.url
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
        try:
            connection.request("POST", f"{url.path}api/{path}", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()


def measure(kills: int, seed: int) -> int:
    """Prints what was judged, and what was lost; returns how much was."""
    rng, timing = np.random.default_rng(seed), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        store, out = Path(folder) / "store", Path(folder) / "out"
        made = Representations.create(store, 8, {"weights": "none"})
        made.append([f"g{i:03d}" for i in range(GALAXIES)], rng.normal(size=(GALAXIES, 8)))
        servers = Servers(store, out)
        starts = [servers.start()]
        people = [Person(name, servers, seed + i) for i, name in enumerate(("ann", "bob"))]
        people[0]._post("labels", name="rings", question="a ring?", values=VALUES)
        for person in people:
            person.start()
        for _ in range(kills):
            _wait_for(people, timing.choice([0, 1, 5, 20, 40]))
            time.sleep(0.02 * timing.random())
            servers.kill()
            starts.append(servers.start())
        time.sleep(1)
        for person in people:
            person.stopping = True
        for person in people:
            person.join()
        servers.kill()
        lost = _compare(out, people)
    sent = sum(len(person.sent) for person in people)
    print("| kills | judgements answered | sent more than once | lost or twice | start, median and longest (s) |")
    print("|---|---|---|---|---|")
    again = sum(person.again for person in people)
    print(f"| {kills} | {sent} | {again} | {lost} | {np.median(starts):.1f}, {max(starts):.1f} |")
    return lost


def _wait_for(people: list[Person], answers: int) -> None:
    """Waits until so many more judgements were answered, for half a minute at most."""
    enough, until = sum(len(person.sent) for person in people) + answers, time.monotonic() + 30
    while sum(len(person.sent) for person in people) < enough and time.monotonic() < until:
        time.sleep(0.001)


def _compare(out: Path, people: list[Person]) -> int:
    """How many judgements are lost, twice or wrong, by the files alone."""
    from morphtools.app.label_tables import Labels

    file = Judgements(out / "judgements.sqlite")
    labels, names = Labels(), []
    for judgement in file.all():
        labels.apply(judgement)
        names.append(judgement.judgement)
    history = Ratings(out / "anomalies" / "ratings.sqlite")
    history.check()
    with history._open() as database:
        names += [row[0] for row in database.execute("SELECT judgement FROM ratings")]
    sent = [name for person in people for name in person.sent]
    counts = pd.Series(names).value_counts().reindex(sent, fill_value=0)
    problems = [f"{name}: stored {count} times" for name, count in counts.items() if count != 1]
    problems += [f"{name} was never sent" for name in set(names) - set(sent)]
    rated = history.history()
    for person in people:
        problems += [f"{each}" for each in person.wrong]
        table = labels.tables["rings"]
        for name in {*person.labels, *table.given}:
            if table.label_by(name, person.name) != person.labels.get(name):
                problems.append(f"label of {name} by {person.name}")
        last = rated[rated["rater"] == person.name].groupby("id_str")["rating"].last().to_dict()
        if last != person.ratings:
            problems.append(f"ratings of {person.name}")
    for problem in problems[:20]:
        print(problem)
    return len(problems)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sys.exit(measure(given.kills, given.seed) > 0)
