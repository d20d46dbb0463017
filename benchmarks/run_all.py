"""Runs all comparisons with other packages and writes docs/benchmarks.md.

    python benchmarks/run_all.py --peers ENV/bin/python [--catalog galaxies.csv --images jpegs/ --column ring]

Run it on a quiet machine; it takes about half an hour on two cores. Finished comparisons are kept in `--out`, so the
same command resumes if it is killed. `--peers` is an environment with zoobot, galaxy-datasets, lightly, timm and
Cutana, as the scripts in `peers/` describe; comparisons that need a missing package are left out, and the page reports
that. Fine-tuning needs real labels (`--catalog`). With another catalogue, give another `--out`, or `--again`.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rows import MARK

import morphtools
from tfrecords_builder.files import write_whole

HERE = Path(__file__).parent
OURS = ("keras", "tensorflow", "numpy", "scikit-learn", "faiss-cpu", "modAL-python")
PEERS = ("zoobot", "galaxy-datasets", "lightning", "lightly", "timm", "torch", "cutana")
DATA = "--catalog {catalog} --images {images} --column {column} --zoobot-python {peers}"


@dataclass(frozen=True)
class Comparison:
    """A script of this folder and its arguments, what its numbers mean, and the packages that the peer needs."""

    title: str
    about: str
    command: str
    needs: tuple[str, ...] = ()


COMPARISONS = {
    "auc": Comparison(
        "Fine-tuning to the same AUC",
        "Both train a head on EfficientNet-Lite0 with its published ImageNet weights, because zoobot's own "
        "encoders would have to be downloaded. Ours is all of `finetune`: records, training, test, scores and "
        "figures. zoobot's time ends with the first epoch whose test AUC reaches ours, or once it has not risen "
        "for 15 epochs, and does not include its tests. zoobot runs the encoder on new views of all galaxies in "
        "every epoch; we run it once, on eight orientations.",
        f"finetune_vs_zoobot.py --to-auc --image-size 128 --labels 800 --epochs 40 --turns 1 {DATA}",
        ("zoobot", "lightning"),
    ),
    "finetune": Comparison(
        "Fine-tuning for the same number of epochs",
        "The same network from random weights. Neither learns much: this compares time alone.",
        f"finetune_vs_zoobot.py --image-size 128 --labels 350 --epochs 8 {DATA}",
        ("zoobot", "lightning"),
    ),
    "input": Comparison(
        "Input pipeline",
        "From JPEGs to batches with the default random views of galaxy-datasets. Ours reads records, which must be"
        " built first; the second row includes building them, as if there were only one epoch.",
        "input_pipeline.py --torch-python {peers}",
        ("galaxy-datasets", "lightning"),
    ),
    "forward": Comparison(
        "Forward pass",
        "The same networks in Keras on TensorFlow and in PyTorch, without `torch.compile`.",
        "forward_pass.py --torch-python {peers}",
        ("timm", "torch"),
    ),
    "predict": Comparison(
        "`predict` against its bare model",
        "`predict` reads, decodes, computes and writes tables. The bare model is given one batch in memory again "
        "and again.",
        "predict.py --encoder efficientnet_lite0",
    ),
    "moco": Comparison(
        "Learning without labels",
        "One step of MoCo. Ours draws two random views of each image; lightly gets the images as they are.",
        "contrastive_vs_lightly.py --lightly-python {peers} --steps 10 --turns 3",
        ("lightly", "torch"),
    ),
    "moco-bfloat16": Comparison(
        "Learning without labels, in bfloat16",
        "The same in mixed precision.",
        "contrastive_vs_lightly.py --lightly-python {peers} --steps 10 --turns 3 --bfloat16",
        ("lightly", "torch"),
    ),
    "byol": Comparison(
        "Learning without labels, by BYOL",
        "One step of BYOL, compared in the same way, with heads of the same width.",
        "contrastive_vs_lightly.py --lightly-python {peers} --learner byol --steps 10 --turns 3",
        ("lightly", "torch"),
    ),
    "builder": Comparison(
        "Building records",
        "From FITS files to TFRecords. Ours also checks every image and writes checksums and an index.",
        "build_records.py {out}/build --galaxies 1000 --cutouts 2000",
    ),
    "cutouts": Comparison(
        "Cutouts of mosaics",
        "The same positions in the same mosaics. Ours writes records to train with, Cutana a zarr archive.",
        "build_records.py {out}/build --galaxies 200 --cutouts 10000 --cutana-python {peers}",
        ("cutana",),
    ),
    "search": Comparison(
        "Nearest galaxies",
        "With faiss installed, our search is a thin layer over it; without faiss, we search ourselves.",
        "similarity.py --no-tree",
    ),
    "anomalies": Comparison(
        "The next galaxies to rate",
        "From a rating to the next ten galaxies: fit a Gaussian process and compute the expected improvement of "
        "all galaxies.",
        "anomaly_loop.py",
    ),
    "ratings": Comparison(
        "Saving a rating",
        "Ours is on disk when the call returns, whatever happens next. A csv file that is rewritten for every "
        "rating is left half written if its process is killed.",
        "ratings.py",
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of comparisons; by default all: {', '.join(COMPARISONS)}")
    parser.add_argument("--peers", help="Python of the peers' environment")
    parser.add_argument("--catalog", help="with labels of rings or not, for fine-tuning")
    parser.add_argument("--images", help="their folder of JPEGs")
    parser.add_argument("--column", default="ring")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where finished comparisons are kept")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "benchmarks.md")
    parser.add_argument("--again", nargs="+", default=[], help="comparisons to measure again")
    options = parser.parse_args()
    if unknown := set([*options.names, *options.again]) - set(COMPARISONS):
        parser.error(f"there is no comparison {', '.join(sorted(unknown))}; there are {', '.join(COMPARISONS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    peers = installed(options.peers)
    for name in options.names or COMPARISONS:
        kept = options.out / f"{name}.json"
        if name in options.again:
            kept.unlink(missing_ok=True)
        if kept.exists():
            print(f"{name}: done before")
            continue
        if why := missing(COMPARISONS[name], peers, options):
            print(f"{name}: left out, {why}")
            continue
        measure(name, options, kept)
    write_whole(options.page, lambda path: path.write_text(page(options, peers)))
    print(f"written: {options.page}")


def installed(python: str | None) -> dict[str, str]:
    """Versions of the peers' packages that are there."""
    if python is None:
        return {}
    code = "import importlib.metadata, json; there = importlib.metadata.distributions();"
    code += "print(json.dumps({each.metadata['Name'].lower(): each.version for each in there}))"
    have = json.loads(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)
    return {name: have[name] for name in PEERS if name in have}


