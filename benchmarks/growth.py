"""Time and memory of verbs as catalogues grow: `python benchmarks/growth.py --galaxies 10000 100000 1000000`.

Every verb runs in a process of its own on representations of a simulated crowd (40 components, 30 clusters) and on a
table of as many rows. Memory is the peak of the process, less what it had after its imports; pages of files that are
mapped into memory count, though the system may take them back. `bytes` are those per galaxy between the two largest
catalogues: those of a representation are 160. `--verbs` chooses some; `--figure growth.png` draws both, and `--page
docs/clusters.md` puts the table into the page.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

D = 40
VERBS = {
    "find-similar": "find_similar(store, like='g7', out=out)",
    "find-similar --index": "find_similar(store, like='g7', index=out + '/index', out=out)",
    "find-similar --index, again": "find_similar(store, like='g7', index=index, out=out)",
    "cluster": "cluster(store, out=out, estimator='kmeans')",
    "make-map --onto": "make_map(store, onto=map, out=out, part='1/1')",
    "find-outliers": "find_outliers(store, out=out)",
    "find-anomalies": "find_anomalies(store, out=out)",
    "convert-table": "convert_table(table, out + '/table.csv')",
}
WORK = """
import json, pathlib, sys, time
store, table, map, index, out = sys.argv[1:]
pathlib.Path(out).mkdir()
from morphtools.anomalies.loop import AnomalyLoop
from morphtools.archives.convert_table import convert_table
from morphtools.explore.clusters import cluster
from morphtools.explore.find_outliers import find_outliers
from morphtools.explore.maps import make_map
from morphtools.explore.similarity import find_similar
import faiss, sklearn.mixture, sklearn.gaussian_process
def find_anomalies(store, out):
    loop = AnomalyLoop(store, out)
    loop.rate({name: int(name[1:]) % 6 for name in loop.suggest(20)})
    loop.suggest(10)
    for table in loop.ranked():
        pass
def peak():  # that of getrusage begins with the parent's
    return int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
before, start = peak(), time.perf_counter()
{work}
print(json.dumps([time.perf_counter() - start, peak() - before]))
"""


def make_crowd(folder: Path, galaxies: int) -> None:
    """A store of representations and a table of as many rows, a million at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from morphtools.inference.representations import Representations

    rng = np.random.default_rng(0)
    centres = rng.normal(size=(30, D)) * np.linspace(2, 0.2, D)
    store, writer = Representations.create(folder / "store", D, {"weights": "none", "records": "none"}), None
    for start in range(0, galaxies, 2**17):
        number = min(2**17, galaxies - start)
        values = centres[rng.integers(30, size=number)] + 0.5 * rng.normal(size=(number, D)) * np.linspace(2, 0.2, D)
        names = [f"g{start + i}" for i in range(number)]
        store.append(names, values, part=f"{start:012d}")
        columns = {"id_str": names, **{f"c{i}": values[:, i] for i in range(8)}}
        rows = pa.table({**columns, "ra": rng.uniform(0, 360, number), "dec": rng.uniform(-60, 60, number)})
        writer = writer or pq.ParquetWriter(folder / "table.parquet", rows.schema)
        writer.write_table(rows)
    writer.close()


def measure(verb: str, folder: Path, map: Path) -> tuple[float, float]:
    """Seconds and megabytes of a verb in a process of its own."""
    out = folder / verb.split(",")[0].replace(" ", "")
    index = out / "index"
    out = out.with_name(f"{out.name}-again") if "again" in verb else out
    paths = [folder / "store", folder / "table.parquet", map, index, out]
    code = WORK.replace("{work}", VERBS[verb])
    done = subprocess.run([sys.executable, "-c", code, *[str(path) for path in paths]], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{verb} failed: {done.stderr[-2000:]}")
    return tuple(json.loads(done.stdout.strip().splitlines()[-1]))


def draw(table: pd.DataFrame, path: str) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5))
    for axis, name, title in zip(axes, ("seconds", "MB"), ("Time (s)", "Peak memory beyond imports (MB)"), strict=True):
        for verb, rows in table.groupby("verb", sort=False):
            axis.loglog(rows["galaxies"], rows[name].clip(lower=0.1), "o-", label=verb)
        axis.set(xlabel="Galaxies", title=title)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def write_into(page: Path, wide: pd.DataFrame) -> None:
    """Puts the table between the marks of a page, with the date and the machine."""
    lines = [" | ".join(["verb", *(f"{what}, {n:,}" if n else what for what, n in wide.columns)])]
    lines += ["|".join(["---"] * (1 + len(wide.columns)))]
    lines += [" | ".join([verb, *(f"{value:g}" for value in row)]) for verb, *row in wide.itertuples()]
    about = f"`python benchmarks/growth.py {' '.join(sys.argv[1:])}` ({datetime.date.today()}, {os.cpu_count()} cores)."
    table = "\n".join(f"| {line} |" for line in lines)
    start, _, rest = page.read_text().partition("<!-- growth -->\n")
    page.write_text(
        f"{start}<!-- growth -->\n{about}\n\n{table}\n<!-- /growth -->{rest.partition('<!-- /growth -->')[2]}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--galaxies", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--verbs", nargs="+", default=list(VERBS), choices=VERBS)
    parser.add_argument("--figure")
    parser.add_argument("--page", type=Path, help="A page with the lines <!-- growth --> and <!-- /growth -->.")
    parser.add_argument("--folder", help="Where to work (a temporary folder).")
    options = parser.parse_args()
    from morphtools.explore.maps import make_map

    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        if "make-map --onto" in options.verbs:
            make_crowd(Path(name) / "mapped", 5000)
            make_map(Path(name) / "mapped" / "store", out=Path(name) / "map")
        for galaxies in options.galaxies:
            folder = Path(name) / str(galaxies)
            folder.mkdir()
            start = time.perf_counter()
            make_crowd(folder, galaxies)
            print(f"{galaxies:,} galaxies made in {time.perf_counter() - start:.0f} s", flush=True)
            for verb in options.verbs:
                seconds, megabytes = measure(verb, folder, Path(name) / "map")
                rows.append({"verb": verb, "galaxies": galaxies, "seconds": seconds, "MB": megabytes})
                print(f"{verb:30} {galaxies:>11,} {seconds:8.1f} s {megabytes:8.0f} MB", flush=True)
    table = pd.DataFrame(rows)
    wide = table.pivot(index="verb", columns="galaxies", values=["seconds", "MB"]).loc[options.verbs].round(1)
    if len(options.galaxies) > 1:
        small, large = sorted(options.galaxies)[-2:]
        wide["bytes", ""] = ((wide["MB"][large] - wide["MB"][small]) * 2**20 / (large - small)).round()
    print(wide.to_string())
    if options.page:
        write_into(options.page, wide)
    if options.figure:
        draw(table, options.figure)


if __name__ == "__main__":
    main()
