"""Is this galaxy like those that the model was trained on? How far its representation lies from theirs.

The representations of the training galaxies are described by a normal distribution, shrunk towards an isotropic one as
far as their number demands (Chen et al. 2010, arXiv:0907.4698). It has the variances of the first principal components,
and a single variance in all other directions. The distance of a galaxy is its Mahalanobis distance. Galaxies to which
the distribution was not fitted show which distances are usual.
"""

import dataclasses
from pathlib import Path

import numpy as np

from tfrecords_builder.files import read_arrays, write_arrays

FILE = "familiarity.npz"  # beside the weights of a run
RARE = 0.01  # a galaxy farther away than all but this fraction of the training galaxies is unlike them
_FOLDS = 5


@dataclasses.dataclass(frozen=True)
class Familiarity:
    """Describes the representations of training galaxies.

    Attributes:
        mean: (D,) of their representations.
        components: (K, D) orthonormal rows, the most varied first.
        variance: (K,) along each of them.
        rest: () variance in every other direction.
        distances: (N,) distances of galaxies that this was not fitted to, ascending.
    """

    mean: np.ndarray
    components: np.ndarray
    variance: np.ndarray
    rest: np.ndarray
    distances: np.ndarray

    @classmethod
    def open(cls, path: str | Path) -> "Familiarity":
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: It is damaged; the message names it.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        arrays = read_arrays(path, *names)
        return cls(**{name: arrays[name] for name in names})

    def save(self, path: str | Path) -> None:
        """Writes the arrays, with checksums."""
        write_arrays(path, **dataclasses.asdict(self))

    def distance(self, representations: np.ndarray) -> np.ndarray:
        """How far galaxies lie from the training galaxies.

        Args:
            representations: (n, D) by the same model.

        Returns:
            (n,) Mahalanobis distances divided by √D: about 1 for training galaxies.
        """
        x = np.asarray(representations, np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise ValueError(f"representations must have the shape (n, {len(self.mean)}), got {x.shape}")
        away = x - self.mean
        along = away @ self.components.T
        beside = np.maximum((away**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        return np.sqrt(((along**2 / self.variance).sum(axis=1) + beside / self.rest) / len(self.mean))

    def __call__(self, representations: np.ndarray) -> np.ndarray:
        """The fraction of galaxies like those of the training set that are at least as far away: a p-value.

        Args:
            representations: (n, D) by the same model.

        Returns:
            (n,) from 1 / (N + 1), farther away than all of them, to 1; uniform between 0 and 1 for galaxies like the
            training galaxies.
        """
        return self.share_beyond(self.distance(representations))

    def share_beyond(self, distances: np.ndarray) -> np.ndarray:
        """(n,) p-values of (n,) distances (see `__call__`)."""
        n = len(self.distances)
        return (n - np.searchsorted(self.distances, distances, side="left") + 1) / (n + 1)

    @property
    def rare(self) -> float:
        """The p-value at or below which a galaxy is unlike the training galaxies: 1%, or the smallest if larger."""
        return max(RARE, 1 / (len(self.distances) + 1))


def fit_familiarity(
    representations: np.ndarray, held_out: np.ndarray | None = None, *, components: int = 256, seed: int = 0
) -> Familiarity:
    """Describes the representations of training galaxies.

    Args:
        representations: (N, D) of at least 10 training galaxies.
        held_out: (M, D) of galaxies of the same kind that the model was not trained on, for the usual distances.
            By default, each fifth of the training galaxies is compared with a fit to the others, which is right if the
            encoder was not trained on any of them.
        components: Most principal components.
        seed: Decides which fifth.

    Raises:
        ValueError: There are too few galaxies, or they are all the same.
    """
    x = np.asarray(representations, np.float64)
    if x.ndim != 2 or len(x) < 2 * _FOLDS:
        raise ValueError(f"representations (N, D) of at least {2 * _FOLDS} galaxies are needed, got {x.shape}")
    fitted, shrinkage = _fit(x, components)
    if held_out is not None:
        distances = fitted.distance(held_out)
    else:
        fold, distances = np.random.default_rng(seed).permutation(len(x)) % _FOLDS, []
        for k in range(_FOLDS):  # with the shrinkage of the whole set: with more, distances would differ
            others, _ = _fit(x[fold != k], components, shrinkage)
            distances.append(others.distance(x[fold == k]))
        distances = np.concatenate(distances)
    return dataclasses.replace(fitted, distances=np.sort(distances))


def _fit(x: np.ndarray, components: int, shrinkage: float | None = None) -> tuple[Familiarity, float]:
    """The distribution, without distances, and how far it was shrunk."""
    n, dimension = x.shape
    mean = x.mean(axis=0)
    away = x - mean
    # both products have the same non-zero eigenvalues, so the smaller one is decomposed
    products = away @ away.T if n < dimension else away.T @ away
    values, sides = np.linalg.eigh(products / n)
    values, sides = np.maximum(values[::-1], 0), sides[:, ::-1]
    round_variance = values.sum() / dimension
    if not round_variance > 0:
        raise ValueError(f"the representations of all {n} galaxies are the same")
    k = int(np.count_nonzero(values[:components] > 1e-9 * values[0]))  # the last directions are only rounding errors
    axes = sides[:, :k].T
    if n < dimension:
        axes = axes @ away / np.sqrt(n * values[:k, np.newaxis])
    shrinkage = _shrinkage(values, n, dimension) if shrinkage is None else shrinkage
    variance = (1 - shrinkage) * values[:k] + shrinkage * round_variance
    beside = (1 - shrinkage) * values[k:].sum() / max(dimension - k, 1) + shrinkage * round_variance
    rest = np.array(max(beside, 1e-9 * round_variance))
    return Familiarity(mean, axes, variance, rest, np.zeros(0)), shrinkage


def _shrinkage(values: np.ndarray, n: int, dimension: int) -> float:
    """The weight of the isotropic covariance, from 0 to 1: equation 23 of Chen et al. 2010."""
    square, round_square = (values**2).sum() / dimension**2, (values.sum() / dimension) ** 2
    spread = (n + 1) * (square - round_square / dimension)
    return 1.0 if spread <= 0 else min(1.0, (square + round_square) / spread)


def tell(p: np.ndarray, rare: float) -> str | None:
    """A warning about the (n,) p-values of a set of galaxies; None if there is nothing to warn about.

    Of galaxies like those of the training, a fraction `rare` differs from them by chance.
    """
    beyond = float(np.mean(p <= rare)) if len(p) else 0.0
    if len(p) * beyond < 3 or beyond <= 3 * rare:
        return None
    return (
        f"{beyond:.0%} of these galaxies are unlike any the model was trained on (column familiarity at most "
        f"{rare:.2g}; {rare:.0%} is usual): check predictions for them by eye, or label some and train again"
    )
