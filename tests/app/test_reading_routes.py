import io
import json

import numpy as np
import pytest
from PIL import Image


def view(client):
    return dict(zip(("x0", "x1", "y0", "y1"), client.get("api/about").json()["map"]["bounds"], strict=True))


def test_about_describes_the_store(client):
    about = client.get("api/about").json()
    assert (about["galaxies"], about["dimension"], about["images"]) == (60, 5, True)
    assert about["map"]["kind"] == "pca" and "make-map" in about["map"]["message"]
    kinds = {column["name"]: column["kind"] for column in about["columns"]["list"]}
    assert kinds == {"kind": "category", "ra": "number", "dec": "number", "smooth_fraction": "number"}


def test_the_map_is_a_picture_of_the_size_requested(client):
    answer = client.get("api/map.png", params=view(client) | {"width": 90, "height": 60, "colour": "kind"})
    assert Image.open(io.BytesIO(answer.content)).size == (90, 60) and answer.headers["X-Galaxies"] == "60"


def test_hovering_shows_the_galaxy_under_the_pointer(client):
    place = client.get("api/place", params={"id_str": "g07"}).json()
    shown = client.get("api/hover", params={"x": place["x"], "y": place["y"], "radius": 0.01}).json()
    assert shown["id_str"] == "g07" and shown["columns"]["kind"] == "elliptical"
    assert client.get("api/hover", params={"x": 99, "y": 99, "radius": 0.01}).json() == {"id_str": None}


def test_points_and_cells_are_those_in_view(client):
    points = client.get("api/points", params=view(client)).json()
    assert points["galaxies"] == len(points["points"]) == 60
    assert client.get("api/points", params=view(client) | {"most": 59}).json() == {"galaxies": 60, "points": None}
    cells = client.get("api/grid", params=view(client) | {"columns": 5, "rows": 4}).json()["cells"]
    assert sum(cell["galaxies"] for cell in cells) == 60 and len({cell["id_str"] for cell in cells}) == len(cells)


def test_galaxies_are_filtered_and_sorted_by_columns(client, three_kinds):
    catalog = three_kinds[1]
    where = ['["kind", "=", "disk"]', '["dec", ">=", 0.2]']
    asked = {"where": where, "sort": "smooth_fraction", "descending": 1, "limit": 3, "columns": '["smooth_fraction"]'}
    answer = client.get("api/galaxies", params=asked).json()
    expected = catalog[(catalog["kind"] == "disk") & (catalog["dec"] >= 0.2)].sort_values("smooth_fraction")[::-1]
    assert answer["galaxies"] == len(expected)
    assert [row["id_str"] for row in answer["rows"]] == expected["id_str"].tolist()[:3]
    assert answer["rows"][0]["columns"] == {"smooth_fraction": expected["smooth_fraction"].iloc[0]}
    again = client.get("api/galaxies", params=asked | {"offset": 3}).json()
    assert [row["id_str"] for row in again["rows"]] == expected["id_str"].tolist()[3:6]


def test_a_galaxy_is_shown_with_its_columns_neighbours_and_links(client, three_kinds):
    store, catalog, _ = three_kinds
    galaxy = client.get("api/galaxy", params={"id_str": "g10"}).json()
    values = store.values() / np.linalg.norm(store.values(), axis=1, keepdims=True)
    order = np.argsort(-(values @ values[10]))
    assert [each["id_str"] for each in galaxy["nearest"]] == [f"g{i:02d}" for i in order[1:13]]
    assert galaxy["columns"]["ra"] == catalog["ra"][10] and galaxy["columns"]["kind"] == catalog["kind"][10]
    links = {link["name"]: link["url"] for link in galaxy["links"]}
    assert f"ra={catalog['ra'][10]:.6f}&dec={catalog['dec'][10]:.6f}" in links["Legacy Surveys viewer"]
    assert set(links) == {"Legacy Surveys viewer", "SDSS", "SIMBAD"}


def test_a_thumbnail_is_the_galaxy_in_the_stretch_that_was_chosen(client):
    def mean(**options):
        answer = client.get("api/thumbnail", params={"id_str": "g00", "side": 32} | options)
        assert answer.headers["content-type"] == "image/jpeg"
        return np.asarray(Image.open(io.BytesIO(answer.content)), float).mean()

    assert mean() < mean(brightness=0.2) < mean(brightness=0.5)
    assert mean(contrast=3) < mean()  # mostly dark: what is below the middle gets darker
    assert mean(stretch="sqrt") > mean()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("api/galaxy?id_str=no", 404, "there is no galaxy 'no'"),
        ("api/thumbnail?id_str=../../etc/passwd", 404, "there is no galaxy"),
        ("api/thumbnail?id_str=g01&stretch=x", 400, "unknown stretch 'x'"),
        ("api/map.png?x0=1&x1=0&y0=0&y1=1&width=9&height=9", 400, "x0 < x1"),
        ("api/map.png?x0=0&x1=nan&y0=0&y1=1&width=9&height=9", 400, "x1 must be a number"),
        ("api/map.png?x0=0&x1=1&y0=0&y1=1&width=99999&height=9", 400, "1 to 4096 pixels"),
        ("api/galaxies?set=selection:no", 404, "there is no selection 'no'"),
        ("api/galaxies?set=x:1", 404, "unknown kind of set 'x'"),
        ("api/galaxies?sort=rna", 400, "did you mean 'ra'"),
        ("api/galaxies?where=[[[", 400, "must be a list in JSON"),
        ('api/galaxies?where=["ra","<","x"]', 400, "ra is a column of numbers"),
        ("api/galaxies?set=cluster:1", 404, "there are no clusters"),
    ],
)
def test_requests_that_cannot_be_answered_end_in_one_sentence(client, path, status, words):
    answer = client.get(path)
    assert answer.status_code == status and words in answer.json()["error"]
    assert json.dumps(answer.json()) and "Traceback" not in answer.text
