"""Gives damaged files to every reader: the result must be a value, or one sentence that names the problem.

    python benchmarks/fuzz_readers.py --cases 100000 --only fits,npy

Good files are damaged at random (bytes, header cards, words of the format, lengths) and read again. `ValueError` and
`OSError` with a message are planned; anything else, and anything that takes more than ten seconds, counts as unplanned,
is printed with its place, and kept in `--keep`. A kind of reader is one function below that gives `Reader`s.
"""

import argparse
import bz2
import collections
import gzip
import io
import logging
import os
import random
import signal
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

SECONDS = 10
WORDS = [b"\x00", b"\xff\xfe", b"null", b"NaN", b"[]", b"{}", b"-1", b"1e999", b"9" * 21, b"'", b","]
WORDS += [
    b"\n",
    b":",
    b"- ",
    b"&a *a",
    b"!!python/name:os.system",
    b"<!--",
    b"]]>",
    b"true",
    b"~",
    b"\xf0\x9f\x98\x80",
    b"\x00" * 8,
]
CARDS = (
    "SIMPLE BITPIX NAXIS NAXIS1 NAXIS2 NAXIS3 BSCALE BZERO BLANK XTENSION PCOUNT GCOUNT TFIELDS ZNAXIS1 ZBITPIX".split()
)
CARDS += "ZTILE1 ZCMPTYPE ZBLANK EXTEND END BANDS BAND0 EXTNAME TFORM1 TNULL1 TSCAL1 THEAP".split()
VALUES = ["-1", "0", "3", "17", "999999999", "1E400", "NaN", "T", "'x'", "-64", "8", "-32", "1.5", "", "'SCI'", "'WHT'"]


class Reader(NamedTuple):
    """How one kind of file is read: good examples by name, and a function that reads the damaged file at a path."""

    examples: dict[str, bytes]
    read: Callable[[Path], object]


def image_readers() -> dict[str, Reader]:
    """Images: one file per galaxy, and stacks, zips and mosaics of many."""
    from tfrecords_builder.images import open_images, read_images

    def one(row: dict, **options):
        def read(path: Path):
            source = open_images(path.parent if row.get("file_loc") == "PATH" else path, **options)
            (image,) = read_images(source, [row | {"file_loc": path.name} if row.get("file_loc") == "PATH" else row])
            if isinstance(image, Exception):
                raise image

        return read

    files, stacks = image_examples(), stack_examples()
    readers = {}
    for name, data in files.items():
        readers[name.split(".", 1)[1]] = Reader({name: data}, one({"id_str": "a", "file_loc": "PATH"}))
    mosaic = {"m.fits": files["cube.fits"], "e.fits": files["extensions.fits"], "p.fits.fz": files["packed.fits.fz"]}
    row = {"id_str": "a", "file_loc": "PATH", "x": 5.0, "y": 5.0}
    readers["mosaic"] = Reader(mosaic, one(row, cutout=6))
    for ending in ("npy", "npz", "h5", "parquet"):
        readers[f"stack {ending}"] = Reader(
            {f"s.{ending}": stacks[f"s.{ending}"]}, one({"id_str": "a", "file_loc": "0"})
        )
    readers["zip"] = Reader({"z.zip": stacks["z.zip"]}, one({"id_str": "a", "file_loc": "picture.png"}))
    return readers


def image_examples() -> dict[str, bytes]:
    """Small good files of every kind of image."""
    from astropy.io import fits
    from PIL import Image

    rng, examples = np.random.default_rng(0), {}
    cube = rng.normal(size=(3, 12, 14)).astype("f4")

    def add(name, *hdus):
        buffer = io.BytesIO()
        fits.HDUList(list(hdus)).writeto(buffer)
        examples[name] = buffer.getvalue()

    scaled = fits.PrimaryHDU((cube[0] * 100).astype("i2"))
    scaled.header["BSCALE"], scaled.header["BZERO"], scaled.header["BLANK"] = 0.5, 2.0, -7
    add("cube.fits", fits.PrimaryHDU(cube))
    add("scaled.fts", scaled)
    add("extensions.fits", fits.PrimaryHDU(), *map(fits.ImageHDU, cube, [None] * 3, ("WHT", "SCI", "ERR")))
    add("packed.fits.fz", fits.PrimaryHDU(), fits.CompImageHDU((cube[0] * 100).astype("i2"), compression_type="RICE_1"))
    examples["cube.fits.gz"] = gzip.compress(examples["cube.fits"])
    examples["cube.fits.bz2"] = bz2.compress(examples["cube.fits"])
    rgb = rng.integers(0, 255, (16, 16, 3), np.uint8)
    for kind in ("png", "jpeg", "webp", "gif", "bmp", "tiff"):
        examples[f"picture.{kind}"] = saved(Image.fromarray(rgb), kind)
    examples["deep.png"] = saved(Image.fromarray(rgb[..., 0].astype(np.uint16) * 200), "png")
    examples["float.tif"] = saved(Image.fromarray(cube[0]), "tiff")
    examples["inks.jpg"] = saved(Image.fromarray(rgb).convert("CMYK"), "jpeg")
    buffer = io.BytesIO()
    np.save(buffer, cube)
    examples["array.npy"] = buffer.getvalue()
    return examples


