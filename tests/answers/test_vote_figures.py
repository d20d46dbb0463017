import numpy as np
import pandas as pd
import pytest

from morphtools.answers import vote_figures
from morphtools.survey.schemas import SCHEMAS, get_schema

RINGS, BOTH = SCHEMAS["rings"], get_schema("rings,gz_decals_dr5")


@pytest.fixture
def table():
    """Two questions, and one that nobody was asked."""
    columns = ("rmse", "baseline_rmse", "noise", "coverage_50", "coverage_90")
    rows = [("a", 0.2, 0.3, 0.1, 0.48, 0.91), ("b", 0.1, 0.2, 0.05, 0.6, 0.95), ("c", *[np.nan] * 5)]
    return pd.DataFrame(rows, columns=["question", *columns])


def test_errors_are_drawn_beside_their_questions_without_unasked_ones(table):
    axes = vote_figures.skill(table).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    model = next(line for line in axes.lines if line.get_label() == "model")
    assert list(model.get_xdata()) == [0.2, 0.1] and list(model.get_ydata()) == [1, 0]


def test_coverage_of_the_truth_is_drawn_where_it_is_known(table):
    assert len(vote_figures.coverage(table).axes[0].get_legend().texts) == 2
    known = table.assign(truth_50=0.5, truth_90=0.9)
    assert len(vote_figures.coverage(known).axes[0].get_legend().texts) == 4


def test_ranks_have_a_panel_for_every_question_that_was_asked(tmp_path):
    values = np.random.default_rng(0).random((50, len(BOTH.label_cols)))
    values[:, 2:5] = np.nan
    figure = vote_figures.ranks(values, BOTH)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [q.text for q in BOTH.questions if not q.text.startswith("smooth")]
    figure.savefig(tmp_path / "f.png", dpi=40)


@pytest.mark.parametrize("draw", [vote_figures.reliability, vote_figures.bias])
def test_curves_have_a_line_per_answer_and_no_bins_of_few_galaxies(draw):
    rows = [("ring", answer, x, n, x, x + 0.1, 0.02) for answer in ("yes", "no") for x, n in ((0.2, 50), (0.9, 3))]
    columns = ["question", "answer", "at", "galaxies", "predicted", "observed", "error"]
    axes = draw(pd.DataFrame(rows, columns=columns)).axes[0]
    assert [text.get_text() for text in axes.get_legend().texts] == ["yes", "no"]
    drawn = [container.lines[0].get_xdata() for container in axes.containers]
    assert [list(x) for x in drawn] == [[0.2], [0.2]]
