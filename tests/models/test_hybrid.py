import keras
import numpy as np
import pytest
from keras import layers

from morphtools.models.contrastive import BYOL, MoCo
from morphtools.models.dirichlet import DirichletHead, DirichletMultinomialLoss
from morphtools.models.hybrid import Hybrid

pytestmark = pytest.mark.any_backend

RNG = np.random.default_rng(0)
IMAGES = RNG.random((8, 8, 8, 1)).astype("float32")
VOTES = RNG.integers(0, 9, (8, 2)).astype("float32")


def hybrid(kind=BYOL, weight=1.0, rate=0.0, **options):
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(3, 3), layers.GlobalAveragePooling2D()])
    views = keras.Sequential([layers.RandomFlip(seed=0)])
    head = DirichletHead(2, dropout=0.0, seed=0)
    head.build((None, 3))
    options = {"dimension": 4, "seed": 0} | ({"hidden": 5} if kind is BYOL else {"queue": 16}) | options
    made = Hybrid(kind(encoder, views, **options), head, weight=weight)
    made.compile(keras.optimizers.SGD(rate), DirichletMultinomialLoss([[1, 1]]))
    return made


@pytest.mark.parametrize("kind", [BYOL, MoCo])
def test_the_loss_is_that_of_the_votes_and_a_share_of_the_learners(kind):
    losses = [float(hybrid(kind, weight).train_on_batch(IMAGES, VOTES)) for weight in (0.0, 0.5, 2.0)]
    assert losses[1] > losses[0] + 0.01
    assert (losses[2] - losses[0]) / (losses[1] - losses[0]) == pytest.approx(4, rel=1e-3)


def test_validation_costs_what_the_answers_alone_cost_whatever_came_before():
    made = hybrid(weight=5.0)
    made.train_on_batch(IMAGES, VOTES)
    alone = keras.Sequential([keras.Input((8, 8, 1)), made.learner.encoder, made.head])
    alone.compile(loss=DirichletMultinomialLoss([[1, 1]]))
    expected = alone.evaluate(IMAGES, VOTES, verbose=0)
    assert made.evaluate(IMAGES, VOTES, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert np.shape(made(IMAGES)) == (8, 1, 2)


def test_votes_and_views_both_move_the_encoder():
    def moved(**options):
        made = hybrid(rate=0.1, **options)
        before = made.learner.encoder.get_weights()
        made.train_on_batch(IMAGES, VOTES)
        return [b - a for a, b in zip(before, made.learner.encoder.get_weights(), strict=True)]

    votes, both = moved(weight=0.0), moved(weight=1.0)
    assert np.abs(votes[0]).max() > 1e-6
    assert np.abs(both[0] - votes[0]).max() > 1e-6


def test_both_views_answer_like_the_volunteers():
    made = hybrid(weight=0.0)
    answers = np.asarray(made(IMAGES, training=True))
    assert answers.shape == (8, 2, 2)
    loss = DirichletMultinomialLoss([[1, 1]])
    single = [float(loss(VOTES, answers[:, view])) for view in range(2)]
    assert float(loss(VOTES, answers)) == pytest.approx(np.mean(single), rel=1e-5)
