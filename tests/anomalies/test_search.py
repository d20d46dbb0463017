import builtins
import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from morphtools.anomalies.search import find_anomalies
from morphtools.inference.representations import Representations


@pytest.fixture
def survey(galaxies, tmp_path):
    """40 galaxies with pictures, in a space whose first axis is the fraction of votes for 'ring'."""
    catalog, images = galaxies
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 4)).astype("float32")
    values[:, 0] = 3 * catalog["ring"] + rng.normal(0, 0.3, 40)
    store = Representations.create(tmp_path / "representations", 4, {})
    store.append(catalog["id_str"], values)
    catalog["fraction"] = catalog["ring"] * 0.95
    return store, catalog, images, tmp_path / "session"


def type_in(monkeypatch, answers, end=EOFError):
    """Answers the prompts one after the other, then ends the input; returns the prompts."""
    prompts, waiting = [], iter(answers)

    def answer(prompt):
        prompts.append(prompt)
        try:
            return next(waiting)
        except StopIteration:
            raise end from None

    monkeypatch.setattr(builtins, "input", answer)
    return prompts


def test_an_oracle_finds_the_anomalies_and_tells_how_well(survey):
    store, catalog, images, out = survey
    loop = find_anomalies(store, catalog=catalog, images=images, oracle="fraction", ratings=25, batch_size=5, out=out)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["ratings"] == 25 and metrics["galaxies"] == 40 and metrics["anomalies"] == 20
    assert metrics["all"]["average_precision"] > 0.95
    assert metrics["rated_anomalies"] == (loop.ratings()["rating"] == 5).sum() > 25 / 2  # five times 0.95, rounded
    scores = pd.read_csv(out / "scores.csv")
    assert len(scores) == 40 and scores["score"].is_monotonic_decreasing
    for name in ("top.png", "history.png", "recall.png"):
        assert imread(out / name).std() > 0.05
    assert set(loop.history()["rater"]) == {"column fraction"}


def test_the_same_call_resumes_to_the_same_scores(survey):
    store, catalog, _, out = survey
    settings = {"catalog": catalog, "oracle": "fraction", "batch_size": 5}
    find_anomalies(store, **settings, ratings=10, out=out)
    scores = find_anomalies(store, **settings, ratings=20, out=out).scores()
    assert scores.equals(find_anomalies(store, **settings, ratings=20, out=out.with_name("whole")).scores())


def test_a_galaxy_whose_fraction_is_unknown_is_skipped(survey):
    store, catalog, _, out = survey
    catalog.loc[:29, "fraction"] = np.nan
    loop = find_anomalies(store, catalog=catalog, oracle="fraction", ratings=200, out=out)
    assert loop.ratings()["rating"].notna().sum() == 10 and len(loop.ratings()) == 40


def test_an_unattended_notebook_rates_nothing_and_continues(survey, monkeypatch):
    store, catalog, images, out = survey
    # ipykernel's `StdinNotImplementedError`, which `nbconvert --execute` leads to, is one
    prompts = type_in(monkeypatch, [], end=NotImplementedError)
    loop = find_anomalies(store, catalog=catalog, images=images, out=out)
    assert len(prompts) == 1 and loop.history().empty


def test_typed_ratings_are_stored_one_by_one_with_skip_undo_and_help(survey, monkeypatch, capsys):
    store, catalog, images, out = survey
    prompts = type_in(monkeypatch, ["5", "six", "0", "s", "u", "3", "q"])
    loop = find_anomalies(store, catalog=catalog, images=images, rater="ann", out=out)
    batch = [prompt.split()[1].rstrip(":") for prompt in prompts]
    assert batch[1] == batch[2] and batch[3] == batch[5]  # asked again after "six", and after undo
    assert prompts[3].split()[0] == prompts[5].split()[0] == "3"
    current = loop.ratings().set_index("id_str")["rating"]
    assert dict(current) == {batch[0]: 5.0, batch[1]: 0.0, batch[3]: 3.0}
    assert len(loop.history()) == 4 and set(loop.history()["rater"]) == {"ann"}
    assert "s skip, u undo, q stop" in capsys.readouterr().out
    assert imread(out / "contact_sheet.png").std() > 0.05
    assert (out / "scores.csv").exists() and not (out / "metrics.json").exists()


