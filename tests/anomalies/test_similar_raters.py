import numpy as np
import pandas as pd
import pytest
from scipy.optimize import lsq_linear
from sklearn.gaussian_process import GaussianProcessRegressor

from morphtools.anomalies.loop import AnomalyLoop
from morphtools.anomalies.ranking import average_precision
from morphtools.anomalies.rating_learner import fit_learner
from morphtools.anomalies.similar_raters import unseen_error
from morphtools.inference.representations import Representations


@pytest.fixture
def store(tmp_path):
    """400 galaxies in 6 dimensions."""
    values = np.random.default_rng(0).normal(size=(400, 6)).astype("float32") * np.linspace(2, 1, 6)
    store = Representations.create(tmp_path / "representations", 6, {"weights": "a"})
    store.append([f"g{i:03d}" for i in range(400)], values)
    return store


@pytest.fixture
def tastes(store):
    """Ratings by two people, who like galaxies around one place each."""
    far = {name: np.linalg.norm(store.values()[:, :3] - 2.5 * np.eye(3)[i], axis=1) for i, name in enumerate("ab")}
    return {name: pd.Series(np.clip(6 - 1.5 * each, 0, 5).round(), store.id_str) for name, each in far.items()}


@pytest.fixture
def session(store, tastes, tmp_path):
    """A session in which a and b have rated 40 galaxies each."""
    for name in "ab":
        answer(AnomalyLoop(store, tmp_path / "s", rater=name, own=True), tastes[name], 4)
    return tmp_path / "s"


def answer(loop, taste, batches):
    for _ in range(batches):
        loop.rate({name: float(taste[name]) for name in loop.suggest(10)})


def test_the_error_of_an_unseen_rating_is_that_of_a_process_fitted_without_it():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3))
    opinions = np.stack([x[:, 0], rng.normal(size=20)], axis=1)
    ratings = np.clip(2 * x[:, 0] + x[:, 1], 0, 5).round()

    def mixed(rows):
        ridge = np.vstack([opinions[rows], np.eye(2)]), np.concatenate([ratings[rows], np.zeros(2)])
        return opinions @ lsq_linear(*ridge, bounds=(0, np.inf)).x

    kernel = fit_learner(x, ratings - mixed(np.arange(20))).estimator.kernel_
    wrong = []
    for i in range(20):
        others = np.delete(np.arange(20), i)
        rest = ratings - mixed(others)
        process = GaussianProcessRegressor(kernel, optimizer=None).fit(x[others], rest[others])
        wrong.append(process.predict(x[i : i + 1]).item() - rest[i])
    assert unseen_error(x, ratings, opinions) == pytest.approx(np.mean(np.square(wrong)), rel=1e-3)


def test_a_new_rater_is_first_shown_what_each_of_the_others_likes_most(store, tastes, session):
    first = AnomalyLoop(store, session, rater="new", similar=True).suggest(6)
    ranked = {name: AnomalyLoop(store, session, rater=name, own=True).scores()["id_str"] for name in "ab"}
    assert first == [ranked[name][i] for i in range(3) for name in "ab"]


def test_a_rater_finds_more_where_another_has_the_same_taste(store, tastes, session, tmp_path):
    found = {}
    for way, out in {"similar": session, "own": tmp_path / "alone"}.items():
        loop = AnomalyLoop(store, out, rater="new", own=True, similar=way == "similar")
        answer(loop, tastes["a"], 1)
        found[way] = average_precision((tastes["a"][loop.scores()["id_str"]] >= 4).to_numpy())
    loop = AnomalyLoop(store, session, rater="new", similar=True)
    loop.suggest(1)
    assert next(iter(loop.like)) == "a" and loop.like["a"] > 0.5
    assert found["similar"] > 0.5 > 0.35 > found["own"]


def test_where_nobody_has_the_taste_the_ranking_is_ones_own(store, tastes, session):
    loop = AnomalyLoop(store, session, rater="new", similar=True)
    answer(loop, 5 - (tastes["a"] + tastes["b"]).clip(0, 5), 1)
    scores = loop.scores()
    assert loop.like == {} and scores.equals(AnomalyLoop(store, session, rater="new", own=True).scores())


def test_suggestions_follow_from_ratings_and_arguments_alone(store, tastes, session, tmp_path):
    loop = AnomalyLoop(store, session, rater="new", similar=True)
    answer(loop, tastes["a"], 2)
    other = AnomalyLoop(store, tmp_path / "other", rater="new", similar=True)
    other.merge(session)
    assert other.suggest(10) == AnomalyLoop(store, session, rater="new", similar=True).suggest(10) == loop.suggest(10)


def test_what_others_would_like_follows_their_new_ratings(store, tastes, session):
    loop = AnomalyLoop(store, session, rater="new", similar=True)
    answer(loop, tastes["a"], 1)
    before = loop.scores()
    loop.of("a", own=True).rate({"g000": 5.0, "g001": 0.0})
    after = loop.scores()
    assert not before.equals(after)
    assert after.equals(AnomalyLoop(store, session, rater="new", similar=True).scores())


def test_excluded_galaxies_are_never_asked_about_or_ranked(store, tastes, tmp_path):
    exclude = pd.DataFrame({"id_str": [f"g{i:03d}" for i in range(390)]})
    batch = AnomalyLoop(store, tmp_path / "s").suggest(10)
    loop = AnomalyLoop(store, tmp_path / "s", exclude=exclude)
    assert loop.asked() == [name for name in batch if name >= "g390"]
    asked = set()
    while names := loop.suggest(4):
        asked |= set(names)
        loop.rate({name: float(tastes["a"][name]) for name in names})
    assert asked == {f"g{i}" for i in range(390, 400)} == set(loop.scores()["id_str"])
    assert not loop.extend(5, learn=False) and not loop.extend(5)