def missing(comparison: Comparison, peers: dict[str, str], options) -> str | None:
    """Why a comparison cannot be made; None if it can."""
    if absent := [name for name in comparison.needs if name not in peers]:
        return f"{' and '.join(absent)} not installed in the peers' environment"
    if "{catalog}" in comparison.command and not (options.catalog and options.images):
        return "no --catalog and --images with real labels"
    return None


def measure(name: str, options, kept: Path) -> None:
    """Runs one comparison in a process of its own and keeps its rows; a failure is shown, and tried again next time."""
    comparison = COMPARISONS[name]
    script, *arguments = comparison.command.split()
    command = [sys.executable, str(HERE / script), *[argument.format(**vars(options)) for argument in arguments]]
    print(f"{name}: {' '.join(command)}", flush=True)
    start, text = time.perf_counter(), ""
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=quiet) as process:
        for line in process.stdout:
            text += line
            if not line.startswith(MARK):
                print(f"    {line}", end="", flush=True)
    rows = [json.loads(line.removeprefix(MARK)) for line in text.splitlines() if line.startswith(MARK)]
    if process.returncode or not rows:
        print(f"{name}: failed with exit status {process.returncode}")
        return
    about = {"rows": rows, "command": f"python benchmarks/{comparison.command}", "seconds": time.perf_counter() - start}
    about |= {"date": datetime.date.today().isoformat(), "load": os.getloadavg()[2]}
    write_whole(kept, lambda path: path.write_text(json.dumps(about, indent=1)))


def page(options, peers: dict[str, str]) -> str:
    """docs/benchmarks.md: the machine, where we are slower, and a table for each comparison."""
    versions = [f"morphtools {morphtools.__version__}", *(f"{name} {version(name)}" for name in OURS)]
    versions += [f"{name} {each}" for name, each in peers.items()]
    kept = {name: options.out / f"{name}.json" for name in COMPARISONS}
    done = {name: json.loads(path.read_text()) for name, path in kept.items() if path.exists()}
    rows = [row for each in done.values() for row in each["rows"]]
    slower = [row for row in rows if statistics.median(row["ratios"]) < 0.95]
    lines = [
        "# Benchmarks",
        "",
        "How fast morphtools is, beside the packages that an astronomer would otherwise use. A ratio above 1 means",
        "that morphtools is faster; it is the median over several turns of both, with the smallest and the largest in",
        "brackets. `python benchmarks/run_all.py` makes this page; it is never edited by hand.",
        "",
        f"- Machine: {machine()}",
        f"- Versions: {', '.join(versions)}",
        "",
        "## Where morphtools is slower",
        "",
    ]
    for row in slower:
        lines.append("; ".join(filter(None, (f"- {row['what']}: {spread(row)} against {row['peer']}", row["note"]))))
    if not slower:
        lines.append("Nowhere, in these comparisons.")
    for name, comparison in COMPARISONS.items():
        lines += ["", f"## {comparison.title}", "", comparison.about, ""]
        if name not in done:
            lines.append(f"Not measured: {missing(comparison, peers, options) or 'it was not run, or failed'}.")
            continue
        lines += ["| what | ours | peer | peer's | ratio | note |", "|---|---|---|---|---|---|"]
        lines += [table_row(row) for row in done[name]["rows"]]
        about = done[name]
        lines += [
            "",
            f"`{about['command']}` ({about['date']}, {about['seconds'] / 60:.1f} min, load {about['load']:.1f})",
        ]
    return "\n".join(lines) + "\n"


def table_row(row: dict) -> str:
    medians = (float(f"{statistics.median(row[name]):.3g}") for name in ("ours", "theirs"))
    ours, theirs = (f"{median:,g} {row['unit']}" for median in medians)
    return f"| {row['what']} | {ours} | {row['peer']} | {theirs} | {spread(row)} | {row['note']} |"


def spread(row: dict) -> str:
    ratios = row["ratios"]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    about = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in about.splitlines() if line.startswith("model name")), "")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{model or platform.processor()}, {cores} cores, {memory:.0f} GiB, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
