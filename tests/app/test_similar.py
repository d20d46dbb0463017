import io

import numpy as np
import pytest
from PIL import Image

from morphtools.app.similar import split_position
from morphtools.explore.positions import nearest_on_sky, nearest_place
from morphtools.explore.similarity import find_similar


def search(client, status=200, **body):
    answer = client.post("api/similar", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def upload(client, data, name="x.png"):
    headers = {"Content-Type": "application/octet-stream"}
    return client.post("api/uploads", params={"name": name}, content=data, headers=headers)


def test_similar_galaxies_are_those_of_the_command(client, three_kinds, tmp_path):
    expected = find_similar(three_kinds[0], like=["g01", "g04"], unlike=["g02"], galaxies=9, out=tmp_path / "out")
    found = search(client, like=["g01", "g04"], unlike=["g02"], galaxies=9)
    assert [row["id_str"] for row in found["rows"]] == expected["id_str"].tolist()
    np.testing.assert_allclose([row["distance"] for row in found["rows"]], expected["distance"], atol=1e-6)
    rows = client.get("api/galaxies", params={"set": found["set"]}).json()["rows"]
    assert [row["id_str"] for row in rows] == expected["id_str"].tolist()  # in this order


def test_only_galaxies_of_a_set_are_found(client):
    within = client.post("api/select", json={"ids": ["g00", "g05", "g09"]}).json()["set"]
    found = search(client, like=["g04"], within=within)
    assert {row["id_str"] for row in found["rows"]} == {"g00", "g05", "g09"}


@pytest.mark.parametrize("text", ["10.0 -1.0", "10.0, -1.0", "00:40:00 -01:00:00", "0h40m0s -1d0m0s", "0 40 0 -1 0 0"])
def test_a_position_is_its_nearest_galaxy_however_it_is_written(client, text):
    found = search(client, position=text)
    assert found["like"] == ["g00"] and found["position"]["separation"] < 0.01
    assert "g00" not in [row["id_str"] for row in found["rows"]]


def test_text_that_is_not_a_position_and_places_without_galaxies_are_reported(client):
    assert "a position must be two numbers" in search(client, 400, position="here")["error"]
    assert "no galaxy within 5 arcsec" in search(client, 400, position="200 45")["error"]
    assert "give an example" in search(client, 400)["error"]
    assert split_position("359.9 -90") == (359.9, -90.0)


def test_the_nearest_place_is_that_of_astropy(three_kinds):
    rng = np.random.default_rng(0)
    known = three_kinds[1].set_index("id_str")[["ra", "dec"]].copy()
    known["ra"], known["dec"] = rng.uniform(0, 360, 60), np.degrees(np.arcsin(rng.uniform(-1, 1, 60)))
    known.iloc[3] = np.nan
    for ra, dec in zip(rng.uniform(0, 360, 20), rng.uniform(-90, 90, 20), strict=True):
        expected = nearest_on_sky(known, ra, dec, 180 * 3600)
        assert nearest_place(known.to_numpy(), ra, dec) == (expected[0], pytest.approx(expected[1], rel=1e-9))


def test_an_uploaded_image_is_shown_and_kept_by_its_content(client):
    file = io.BytesIO()
    Image.new("RGB", (30, 20), (200, 10, 10)).save(file, "png")
    answer = upload(client, file.getvalue()).json()
    assert answer["shape"] == [20, 30, 3] and upload(client, file.getvalue(), "y.PNG").json() == answer
    shown = np.asarray(Image.open(io.BytesIO(client.get(f"api/uploads/{answer['upload']}").content)))
    assert shown[..., 0].mean() > 150 > shown[..., 1].mean()
    assert "give the weights that made the representations" in search(client, 400, images=[answer["upload"]])["error"]


BOMB = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0" + b"\0\0\0\0"


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"", "x.png", "the file is empty"),
        (b"<script>", "x.jpg", "HTML or XML"),
        (b"%!PS", "x.eps", "is not named like"),
        (b"import os", "x.py", "is not named like"),
        (b"\x80\x04", "x.npy", "is not named like"),
        (BOMB, "x.png", "x.png|pixels|damaged"),
        (b"x", "../../x", "is not named like"),
    ],
)
def test_what_is_not_an_image_is_refused_in_words_and_not_kept(client, data, name, words):
    import re

    answer = upload(client, data, name)
    assert answer.status_code == 400 and re.search(words, answer.json()["error"])
    folder = client.application.state.atlas.cache / "uploads"
    assert not folder.exists() or not list(folder.iterdir())


@pytest.mark.parametrize("handle", ["u" + "0" * 20, "..", "u../../../etc", "%2e%2e"])
def test_no_other_file_can_be_requested(client, handle):
    assert client.get(f"api/uploads/{handle}").status_code == 404


def test_an_upload_is_bounded(client):
    assert upload(client, b" " * (2**25 + 1)).status_code == 413


def test_the_process_that_represents_images_ends_with_the_server():
    import subprocess
    import sys

    from morphtools.app.image_worker import Representing

    represent, pipe = Representing("weights", "store"), subprocess.PIPE
    represent.close()  # it was never started
    waiting = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    represent._process = process = subprocess.Popen(waiting, text=True, stdin=pipe, stdout=pipe)
    represent.close()
    assert process.poll() is not None and process.stdin.closed and process.stdout.closed
