"""Every kind of finding is reported for the right galaxies, in preview, index and reports alike, and for no others."""

import dataclasses
import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Picture

from morphtools.data.look import inspect_records, preview_records
from tfrecords_builder import build_records
from tfrecords_builder.findings import KINDS, count_findings, sentences
from tfrecords_builder.images import Image, from_pixels
from tfrecords_builder.records import Records

N = 40


def galaxy(i: int, shape=(24, 24, 2)) -> np.ndarray:
    return np.random.default_rng(i).normal(size=shape).astype("f4")


def with_value(i, where, value) -> np.ndarray:
    pixels = galaxy(i)
    pixels[where] = value
    return pixels


def masked(i, where) -> Image:
    mask = np.zeros((24, 24, 2), bool)
    mask[where] = True
    return Image(galaxy(i), (24, 24, 2), mask)


ODD = {  # one galaxy of each kind, made by hand
    "blank": lambda i: from_pixels(np.full((24, 24, 2), 7.0)),
    "constant_band": lambda i: from_pixels(with_value(i, (..., 1), 7.0)),
    "empty_band": lambda i: from_pixels(with_value(i, (..., 1), np.nan)),
    "mostly_zero": lambda i: from_pixels(np.where(abs(galaxy(i)) < 1, 0, abs(galaxy(i)))),
    "dead_pixels": lambda i: from_pixels(with_value(i, (slice(2), ..., 0), 0.0)),
    "many_missing": lambda i: from_pixels(with_value(i, slice(3), np.nan)),
    "middle_missing": lambda i: masked(i, (slice(9, 15), slice(9, 15))),
    "padded": lambda i: from_pixels(galaxy(i, (22, 24, 2))),
    "stand_in": lambda i: from_pixels(with_value(i, (slice(2), slice(3)), -9999)),
    "sky_not_zero": lambda i: from_pixels(1000 + 10 * galaxy(i)),
    "other_size": lambda i: from_pixels(galaxy(i, (20, 20, 2))),
    "tiny": lambda i: from_pixels(galaxy(i, (7, 7, 2))),
}
ALSO = {"tiny": {"other_size"}, "middle_missing": set(), "empty_band": {"many_missing", "middle_missing"}}


def source(odd: dict[int, str]):
    def read(name):
        i = int(name)
        return ODD[odd[i]](i) if i in odd else from_pixels(galaxy(i))

    return read


@pytest.fixture(scope="module")
def catalog():
    return pd.DataFrame({"id_str": [f"g{i}" for i in range(N)], "file_loc": [str(i) for i in range(N)]})


@pytest.mark.parametrize("value", [-99, -32768, 99999, 1e30, -1e37])
def test_values_that_stand_for_missing_pixels_are_found_where_they_are_far_from_the_others(value, catalog, tmp_path):
    pixels = {3: with_value(3, 5, value), 4: galaxy(4) * abs(value)}
    pixels[4][0, 0, 0] = value  # a value like any other there
    records = build_records(catalog, tmp_path / "r", images=lambda i: from_pixels(pixels.get(int(i), galaxy(int(i)))))
    kinds = records.index().set_index("id_str")["findings"]
    assert list(kinds.index[kinds.str.contains("stand_in")]) == ["g3"]
    assert f"pixels of {value:g}" in records.index().set_index("id_str")["pixel_flag"]["g3"]


@pytest.mark.parametrize("kind", ODD)
def test_a_finding_leads_to_its_galaxy_and_to_no_other(kind, catalog, tmp_path):
    records = build_records(catalog, tmp_path / "r", images=source({5: kind}), image_size=24)
    kinds = records.index().set_index("id_str")["findings"].str.split()
    assert set(kinds["g5"]) == {kind} | ALSO.get(kind, set())
    assert all(not each for name, each in kinds.items() if name != "g5")


def test_preview_build_and_inspection_report_the_same_sentences(catalog, tmp_path, caplog):
    odd = dict(enumerate(list(ODD), start=3))
    images = source(odd)
    before = preview_records(catalog, images=images, image_size=24, bands=("a", "b"), galaxies=N).findings
    records = build_records(catalog, tmp_path / "r", images=images, image_size=24, bands=("a", "b"))
    logged = [record.getMessage().removeprefix("odd: ") for record in caplog.records if "odd: " in record.getMessage()]
    assert sorted(records.findings()) == sorted(logged)
    for look in (before, inspect_records(records, galaxies=N).findings):
        assert set(logged) <= set(look)
    (blank,) = (each for each in logged if "(blank)" in each)
    assert blank == f"1 of {N} images: every pixel has the same value (blank)"


