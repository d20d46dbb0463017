"""Losses that compare views of galaxies: pure functions, one number per galaxy."""

from keras import ops


def unit(x):
    """(B, D) → (B, D) of length one, in float32: similarities are cosines and temperatures divide them."""
    x = ops.cast(x, "float32")
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=-1, keepdims=True), 1e-12))


def info_nce(query, key, queue, *, temperature: float):
    """Cross-entropy of finding each galaxy's key among those in the queue.

    −log[exp(q·k/τ) / (exp(q·k/τ) + Σ_j exp(q·n_j/τ))]; a guess costs ln(1 + queue).

    Args:
        query: (B, D) of length one.
        key: (B, D) of length one, of other views of the same galaxies; no gradient should reach it.
        queue: (K, D) of length one, keys of other galaxies.
        temperature: τ.

    Returns:
        (B,).

    Reference:
        He et al. 2020, arXiv:1911.05722, equation 1.
    """
    positive = ops.sum(query * key, axis=1, keepdims=True)
    logits = ops.concatenate([positive, ops.matmul(query, ops.transpose(queue))], axis=1) / temperature
    return ops.logsumexp(logits, axis=1) - logits[:, 0]


def nt_xent(first, second, others, position, *, temperature: float):
    """Cross-entropy of finding each galaxy's other view among all views in the batch.

    Args:
        first: (B, D) of length one, a view of each galaxy.
        second: (B, D) of length one, another view of the same galaxies.
        others: (2, N, D): first and second views of the N galaxies of the global batch, these B among them.
        position: Where in the global batch these B begin.
        temperature: τ.

    Returns:
        (B,), the mean of both directions; a guess costs ln(2N − 1).

    Reference:
        Chen et al. 2020, arXiv:2002.05709, equation 1.
    """
    everything = ops.reshape(others, (-1, first.shape[-1]))
    galaxies = ops.shape(others)[1]
    here = position + ops.arange(ops.shape(first)[0])
    loss = 0.0
    for view, other, itself in ((first, second, here), (second, first, here + galaxies)):
        similarity = ops.matmul(view, ops.transpose(everything)) / temperature
        similarity = similarity - 1e9 * ops.one_hot(itself, 2 * galaxies, dtype=similarity.dtype)
        loss = loss + ops.logsumexp(similarity, axis=1) - ops.sum(view * other, axis=1) / temperature
    return loss / 2


def byol_regression(prediction, target):
    """Squared distance on the sphere of a prediction from what it predicts: 2 − 2·cos, from 0 to 4.

    Args:
        prediction: (B, D).
        target: (B, D); no gradient should reach it.

    Returns:
        (B,).

    Reference:
        Grill et al. 2020, arXiv:2006.07733, equation 2.
    """
    return 2 - 2 * ops.sum(unit(prediction) * unit(target), axis=1)
