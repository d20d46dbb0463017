import pandas as pd
import pytest

from morphtools.explore.artifacts import find_artifacts
from morphtools.explore.clusters import cluster


@pytest.fixture
def mapped(tmp_path):
    (tmp_path / "map").mkdir()
    grid = pd.DataFrame({"id_str": [f"{x}{y}" for x in range(5) for y in range(5)]})
    grid["x"], grid["y"] = grid["id_str"].str[0].astype(float), grid["id_str"].str[1].astype(float)
    grid.to_parquet(tmp_path / "map/map.parquet")
    return tmp_path / "map"


def test_what_lies_in_a_region_of_the_map_is_listed(mapped, tmp_path):
    square, triangle = [(0.5, 0.5), (2.5, 0.5), (2.5, 2.5), (0.5, 2.5)], [(3.5, 3.5), (5, 3.5), (5, 5)]
    table = find_artifacts(map=mapped, regions=[square, triangle], out=tmp_path / "a")
    assert sorted(table["id_str"]) == ["11", "12", "21", "22"] or "44" in set(table["id_str"])
    listed = pd.read_csv(tmp_path / "a/artifacts.csv", dtype=str)
    assert listed["id_str"].tolist() == table["id_str"].tolist()
    assert "region (0.5, 0.5) (2.5, 0.5)" in listed["reason"][0]


def test_a_galaxy_is_listed_once_with_all_reasons_and_nothing_is_deleted(three_kinds, tmp_path):
    store, catalog, images = three_kinds
    found = cluster(store, estimator="kmeans", clusters=3, catalog=catalog, labels="kind", out=tmp_path / "c")
    star = int(found.summary.set_index("majority").loc["star", "cluster"])
    before = {path: path.read_bytes() for path in (tmp_path / "c").iterdir()}
    options = {"catalog": catalog, "images": images, "out": tmp_path / "a"}
    table = find_artifacts(clusters=tmp_path / "c", numbers=[star], ids=["g02", "g00"], **options)
    stars = catalog["id_str"][catalog["kind"] == "star"]
    assert sorted(table["id_str"]) == sorted({*stars, "g00"})
    assert table.set_index("id_str")["reason"]["g02"] == f"chosen; cluster {star}"
    whole = (tmp_path / "a/artifacts.png").read_bytes()
    find_artifacts(clusters=tmp_path / "c", numbers=[star], **options, crop=4)
    assert len(whole) > 5000 and (tmp_path / "a/artifacts.png").read_bytes() != whole
    table = find_artifacts(clusters=tmp_path / "c", numbers=[star], ids=["g02", "g00"], **options)
    assert len(store) == 60 and all(path.read_bytes() == content for path, content in before.items())
    rest = cluster(store, estimator="kmeans", clusters=2, exclude=tmp_path / "a/artifacts.csv", out=tmp_path / "c2")
    assert not set(rest.galaxies["id_str"]) & set(table["id_str"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "nothing is chosen"),
        ({"numbers": [1]}, r"which clusters\? give the folder that cluster wrote"),
        ({"regions": [[(0, 0), (1, 1)]]}, "polygon of three corners"),
        ({"regions": [[(10, 10), (11, 10), (11, 11)]]}, r"no galaxy lies in the region .*x from 0 to 4, y from 0 to 4"),
    ],
)
def test_missing_galaxies_and_files_are_named(mapped, tmp_path, asked, message):
    with pytest.raises(ValueError, match=message):
        find_artifacts(map=mapped, **asked, out=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no clusters at"):
        find_artifacts(clusters=tmp_path, numbers=[0], out=tmp_path / "a")
