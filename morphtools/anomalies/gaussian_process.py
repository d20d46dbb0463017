"""Gaussian processes over ratings: their kernels, and prediction for a million galaxies in a second or two."""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from joblib import cpu_count
from scipy.linalg import solve_triangular
from scipy.linalg.blas import strmm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, Product, RationalQuadratic, WhiteKernel
from threadpoolctl import ThreadpoolController

from tfrecords_builder.naming import check_known

_CHUNK = 2048  # candidates per chunk and thread: 1.6 MB with 200 ratings, which fits into the caches


def _distance(dimension: int) -> float:
    """A typical distance between two galaxies, where the search for the best length scale starts.

    From scikit-learn's default of 1, at which no galaxy has a neighbour in 40 dimensions, it often ends at "all noise".
    """
    return np.sqrt(2 * dimension)


# The covariance of two galaxies' ratings. The last two are those of the papers: with a variance of 1 they cannot
# follow ratings up to 5 and treat the rest as noise; on real galaxies (benchmarks/weights/anomalies.py) that cost
# up to half of the average precision (3 to 48%).
KERNELS: dict[str, Callable[[int], Kernel]] = {
    "rational_quadratic": lambda d: _variance() * RationalQuadratic(_distance(d), alpha_bounds=(1e-2, 1e2)),
    "matern": lambda d: _variance() * Matern(_distance(d), nu=1.5),
    "walmsley2022": lambda d: RationalQuadratic(_distance(d), alpha_bounds=(1e-2, 1e2)),
    "mohale2023": lambda d: Matern(_distance(d), nu=1.5),
}


def _variance() -> Kernel:
    return ConstantKernel(4.0, (1e-1, 1e2))


def gaussian_process(kernel: str, dimension: int) -> GaussianProcessRegressor:
    """An unfitted process for points of `dimension` standardised coordinates: a kernel and white noise, mean 0.

    Ratings are rounded, so their noise has a variance of 1/12 or more.

    Raises:
        ValueError: No such kernel.

    Reference:
        Walmsley et al. 2022, arXiv:2110.12735, section 3 (rational quadratic); Mohale & Lochner 2023,
        arXiv:2311.14157, section 7.1 (Matérn).
    """
    check_known("kernel", kernel, KERNELS)
    return GaussianProcessRegressor(KERNELS[kernel](dimension) + WhiteKernel(1.0, (1 / 12, 1e1)))


class Posterior:
    """Predictions of a fitted process for many points, in float32 and in chunks.

    scikit-learn's `predict` needs the kernel of all points at once, in float64, and solves for the deviation by a
    general routine. Here a chunk costs one matrix product for its distances to the rated points and one, half as
    large, with the inverse Cholesky factor for the deviations. That one can be left at the first of its rows.

    Args:
        process: Fitted, of `gaussian_process`.
        start: (N,) ratings of all points to which the process was fitted the difference; by default 0.
    """

    def __init__(self, process: GaussianProcessRegressor, start: np.ndarray | None = None):
        self._start = start
        signal, white = process.kernel_.k1, process.kernel_.k2
        variance = 1.0
        if isinstance(signal, Product):
            variance, signal = signal.k1.constant_value, signal.k2
        self._alpha = getattr(signal, "alpha", None)
        per_square = 3 / signal.length_scale**2 if self._alpha is None else 0.5 / (self._alpha * signal.length_scale**2)
        points, ones = process.X_train_, np.ones((1, len(process.X_train_)))
        # (x, |x|², 1) · (−2p, 1, |p|²) = |x − p|²: the distances are one product
        distances = np.concatenate([-2 * points.T, ones, (points**2).sum(axis=1)[np.newaxis]]) * per_square
        distances[-1] += self._alpha is not None
        self._distances = distances.astype(np.float32)
        self._weights = (variance * process.alpha_).astype(np.float32).ravel()
        inverse = solve_triangular(process.L_, np.eye(len(points)), lower=True)
        self._whiten = np.asfortranarray(variance * inverse, np.float32)
        self.prior_deviation = float(np.sqrt(variance + white.noise_level))

    def mean(self, x: np.ndarray) -> np.ndarray:
        """(N, D) points → (N,) expected ratings."""
        return self.predict(x, ratings=0)[0]

    def predict(
        self, x: np.ndarray, rows: np.ndarray | None = None, *, ratings: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Expected rating and its standard deviation, white noise included, of every point or of some.

        Args:
            x: (N, D), possibly memory-mapped.
            rows: (n,) which of them; all by default.
            ratings: How many of the ratings, the first ones, the deviation is based on; all by default. Fewer are
                cheaper, and never make it smaller.

        Returns:
            (n,) and (n,) float32.
        """
        mean, deviation = np.empty((2, len(x) if rows is None else len(rows)), np.float32)
        whiten = np.asfortranarray(self._whiten[:ratings, :ratings])
        known = len(whiten)

        def fill(part):
            kernel = self._kernel(x[part] if rows is None else x[rows[part]])
            mean[part] = kernel @ self._weights
            if self._start is not None:
                mean[part] += self._start[part if rows is None else rows[part]]
            deviation[part] = self.prior_deviation
            if known:
                kernel = np.ascontiguousarray(kernel[:, :known])
                white = strmm(1.0, whiten, kernel.T, lower=1, overwrite_b=1)
                explained = np.einsum("ij,ij->j", white, white)
                deviation[part] = np.sqrt(np.maximum(self.prior_deviation**2 - explained, 0))

        _in_chunks(fill, len(mean))
        return mean, deviation

    def _kernel(self, x: np.ndarray) -> np.ndarray:
        """(n, D) → (n, ratings), for a variance of 1, computed in place."""
        x = np.asarray(x, np.float32)
        square = np.einsum("ij,ij->i", x, x)[:, np.newaxis]
        k = np.concatenate([x, square, np.ones_like(square)], axis=1) @ self._distances
        np.maximum(k, 0 if self._alpha is None else 1, out=k)  # rounding
        if self._alpha is None:  # Matérn, ν = 3/2: (1 + √3 d/l) exp(−√3 d/l)
            np.sqrt(k, out=k)
            decay = np.exp(-k)
            k += 1
            k *= decay
        else:  # (1 + d²/(2αl²))^−α, the 1 is in the distances; numpy's power takes three times as long
            np.log(k, out=k)
            k *= np.float32(-self._alpha)
            np.exp(k, out=k)
        return k


def _in_chunks(fill: Callable[[slice], None], total: int) -> None:
    """Calls `fill` for every chunk of rows on all cores, in our own threads instead of the matrix library's."""
    chunks = [slice(start, start + _CHUNK) for start in range(0, total, _CHUNK)]
    with one_thread(), ThreadPoolExecutor(cpu_count()) as pool:
        for _ in pool.map(fill, chunks):
            pass


def one_thread():
    """A context in which matrix libraries use one thread: for small matrices, more threads only wait for each other."""
    return _libraries().limit(limits=1)


@functools.cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all loaded libraries: once is enough
