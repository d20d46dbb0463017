import numpy as np
import pandas as pd

from morphtools.anomalies.gaussian_process import Posterior
from morphtools.anomalies.rating_learner import fit_learner
from morphtools.anomalies.scoring import ranked_galaxies
from morphtools.explore import sorting


def test_galaxies_are_ranked_as_if_all_were_in_memory_but_for_those_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(sorting, "_ROWS", 50)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)).astype("float32")
    before = rng.normal(size=400).astype("float32")  # what raters of similar taste would say
    rated = pd.DataFrame({"row": [5, 399, 77], "rating": [4.0, 1.0, np.nan], "raters": [1, 2, 0]})
    process = fit_learner(x[[5, 399]], np.array([4.0, 1.0]), start=before[[5, 399]]).estimator
    names = np.array([f"g{i}" for i in range(400)], object)
    batches = (names[start : start + 90] for start in range(0, 400, 90))
    found = pd.concat(ranked_galaxies(Posterior(process, before), x, batches, rated, np.array([7, 5]), tmp_path))
    mean, deviation = process.predict(x.astype(float), return_std=True)
    expected = pd.Series(mean + before, names).drop(["g7", "g5"])
    assert list(found["id_str"]) == list(expected.sort_values(ascending=False).index)
    np.testing.assert_allclose(found["score"], expected[found["id_str"]], atol=1e-4)
    np.testing.assert_allclose(found["uncertainty"], pd.Series(deviation, names)[found["id_str"]], atol=1e-4)
    found = found.set_index("id_str")
    assert found.loc["g399", ["rating", "raters"]].tolist() == [1, 2]
    assert found["raters"].sum() == 2 and found["rating"].count() == 1
