"""Golden values: scikit-learn's `log_loss`."""

import keras
import numpy as np
import pytest
from sklearn.metrics import log_loss

from morphtools.models.several_head import SeveralHead, several_loss

pytestmark = pytest.mark.any_backend
RNG = np.random.default_rng(0)
NAN = np.nan
WIDTHS = (2, 3)


def test_the_probabilities_of_each_question_add_up_to_one_whatever_the_others_are():
    head = SeveralHead(WIDTHS, hidden=(), seed=1)
    x = RNG.normal(size=(7, 4)).astype("float32")
    before = keras.ops.convert_to_numpy(head(x))
    np.testing.assert_allclose([before[:, :2].sum(axis=1), before[:, 2:].sum(axis=1)], 1, rtol=1e-5)
    head.out.bias.assign([5.0, 0, 0, 0, 0])
    after = keras.ops.convert_to_numpy(head(x))
    np.testing.assert_array_equal(after[:, 2:], before[:, 2:])
    assert (after[:, 0] > before[:, 0]).all()


def test_the_loss_is_the_sum_over_the_questions_of_the_surprise_at_their_known_answers():
    labels = np.array([[0, 2], [1, NAN], [NAN, 1], [NAN, NAN]])
    p = np.concatenate([RNG.dirichlet([1, 1], 4), RNG.dirichlet([1, 1, 1], 4)], axis=1)
    loss = keras.ops.convert_to_numpy(several_loss(labels, p.astype("float32"), [(0.5, 3.0), (1.0, 1.0, 1.0)]))
    bar = [w * log_loss([y], p[[i], :2], labels=[0, 1]) for i, y, w in ((0, 0, 0.5), (1, 1, 3.0))]
    kind = [log_loss([y], p[[i], 2:], labels=[0, 1, 2]) for i, y in ((0, 2), (2, 1))]
    np.testing.assert_allclose(loss, [bar[0] + kind[0], bar[1], kind[1], 0], rtol=1e-5)


def test_an_unknown_answer_moves_no_weight_of_its_question():
    labels = np.array([[0, NAN], [1, NAN]], "float32")
    head = SeveralHead(WIDTHS, hidden=(), seed=1)
    model = keras.Sequential([keras.Input((4,)), head])
    before = keras.ops.convert_to_numpy(head.out.kernel)
    model.compile(keras.optimizers.SGD(0.1), lambda y, p: several_loss(y, p, [(1.0,) * 2, (1.0,) * 3]))
    model.fit(RNG.normal(size=(2, 4)), labels, verbose=0)
    moved = keras.ops.convert_to_numpy(head.out.kernel) != before
    assert moved[:, :2].all() and not moved[:, 2:].any()


def test_a_saved_head_gives_the_same(tmp_path):
    x = RNG.normal(size=(3, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), SeveralHead(WIDTHS, hidden=(6,), seed=1)])
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
