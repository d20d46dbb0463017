import numpy as np

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