def saved(picture, kind: str) -> bytes:
    """The bytes of a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def stack_examples() -> dict[str, bytes]:
    """Small good files with many images."""
    import h5py
    import pyarrow as pa
    import pyarrow.parquet as pq

    stack = np.random.default_rng(0).integers(0, 255, (3, 9, 8, 3), np.uint8)
    npy, npz, h5, archive, parquet = (io.BytesIO() for _ in range(5))
    pq.write_table(pa.table({"image": [{"bytes": image_examples()["picture.png"], "path": "a.png"}] * 3}), parquet)
    np.save(npy, stack)
    np.savez(npz, images=stack, z=np.arange(3))
    with h5py.File(h5, "w") as file:
        file.create_dataset("images", data=stack, chunks=(1, 9, 8, 3), compression="gzip")
        file["ans"] = np.arange(3)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("picture.png", image_examples()["picture.png"])
        file.writestr("folder/cube.fits", image_examples()["cube.fits"])
    files = {"s.npy": npy, "s.npz": npz, "s.h5": h5, "s.parquet": parquet, "z.zip": archive}
    return {name: buffer.getvalue() for name, buffer in files.items()}


def table_readers() -> dict[str, Reader]:
    """Catalogues in every format, and the labels in them."""
    from morphtools.survey.label_columns import find_labels
    from morphtools.survey.tasks import PHOTOZ, TASKS, task_labels, task_redshifts
    from morphtools.survey.vote_columns import read_votes
    from tfrecords_builder.catalog import check_catalog, read_catalog

    def labels(path: Path):
        table = check_catalog(read_catalog(path))
        find_labels(table)
        readings = [lambda task=task: task_labels(task, table) for task in TASKS.values()]
        readings += [lambda: task_redshifts(PHOTOZ, table), lambda: read_votes(table, "gz_decals_dr5")]
        refused = []
        for read in readings:
            try:
                read()
            except ValueError as error:
                refused.append(error)
        if len(refused) == len(readings):
            raise refused[0]

    examples = table_examples()
    readers = {f"catalog {name[2:]}": Reader({name: data}, lambda path: check_catalog(read_catalog(path)))
               for name, data in examples.items()}  # fmt: skip
    return readers | {"labels": Reader({name: examples[name] for name in ("c.csv", "c.tsv", "c.ecsv")}, labels)}


def table_examples() -> dict[str, bytes]:
    """A small catalogue with ids, unknowns, words and votes in every format."""
    import pandas as pd
    from astropy.table import Table

    n = np.arange(12)
    table = pd.DataFrame({"id_str": [f"{8647475121430856586 + i}" for i in n], "file_loc": [f"{i}.jpg" for i in n]})
    table = table.assign(ring=["yes", "no", ""] * 4, bar=n % 2, redshift=np.where(n == 5, np.nan, n / 40))
    table = table.assign(**{f"bar-dr5_{a}": n for a in ("strong", "weak", "no")}, objid=8647475121430856586 + n)
    examples = {"c.csv": table.to_csv(index=False).encode(), "c.tsv": table.to_csv(index=False, sep="\t").encode()}
    examples["c.csv.gz"] = gzip.compress(examples["c.csv"])
    masked = Table.from_pandas(table)
    for name, kind in (("c.fits", "fits"), ("c.ecsv", "ascii.ecsv"), ("c.vot", "votable")):
        with tempfile.TemporaryDirectory() as folder:
            masked.write(Path(folder, name), format=kind)
            examples[name] = Path(folder, name).read_bytes()
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return examples | {"c.parquet": buffer.getvalue()}


def settings_readers() -> dict[str, Reader]:
    """Question trees, configurations, augmentations and model cards."""
    import yaml

    from morphtools.config import read_config
    from morphtools.data.presets import read_augmentations
    from morphtools.models.cards import WEIGHTS, Card
    from morphtools.survey.schemas import SCHEMAS, get_schema

    tree = yaml.safe_dump(SCHEMAS["gz_candels"].to_dict(), sort_keys=False).encode()
    layers = b"- RandomView: {rotation: 0.5}\n- RandomFlip: {mode: horizontal}\n- RandomNoise: {sigma: 1}\n"
    card = next(iter(sorted(WEIGHTS.glob("*.json")))).read_bytes()
    names = ["task", "labels", "bands", "epochs"]
    return {
        "schema": Reader({"s.yaml": tree}, get_schema),
        "config": Reader(
            {"c.yaml": b"task: rings\nlabels: 200\nbands: [g, r, z]\n"}, lambda path: read_config(path, names)
        ),
        "augmentations": Reader({"a.yaml": layers}, read_augmentations),
        "card": Reader({"card.json": card}, lambda path: Card.open(path).input_shape),
    }


KINDS = (
    image_readers,
    table_readers,
    settings_readers,
)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A good file with one to ten things changed; of packed files mostly the content, which a checksum guards."""
    for kind in (gzip, bz2):
        if data[:2] == kind.compress(b"")[:2] and rng.random() < 0.8:
            return kind.compress(damaged(kind.decompress(data), rng))
    data = bytearray(data)
    if data[:9] == b"SIMPLE  =" and rng.random() < 0.6:
        for _ in range(rng.randint(1, 3)):
            key, value = rng.choice(CARDS), rng.choice(VALUES)
            place = data.find(f"{key:8}=".encode(), rng.choice([0, 0, 2880]))
            place = place if place >= 0 else 80 * rng.randrange(min(30, len(data) // 80))
            data[place : place + 80] = f"{key:8}= {value:>20}".ljust(80).encode()
        return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data)
    for _ in range(rng.choice([1, 1, 2, 4, 10])):
        what, at = rng.random(), rng.randrange(len(data) + 1)
        if what < 0.4 and data:
            data[min(at, len(data) - 1)] = rng.randrange(256)
        elif what < 0.6:
            data[at:at] = rng.choice(WORDS)
        elif what < 0.75:
            del data[at : at + rng.randrange(1, 40)]
        elif what < 0.85:
            data[at:at] = data[at : at + rng.randrange(1, 200)]
        elif what < 0.95:
            data[at : at + rng.randrange(1, 12)] = rng.choice(WORDS)
        else:
            del data[at:]
    return bytes(data)


class TooLong(BaseException):
    """A case took more than `SECONDS`."""


def attempt(reader: Reader, path: Path) -> tuple[str, str]:
    """`read`, `refused` or `unplanned`, and where and why."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.read(path)
        return "read", ""
    except (ValueError, OSError) as error:
        if len(str(error)) > 10 and "<_io." not in str(error):
            return "refused", ""
        return "unplanned", f"{type(error).__name__} without a sentence: {error}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        ours = [f for f in frames if "tfrecords_builder" in f.filename or "morphtools" in f.filename] or frames
        return "unplanned", f"{type(error).__name__} at {Path(ours[-1].filename).name}:{ours[-1].lineno}: {error}"[:160]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main() -> None:
    """Prints a table of cases per reader, then what was unplanned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="of all readers together")
    parser.add_argument("--only", default="", help="readers whose name has one of these words, as fits,npy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that were unplanned")
    given = parser.parse_args()

    def too_long(*_):
        raise TooLong(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    logging.disable(logging.WARNING)
    readers = {name: reader for kind in KINDS for name, reader in kind().items()}
    words = given.only.split(",")
    readers = {name: reader for name, reader in readers.items() if any(word in name for word in words)}
    rng, counts, places = random.Random(given.seed), collections.Counter(), collections.Counter()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for i in range(given.cases):
            name = list(readers)[i % len(readers)]
            example = rng.choice(list(readers[name].examples))
            path = Path(folder, f"{i}_{example}")
            path.write_bytes(damaged(readers[name].examples[example], rng))
            try:
                outcome, place = attempt(readers[name], path)
            except TooLong as error:  # while it was switched off
                outcome, place = "unplanned", str(error)
            counts[name, outcome] += 1
            if outcome == "unplanned":
                if places[name, place] == 0 and given.keep:
                    given.keep.mkdir(parents=True, exist_ok=True)
                    (given.keep / path.name).write_bytes(path.read_bytes())
                places[name, place] += 1
            path.unlink()
    print(f"{'reader':24}{'read':>10}{'refused':>10}{'unplanned':>10}")
    for name in readers:
        print(f"{name:24}" + "".join(f"{counts[name, kind]:>10}" for kind in ("read", "refused", "unplanned")))
    unplanned = sum(places.values())
    print(f"{given.cases} cases in {time.perf_counter() - start:.0f} s, {unplanned} unplanned at {len(places)} places")
    for (name, place), number in places.most_common():
        print(f"  {name}: {number} × {place}")


if __name__ == "__main__":
    main()
