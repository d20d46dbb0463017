import numpy as np
import pytest

from morphtools.answers.against_truth import against_truth
from morphtools.answers.classes import Classes
from morphtools.answers.estimates import Estimates
from morphtools.answers.fractions import Fractions
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.shares import Shares

RNG = np.random.default_rng(0)
IDS = np.array([f"g{i}" for i in range(50)], object)


@pytest.fixture
def runs(tmp_path):
    """Two ways and two numbers of labels, of which one is not finished."""
    folders = {key: tmp_path / f"{key[0]}-{key[1]}" for key in (("a", 100), ("a", 20), ("b", 20))}
    for folder in folders.values():
        folder.mkdir()
    return folders


def test_every_way_has_a_row_and_every_number_a_column_with_all_answers(runs):
    saved = {}
    for key, folder in runs.items():
        voted, predicted = RNG.dirichlet((1, 1, 1), 50), RNG.dirichlet((1, 1, 1), 50)
        saved[key] = Shares(IDS, predicted, voted, np.full(50, 9.0), ("x", "y", "z"), {})
        saved[key].save(folder / "predictions.parquet")
    figure = against_truth(Fractions(("x", "y", "z")), runs)
    assert [axes.get_title() for axes in figure.axes] == [f"{way}, {n} labels" for way in "ab" for n in (20, 100)]
    panels = dict(zip([("a", 20), ("a", 100), ("b", 20), ("b", 100)], figure.axes, strict=True))
    for key, shares in saved.items():
        for k, line in enumerate(panels[key].lines[:3]):
            np.testing.assert_allclose(line.get_xydata(), np.stack([shares.voted[:, k], shares.predicted[:, k]], 1))
        rmse = np.sqrt(((shares.voted - shares.predicted) ** 2).mean())
        assert f"RMSE {rmse:.3f}" in panels[key].get_xlabel()
    assert not panels["b", 100].lines
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x", "y", "z"]


def test_the_first_of_several_numbers_is_drawn_for_galaxies_where_it_is_known(runs):
    truth = RNG.normal(size=(50, 2))
    truth[:5] = np.nan
    estimates = Estimates(IDS, RNG.normal(size=(50, 2)), np.ones((50, 2)), truth, ("size", "mass"), {})
    for folder in runs.values():
        estimates.save(folder / "predictions.parquet")
    axes = against_truth(Numbers(("size", "mass"), (0.0, 0.0), (1.0, 1.0)), runs).axes[0]
    assert len(axes.lines[0].get_xdata()) == 45 and axes.get_xlabel().startswith("size: RMSE")


def test_redshifts_are_drawn_with_what_is_beyond_the_outlier_lines_and_classes_not_at_all(runs):
    answer = Photoz(8, (0.0, 0.4))
    outputs, truth = RNG.dirichlet(np.ones(8), 50), RNG.uniform(0.05, 0.35, (50, 1))
    for folder in runs.values():
        answer.results(IDS, outputs, truth, {}).save(folder / "predictions.parquet")
    text = against_truth(answer, runs).axes[0].texts[0].get_text()
    z = outputs @ (np.arange(8) + 0.5) * 0.05
    outliers = np.mean(np.abs(z - truth[:, 0]) / (1 + truth[:, 0]) > 0.05)
    assert f"{outliers:.1%}" in text
    assert against_truth(Classes(("no", "yes")), runs) is None and against_truth(answer, {}) is None
