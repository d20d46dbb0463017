import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rv_histogram

from morphtools.answers.redshifts import Redshifts

EDGES = np.array([0.0, 0.05, 0.1, 0.2, 0.4])
PDF = np.random.default_rng(0).dirichlet(np.ones(4), size=5)


def redshifts(**changes):
    spectra = np.array([0.1, 0.2, np.nan, 0.3, 0.0])
    known = Redshifts(np.array(list("abcde"), object), PDF, EDGES, "mean", spectra, {"weights": "abc"})
    return dataclasses.replace(known, **changes)


def test_estimates_and_quantiles_agree_with_scipys_histogram():
    found = redshifts()
    several = found.quantile([0.05, 0.5, 0.95])
    for i, p in enumerate(PDF):
        histogram = rv_histogram((p, EDGES), density=False)
        assert found.z()[i] == pytest.approx(histogram.mean())
        np.testing.assert_allclose(several[i], histogram.ppf([0.05, 0.5, 0.95]))
        assert found.cdf_at(0.07)[i] == pytest.approx(histogram.cdf(0.07))


def test_the_cdf_at_a_quantile_is_its_level():
    np.testing.assert_allclose(redshifts().cdf_at(redshifts().quantile(0.3)), 0.3)


def test_the_mode_is_the_middle_of_the_densest_bin_not_of_the_fullest():
    pdf = np.array([[0.3, 0.1, 0.2, 0.4]])  # densities 6, 2, 2, 2
    mode = Redshifts(np.array(["a"]), pdf, EDGES, "mode", np.array([0.1]), {})
    assert mode.z() == pytest.approx([0.025])


def test_quantiles_of_a_certain_redshift_stay_in_its_bin():
    certain = Redshifts(np.array(["a"]), np.array([[0.0, 1, 0, 0]]), EDGES, "mean", np.array([0.07]), {})
    np.testing.assert_allclose(certain.quantile([0.01, 0.5, 1])[0], [0.0505, 0.075, 0.1])


def test_redshifts_survive_saving_to_half_precision(tmp_path):
    redshifts().save(tmp_path / "p.parquet")
    opened = Redshifts.open(tmp_path / "p.parquet")
    for name in ("id_str", "redshift", "edges"):
        np.testing.assert_array_equal(getattr(opened, name), getattr(redshifts(), name))
    np.testing.assert_allclose(opened.pdf, PDF, rtol=2**-10)
    np.testing.assert_allclose(opened.pdf.sum(axis=1), 1.0)
    assert (opened.estimate, opened.provenance) == ("mean", {"weights": "abc"})
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert list(table) == ["id_str", "redshift", "z", "z_05", "z_16", "z_50", "z_84", "z_95", "pdf"]
    assert table["pdf"][0].dtype == np.float16


def test_a_table_without_redshifts_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there are no redshifts at"):
        Redshifts.open(tmp_path / "p.parquet")
    pd.DataFrame({"id_str": ["a"]}).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(ValueError, match="has no redshift PDFs"):
        Redshifts.open(tmp_path / "p.parquet")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimate": "median"}, "unknown estimate 'median'; known estimates: mean, mode"),
        ({"pdf": PDF[:, :3]}, r"5 galaxies and 4 bins need a pdf of shape \(5, 4\)"),
        ({"pdf": 2 * PDF}, "must sum to 1"),
        ({"edges": EDGES[::-1]}, "must ascend"),
    ],
)
def test_what_is_not_a_pdf_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        redshifts(**changes)
