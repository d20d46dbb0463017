"""Raters of similar taste: what they are expected to like is where the search of somebody new starts."""

from collections.abc import Mapping

import numpy as np
from scipy.linalg import cho_solve
from scipy.optimize import nnls

from morphtools.anomalies.acquisition import largest
from morphtools.anomalies.gaussian_process import Posterior
from morphtools.anomalies.rating_learner import fit_learner

FEWEST = 10  # ratings that a taste can be told from


class OtherRaters:
    """What others are expected to say about galaxies, fitted again only where they have rated more.

    Args:
        candidates: (N, D) all galaxies.
        kernel: One of `KERNELS`.
    """

    def __init__(self, candidates: np.ndarray, kernel: str):
        self._candidates, self._kernel = candidates, kernel
        self._fits: dict[str, tuple[bytes, Posterior]] = {}

    def opinions(self, rated: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Posterior]:
        """The expected ratings of each rater who has rated enough.

        Args:
            rated: Rows (n,) and ratings (n,) by the name of the rater.
        """
        opinions = {}
        for name, (rows, ratings) in rated.items():
            if len(ratings) < FEWEST:
                continue
            key = rows.tobytes() + ratings.tobytes()
            if name not in self._fits or key != self._fits[name][0]:
                learner = fit_learner(self._candidates[rows], ratings, self._kernel)
                self._fits[name] = key, Posterior(learner.estimator)
            opinions[name] = self._fits[name][1]
        return opinions

    def favourites(self, rated: Mapping[str, tuple], taken: np.ndarray, n: int) -> np.ndarray | None:
        """The n galaxies that others like most, of each rater in turn; None without others.

        Args:
            rated: As for `opinions`.
            taken: Rows that may not be chosen.
            n: How many.
        """
        orders = []
        for opinion in self.opinions(rated).values():
            expected = opinion.mean(self._candidates)
            expected[taken] = -np.inf
            orders.append(largest(expected, n))
        return np.array(list(dict.fromkeys(np.stack(orders, axis=1).ravel()))[:n], int) if orders else None

    def start(
        self, rated: Mapping[str, tuple], rows: np.ndarray, ratings: np.ndarray
    ) -> tuple[dict[str, float] | None, np.ndarray | None]:
        """Whom somebody starts from, with what weights, and the ratings (N,) that they would give.

        Args:
            rated: As for `opinions`.
            rows: (n,) galaxies rated by the one who starts.
            ratings: (n,).

        Returns:
            The weights, none where tastes differ, None where there are too few ratings to tell; the ratings, if any.
        """
        opinions = self.opinions(rated)
        if not opinions or len(ratings) < FEWEST:
            return None, None
        like = similar_raters(self._candidates[rows], ratings, opinions, self._kernel)
        expected = [weight * opinions[name].mean(self._candidates) for name, weight in like.items()]
        return like, np.stack(expected).sum(axis=0) if like else None


def similar_raters(
    x: np.ndarray, ratings: np.ndarray, opinions: Mapping[str, Posterior], kernel: str = "rational_quadratic"
) -> dict[str, float]:
    """Which raters to start from, and with what weight: none, unless that predicts ratings it has not seen better.

    Args:
        x: (n, D) galaxies that the new rater has rated.
        ratings: (n,) by the new rater.
        opinions: What the others are expected to say about any galaxy, by name.
        kernel: One of `KERNELS`.

    Returns:
        Weights above 0 by name, the largest first.
    """
    theirs = np.stack([opinion.mean(x) for opinion in opinions.values()], axis=1)
    if unseen_error(x, ratings, theirs, kernel) >= unseen_error(x, ratings, theirs[:, :0], kernel):
        return {}
    weights = dict(zip(opinions, mixture(theirs, ratings).tolist(), strict=True))
    return {name: weights[name] for name in sorted(weights, key=lambda name: -weights[name]) if weights[name] > 0}


def mixture(opinions: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    """(R,) weights, none below 0, of what R raters are expected to say (n, R) that fit ratings (n,); a ridge of 1."""
    others = opinions.shape[1]
    if not others:
        return np.zeros(0)
    return nnls(np.vstack([opinions, np.eye(others)]), np.concatenate([ratings, np.zeros(others)]))[0]


def unseen_error(x: np.ndarray, ratings: np.ndarray, opinions: np.ndarray, kernel: str = "rational_quadratic") -> float:
    """Mean squared error in predicting each rating from all others: a process starts from a mixture of opinions.

    Both are fitted without that rating, only the scales of the kernel with it.

    Args:
        x: (n, D).
        ratings: (n,).
        opinions: (n, R); R may be 0.
        kernel: One of `KERNELS`.

    Reference:
        Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, equation 5.12.
    """
    process = fit_learner(x, ratings, kernel, start=opinions @ mixture(opinions, ratings)).estimator
    inverse = cho_solve((process.L_, True), np.eye(len(ratings)))
    without = [np.delete(np.arange(len(ratings)), i) for i in range(len(ratings))]
    rest = [ratings - opinions @ mixture(opinions[rows], ratings[rows]) for rows in without]
    return float(np.mean((np.einsum("ij,ij->i", inverse, rest) / inverse.diagonal()) ** 2))
