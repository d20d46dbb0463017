"""Measures how fast records are built and read, as ratios within one run.

    python benchmarks/build_records.py FOLDER [--galaxies 2000] [--repeat 3]

Writes its input to FOLDER. Prints medians of the repetitions; each measures all rows in turn, so that other load on the
machine affects all of them.
"""

import argparse
import json
import os
import shutil
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import google_crc32c
import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.wcs import WCS
from rows import ask, report

from tfrecords_builder import Records, build_records


def make_galaxies(folder: Path, number: int) -> pd.DataFrame:
    folder.mkdir(exist_ok=True)
    names = [f"{i}.fits" for i in range(number)]
    for i, name in enumerate(names):
        if not (folder / name).exists():
            pixels = np.random.default_rng(i).normal(size=(5, 107, 107)).astype("f4")
            fits.PrimaryHDU(pixels).writeto(folder / name)
    return pd.DataFrame({"id_str": [f"g{i}" for i in range(number)], "file_loc": names, "votes": 1.0})


def make_mosaics(folder: Path, number: int, mosaics: int = 2, side: int = 10_000) -> pd.DataFrame:
    folder.mkdir(exist_ok=True)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150.0, 2.0], [side / 2, side / 2]
    wcs.wcs.cdelt = [-0.1 / 3600, 0.1 / 3600]
    rng = np.random.default_rng(0)
    for i in range(mosaics):
        if not (folder / f"{i}.fits").exists():
            pixels = rng.standard_normal((side, side), dtype=np.float32)
            fits.PrimaryHDU(pixels, wcs.to_header()).writeto(folder / f"{i}.fits")
    sky = wcs.all_pix2world(rng.uniform(64, side - 64, (number, 2)), 0)
    files = [f"{i % mosaics}.fits" for i in range(number)]
    return pd.DataFrame(
        {"id_str": [f"m{i}" for i in range(number)], "file_loc": files, "ra": sky[:, 0], "dec": sky[:, 1]}
    )


def naive(catalog: pd.DataFrame, folder: Path, out: Path) -> None:
    """The loop that everybody writes first."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(out)) as writer:
        for row in catalog.itertuples():
            pixels = np.moveaxis(fits.getdata(folder / row.file_loc), 0, -1).astype("<f4")
            feature = {
                "id_str": tf.train.Feature(bytes_list=tf.train.BytesList(value=[row.id_str.encode()])),
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels.tobytes()])),
                "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=pixels.shape)),
                "votes": tf.train.Feature(float_list=tf.train.FloatList(value=[row.votes])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def copy(catalog: pd.DataFrame, folder: Path, out: Path) -> None:
    """The lower limit: bytes in, CRC, bytes out."""
    with out.open("wb") as file:
        for name in catalog["file_loc"]:
            data = (folder / name).read_bytes()
            google_crc32c.value(data)
            file.write(data)


def read(records: Records) -> None:
    """Parsed and batched, as `load_dataset` does it, without importing a model."""
    import tensorflow as tf

    from tfrecords_builder import parse

    dataset = tf.data.TFRecordDataset([str(p) for split in records.splits for p in records.shards(split)])
    dataset = dataset.batch(64).map(lambda s: parse(s, records), num_parallel_calls=tf.data.AUTOTUNE)
    for _ in dataset.prefetch(tf.data.AUTOTUNE):
        pass


def build(catalog: pd.DataFrame, out: Path, **options) -> Records:
    shutil.rmtree(out, ignore_errors=True)
    return build_records(catalog, out, **options)


def against_cutana(options, places: pd.DataFrame, tiles: Path) -> None:
    """Cutouts of the same mosaics; ours are records to train with, Cutana's a zarr archive."""
    table = pd.DataFrame(
        {"SourceID": places["id_str"], "RA": places["ra"], "Dec": places["dec"], "diameter_pixel": 128}
    )
    table["fits_file_paths"] = [json.dumps([str((tiles / name).resolve())]) for name in places["file_loc"]]
    table.to_csv(options.folder / "sources.csv", index=False)
    ours, theirs = [], []
    for turn in range(options.repeat):
        start = time.perf_counter()
        build(places, options.folder / "out" / "turn", images=tiles, cutout=128, workers=2)
        ours.append(len(places) / (time.perf_counter() - start))
        out = options.folder / f"cutana-{turn}"
        shutil.rmtree(out, ignore_errors=True)
        theirs.append(ask(options.cutana_python, "cutana_cutouts.py", options.folder / "sources.csv", out))
    rates = [len(places) / each["seconds"] for each in theirs]
    what = f"{len(places):,} cutouts of 128 px from mosaics of 10,000 px, two workers"
    report(what, f"Cutana {theirs[0]['cutana']}", ours, rates, "galaxies/s", "both include what they need to start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--galaxies", type=int, default=2000)
    parser.add_argument("--cutouts", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--cutana-python", help="of Cutana's environment, see peers/cutana_cutouts.py")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    images, tiles = options.folder / "images", options.folder / "mosaics"
    galaxies, places = make_galaxies(images, options.galaxies), make_mosaics(tiles, options.cutouts)
    out, bands = options.folder / "out", tuple("ugriz")
    if options.cutana_python is not None:
        return against_cutana(options, places, tiles)
    few = places[: options.galaxies]
    # four times the galaxies, because the second in which processes start does not matter in a survey
    many = pd.concat([galaxies.assign(id_str=galaxies["id_str"] + f"_{k}") for k in range(4)])

    import tensorflow as tf

    tf.constant(0)  # its start does not count
    rows = {
        "naive loop, 5×107×107 FITS": (len(galaxies), lambda: naive(galaxies, images, options.folder / "naive")),
        "copy and CRC, the limit": (len(galaxies), lambda: copy(galaxies, images, options.folder / "copy")),
        "build_records": (len(galaxies), lambda: build(galaxies, out / "one", images=images, bands=bands)),
        "build_records, two workers": (
            len(many),
            lambda: build(many, out / "two", images=images, bands=bands, workers=2),
        ),
        "128 px cutouts of 10k×10k": (len(few), lambda: build(few, out / "few", images=tiles, cutout=128)),
        "128 px cutouts, two workers": (
            len(places),
            lambda: build(places, out / "cutouts", images=tiles, cutout=128, workers=2),
        ),
        "reading 5×107×107": (len(many), lambda: read(Records.open(out / "two"))),
        "reading 128 px": (len(places), lambda: read(Records.open(out / "cutouts"))),
    }
    rates = {name: [] for name in rows}
    for _ in range(options.repeat):
        for name, (number, run) in rows.items():
            start = time.perf_counter()
            run()
            rates[name].append(number / (time.perf_counter() - start))
    first = statistics.median(rates["naive loop, 5×107×107 FITS"])
    for name, found in rates.items():
        rate = statistics.median(found)
        print(f"{name:32} {rate:8.0f}/s  ×{rate / first:5.2f}  ({min(found):.0f}–{max(found):.0f})")
    print(json.dumps({name: [round(rate) for rate in found] for name, found in rates.items()}))
    loop, slow = "a loop over astropy and TFRecordWriter", rates["naive loop, 5×107×107 FITS"]
    report("records of 5×107×107 FITS", loop, rates["build_records"], slow, "galaxies/s")
    report("records of 5×107×107 FITS, two workers", loop, rates["build_records, two workers"], slow, "galaxies/s")


if __name__ == "__main__":
    main()