def test_a_preview_counts_as_usable_what_the_build_then_uses(catalog, tmp_path):
    """Bands, shapes and kinds that only the builder's own checks refuse."""

    def images(name):
        i = int(name)
        if i % 4 == 1:
            return from_pixels(galaxy(i, (24, 24, 3)))  # another number of bands
        if i % 4 == 2:
            return from_pixels(galaxy(i) * 1e6)  # more than float16 holds
        return from_pixels(galaxy(i))

    look = preview_records(catalog, images=images, dtype="float16", galaxies=N)
    records = build_records(catalog, tmp_path / "r", images=images, dtype="float16", max_failures=0.9)
    assert look.facts == [f"{sum(records.splits.values())} of {N} galaxies drawn can be used"]
    failures = pd.read_parquet(records.folder / "failures.parquet")
    assert {f"{row.id_str}: {row.reason}" for row in failures.itertuples()} <= set(look.findings)


def test_pictures_that_are_blank_or_black_are_findings(catalog, tmp_path):
    for i in range(N):
        pixels = np.random.default_rng(i).integers(1, 255, (24, 24, 3)).astype("u1")
        pixels = {3: np.full_like(pixels, 9), 4: np.where(np.arange(24)[:, None, None] > 8, 0, pixels)}.get(i, pixels)
        Picture.fromarray(pixels.astype("u1")).save(tmp_path / f"{i}.png")
    records = build_records(catalog.assign(file_loc=catalog["file_loc"] + ".png"), tmp_path / "r", images=tmp_path)
    kinds = records.index().set_index("id_str")["findings"]
    assert (kinds["g3"], kinds["g4"]) == ("blank", "mostly_zero") and (kinds.drop(["g3", "g4"]) == "").all()


def test_a_size_that_all_images_share_is_not_a_finding(catalog, tmp_path):
    records = build_records(catalog, tmp_path / "r", images=source({}), image_size=12)
    assert (records.index()["findings"] == "other_size").all() and records.findings() == []


def test_only_galaxies_with_a_finding_can_be_looked_at(catalog, tmp_path):
    records = build_records(catalog, tmp_path / "r", images=source({5: "padded", 9: "padded"}))
    (axes,) = inspect_records(records, finding="padded").figure.axes
    assert {text.get_text().split()[0] for text in axes.get_xticklabels()} == {"g5", "g9"}  # of few bands
    with pytest.raises(ValueError, match=r"no galaxy .* 'blank'"):
        inspect_records(records, finding="blank")
    with pytest.raises(ValueError, match="paded"):
        inspect_records(records, finding="paded")


def test_records_without_the_column_still_open(catalog, tmp_path):
    folder = build_records(catalog, tmp_path / "r", images=source({5: "blank"})).folder
    index = pd.read_parquet(folder / "index.parquet").drop(columns="findings")
    index.to_parquet(folder / "index.parquet", index=False)
    dataclasses.replace(Records.open(folder), index_checksum=None).save()
    assert Records.open(folder).findings() == [] and inspect_records(folder).ranges.shape == (2, 4)


def test_findings_of_galaxies_that_are_added_are_counted(catalog, tmp_path):
    build_records(catalog[:20], tmp_path / "r", images=source({5: "blank"}))
    records = build_records(catalog, tmp_path / "r", images=source({5: "blank", 30: "blank"}), append=True)
    assert records.findings() == [f"2 of {N} images: {KINDS['blank']} (blank)"]


def test_counts_are_those_of_the_words():
    counts = count_findings(["blank padded", "", None, "padded"])
    assert counts == {"padded": 2, "blank": 1} and json.dumps(counts)
    assert [s.split(":")[0] for s in sentences(counts, 4)] == ["2 of 4 images", "1 of 4 images"]


def test_a_blank_png_is_still_the_bytes_that_came(tmp_path):
    file = io.BytesIO()
    Picture.new("RGB", (9, 9), (1, 2, 3)).save(file, "png")
    for i in range(20):
        (tmp_path / f"{i}.png").write_bytes(file.getvalue())
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(20)], "file_loc": [f"{i}.png" for i in range(20)]})
    records = build_records(catalog, tmp_path / "r", images=tmp_path)
    assert records.source()("g3").data == file.getvalue()
