import numpy as np
import pandas as pd
import pytest
from scipy.stats import gaussian_kde

from morphtools.answers.redshift_pdfs import Photoz

RNG = np.random.default_rng(0)


def test_the_first_guess_is_the_smoothed_distribution_of_the_training_redshifts():
    """Compared with SciPy's kernel density estimate, whose width follows the same rule (Scott)."""
    z = RNG.normal(0.15, 0.03, 2000)
    answer = Photoz(60)
    p = np.exp(answer.first_guess(z[:, np.newaxis]))
    middle = (answer.edges[1:] + answer.edges[:-1]) / 2
    theirs = gaussian_kde(z)(middle)
    np.testing.assert_allclose(p, 0.98 * theirs / theirs.sum() + 0.02 / 60, atol=2e-3)
    assert p.sum() == pytest.approx(1)
    assert Photoz(60, pdf="mixture").first_guess(z) is None


def test_the_view_of_a_galaxy_keeps_its_apparent_size_and_its_handedness():
    view = Photoz().view(107)
    assert view["zoom"] == 0 and not view["flip"] and view["jitter"] == 7


def test_pdfs_of_several_models_are_averaged_whatever_their_sums():
    answer = Photoz(4, (0.0, 0.4))
    _, full = answer.tables(["x"], np.array([[[0.1, 0.4, 0.0, 0.0]], [[0.0, 0.0, 0.5, 0.0]]]), 0.9)
    np.testing.assert_allclose(answer.outputs_in(full), [[0.1, 0.4, 0.5, 0.0]], rtol=1e-3)


def test_a_softmax_with_few_spectra_a_bin_is_advised_against(caplog):
    table = pd.DataFrame({"id_str": [f"g{i}" for i in range(500)], "label": RNG.uniform(0, 0.4, 500)})
    for answer, warned in ((Photoz(180), True), (Photoz(20), False), (Photoz(180, pdf="mixture"), False)):
        caplog.clear()
        answer.draw(table, 300, test_labels=50, seed=0)
        assert ("pdf mixture suits few" in caplog.text) == warned


@pytest.mark.parametrize("limits", [(0.4, 0.0), (0.1, 0.1), (-0.5, 0.4), (0.1,), "ab"])
def test_a_range_must_rise_from_zero_or_more(limits):
    with pytest.raises(ValueError, match="redshift_range"):
        Photoz(redshift_range=limits)
