import numpy as np
import pytest

from morphtools.answers.class_metrics import classification_metrics
from morphtools.answers.estimates import Estimates
from morphtools.answers.score_names import score_name
from morphtools.answers.shares import Shares
from morphtools.studies.label_savings import LOWER_IS_BETTER

RNG = np.random.default_rng(0)
IDS = np.array([f"g{i}" for i in range(40)])
FRACTIONS = RNG.dirichlet([1, 1], 40)
CLASSES = RNG.integers(0, 6, 40)
SCORES = {
    "two classes": classification_metrics(CLASSES > 2, RNG.uniform(size=40), resamples=2),
    "six classes": classification_metrics(CLASSES, RNG.dirichlet(np.ones(6), 40), resamples=2),
    "numbers": Estimates(IDS, *np.ones((3, 40, 1)), ("size",), {}).scores(),
    "fractions": Shares(IDS, FRACTIONS, FRACTIONS, np.ones(40), ("yes", "no"), {}).scores(),
    "those that fall": dict.fromkeys(LOWER_IS_BETTER),
}


@pytest.mark.parametrize("kind", SCORES)
def test_every_score_is_printed_in_words(kind):
    printed = [score_name(name) for name in SCORES[kind]]
    assert not [name for name in printed if "_" in name and name != "σ_MAD"]
    assert not {"auc", "f1", "r2", "rmse", "crps", "brier", "eta"} & set(printed)
    assert len(set(printed)) == len(printed)


def test_the_question_of_a_score_and_all_other_names_are_printed_as_given():
    assert score_name("auc of bar_strong") == "AUC of bar_strong" and score_name("sigma_mad low") == "σ_MAD low"
    for name in ("efficientnet_lite0_gz2", "knn log_loss", "accuracy"):
        assert score_name(name) == name