def test_a_returning_rater_is_first_asked_the_rest_of_the_batch(survey, monkeypatch):
    store, _, _, out = survey
    first = type_in(monkeypatch, ["1", "2"])
    find_anomalies(store, batch_size=4, out=out)
    again = type_in(monkeypatch, [])
    find_anomalies(store, batch_size=4, out=out)
    assert again[0].split()[1] == first[2].split()[1]


def test_undo_reaches_back_into_an_earlier_batch(survey, monkeypatch):
    store, _, _, out = survey
    prompts = type_in(monkeypatch, ["1", "2", "u", "4", "3"])
    loop = find_anomalies(store, batch_size=2, out=out)
    assert prompts[3].split() == ["·", prompts[1].split()[1]]
    assert dict(loop.ratings()[["id_str", "rating"]].itertuples(index=False))[prompts[1].split()[1][:-1]] == 4


def test_examples_are_rated_five_once(survey):
    store, catalog, _, out = survey
    for _ in range(2):
        loop = find_anomalies(
            store, catalog=catalog, oracle="fraction", examples=("g01",), ratings=5, batch_size=4, out=out
        )
    assert loop.ratings()["id_str"][0] == "g01" and len(loop.history()) == 5
    rings = catalog.set_index("id_str")["ring"]
    assert rings[loop.ratings()["id_str"]].mean() >= 0.8


def test_nothing_is_written_when_nothing_was_rated(survey, monkeypatch):
    type_in(monkeypatch, ["q"])
    find_anomalies(survey[0], out=survey[3])
    assert not (survey[3] / "scores.csv").exists()


def test_what_cannot_be_is_refused(survey):
    store, catalog, _, out = survey
    for settings, message in (
        ({"oracle": "fraction"}, "the column 'fraction' needs a catalog or records"),
        ({"oracle": "fractoin", "catalog": catalog}, "did you mean 'fraction'"),
        (
            {"oracle": "count", "catalog": catalog.assign(count=7)},
            "must be a fraction, from 0 to 1; it goes from 7 to 7",
        ),
        ({"batch_size": 0}, "must be positive"),
        ({"examples": ("nobody",)}, "without representations in this session: nobody"),
    ):
        with pytest.raises(ValueError, match=message):
            find_anomalies(store, **settings, out=out)


def test_two_raters_with_own_rankings_have_a_folder_each(tmp_path):
    ids = [f"g{i}" for i in range(40)]
    store = Representations.create(tmp_path / "r", 3, {"weights": "a"})
    store.append(ids, np.random.default_rng(0).normal(size=(40, 3)).astype("float32"))
    catalog = pd.DataFrame({"id_str": ids, "up": np.linspace(0, 1, 40), "down": np.linspace(1, 0, 40)})
    how = {"catalog": catalog, "ratings": 10, "batch_size": 5, "own": True, "out": tmp_path / "session"}
    for column in ("up", "down"):
        find_anomalies(store, oracle=column, **how)
    folders = sorted(path.name for path in (tmp_path / "session").glob("of-*"))
    assert folders == ["of-column down", "of-column up"] and not (tmp_path / "session" / "scores.csv").exists()
    for column in ("up", "down"):
        scores = pd.read_csv(tmp_path / "session" / f"of-column {column}" / "scores.csv").set_index("id_str")
        rated = scores["rating"].dropna()
        assert len(rated) == 10
        expected = (5 * catalog.set_index("id_str")[column].loc[rated.index]).round()
        assert (rated == expected).all()


def test_ratings_of_another_session_are_added_once_and_artefacts_left_out(survey):
    store, catalog, _, out = survey
    how = {"catalog": catalog, "oracle": "fraction", "batch_size": 5}
    theirs = find_anomalies(store, **how, ratings=10, out=out.with_name("theirs"))
    artefacts = pd.DataFrame({"id_str": catalog["id_str"][::2]})
    for _ in range(2):
        mine = find_anomalies(store, **how, ratings=15, merge=(theirs.out,), exclude=artefacts, out=out)
        assert len(mine.history()) == 15 and set(theirs.ratings()["id_str"]) < set(mine.ratings()["id_str"])
    assert not set(mine.ratings()["id_str"][10:]) & set(artefacts["id_str"])
    assert sorted(pd.read_csv(out / "scores.csv")["id_str"]) == sorted(catalog["id_str"][1::2])
