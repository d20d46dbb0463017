import numpy as np
import pytest

from morphtools.studies.evaluation import label_efficiency, outlier_percent

RNG = np.random.default_rng(0)


def test_outliers_are_certain_galaxies_called_the_certain_opposite():
    # Hayat et al. 2021, section 3.2, counted by hand: 0.1→0.9 and 0.9→0.1 of five certain galaxies; 0.5 is not certain
    label = [0.1, 0.9, 0.0, 1.0, 0.5, 0.15]
    probability = [0.9, 0.1, 0.5, 0.9, 0.95, 0.1]
    assert outlier_percent(label, probability) == pytest.approx(100 * 2 / 5)


def test_more_labels_raise_the_scores_which_are_those_of_scikit_learn():
    x = RNG.normal(size=(900, 20))
    y = np.where(x[:, :5].sum(axis=1) + RNG.normal(size=900) > 0, "spiral", "round")
    found = label_efficiency(x[:600], y[:600], x[600:], y[600:], numbers=[10, 400, 5000], repeats=4, seed=1)
    assert set(found["labels"]) == {10, 400} and set(found["probe"]) == {"linear", "knn"}
    linear = found[found["probe"] == "linear"].groupby("labels")["score"].mean()
    assert linear[400] > 0.8 > linear[10] > 0.45
    from sklearn.metrics import roc_auc_score
    from sklearn.neighbors import KNeighborsClassifier

    drawn = np.random.default_rng(1).permutation(600)[:10]
    model = KNeighborsClassifier(5).fit(x[drawn], y[drawn])
    row = found[(found["probe"] == "knn") & (found["labels"] == 10) & (found["repeat"] == 0)].iloc[0]
    assert row["score"] == pytest.approx(model.score(x[600:], y[600:]))
    assert row["auc"] == pytest.approx(roc_auc_score(y[600:] == "spiral", model.predict_proba(x[600:])[:, 1]))
    assert 0 <= row["outliers"] <= 100


def test_a_number_is_scored_by_the_coefficient_of_determination():
    x = RNG.normal(size=(300, 4))
    found = label_efficiency(x[:200], x[:200, 0], x[200:], x[200:, 0], numbers=[100], repeats=2)
    assert (found[found["probe"] == "linear"]["score"] > 0.95).all() and "auc" not in found
