"""The head of a frozen encoder: a convex problem, solved exactly; cross-validation chooses its penalty.

A few galaxies do not determine the spread of a representation's dimensions well: one that is almost constant among
twenty galaxies, as is common behind a ReLU, explodes for others when it is divided by its standard deviation. So
variances are shrunk to their mean, as if `PRIOR` additional galaxies had that variance.

A penalised solution for n galaxies in D dimensions lies in the space, of at most n dimensions, in which the galaxies
differ. Solving it there is exact, and far faster if n < D.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from threadpoolctl import threadpool_limits

PRIOR = 30  # the weight of the mean variance, in galaxies
STRENGTHS = np.logspace(3.5, -3, 14)  # from strong to weak: the inverse of the variance of the logits, or numbers
_FOLDS, _REPEATS = 5, 3
_MANY = 200  # with this many galaxies or more the folds are not repeated


@dataclasses.dataclass(frozen=True)
class Linear:
    """A linear head, outputs = (x − mean) / deviation · kernel + bias.

    Attributes:
        mean: (D,) of the standardisation.
        deviation: (D,) of the standardisation.
        kernel: (D, K).
        bias: (K,).
        left_out: (N, K) outputs for each galaxy by heads that were fitted without it, with the same strength; for
            classes, probabilities.
        history: A row per strength: `stage`, `strength`, `loss` of all galaxies, `val_loss` of galaxies left out, and
            `kept`.
    """

    mean: np.ndarray
    deviation: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    left_out: np.ndarray
    history: pd.DataFrame

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(N, D) representations → (N, K) outputs; for classes, logits."""
        return (x - self.mean) / self.deviation @ self.kernel + self.bias


@threadpool_limits.wrap(limits=1)  # threads that wait for each other on busy cores are far slower
def fit_softmax(x: np.ndarray, targets: np.ndarray, *, seed: int = 0) -> Linear:
    """Softmax regression on soft or hard labels.

    The L2 penalty is the strongest whose log loss for left-out galaxies, by repeated stratified cross-validation, is
    within half a standard error of the best.

    Args:
        x: (N, D) representations.
        targets: (N, K): the weight of each galaxy in each class; its sum is the weight of the galaxy.
        seed: Seed of the folds.

    Returns:
        The head, fitted to all galaxies. Its kernel gives logits.

    Reference:
        Hastie, Tibshirani & Friedman 2009, The Elements of Statistical Learning, section 7.10 (the rule) and 18.4
        (the space of the galaxies).
    """
    x, targets = np.asarray(x, float), np.asarray(targets, float)
    weights = targets.sum(axis=1)
    targets, weights = targets / weights.mean(), weights / weights.mean()
    folds = repeated_folds(targets, seed)
    total: Any = 0.0
    losses, times = np.zeros((len(STRENGTHS), len(x))), np.zeros(len(x))
    for inside, outside in folds:
        logits = _path(x[inside], targets[inside], x[outside])[0]
        losses[:, outside] -= (targets[outside] * log_softmax(logits, axis=-1)).sum(axis=-1)
        total = total + _spread_out(softmax(logits, axis=-1), outside, len(x))
        times[outside] += 1
    losses /= times
    best = _strongest(losses)
    logits, solutions = _path(x, targets, x)
    mean, deviation, kernel, bias = solutions[best]
    fitted = -(targets * log_softmax(logits, axis=-1)).sum(axis=-1).mean(axis=1)
    left_out = total[best] / times[:, np.newaxis]
    return Linear(mean, deviation, kernel, bias, left_out, _history(fitted, losses.mean(axis=1), best))


