"""Measures response times of the page of `explore`, and its server's memory, for 10⁵, 10⁶ and 10⁷ representations.

Each number is the median waiting time of a browser on the same machine, over requests to a server in its own process;
in brackets is the processor time that the server needs for one. On a busy machine the first is longer.

    python benchmarks/app.py --galaxies 1e5,1e6,1e7
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from morphtools.inference.representations import Representations

SERVE = """
import sys, time
begin = time.process_time()
from morphtools.app.server import serve
serve(sys.argv[1], map=sys.argv[2], catalog=sys.argv[3], out=sys.argv[4])
"""
PART, ISLANDS = 2**19, 60


def make(folder: Path, galaxies: int, dimension: int) -> None:
    """Writes a store, a map and a catalogue: islands of a map, as those of UMAP are."""
    rng = np.random.default_rng(0)
    centres, middles = rng.normal(size=(ISLANDS, dimension)).astype(np.float32), rng.uniform(-15, 15, (ISLANDS, 2))
    store = Representations.create(folder / "store", dimension, {"weights": "none"})
    (folder / "map").mkdir()
    parts = []
    for start in range(0, galaxies, PART):
        number = min(PART, galaxies - start)
        island = rng.integers(0, ISLANDS, number)
        ids = [f"J{i:012d}" for i in range(start, start + number)]
        store.append(ids, centres[island] + 0.5 * rng.normal(size=(number, dimension)).astype(np.float32))
        places = (middles[island] + rng.normal(size=(number, 2))).astype(np.float32)
        sky = {"ra": rng.uniform(0, 360, number), "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, number)))}
        known = {"redshift": rng.gamma(2, 0.05, number), "class": np.array(list("ESBIR"))[island % 5]}
        parts.append(
            (pd.DataFrame({"id_str": ids, "x": places[:, 0], "y": places[:, 1]}), {"id_str": ids} | sky | known)
        )
    for path, columns in (("map/map.parquet", 0), ("catalog.parquet", 1)):
        with pq.ParquetWriter(folder / path, pa.Table.from_pandas(pd.DataFrame(parts[0][columns])).schema) as writer:
            for part in parts:
                writer.write_table(pa.Table.from_pandas(pd.DataFrame(part[columns]), preserve_index=False))


class Served:
    """A running server and its use of resources."""

    def __init__(self, folder: Path):
        paths = [str(folder / name) for name in ("store", "map", "catalog.parquet", "out")]
        self.begin = time.perf_counter()
        self.process = subprocess.Popen([sys.executable, "-c", SERVE, *paths], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def get(self, path: str, body: dict | None = None):
        """An answer, and the seconds that it took."""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.url + "api/" + path, data, {"Content-Type": "application/json"})
        begin = time.perf_counter()
        with urllib.request.urlopen(asked) as answer:
            content = answer.read()
        return content, time.perf_counter() - begin

    def busy(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def memory(self, name: str) -> float:
        """Gigabytes: `RssAnon` is its own memory, `VmHWM` the most it ever held with mapped files."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 2**20

    def measure(self, requests) -> str:
        """Median seconds over some requests, and the processor time of one."""
        before, seconds = self.busy(), [self.get(*request)[1] for request in requests]
        return f"{_show(np.median(seconds))} ({_show((self.busy() - before) / len(seconds))})"


