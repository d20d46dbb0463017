import numpy as np
import pandas as pd
import pytest

from morphtools.answers.classes import Classes
from morphtools.explore import suggest_labels as verb
from morphtools.explore.suggest_labels import suggest_labels


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run that used g00 to g09, and is uncertain about disks (every third galaxy)."""
    folder = tmp_path / "run"
    folder.mkdir()
    pd.DataFrame({"id_str": [f"g{i:02d}" for i in range(10)]}).to_parquet(folder / "galaxies.parquet")

    def head(x):
        p = np.where(x[:, 0] > 5, 0.5, 1.0)
        return np.stack([p, 1 - p], axis=1)

    monkeypatch.setattr(verb, "find_card", lambda run: run)
    monkeypatch.setattr(verb.Card, "open", lambda path: None)
    monkeypatch.setattr(verb, "_head", lambda run, card, store: (Classes(("no ring", "ring")), head))
    return folder


def test_uncertain_galaxies_are_suggested_that_the_run_has_not_used(run, three_kinds, tmp_path):
    store, catalog, images = three_kinds
    exclude = pd.DataFrame({"id_str": ["g12", "g15"]})
    options = {"catalog": catalog, "images": images, "out": tmp_path / "out"}
    table = suggest_labels(run, store, 14, exclude=exclude, **options)
    disks = {f"g{i:02d}" for i in range(12, 60, 3)} - {"g12", "g15"}
    assert set(table["id_str"]) == disks and set(table["kind"]) == {"disk"}
    assert table["uncertainty"].tolist() == [1.0] * 14
    assert pd.read_csv(tmp_path / "out/suggestions.csv")["file_loc"].notna().all()
    assert (tmp_path / "out/suggestions.png").stat().st_size > 10_000


def test_where_nothing_is_left_the_user_is_told(run, three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    with pytest.raises(ValueError, match="no galaxies are left to suggest: all 60"):
        suggest_labels(run, store, exclude=catalog, out=tmp_path / "out")
