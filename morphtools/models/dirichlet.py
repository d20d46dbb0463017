"""Votes: volunteers' answers about a galaxy follow a Dirichlet-multinomial distribution, question by question."""

import keras
from keras import layers, ops


def log_gamma(x):
    """The logarithm of Γ(x), elementwise and differentiable, on any backend (`keras.ops` has none)."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.math.lgamma(x)
    if backend == "jax":
        import jax

        return jax.scipy.special.gammaln(x)
    import torch

    return torch.lgamma(x)


def dirichlet_multinomial_loss(votes, concentrations, membership):
    """−log p(votes | concentrations), one number per galaxy: the sum over all questions.

    For one question with counts k, N = Σk and A = Σα:
    −log p = −[ln Γ(N+1) − Σ ln Γ(k+1) + ln Γ(A) − ln Γ(A+N) + Σ(ln Γ(α+k) − ln Γ(α))].
    A question without votes costs exactly nothing and has no gradient, so galaxies of different campaigns, or with
    one answered question only, train together.

    Args:
        votes: (B, A) counts, zero or NaN where a question was not asked.
        concentrations: (B, A) positive.
        membership: (Q, A): 1 where an answer belongs to a question.

    Returns:
        (B,) float32.

    Reference:
        Walmsley et al. 2022, arXiv:2102.08414, equation 3, here with the multinomial coefficient.
    """
    k, alpha = ops.nan_to_num(ops.cast(votes, "float32")), ops.cast(concentrations, "float32")
    to_question = ops.transpose(ops.convert_to_tensor(membership, "float32"))
    n, a = ops.matmul(k, to_question), ops.matmul(alpha, to_question)
    by_answer = log_gamma(alpha + k) - log_gamma(alpha) - log_gamma(k + 1.0)
    log_p = log_gamma(n + 1.0) + log_gamma(a) - log_gamma(a + n) + ops.matmul(by_answer, to_question)
    return -ops.sum(ops.where(n > 0, log_p, 0.0), axis=-1)


@keras.saving.register_keras_serializable("morphtools")
class DirichletMultinomialLoss(keras.losses.Loss):
    """`dirichlet_multinomial_loss` for `compile`: votes (B, A) and concentrations (B, A) to a mean over galaxies.

    Args:
        membership: (Q, A): 1 where an answer belongs to a question, as `Schema.membership`.
    """

    def __init__(self, membership, name="dirichlet_multinomial", **kwargs):
        super().__init__(name=name, **kwargs)
        self.membership = [[float(x) for x in row] for row in membership]

    def call(self, y_true, y_pred):
        """(B, A) votes and (B, A) concentrations → (B,); or (B, views, A), which share the votes, → (B, views)."""
        if len(y_pred.shape) == 3:
            y_true = y_true[:, None]
        return dirichlet_multinomial_loss(y_true, y_pred, self.membership)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "membership": self.membership}


@keras.saving.register_keras_serializable("morphtools")
class DirichletHead(layers.Layer):
    """A concentration for every answer, α = 1 + 100·sigmoid(x), so in (1, 101).

    This can express neither "certainly one or the other, but I cannot tell which" (concentrations below 1) nor more
    certainty than a hundred votes. `recalibrate` fixes both after training: α = scale·(100·sigmoid(x) + floor).

    Args:
        answers: Number of answers of all questions together.
        dropout: Dropout of the representation, in training.
        seed: Seed of the first weights and of the dropout.

    Reference:
        Walmsley et al. 2022, arXiv:2102.08414, section 4.1.
    """

    def __init__(self, answers: int, *, dropout: float = 0.2, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.answers, self.dropout, self.seed = answers, dropout, seed
        self.drop = layers.Dropout(dropout, seed=seed)
        start = keras.initializers.GlorotUniform(seed)
        # logarithms of sums of concentrations: not in half precision; first guess α ≈ 3, as vague as a few votes
        self.dense = layers.Dense(
            answers, kernel_initializer=start, bias_initializer=keras.initializers.Constant(-4.0), dtype="float32"
        )

    def build(self, input_shape):
        """Builds the layers for representations of shape (B, D)."""
        self.drop.build(input_shape)
        self.dense.build(input_shape)
        for name in ("scale", "floor"):
            weight = self.add_weight(
                shape=(self.answers,), initializer="ones", trainable=False, dtype="float32", name=name
            )
            setattr(self, name, weight)
        self.built = True

    def begin_with(self, concentrations) -> None:
        """Lets the head, once built, give every galaxy the same answer: (A,) concentrations, as near as 1.1–100 allows.

        Random answers are sharp, and wrong, where representations are large; the mean of the votes is neither.
        """
        share = (ops.clip(ops.convert_to_tensor(concentrations, "float32"), 1.1, 100.0) - 1.0) / 100.0
        self.dense.kernel.assign(ops.zeros(self.dense.kernel.shape))
        self.dense.bias.assign(ops.log(share / (1.0 - share)))

    def recalibrate(self, scale, floor) -> None:
        """Makes the answers as certain as they should be; (A,) each, see `inference.recalibration`."""
        self.scale.assign(scale)
        self.floor.assign(floor)

    def call(self, representation, training=False):
        """(B, D) → (B, A) concentrations."""
        x = self.dense(self.drop(representation, training=training))
        return self.scale * (100.0 * ops.sigmoid(x) + self.floor)

    def compute_output_shape(self, input_shape):
        """(B, D) → (B, A)."""
        return (input_shape[0], self.answers)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "answers": self.answers, "dropout": self.dropout, "seed": self.seed}
