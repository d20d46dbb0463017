"""Parquet files as the Hugging Face Hub has them; the pictures are those that were put in."""

import io
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from PIL import Image

from tfrecords_builder import build_records
from tfrecords_builder.bounded import Limits
from tfrecords_builder.catalog import read_catalog
from tfrecords_builder.images import open_images, read_images

N = 40
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 9, 9, 3), np.uint8)


def png(pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def pixels_of(image) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(image.data)))


@pytest.fixture(params=["struct", "binary"])
def file(request, tmp_path):
    cells = [png(pixels) for pixels in PIXELS]
    if request.param == "struct":
        cells = [{"bytes": cell, "path": f"{i}.png"} for i, cell in enumerate(cells)]
    pq.write_table(pa.table({"image": cells, "label": np.arange(N) % 3}), tmp_path / "p.parquet", row_group_size=7)
    return tmp_path / "p.parquet"


def test_file_loc_is_the_row(file):
    source = pickle.loads(pickle.dumps(open_images(file)))  # as it travels to workers
    for row, image in zip(
        (39, 0, 8), read_images(source, [{"file_loc": row} for row in ("39", "0", "8")]), strict=True
    ):
        np.testing.assert_array_equal(pixels_of(image), PIXELS[row])


@pytest.mark.parametrize("file_loc", ["40", "-1", "7.5", "x.png", "None"])
def test_a_row_that_is_not_there_is_refused(file, file_loc):
    (error,) = read_images(open_images(file), [{"file_loc": file_loc}])
    assert f"file_loc must be a row of p.parquet, from 0 to 39, got '{file_loc}'" in str(error)


def test_galaxies_are_found_by_their_id_where_the_file_has_ids(tmp_path):
    names = [1237648720693755900 + 7 * i for i in range(N)]
    table = pa.table({"id_str": names, "image": [png(pixels) for pixels in PIXELS], "ring": np.arange(N) % 2})
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=7)
    records = build_records(tmp_path / "p.parquet", tmp_path / "records", images=tmp_path / "p.parquet")
    assert sum(records.splits.values()) == N and records.label_cols == ("ring",)
    for i in (3, 33):
        np.testing.assert_array_equal(pixels_of(records.source()(str(names[i]))), PIXELS[i])


@pytest.mark.parametrize("ids", [["a ", " b"], [b"a", b"b"], pa.array(["a", "b"]).dictionary_encode()])
def test_a_file_that_is_catalogue_and_pictures_has_the_same_ids_in_both(tmp_path, ids):
    pq.write_table(pa.table({"id_str": ids, "image": [png(pixels) for pixels in PIXELS[:2]]}), tmp_path / "p.parquet")
    catalog = read_catalog(tmp_path / "p.parquet")
    assert catalog["id_str"].tolist() == ["a", "b"]
    images = read_images(open_images(tmp_path / "p.parquet"), catalog.to_dict("records"))
    np.testing.assert_array_equal([pixels_of(image) for image in images], PIXELS[:2])


def test_a_build_unpacks_every_row_group_once_per_shard(file, tmp_path, monkeypatch):
    unpacked = []
    real = pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda *a, **o: unpacked.append(a[1]) or real(*a, **o))
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(N)], "file_loc": range(N)})
    records = build_records(catalog, tmp_path / "records", images=file)
    typical = 15  # are looked at before, in random order
    assert len(unpacked) <= typical + len(records.checksums) * -(-N // 7)
    np.testing.assert_array_equal(pixels_of(records.source()("g21")), PIXELS[21])


def test_fits_in_a_cell_is_measured_and_a_missing_picture_is_a_reason(tmp_path):
    buffer = io.BytesIO()
    fits.PrimaryHDU(np.arange(12, dtype="f4").reshape(3, 4)).writeto(buffer)
    cells = [{"bytes": buffer.getvalue(), "path": None}, {"bytes": None, "path": "/home/me/1.png"}, None]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), tmp_path / "p.parquet")
    image, gone, none = read_images(open_images(tmp_path / "p.parquet"), [{"file_loc": str(i)} for i in range(3)])
    np.testing.assert_array_equal(image.data[..., 0], np.arange(12).reshape(3, 4))
    assert "row 1 of p.parquet contains no picture (its path is /home/me/1.png)" in str(gone)
    assert "row 2 of p.parquet contains no picture" in str(none)


def test_what_cannot_be_read_ends_in_one_sentence(file, tmp_path):
    table = pq.read_table(file)
    pq.write_table(table.append_column("thumb", table["image"]), tmp_path / "two.parquet")
    pq.write_table(table.drop_columns("image"), tmp_path / "none.parquet")
    (tmp_path / "damaged.parquet").write_bytes(file.read_bytes()[:-9])
    for name, reason in (
        ("two", r"several columns of pictures \(image, thumb\): name one as hdu"),
        ("none", "none.parquet has no pictures in it"),
        ("damaged", "damaged.parquet is damaged"),
    ):
        with pytest.raises(ValueError, match=reason):
            open_images(tmp_path / f"{name}.parquet").needs  # noqa: B018
    (image,) = read_images(open_images(tmp_path / "two.parquet", hdu="thumb"), [{"file_loc": "5"}])
    np.testing.assert_array_equal(pixels_of(image), PIXELS[5])
    (error,) = read_images(open_images(file, limits=Limits(bytes=100)), [{"file_loc": "5"}])
    assert "max_bytes allows 100" in str(error)
