"""Several questions about classes: a softmax for each, and the likelihood of the answers that are known."""

import itertools
from collections.abc import Sequence

import keras
from keras import ops

from morphtools.models.heads import DenseHead


@keras.saving.register_keras_serializable("morphtools")
class SeveralHead(DenseHead):
    """Probabilities of the classes of several questions, one after the other.

    Args:
        classes: How many classes each question has.
        **kwargs: As for `DenseHead`.
    """

    def __init__(self, classes, **kwargs):
        super().__init__(sum(classes), "linear", **kwargs)
        self.classes = tuple(int(number) for number in classes)

    def call(self, representation, training=False):
        """(B, D) → (B, sum of classes)."""
        logits = super().call(representation, training=training)
        return ops.concatenate([ops.softmax(each, axis=-1) for each in _split(logits, self.classes)], axis=-1)

    def get_config(self):
        """The arguments of the constructor."""
        inherited = {k: v for k, v in super().get_config().items() if k not in ("outputs", "activation")}
        return {**inherited, "classes": self.classes}


def several_loss(labels, probabilities, weights: Sequence[Sequence[float]]):
    """The sum over questions of −w ln p of the true class, one number per galaxy; unknown answers cost nothing.

    Args:
        labels: (B, Q) classes, NaN where unknown.
        probabilities: (B, ΣK), the classes of each question one after the other.
        weights: Weights of the classes of each question.

    Returns:
        (B,) float32.
    """
    each = []
    for q, p in enumerate(_split(probabilities, [len(of_classes) for of_classes in weights])):
        label = ops.cast(labels[:, q], "float32")
        known = ops.cast(ops.isfinite(label), "float32")
        truth = ops.one_hot(ops.cast(ops.nan_to_num(label), "int32"), len(weights[q]))
        target = truth * ops.convert_to_tensor(weights[q], "float32") * known[:, None]
        each.append(-ops.sum(target * ops.log(ops.clip(p, 1e-7, 1.0)), axis=-1))
    return ops.sum(ops.stack(each), axis=0)


def _split(values, widths: Sequence[int]) -> list:
    """(B, Σ widths) → those of each question."""
    return ops.split(values, list(itertools.accumulate(widths))[:-1], axis=-1)
