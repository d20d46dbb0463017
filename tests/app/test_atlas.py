import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morphtools.app.atlas import Atlas, NotReady
from morphtools.app.density import View
from morphtools.inference.representations import Representations


def test_rows_and_names_are_those_of_the_store(three_kinds, tmp_path):
    atlas = Atlas(three_kinds[0], tmp_path / "out")
    assert len(atlas) == 60 and atlas.names([7, 3]) == ["g07", "g03"]
    assert atlas.row("g59") == 59 and atlas.rows(["g09", "g00", "g09"]).tolist() == [9, 0, 9]
    with pytest.raises(LookupError, match="there is no galaxy no"):
        atlas.rows(["g01", "no"])


def test_a_map_in_another_order_or_of_some_galaxies_is_put_into_that_of_the_store(three_kinds, tmp_path):
    (tmp_path / "map").mkdir()
    places = pd.DataFrame({"id_str": [f"g{i:02d}" for i in range(50)], "x": np.arange(50.0), "y": 1.0})
    places.sample(frac=1, random_state=0).to_parquet(tmp_path / "map/map.parquet")
    atlas = Atlas(three_kinds[0], tmp_path / "out", map=tmp_path / "map")  # at once, before anything else is read
    assert atlas.map_kind == "map" and len(atlas.map) == 50
    assert atlas.x[:50].tolist() == list(range(50)) and np.isnan(atlas.x[50:]).all()


def test_without_a_map_there_are_principal_components_and_they_are_kept(three_kinds, tmp_path, monkeypatch):
    store = three_kinds[0]
    atlas = Atlas(store, tmp_path / "out")
    with pytest.raises(NotReady, match="are being computed"):
        _ = atlas.map
    atlas.load()
    values = store.values() - store.values().mean(axis=0)
    _, _, axes = np.linalg.svd(values, full_matrices=False)
    for mine, axis in zip((atlas.x, atlas.y), axes, strict=False):
        expected = values @ axis
        np.testing.assert_allclose(np.abs(mine), np.abs(expected), atol=1e-4)
    again = Atlas(store, tmp_path / "out")
    monkeypatch.setattr("morphtools.app.atlas.fit_pca", lambda *_, **__: pytest.fail("computed again"))
    again.load()
    np.testing.assert_array_equal(again.x, atlas.x)


@pytest.mark.parametrize("values", [[[1, 2]], [[1, 2]] * 4], ids=["one galaxy", "all alike"])
def test_galaxies_that_cannot_be_told_apart_are_at_one_place_of_a_map_that_can_be_drawn(tmp_path, values):
    store = Representations.create(tmp_path / "store", 2, {"weights": "w"})
    store.append([f"g{i}" for i in range(len(values))], values)
    atlas = Atlas(store, tmp_path / "out")
    atlas.load()
    x0, x1, y0, y1 = atlas.map.bounds
    assert x0 < atlas.x[0] < x1 and y0 < atlas.y[0] < y1 and len(set(atlas.x)) == 1
    assert atlas.map.picture(View(x0, x1, y0, y1, 40, 30))[1] == len(values)
    assert "principal components need" in atlas.messages["map"] or "all the same" in atlas.messages["map"]


def test_what_cannot_be_read_is_reported_and_the_rest_is_there(three_kinds, tmp_path):
    (tmp_path / "catalog.csv").write_text("name,z\na,1\n")
    atlas = Atlas(three_kinds[0], tmp_path / "out", catalog=tmp_path / "catalog.csv")
    atlas.load()
    assert "has no column id_str" in atlas.messages["columns"] and atlas.columns_ready
    assert len(atlas.map) == len(atlas.near) == 60


def test_missing_inputs_are_errors_at_once(three_kinds, tmp_path):
    for name in ("map", "records"):
        with pytest.raises(FileNotFoundError, match=f"no {name}"):
            Atlas(three_kinds[0], tmp_path / "out", **{name: tmp_path / "nothing"})


def test_names_are_found_by_their_beginning_first(three_kinds, tmp_path):
    atlas = Atlas(three_kinds[0], tmp_path / "out")
    assert atlas.find("g1", 3) == ["g10", "g11", "g12"] and atlas.find("9", 2) == ["g09", "g19"]
    assert atlas.find("nothing", 5) == []


def test_colours_of_a_column_come_with_their_legend(three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    atlas = Atlas(store, tmp_path / "out", catalog=catalog)
    atlas.load()
    colouring, legend = atlas.colouring("kind")
    assert [item["value"] for item in legend["items"]] == ["disk", "elliptical", "star"]
    assert colouring.value.tolist() == [0, 1, 2] * 20
    colouring, legend = atlas.colouring("dec")
    assert legend["low"] == pytest.approx(np.percentile(catalog["dec"], 2)) and (np.diff(colouring.value) >= 0).all()


def test_images_alone_show_the_galaxies_and_their_folders(tmp_path):
    names = [f"{kind}/{i}" for kind in ("ring", "bar") for i in range(3)]
    for name in names:
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 255 * name.startswith("ring"), np.uint8)).save(path)
    store = Representations.create(tmp_path / "store", 2, {"weights": "w"})
    store.append(names, np.eye(6)[:, :2])
    atlas = Atlas(store, tmp_path / "out", images=tmp_path / "images")
    atlas.load()
    assert [column["name"] for column in atlas.columns.about()] == ["folder"]
    assert atlas.thumbnails.available
    assert atlas.columns.file_locs(np.array([4])) == ["bar/1.png"]  # what tables of labels need for training
