import numpy as np
import pytest

from morphtools.answers.predictions import Predictions


def test_predictions_survive_saving(tmp_path):
    ids = np.array(["a", "b", "c"], dtype=object)
    saved = Predictions(ids, np.array([0.1, 0.5, 0.9]), np.array([0, 1, 1]), ("no", "yes"), {"weights": "abc"})
    saved.save(tmp_path / "p.parquet")
    opened = Predictions.open(tmp_path / "p.parquet")
    np.testing.assert_array_equal(opened.id_str, saved.id_str)
    np.testing.assert_array_equal(opened.probability, saved.probability)
    np.testing.assert_array_equal(opened.label, saved.label)
    assert (opened.classes, opened.provenance) == (saved.classes, saved.provenance)
    assert list(opened.table()["predicted"]) == ["no", "yes", "yes"]


def test_predictions_of_several_classes_survive_saving(tmp_path):
    p = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])
    saved = Predictions(np.array(["a", "b"], object), p, np.array([1, 2]), ("disk", "spiral", "star"), {})
    saved.save(tmp_path / "p.parquet")
    opened = Predictions.open(tmp_path / "p.parquet")
    np.testing.assert_array_equal(opened.probability, p)
    assert list(opened.table()["predicted"]) == ["spiral", "disk"]
    assert list(opened.table())[3:] == ["P(disk)", "P(spiral)", "P(star)"]


def test_two_classes_have_both_probabilities():
    two = Predictions(np.array(["a"], object), np.array([0.25]), np.array([0]), ("no", "yes"), {})
    np.testing.assert_array_equal(two.by_class, [[0.75, 0.25]])


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"3 classes need probabilities of shape \(1, 3\)"):
        Predictions(np.array(["a"], object), np.array([0.5]), np.array([0]), ("a", "b", "c"), {})
