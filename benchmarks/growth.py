"""Measures time and memory of verbs as catalogues grow: `python benchmarks/growth.py --galaxies 10000 100000 1000000`.

Every verb runs in a process of its own on representations of a simulated crowd (40 numbers, 30 clusters) and on a table
of as many rows. Memory is the peak of the process, less what it had after its imports, without pages of files,
which the system takes back when it needs them (`mapped` includes these). `bytes` are those per galaxy between the two
largest catalogues: those of a representation are 160. `--verbs` chooses some. In a `--folder` crowds and results
(`growth.csv`) are kept, and the same command continues; `--figure` draws time and memory, `--page` writes the table.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

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
import json, pathlib, re, sys, time
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
def memory():  # anonymous and largest at all, in MB; what getrusage tells begins with the parent's
    text = pathlib.Path("/proc/self/status").read_text()
    return [int(re.search(name + r":\\s*(\\d+)", text)[1]) / 1024 for name in ("RssAnon", "VmHWM")]
before, start = memory(), time.perf_counter()
{work}
print(json.dumps([time.perf_counter() - start, before[0], memory()[1] - before[1]]))
"""


def make_crowd(folder: Path, galaxies: int, dimension: int, with_table: bool = False) -> None:
    """A store of representations and perhaps a table of as many rows, 131,072 at a time; continues one begun."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from morphtools.inference.representations import Representations

    scale, provenance = np.linspace(2, 0.2, dimension), {"weights": "none", "records": "none"}
    centres = np.random.default_rng(0).normal(size=(30, dimension)) * scale
    store, writer = Representations.create(folder / "store", dimension, provenance), None
    parts, table = {path.name[:17] for path in store.parts}, folder / "table.parquet"
    for start in range(0, galaxies, 2**17):
        rng, number = np.random.default_rng(1 + start), min(2**17, galaxies - start)
        names = [f"g{start + i}" for i in range(number)]
        if f"part-{start:012d}" not in parts:
            values = 0.5 * rng.normal(size=(number, dimension)) * scale
            store.append(names, values + centres[rng.integers(30, size=number)], part=f"{start:012d}")
        if with_table:
            columns = {"id_str": names, **{f"c{i}": rng.normal(size=number) for i in range(8)}}
            rows = pa.table({**columns, "ra": rng.uniform(0, 360, number), "dec": rng.uniform(-60, 60, number)})
            writer = writer or pq.ParquetWriter(table, rows.schema)
            writer.write_table(rows)
    if writer:
        writer.close()


def measure(verb: str, folder: Path, map: Path) -> dict[str, float]:
    """Seconds and megabytes of a verb in a process of its own."""
    out = folder / verb.split(",")[0].replace(" ", "")
    index = out / "index"
    out = out.with_name(f"{out.name}-again") if "again" in verb else out
    paths = [folder / "store", folder / "table.parquet", map, index, out]
    code = WORK.replace("{work}", VERBS[verb])
    with tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, "-c", code, *[str(path) for path in paths]]
        work = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        anonymous, status = 0.0, Path(f"/proc/{work.pid}/status")
        while work.poll() is None:
            has = re.search(r"RssAnon:\s*(\d+)", status.read_text())
            anonymous = max(anonymous, int(has[1]) / 1024 if has else 0)
            time.sleep(0.01)
        if work.returncode:
            errors.seek(0)
            raise RuntimeError(f"{verb} failed: {errors.read()[-2000:]}")
        seconds, before, mapped = json.loads(work.stdout.read().strip().splitlines()[-1])
    return {"seconds": seconds, "MB": max(anonymous - before, 0), "mapped": mapped}


def draw(table: pd.DataFrame, path: str) -> None:
    """Seconds and megabytes of every verb by number of galaxies; dotted, the size of the representations."""
    from PIL import Image

    from tfrecords_builder.plain_figure import COLOURS, Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, name, title in zip(axes, ("seconds", "MB"), ("Time (s)", "Peak memory beyond imports (MB)"), strict=True):
        for colour, (verb, rows) in zip(COLOURS, table.groupby("verb", sort=False), strict=False):
            rows = rows.sort_values("galaxies")
            axis.loglog(rows["galaxies"], rows[name].clip(lower=0.1), "o-", color=colour, markersize=4, label=verb)
        axis.set(xlabel="Galaxies", title=title)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].loglog(table["galaxies"].unique(), table["galaxies"].unique() * 160 / 2**20, ":", color="0.55")
    axes[1].set_ylim(10, 5000)
    axes[0].legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=90)
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)  # a small file


def write_into(page: Path, wide: pd.DataFrame) -> None:
    """Puts the table between the marks of a page, with the date and the machine."""
    lines = [" | ".join(["verb", *(f"{what}, {n:,}" if n else what for what, n in wide.columns)])]
    lines += ["|".join(["---"] * (1 + len(wide.columns)))]
    lines += [
        " | ".join([verb, *("" if pd.isna(value) else f"{value:g}" for value in row)])
        for verb, *row in wide.itertuples()
    ]
    about = f"`python benchmarks/growth.py {' '.join(sys.argv[1:])}` ({datetime.date.today()}, {os.cpu_count()} cores)."
    table = "\n".join(f"| {line} |" for line in lines)
    start, _, rest = page.read_text().partition("<!-- growth -->\n")
    page.write_text(
        f"{start}<!-- growth -->\n{about}\n\n{table}\n<!-- /growth -->{rest.partition('<!-- /growth -->')[2]}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--galaxies", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dimension", type=int, default=40)
    parser.add_argument("--verbs", nargs="+", default=list(VERBS), choices=VERBS)
    parser.add_argument("--figure")
    parser.add_argument("--page", type=Path, help="A page with the lines <!-- growth --> and <!-- /growth -->.")
    parser.add_argument("--folder", help="Where to work, and keep it (a temporary folder).")
    options = parser.parse_args()
    from morphtools.explore.maps import make_map

    with tempfile.TemporaryDirectory() as name:
        folder = Path(options.folder or name)
        folder.mkdir(parents=True, exist_ok=True)
        kept, map = folder / "growth.csv", folder / "map"
        if "make-map --onto" in options.verbs and not map.exists():
            make_crowd(folder / "mapped", 5000, options.dimension)
            make_map(folder / "mapped" / "store", out=map)
        table = pd.read_csv(kept) if kept.exists() else pd.DataFrame(columns=["verb", "galaxies"])
        for galaxies in options.galaxies:
            done = set(table.loc[table["galaxies"] == galaxies, "verb"])
            missing = [verb for verb in options.verbs if verb not in done]
            if missing:
                make_crowd(folder / str(galaxies), galaxies, options.dimension, "convert-table" in missing)
            for verb in missing:
                numbers = measure(verb, folder / str(galaxies), map)
                row = pd.DataFrame([{"verb": verb, "galaxies": galaxies, **numbers, "load": os.getloadavg()[0]}])
                table = pd.concat([table, row]) if len(table) else row
                table.to_csv(kept, index=False)
                print(row.round(1).to_string(index=False, header=False), flush=True)
    table = table[table["galaxies"].isin(options.galaxies) & table["verb"].isin(options.verbs)]
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
