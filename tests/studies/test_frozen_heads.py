import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from morphtools.studies import frozen_heads as module
from morphtools.studies.frozen_heads import frozen_heads


@pytest.fixture
def galaxies():
    """200 galaxies, 60 with a ring: `good` representations know it, `noise` do not."""
    rng = np.random.default_rng(0)
    ring = np.arange(200) % 10 < 3
    good = rng.normal(size=(200, 5))
    good[:, 0] += 2 * ring
    return {"good": good, "noise": rng.normal(size=(200, 5))}, pd.Series(np.where(ring, "ring", "none"))


def test_more_labels_lower_the_loss_where_something_is_known_and_chance_stays_chance(galaxies):
    values, truth = galaxies
    loss = frozen_heads(values, truth, [8, 80], repeats=3).groupby(["way", "asked"])["log_loss"].mean()
    assert loss["good", 80] < min(loss["good", 8], 0.8 * np.log(2))
    assert loss["noise", 80] == pytest.approx(np.log(2), abs=0.1)


def test_training_and_test_are_balanced_apart_and_the_few_labels_are_among_the_many(galaxies, monkeypatch):
    values, truth = galaxies
    number = (truth == "ring").astype(int).to_numpy()
    fitted = []

    class Recorder(module.Classes):
        def linear(self, x, targets, seed):
            fitted.append({tuple(row) for row in x})
            assert targets.mean() == 0.5
            return super().linear(x, targets, seed)

    monkeypatch.setattr(module, "Classes", Recorder)
    tested = []
    monkeypatch.setattr(module, "_scores", lambda number, probability: tested.append(number.mean()) or {})
    table = frozen_heads({"good": values["good"]}, truth, [10, 40, 20], repeats=2)
    assert list(table["labels"]) == [10, 20, 40, 10, 20, 40] == list(map(len, fitted))
    assert fitted[0] < fitted[1] < fitted[2] and fitted[0] != fitted[3]
    assert set(table["tested"]) == {2 * round(0.25 * number.sum())} and set(tested) == {0.5}


def test_the_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    for classes in (2, 3):
        number, probability = np.arange(30) % classes, rng.dirichlet(np.ones(classes), 30)
        found = module._scores(number, probability)
        assert found["log_loss"] == pytest.approx(log_loss(number, probability))
        assert found["accuracy"] == pytest.approx((probability.argmax(axis=1) == number).mean())
    assert found["auc"] == pytest.approx(roc_auc_score(number, probability, multi_class="ovo"))


def test_numbers_of_labels_that_cannot_be_had_are_refused(galaxies):
    with pytest.raises(ValueError, match=r"labels must be from 4 to 90, got 2, 92: ring has 60 galaxies, 15 of them"):
        frozen_heads(*galaxies, [2, 50, 92])