@threadpool_limits.wrap(limits=1)
def fit_normal(x: np.ndarray, targets: np.ndarray, *, seed: int = 0) -> Linear:
    """Ridge regression with an honest uncertainty: the scatter of the residuals of left-out galaxies.

    Args:
        x: (N, D) representations.
        targets: (N, M) numbers.
        seed: Seed of the folds.

    Returns:
        The head, fitted to all galaxies: M means, and M logarithms of standard deviations that are the same for all.
        The strength is chosen as in `fit_softmax`, by squared residuals in units of each number's variance.
    """
    x, targets = np.asarray(x, float), np.asarray(targets, float)
    scale = np.maximum(targets.std(axis=0), 1e-12)
    total, times = 0.0, np.zeros(len(x))
    for inside, outside in repeated_folds(np.ones((len(x), 1)), seed):
        predicted = _ridge(x[inside], targets[inside], x[outside])[0]
        total = total + _spread_out(predicted, outside, len(x))
        times[outside] += 1
    predicted = total / times[:, np.newaxis]
    squared = ((predicted - targets) / scale) ** 2
    best = _strongest(squared.mean(axis=2))
    fitted, solutions = _ridge(x, targets, x)
    mean, deviation, kernel, bias = solutions[best]
    sigma = np.maximum(np.sqrt(((predicted[best] - targets) ** 2).mean(axis=0)), 1e-6 * scale)
    log_sigma = np.log(sigma)
    left_out = np.concatenate([predicted[best], np.broadcast_to(log_sigma, targets.shape)], axis=1)
    losses = (((fitted - targets) / scale) ** 2).mean(axis=(1, 2)), squared.mean(axis=(1, 2))
    kernel = np.concatenate([kernel, np.zeros_like(kernel)], axis=1)
    return Linear(mean, deviation, kernel, np.concatenate([bias, log_sigma]), left_out, _history(*losses, best))


def side_by_side(x: np.ndarray, heads: Sequence[Linear]) -> Linear:
    """Joins several heads, each with its own standardisation, into one that gives their outputs one after the other.

    Args:
        x: (N, D) representations of all galaxies that any of them was fitted to.
        heads: With `left_out` of all N galaxies.
    """
    mean, deviation = standardisation(x)
    kernel = np.concatenate([head.kernel * (deviation / head.deviation)[:, np.newaxis] for head in heads], axis=1)
    bias = np.concatenate([head.bias + (mean - head.mean) / head.deviation @ head.kernel for head in heads])
    left_out = np.concatenate([head.left_out for head in heads], axis=1)
    return Linear(mean, deviation, kernel, bias, left_out, pd.concat([head.history for head in heads]))