def _show(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def ready(server: Served) -> float:
    """Waits until everything was read; returns the seconds since the start."""
    while True:
        about = json.loads(server.get("about")[0])
        if about["columns"]["ready"]:
            return time.perf_counter() - server.begin
        time.sleep(0.2)


def run(galaxies: int, dimension: int) -> dict[str, str]:
    """Makes all measurements for a number of galaxies."""
    rng, row = np.random.default_rng(1), {"galaxies": f"{galaxies:.0e}".replace("e+0", "e")}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        make(folder, galaxies, dimension)
        first = Served(folder)
        ready(first)  # reads the store once and keeps it in the form that is searched
        first.process.kill()
        first.process.wait()
        server = Served(folder)
        row["address after"] = f"{time.perf_counter() - server.begin:.1f} s ({server.busy():.1f} s)"
        x0, x1, y0, y1 = json.loads(server.get("about")[0])["map"]["bounds"]
        size = "width=1000&height=800"
        whole = f"map.png?x0={x0}&x1={x1}&y0={y0}&y1={y1}&{size}"
        row["first map"] = server.measure([(whole,)])
        row["all read after"] = f"{ready(server):.1f} s"
        views = []
        for _ in range(20):
            x, y, half = rng.uniform(x0, x1), rng.uniform(y0, y1), 0.5 * (x1 - x0) * 2.0 ** -rng.integers(0, 6)
            views.append(f"x0={x - half}&x1={x + half}&y0={y - half * 0.8}&y1={y + half * 0.8}")
        server.get(f"{whole}&colour=redshift"), server.get(f"{whole}&colour=class")
        row["pan, zoom"] = server.measure([(f"map.png?{view}&{size}",) for view in views])
        row["in colours"] = server.measure([(f"map.png?{view}&{size}&colour=redshift",) for view in views])
        row["whole map"] = server.measure([(whole,)] * 5)
        row["in classes"] = server.measure([(f"{whole}&colour=class",)] * 5)
        places = rng.uniform((x0, y0), (x1, y1), (40, 2))
        row["hover"] = server.measure([(f"hover?x={x}&y={y}&radius={(x1 - x0) / 100}",) for x, y in places])
        angle = np.linspace(0, 2 * np.pi, 150, endpoint=False)
        lassos = []
        for radius in np.linspace(0.1, 0.45, 6) * (x1 - x0):
            shape = radius * (1 + 0.2 * np.sin(5 * angle))
            corners = np.c_[shape * np.cos(angle) + (x0 + x1) / 2, shape * np.sin(angle) + (y0 + y1) / 2]
            lassos.append(("select", {"polygon": corners.tolist()}))
        row["lasso"] = server.measure(lassos)
        ids = [f"J{i:012d}" for i in rng.integers(0, galaxies, 30)]
        row["similar"] = server.measure([("similar", {"like": [name], "galaxies": 48}) for name in ids[:8]])
        row["one galaxy"] = server.measure([(f"galaxy?id_str={name}",) for name in ids[:8]])
        row["sorted table"] = server.measure([("galaxies?sort=redshift&descending=1",)] * 3)
        row["key: label"] = server.measure(_labels(server, ids))
        row["key: rate"] = _rates(server)
        row["memory"] = f"{server.memory('RssAnon'):.2f} GB, {server.memory('VmHWM'):.2f} with files"
        server.process.kill()
    return row


def _labels(server: Served, ids: list[str]) -> list[tuple]:
    table = {"judgement": "judgement-t", "person": "me", "name": "rings", "question": "?"}
    server.get("labels", table | {"values": [{"value": "yes"}, {"value": "no"}]})
    body = {"person": "me", "table": "rings", "value": "yes"}
    return [("label", body | {"judgement": f"judgement-{i}", "id_str": name}) for i, name in enumerate(ids)]


def _rates(server: Served) -> str:
    """Rates one galaxy after another while fits run in the background; an answer brings the next galaxies."""
    while True:
        try:
            told = json.loads(server.get("rate?rater=me")[0])
            break
        except urllib.error.HTTPError:
            time.sleep(0.5)
    seconds, fitting = [], 0
    for i in range(60):
        body = {"judgement": f"judgement-r{i}", "rater": "me", "id_str": told["queue"][0]["id_str"], "rating": i % 6}
        answer, took = server.get("rate", body)
        told = json.loads(answer)
        seconds.append(took)
        fitting += told["fit"]["state"] == "running"
        time.sleep(0.1)
    return f"{_show(np.median(seconds))}, slowest {_show(max(seconds))} ({fitting} of 60 during a fit)"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--galaxies", default="1e5,1e6,1e7", help="numbers, separated by commas")
    parser.add_argument("--dimension", type=int, default=40, help="of the representations (40)")
    given = parser.parse_args()
    rows = [run(int(float(number)), given.dimension) for number in given.galaxies.split(",")]
    print("| " + " | ".join(["", *(row["galaxies"] for row in rows)]) + " |")
    print("|---" * (len(rows) + 1) + "|")
    for name in list(rows[0])[1:]:
        print("| " + " | ".join([name, *(row[name] for row in rows)]) + " |")
