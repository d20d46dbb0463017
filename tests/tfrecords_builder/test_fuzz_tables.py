"""Any bytes given as a catalogue become a table or one sentence (at length: benchmarks/fuzz_readers.py)."""

import random
import warnings

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from tfrecords_builder.catalog import check_catalog, read_catalog

WORDS = [b"\x00", b"\xff\xfe", b"null", b"NaN", b"-1", b"1e999", b"9" * 21, b"'", b'"', b",", b"\n", b"#", b"<!--"]


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    ids = [str(8647475121430856586 + i) for i in range(8)]
    table = pd.DataFrame({"id_str": ids, "file_loc": "a.jpg", "n": np.arange(8), "z": np.arange(8) / 7})
    table.to_csv(folder / "c.csv", index=False)
    table.to_parquet(folder / "c.parquet")
    for name, kind in (("c.fits", "fits"), ("c.ecsv", "ascii.ecsv"), ("c.vot", "votable")):
        Table.from_pandas(table).write(folder / name, format=kind)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["c.csv", "c.parquet", "c.fits", "c.ecsv", "c.vot"])
def test_a_damaged_catalogue_is_a_table_or_one_sentence(tmp_path, examples, name):
    rng, path = random.Random(0), tmp_path / name
    for _ in range(60):
        data = bytearray(examples[name])
        for _ in range(rng.choice([1, 1, 3])):
            at = rng.randrange(len(data))
            data[at : at + rng.choice([0, 1, 9])] = rng.choice(WORDS)
        path.write_bytes(bytes(data))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                check_catalog(read_catalog(path))
            except (ValueError, OSError) as error:
                assert len(str(error)) > 10
