import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from morphtools.answers.classes import Classes
from morphtools.inference import tables_to_read
from morphtools.inference.stream import shard_key
from morphtools.inference.tables_to_read import checked_formats, write_to_read
from tfrecords_builder.build import build_records
from tfrecords_builder.catalog import read_catalog
from tfrecords_builder.records import Records

RING = Classes(("no ring", "ring"))


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """30 pictures, their catalogue with a column that is empty in most rows, and records of them in several shards."""
    folder = tmp_path_factory.mktemp("sky")
    for i in range(30):
        Image.fromarray(np.full((8, 8), 5 * i, np.uint8)).save(folder / f"{i}.png")
    catalog = pd.DataFrame({"id_str": [f"{i:03d}" for i in range(30)], "file_loc": [f"{i}.png" for i in range(30)]})
    catalog["remark"], catalog["ring"] = [None] * 29 + ["odd"], np.arange(30) / 7
    catalog["counts"] = pd.array([None, *range(29)], "Int64")
    catalog.to_csv(folder / "catalog.csv", index=False)
    for n in (10, 20, 30):
        build_records(catalog[:n], folder / "records", images=folder, append=n > 10)
    return folder


@pytest.fixture
def full(sky, tmp_path):
    """`predictions-full.parquet` for all galaxies but 007, in the order of the shards' keys."""
    records = Records.open(sky / "records")
    index = records.index(["id_str", "shard"])
    index["key"] = [shard_key(records, name) for name in index["shard"]]
    ids = index[index["id_str"] != "007"].sort_values("key", kind="stable")["id_str"].tolist()
    p = np.array([int(name) for name in ids]) / 30.0
    table = RING.tables(ids, np.stack([1 - p, p], axis=1)[np.newaxis], 0.9)[1].assign(familiarity=p.astype("float32"))
    path = tmp_path / "predictions-full.parquet"
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)
    return path


COLUMNS = ["id_str", "file_loc", "remark", "ring_catalog", "counts"]
PREDICTED = ["predicted", "no ring", "ring", "familiarity"]


@pytest.mark.parametrize("rows", [4, 1000])
def test_galaxies_of_records_get_the_columns_of_their_catalogue_shard_by_shard(sky, full, monkeypatch, rows):
    monkeypatch.setattr(tables_to_read, "_ROWS", rows)
    records = Records.open(sky / "records")
    write_to_read(full, RING, (), ["parquet", "csv"], beside=records)
    table = pd.read_parquet(full.with_name("predictions.parquet"))
    assert list(table) == [*COLUMNS, "split", *PREDICTED]
    assert table["id_str"].tolist() == pd.read_parquet(full)["id_str"].tolist()
    truth = read_catalog(sky / "catalog.csv").set_index("id_str").loc[table["id_str"]]
    assert table["remark"].fillna("").tolist() == truth["remark"].fillna("").tolist()
    assert table["counts"].fillna(-1).tolist() == truth["counts"].fillna(-1).tolist()
    np.testing.assert_allclose(table["ring"], [float(f"{int(name) / 30:.3g}") for name in table["id_str"]], rtol=1e-6)
    as_csv = read_catalog(full.with_name("predictions.csv"))
    assert as_csv["id_str"].tolist() == table["id_str"].tolist()


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "fits", "vot", "ecsv"])
def test_every_format_has_the_galaxies_of_a_catalogue_in_its_order(sky, full, ending):
    (name,) = write_to_read(full, RING, (), [ending], beside=sky / "catalog.csv")
    table = read_catalog(full.with_name(name))
    assert list(table) == [*COLUMNS, *PREDICTED]
    assert table["id_str"].tolist() == [f"{i:03d}" for i in range(30) if i != 7]
    np.testing.assert_allclose(table["ring_catalog"].astype(float), [i / 7 for i in range(30) if i != 7], rtol=1e-12)
    np.testing.assert_allclose(table["ring"].astype(float), [float(f"{i / 30:.3g}") for i in range(30) if i != 7], 1e-6)
    assert table["counts"].isna().sum() == 1 and table["remark"].iloc[-1] == "odd"


def test_records_of_other_galaxies_are_noticed(sky, full, tmp_path):
    catalog = read_catalog(sky / "catalog.csv")[:9].assign(id_str=[f"x{i}" for i in range(9)])
    others = build_records(catalog, tmp_path / "others", images=sky)
    with pytest.raises(ValueError, match=r"some galaxies of the predictions are not in .*others"):
        write_to_read(full, RING, (), ["csv"], beside=others)


def test_formats_are_endings():
    assert checked_formats(None) == ["csv", "parquet"]
    assert checked_formats("csv, votable") == ["csv", "vot"] == checked_formats(["csv", "vot"])
    with pytest.raises(ValueError, match=r"unknown table format '.xlsx'"):
        checked_formats("csv,xlsx")
