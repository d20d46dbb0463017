import json
import logging

import pytest

from tfrecords_builder.claims import claim, identity, inputs_of

SETTINGS = {"epochs": 3, "bands": ("g", "r"), "weights": None}
INPUTS = {"catalog": "abc"}


def call(out, verb="train", settings=SETTINGS, inputs=INPUTS, **options):
    with claim(out, verb, settings, inputs, **options) as claimed:
        (out / "work.txt").write_text("done")
        claimed.keep()
        return claimed


def test_a_new_folder_is_made_and_the_same_call_comes_back_to_it(tmp_path):
    out = tmp_path / "a" / "b"
    assert call(out).new and not call(out).new
    assert {path.name for path in out.iterdir()} == {"claim.json", "work.txt"}
    assert call(tmp_path / "empty").new


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"settings": SETTINGS | {"epochs": 4}}, r"with other settings \(epochs: 3 → 4\); choose another out"),
        ({"settings": SETTINGS | {"seed": 1}}, r"with other settings \(seed: None → 1\)"),
        ({"inputs": {"catalog": "abd"}}, r"with other inputs \(changed: catalog\); choose another out"),
        ({"inputs": {}}, r"other inputs \(changed: catalog\)"),
        ({"verb": "predict"}, "holds results of train, not of predict; choose another out"),
    ],
)
def test_another_call_is_refused_with_what_differs_and_nothing_is_touched(tmp_path, other, message):
    call(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FileExistsError, match=message) as error:
        call(tmp_path, **other)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_strangers_files_are_never_taken_over(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(FileExistsError, match=r"does not contain results of train \(thesis.tex\)"):
        call(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(FileExistsError, match=r"thesis\.tex is a file"):
        call(tmp_path / "thesis.tex")


def test_where_others_may_be_their_files_stay_whatever_happens(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="no such column"), claim(tmp_path, "cluster", {}, {}, others=True):
        (tmp_path / "fit.json").write_text("half")
        raise ValueError("no such column")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert call(tmp_path, others=True).new and not call(tmp_path, others=True).new
    with pytest.raises(FileExistsError, match=r"other settings \(epochs: 3 → 4\)"):
        call(tmp_path, settings=SETTINGS | {"epochs": 4}, others=True)


def test_what_a_killed_call_was_writing_is_removed_and_never_a_stranger(tmp_path):
    (tmp_path / ".123.partial.claim.json").write_text("{")  # killed at the very first file
    (tmp_path / ".lock").write_text("PID 123")
    assert call(tmp_path).new
    (tmp_path / "figures").mkdir()
    for name in (".123.partial.model.keras", "figures/.123.partial.curve.png"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".mine.partial.txt").write_text("of somebody else")
    call(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"claim.json", "work.txt", "figures", ".mine.partial.txt"}


@pytest.mark.parametrize("error", [ValueError, OSError])
def test_a_new_folder_goes_away_if_the_call_fails_before_there_is_work_to_keep(tmp_path, error):
    def fail(out, keep):
        with pytest.raises(error), claim(out, "train", SETTINGS, INPUTS) as claimed:
            (out / "state").mkdir(exist_ok=True)
            (out / "state" / "half").write_text("half")
            if keep:
                claimed.keep()
            raise error("no such column")

    fail(tmp_path / "new", keep=False)
    (tmp_path / "empty").mkdir()
    fail(tmp_path / "empty", keep=False)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"] and not list((tmp_path / "empty").iterdir())
    fail(tmp_path / "kept", keep=True)
    fail(tmp_path / "kept", keep=False)  # it was begun by an earlier call
    assert (tmp_path / "kept" / "state" / "half").exists()


def test_a_folder_of_an_earlier_version_is_known_by_its_settings(tmp_path, caplog):
    (tmp_path / "config.yaml").write_text("epochs: 3\nbands: [g, r]\n")
    with caplog.at_level(logging.WARNING):
        assert not call(tmp_path, old="config.yaml").new  # weights came later; not given, they change nothing
    assert "catalog may have changed since" in caplog.text
    assert not (tmp_path / "claim.json").exists()  # it stays unknown
    with pytest.raises(FileExistsError, match=r"other settings \(epochs: 3 → 5, weights: None → a\)"):
        call(tmp_path, settings=SETTINGS | {"epochs": 5, "weights": "a"}, old="config.yaml")
    (tmp_path / "config.yaml").write_text(json.dumps({"epochs": 3, "bands": ["g", "r"], "catalog": "abd"}))
    with pytest.raises(FileExistsError, match=r"other inputs \(changed: catalog\)"):
        call(tmp_path, old="config.yaml")


@pytest.mark.parametrize("content", ["", "[]", "null", "{", '"a"', "[" * 10_000, "{}", '{"verb": "train"}', "\x00"])
def test_a_damaged_claim_is_named(tmp_path, content):
    (tmp_path / "claim.json").write_text(content)
    with pytest.raises(ValueError, match=r"claim\.json is damaged"):
        call(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "a", "a: [b", "\x00", "a: !!python/object:os.x {}"])
@pytest.mark.parametrize("old", ["config.yaml", "map.json"])
def test_damaged_settings_of_an_earlier_version_are_named(tmp_path, content, old):
    (tmp_path / old).write_text(content)
    with pytest.raises(ValueError, match=rf"{old} is damaged") as error:
        call(tmp_path, old=old)
    assert "\n" not in str(error.value)


def test_an_input_is_known_by_its_content(tmp_path, monkeypatch):
    catalog, images = tmp_path / "c.csv", tmp_path / "images"
    catalog.write_text("id_str\na\n")
    images.mkdir()
    before = inputs_of(catalog, images)
    (tmp_path / "copy.csv").write_text("id_str\na\n")
    assert inputs_of(tmp_path / "copy.csv", images) == before
    catalog.write_text("id_str\nb\n")
    changed = inputs_of(catalog, images)
    assert changed["catalog"] != before["catalog"] and changed["images"] == before["images"] == str(images)
    with pytest.raises(FileNotFoundError, match=r"there is no catalogue at nowhere\.csv"):
        inputs_of("nowhere.csv")
    with pytest.raises(FileNotFoundError, match="there is no folder, archive or stack of images at nowhere"):
        inputs_of(images="nowhere")


def test_of_a_large_archive_the_ends_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("tfrecords_builder.claims._PART", 10)
    path, seen = tmp_path / "a.zip", set()
    for content in (b"x" * 30, b"y" + b"x" * 29, b"x" * 29 + b"y", b"x" * 31):
        path.write_bytes(content)
        seen.add(identity(path))
    assert len(seen) == 4
    path.write_bytes(b"x" * 15 + b"y" + b"x" * 14)
    assert identity(path) in seen and identity(path, whole=True) not in seen
