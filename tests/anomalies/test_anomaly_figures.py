import numpy as np

from morphtools.anomalies.anomaly_figures import ranking_curves
from morphtools.anomalies.ranking import precision_at, recall_curve

RANKED = np.random.default_rng(0).random((2, 300)) < np.linspace(0.3, 0, 300)


def test_the_curves_are_recall_and_precision_and_reach_what_is_possible():
    left, right = ranking_curves({"one": [RANKED[0]]}).axes
    recall, precision = left.lines[0].get_ydata(), right.lines[0].get_ydata()
    np.testing.assert_allclose(recall, recall_curve(RANKED[0]))
    np.testing.assert_allclose(precision, [precision_at(RANKED[0], n) for n in range(1, 301)])
    for axes, curve in ((left, recall), (right, precision)):
        assert (curve <= axes.lines[1].get_ydata() + 1e-9).all()  # the best possible


def test_repeats_are_a_mean_with_their_range_and_every_method_has_a_name():
    figure = ranking_curves({"several": RANKED, "one": RANKED[:1]})
    np.testing.assert_allclose(
        figure.axes[0].lines[0].get_ydata(), np.mean([recall_curve(each) for each in RANKED], axis=0)
    )
    assert len(figure.axes[0].collections) == 1
    assert [text.get_text() for text in figure.legends[0].texts] == ["several", "one", "best possible; chance"]
