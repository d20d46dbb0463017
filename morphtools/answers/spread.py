"""How uncertain a predicted number is, galaxy by galaxy: the spread of residuals, from representations."""

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from morphtools.answers.linear import STRENGTHS, in_rows, repeated_folds

_STRENGTHS = STRENGTHS[::2]
_LEAST = 1e-6  # deviation


@threadpool_limits.wrap(limits=1)
def fit_spread(x: np.ndarray, residuals: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fits the logarithm of a standard deviation, linear in the representation, by penalised maximum likelihood.

    Cross-validation chooses between one deviation for all galaxies and penalties of several strengths: the simplest
    whose likelihood for left-out residuals is within a standard error of the best. So all galaxies have the same
    deviation if there are few, or if nothing predicts the size of residuals. The mean of (residual / deviation)² of
    left-out galaxies is 1.

    Args:
        x: (N, D) representations.
        residuals: (N, M) of numbers predicted by heads that had not seen the galaxy, in units of the numbers' spread.
        seed: Seed of the folds.

    Returns:
        Kernel (D, M) and bias (M,) on `x` standardised as by `standardisation`, and (N, M) outputs for each galaxy by
        heads that were fitted without it.

    Reference:
        Nix & Weigend 1994, "Estimating the mean and variance of the target probability distribution".
    """
    x, residuals = np.asarray(x, float), np.asarray(residuals, float)
    columns = [_fit(x, residual, seed) for residual in residuals.T]
    kernel, bias, left_out = (np.stack(each, axis=-1) for each in zip(*columns, strict=True))
    return kernel, bias, left_out


def _fit(x: np.ndarray, residual: np.ndarray, seed: int):
    """As `fit_spread`, for one number."""
    total, times = np.zeros((len(_STRENGTHS) + 1, len(x))), np.zeros(len(x))
    for inside, outside in repeated_folds(np.ones((len(x), 1)), seed + 1):  # other folds than those of the residuals
        total[:, outside] += _path(x[inside], residual[inside], x[outside])[0]
        times[outside] += 1
    log_sigma = total / times
    squared = residual**2 + _LEAST**2
    losses = log_sigma + squared * np.exp(-2 * log_sigma) / 2
    worse = losses - losses[losses.mean(axis=1).argmin()]
    best = int(np.flatnonzero(worse.mean(axis=1) <= worse.std(axis=1) / np.sqrt(len(x)))[0])
    kernel, bias = _path(x, residual, x)[1][best]
    offset = np.log(np.mean(squared * np.exp(-2 * log_sigma[best]))) / 2
    return kernel, bias + offset, log_sigma[best] + offset


def _path(x: np.ndarray, residual: np.ndarray, asked: np.ndarray):
    """One deviation for all, and fits of every strength, each started from the one before.

    Returns:
        Logarithms of deviations (1 + strengths, m) of `asked`, and for each kernel (D,) and bias.
    """
    inside, outside, back, _, _ = in_rows(x, asked)
    squared = residual**2 + _LEAST**2
    constant = np.log(squared.mean()) / 2
    both, curvature = np.append(np.zeros(inside.shape[1]), constant), 2 * (inside**2).sum(axis=0)
    values, solutions = [np.full(len(asked), constant)], [(np.zeros(x.shape[1]), constant)]
    for strength in _STRENGTHS:
        steps = 1 / np.sqrt(np.append(curvature + strength, 2 * len(x)))  # as in `linear._path`

        def loss(scaled, strength=strength, steps=steps):
            kernel, bias = (scaled * steps)[:-1], scaled[-1] * steps[-1]
            log_sigma = inside @ kernel + bias
            pull = squared * np.exp(-2 * np.clip(log_sigma, constant - 20, None))
            gradient = np.append(inside.T @ (1 - pull) + strength * kernel, (1 - pull).sum())
            return (log_sigma + pull / 2).sum() + strength * (kernel**2).sum() / 2, gradient * steps

        options = {"maxiter": 100, "ftol": 1e-7}
        both = minimize(loss, both / steps, jac=True, method="L-BFGS-B", options=options).x * steps
        values.append(outside @ both[:-1] + both[-1])
        solutions.append((back @ both[:-1], both[-1]))
    return np.stack(values), solutions
