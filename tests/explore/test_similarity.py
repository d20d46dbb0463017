import numpy as np
import pandas as pd
import pytest

from morphtools.explore import similarity
from morphtools.explore.neighbours import Neighbours
from morphtools.explore.similarity import find_similar


def test_the_most_similar_are_of_the_same_kind_and_not_the_example(three_kinds, tmp_path):
    store, catalog, images = three_kinds
    table = find_similar(store, like="g04", galaxies=19, catalog=catalog, images=images, out=tmp_path / "out")
    assert set(table["kind"]) == {"elliptical"} and "g04" not in set(table["id_str"])
    assert table["rank"].tolist() == list(range(1, 20)) and table["distance"].is_monotonic_increasing
    assert (tmp_path / "out/similar.png").stat().st_size > 10_000
    page = (tmp_path / "out/similar.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == 20  # no other file is needed
    assert page.count("legacysurvey.org/viewer?ra=") == 19


def test_an_example_that_is_an_image_is_drawn_before_its_neighbours(three_kinds, tmp_path):
    store, catalog, images = three_kinds
    options = {"query": store.values()[0], "galaxies": 3, "catalog": catalog, "images": images}
    find_similar(store, **options, out=tmp_path / "without")
    find_similar(store, **options, image=images / "g00.png", out=tmp_path / "with")
    pages = [(tmp_path / name / "similar.html").read_text() for name in ("without", "with")]
    assert [page.count("<img ") for page in pages] == [3, 4]
    assert pages[1].index("g00.png") < pages[1].index("1: 0.000")


def test_distances_are_from_the_mean_of_the_examples_of_length_one(three_kinds, tmp_path):
    store, _, _ = three_kinds
    table = find_similar(store, like=["g01", "g02"], galaxies=3, out=tmp_path)
    values = store.values()
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    mean = values[[1, 2]].mean(axis=0)
    cosine = values @ mean / np.linalg.norm(mean)
    cosine[[1, 2]] = -1
    np.testing.assert_allclose(table["distance"], 1 - np.sort(cosine)[::-1][:3], atol=1e-6)


def test_counter_examples_push_their_kind_away(three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    options = {"galaxies": 30, "catalog": catalog, "out": tmp_path}
    without = find_similar(store, like=["g00", "g01"], **options)
    pushed = find_similar(store, like=["g00", "g01"], unlike=["g04", "g07"], **options)
    assert (without["kind"] == "elliptical").sum() > 5
    assert (pushed["kind"] == "elliptical").sum() < (without["kind"] == "elliptical").sum()
    assert not set(pushed["id_str"]) & {"g00", "g01", "g04", "g07"}


def test_a_place_on_the_sky_is_its_nearest_galaxy(three_kinds, tmp_path, caplog):
    store, catalog, _ = three_kinds
    place = catalog.loc[4, ["ra", "dec"]].astype(float)
    options = {"catalog": catalog, "galaxies": 5, "out": tmp_path}
    caplog.set_level("INFO")
    table = find_similar(store, ra=place["ra"], dec=place["dec"] + 1 / 3600, **options)
    assert "g04 is 1.00 arcsec from" in caplog.text
    assert table["id_str"].tolist() == find_similar(store, like="g04", **options)["id_str"].tolist()
    # one of them lies beside the first by the steps of the catalogue, at cos(dec) ≈ 1
    first = catalog.set_index("id_str").loc[table["id_str"][0]]
    expected = np.hypot(first["ra"] - place["ra"], first["dec"] - place["dec"] - 1 / 3600) * 3600
    assert table["separation"][0] == pytest.approx(expected, rel=1e-3)
    with pytest.raises(ValueError, match=r"no galaxy within 5 arcsec of .*: the nearest, g04, is 36\.0 arcsec away"):
        find_similar(store, ra=place["ra"], dec=place["dec"] + 0.01, **options)


def test_only_a_circle_on_the_sky_is_searched(three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    table = find_similar(store, like="g04", within=(10.0, -1.0, 0.5), catalog=catalog, out=tmp_path)
    inside = np.hypot(catalog["ra"] - 10, catalog["dec"] + 1) <= 0.5
    assert set(table["id_str"]) == set(catalog["id_str"][inside]) - {"g04"}


def test_excluded_galaxies_are_not_found_whether_few_or_many(three_kinds, tmp_path, monkeypatch):
    store, catalog, _ = three_kinds
    found = find_similar(store, like="g04", galaxies=6, out=tmp_path)
    catalog[["id_str"]].iloc[:30].to_csv(tmp_path / "list.csv", index=False)
    few = find_similar(store, like="g04", galaxies=6, exclude=tmp_path / "list.csv", out=tmp_path)
    assert not set(few["id_str"]) & {f"g{i:02d}" for i in range(30)} and set(found["id_str"]) != set(few["id_str"])
    real = similarity.exact
    called = []
    monkeypatch.setattr(similarity, "exact", lambda *a: called.append(1) or real(*a))
    monkeypatch.setattr(np, "count_nonzero", lambda x: 10**6)
    many = find_similar(Neighbours(store), like="g04", galaxies=6, exclude=tmp_path / "list.csv", out=tmp_path)
    assert called and many["id_str"].tolist() == few["id_str"].tolist()


def test_a_representation_from_elsewhere_is_an_example_too(three_kinds, tmp_path):
    store, _, _ = three_kinds
    near = Neighbours(store, metric="euclidean")
    table = find_similar(near, query=store.values()[7], galaxies=2, out=tmp_path)
    assert table["id_str"][0] == "g07" and table["distance"][0] == 0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "give an example to search for"),
        ({"like": "h"}, "no representation of h"),
        ({"ra": 1.0}, "give both ra and dec"),
        ({"like": "g00", "galaxies": 0}, "at least 1, got 0"),
        ({"ra": 1.0, "dec": 1.0}, "needs a catalogue with ra and dec"),
    ],
)
def test_what_is_missing_is_named(three_kinds, tmp_path, asked, message):
    with pytest.raises(ValueError, match=message):
        find_similar(three_kinds[0], **asked, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_catalogue_of_other_galaxies_is_noticed(three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    other = catalog.assign(id_str=catalog["id_str"] + "x")
    with pytest.raises(ValueError, match="its id_str are like 'g00x', those of the representations like 'g00'"):
        find_similar(store, like="g04", catalog=other, out=tmp_path)


def test_a_picture_that_cannot_be_read_is_grey_and_reported(three_kinds, tmp_path, caplog):
    store, catalog, images = three_kinds
    (images / "g07.png").write_bytes(b"no picture")
    find_similar(store, like="g04", galaxies=19, catalog=catalog, images=images, out=tmp_path / "out")
    assert "1 of 20 pictures cannot be read: g07: g07.png: not a readable JPEG, PNG" in caplog.text


def test_object_ids_keep_their_digits_in_tables_and_pages(three_kinds, tmp_path):
    store, catalog, images = three_kinds
    known = catalog.assign(objid=[None if i % 2 else 8647475121430856586 + i for i in range(len(catalog))], rank="mine")
    known["objid"] = known["objid"].astype("Int64")
    known.to_csv(tmp_path / "known.csv", index=False)
    options = {"like": "g04", "galaxies": 30, "out": tmp_path / "out"}
    find_similar(store, catalog=str(tmp_path / "known.csv"), images=images, **options)
    written = pd.read_csv(tmp_path / "out/similar.csv", dtype=str)
    assert written["rank"].tolist() == [str(i) for i in range(1, 31)]
    expected = dict(zip(catalog["id_str"], known["objid"].astype("string"), strict=True))
    for row in written.dropna(subset="objid").itertuples():
        assert row.objid == expected[row.id_str]
    assert written["objid"].notna().sum() > 8
    assert written["objid"].dropna().iloc[0] in (tmp_path / "out/similar.html").read_text()
    known["objid"] = known["objid"].fillna(5)
    find_similar(store, catalog=known.iloc[:-30], **options)  # which does not have all galaxies
    written = pd.read_csv(tmp_path / "out/similar.csv", dtype=str)
    assert written["objid"].isna().any() and set(written["objid"].dropna()) <= set(known["objid"].astype(str))


def test_columns_of_the_catalogue_named_like_ours_are_kept_beside_them(three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    own = catalog.assign(rank=range(100, 100 + len(catalog)), distance=2.5)
    table = find_similar(store, like="g04", galaxies=3, catalog=own, out=tmp_path)
    assert table["rank"].tolist() == [1, 2, 3] and (table["distance"] < 2.5).all()
    assert table["catalog_rank"].tolist() == own.set_index("id_str").loc[table["id_str"], "rank"].tolist()
    assert (pd.read_csv(tmp_path / "similar.csv")["catalog_distance"] == 2.5).all()