def standardisation(x: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each dimension of (N, D), variances shrunk to their mean as if `PRIOR` galaxies had it."""
    mean = np.average(x, axis=0, weights=weights)
    variance = np.average((x - mean) ** 2, axis=0, weights=weights)
    shrunk = (len(x) * variance + PRIOR * variance.mean()) / (len(x) + PRIOR)
    return mean, np.sqrt(shrunk + 1e-12 + 1e-6 * shrunk.mean())


def repeated_folds(targets: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Repeated folds, stratified by the largest target where every class has two galaxies."""
    from sklearn.model_selection import KFold, StratifiedKFold

    n, largest = len(targets), targets.argmax(axis=1)
    counts = np.unique(largest, return_counts=True)[1]
    stratify = counts.min() > 1 and len(counts) > 1
    kind, most = (StratifiedKFold, counts.min()) if stratify else (KFold, n)
    repeats = _REPEATS if n < _MANY else 1
    splitters = [kind(int(min(_FOLDS, most)), shuffle=True, random_state=(seed + i) % 2**32) for i in range(repeats)]
    return [fold for splitter in splitters for fold in splitter.split(targets, largest)]


def in_rows(x: np.ndarray, asked: np.ndarray, weights: np.ndarray | None = None):
    """Standardises galaxies and expresses them in the directions in which they differ.

    Returns:
        Coordinates (n, r) of `x` and (m, r) of `asked`, divided by the mean length of a galaxy; the matrix (D, r) that
        transforms a kernel in these coordinates back to the dimensions; mean and deviation.
    """
    mean, deviation = standardisation(x, weights)
    inside, outside = (x - mean) / deviation, (asked - mean) / deviation
    length = max(np.sqrt((inside**2).sum(axis=1).mean()), 1e-12)
    inside, outside = inside / length, outside / length
    if len(x) < x.shape[1]:
        values, left = np.linalg.eigh(inside @ inside.T)
        keep = values > 1e-10 * values.max()
        back = inside.T @ (left[:, keep] / np.sqrt(values[keep]))
    else:
        back = np.linalg.eigh(inside.T @ inside)[1]
    return inside @ back, outside @ back, back / length, mean, deviation


def _path(x: np.ndarray, targets: np.ndarray, asked: np.ndarray):
    """Softmax regressions of every strength, each started from the one before.

    Returns:
        Logits (strengths, m, K) of `asked`, and for each strength mean, deviation, kernel (D, K) and bias (K,).
    """
    weights = targets.sum(axis=1)
    inside, outside, back, mean, deviation = in_rows(x, asked, weights)
    share = (targets.sum(axis=0) + 1e-3) / (targets.sum() + 1e-3 * targets.shape[1])
    kernel, bias = np.zeros((inside.shape[1], targets.shape[1])), np.log(share)
    curvature = (inside**2 * weights[:, np.newaxis]).sum(axis=0) / 4  # of a logit, at most
    logits, solutions = [], []
    for strength in STRENGTHS:
        # with coordinates scaled so that the curvature is the same in all directions, few steps are needed
        steps = 1 / np.sqrt(np.append(curvature + strength, weights.sum() / 4))[:, np.newaxis]

        def loss(flat, strength=strength, steps=steps):
            both = flat.reshape(steps.shape[0], -1) * steps
            scores = inside @ both[:-1] + both[-1]
            log_p = log_softmax(scores, axis=1)
            value = -(targets * log_p).sum() + strength * (both[:-1] ** 2).sum() / 2
            off = weights[:, np.newaxis] * np.exp(log_p) - targets
            gradient = np.concatenate([inside.T @ off + strength * both[:-1], off.sum(axis=0, keepdims=True)])
            return value, (gradient * steps).ravel()

        start = (np.concatenate([kernel, bias[np.newaxis]]) / steps).ravel()
        result = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 100, "ftol": 1e-7})
        both = result.x.reshape(steps.shape[0], -1) * steps
        kernel, bias = both[:-1], both[-1]
        logits.append(outside @ kernel + bias)
        solutions.append((mean, deviation, back @ kernel, bias))
    return np.stack(logits), solutions


def _ridge(x: np.ndarray, targets: np.ndarray, asked: np.ndarray):
    """Ridge regressions of every strength; returns as `_path`, with numbers (strengths, m, M) instead of logits."""
    inside, outside, back, mean, deviation = in_rows(x, asked)
    bias = targets.mean(axis=0)
    overlap, curvature = inside.T @ (targets - bias), (inside**2).sum(axis=0)
    kernels = [overlap / (curvature + strength)[:, np.newaxis] for strength in STRENGTHS]
    return np.stack([outside @ k + bias for k in kernels]), [(mean, deviation, back @ k, bias) for k in kernels]


def _strongest(losses: np.ndarray) -> int:
    """The strongest whose mean over the galaxies is within half a standard error of the best; (strengths, N)."""
    best = losses.mean(axis=1).argmin()
    worse = losses - losses[best]
    error = worse.std(axis=1) / np.sqrt(losses.shape[1])
    return int(np.flatnonzero(worse.mean(axis=1) <= error / 2)[0])


def _spread_out(values: np.ndarray, rows: np.ndarray, n: int) -> np.ndarray:
    """(…, m, K) of some rows as (…, n, K), zero elsewhere."""
    whole = np.zeros((*values.shape[:-2], n, values.shape[-1]))
    whole[..., rows, :] = values
    return whole


def _history(loss: np.ndarray, val_loss: np.ndarray, kept: int) -> pd.DataFrame:
    rows = {"stage": "head", "strength": STRENGTHS, "loss": loss, "val_loss": val_loss}
    return pd.DataFrame(rows | {"kept": np.arange(len(STRENGTHS)) == kept})
