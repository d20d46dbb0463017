"""The head and loss for every kind of answer: the only place outside `answers/` where the kind matters."""

from collections.abc import Callable

import keras
from keras import ops

from morphtools.answers.classes import Classes
from morphtools.answers.fractions import Fractions
from morphtools.answers.kinds import Answer, AnyAnswer
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.several import Several
from morphtools.answers.votes import Votes
from morphtools.models.dirichlet import DirichletHead, DirichletMultinomialLoss
from morphtools.models.heads import DenseHead, classification_head
from morphtools.models.number_head import NumberHead, number_loss
from morphtools.models.redshift_head import RedshiftLoss, redshift_head
from morphtools.models.several_head import SeveralHead, several_loss

HIDDEN = (64, 64)  # hidden layers of a head trained by gradient descent (Walmsley et al. 2022)


def head_for(answer: AnyAnswer, *, hidden: tuple[int, ...] = HIDDEN, seed: int | None = None) -> keras.layers.Layer:
    """The layer (B, D) → (B, `answer.outputs`) that gives an answer.

    Args:
        answer: What is asked.
        hidden: Widths of the hidden layers; redshifts and votes come straight from the representation.
        seed: Seed of the first weights.
    """
    match answer:
        case Classes() | Fractions():
            return classification_head(answer.outputs, hidden=hidden, seed=seed)
        case Several():
            return SeveralHead([each.outputs for each in answer.answers], hidden=hidden, seed=seed, name="several")
        case Numbers():
            return NumberHead(answer.centre, answer.scale, hidden=hidden, seed=seed, name="numbers")
        case Photoz():
            return redshift_head(answer.bins, answer.redshift_range, answer.pdf, seed=seed)
        case Votes():
            return DirichletHead(answer.outputs, seed=seed)


def loss_for(answer: AnyAnswer) -> keras.losses.Loss | Callable:
    """The loss of (B, L) labels, the columns `answer.label_cols`, and (B, `answer.outputs`), one number per galaxy.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, appendix C (soft cross-entropy of vote fractions).
    """
    match answer:
        case Classes():
            return _weighted(answer.weights) if answer.weights else "sparse_categorical_crossentropy"
        case Several():
            weights = [each.weights or (1.0,) * each.outputs for each in answer.answers]
            return lambda labels, probabilities: several_loss(labels, probabilities, weights)
        case Fractions():
            return lambda votes, fraction: _cross_entropy(ops.cast(votes, "float32") / answer.votes, fraction)
        case Numbers():
            return number_loss
        case Photoz():
            return RedshiftLoss(*answer.redshift_range)
        case Votes():
            return DirichletMultinomialLoss(answer.schema.membership)


def begin(head: DenseHead, answer: Answer, targets) -> None:
    """Initialises a built head so that it gives the same answer for every galaxy, `answer.first_guess`.

    Args:
        head: Of `head_for`.
        answer: What is asked.
        targets: (N, L) labels of the training galaxies.
    """
    guess = answer.first_guess(targets)
    if guess is not None:
        head.out.kernel.assign(ops.zeros(head.out.kernel.shape))
        head.out.bias.assign(guess)


def standardize(head: DenseHead, mean, deviation) -> None:
    """Gives a head the mean and deviation (D,) of representations, such as `answers.linear.standardisation` finds."""
    if not head.built:
        head.build((None, len(mean)))
    head.standardize.mean.assign(mean)
    head.standardize.variance.assign(deviation**2)


def take_linear(head: DenseHead, linear) -> None:
    """Gives a head without hidden layers the weights of an `answers.linear.Linear`."""
    standardize(head, linear.mean, linear.deviation)
    head.out.kernel.assign(linear.kernel)
    head.out.bias.assign(linear.bias)


def _cross_entropy(target, probability):
    """−Σ target ln probability, one number per galaxy."""
    return -ops.sum(target * ops.log(ops.clip(probability, 1e-7, 1.0)), axis=-1)


def _weighted(weights: tuple[float, ...]) -> Callable:
    """Cross-entropy with a weight for each class."""

    def loss(label, probability):
        truth = ops.one_hot(ops.cast(ops.reshape(label, (-1,)), "int32"), len(weights))
        return _cross_entropy(truth * ops.convert_to_tensor(weights, "float32"), probability)

    return loss
