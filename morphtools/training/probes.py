"""Scores of representations that need no training of a network: neighbours, linear fits, spread and rank."""

import numpy as np

from morphtools.survey.label_columns import is_class


def knn_scores(
    representations: np.ndarray, labels, *, neighbours: int = 5, splits: int = 50, seed: int = 0
) -> np.ndarray:
    """Scores how well nearest neighbours predict a label, for many random splits into 75% and 25%.

    Args:
        representations: (N, D).
        labels: (N,) classes, or numbers (see `is_class`), all known.
        neighbours: Number of neighbours.
        splits: Number of splits.
        seed: Seed of the splits.

    Returns:
        (splits,) accuracies, or for numbers coefficients of determination.

    Reference:
        Mohale & Lochner 2023, arXiv:2311.14157, section 5.1 (k = 5, Minkowski distance, 50 splits).
    """
    from sklearn.metrics import pairwise_distances
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    labels, kind = _prepared(labels, KNeighborsClassifier, KNeighborsRegressor)
    distances = pairwise_distances(np.asarray(representations, float))
    scores = []
    for train, test in _splits(len(labels), splits, seed):
        model = kind(min(neighbours, len(train)), metric="precomputed")
        model.fit(distances[np.ix_(train, train)], labels[train])
        scores.append(model.score(distances[np.ix_(test, train)], labels[test]))
    return np.array(scores)


def linear_scores(representations: np.ndarray, labels, *, splits: int = 5, seed: int = 0) -> np.ndarray:
    """Scores how well a linear function of a representation predicts a label; as `knn_scores`.

    Classes by logistic regression, fitted by L-BFGS to standardised representations; numbers by ridge regression.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, section 3.2 and appendix C.2.
    """
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def classifier():
        return LogisticRegression(C=0.1, max_iter=1000)

    labels, kind = _prepared(labels, classifier, lambda: RidgeCV(np.logspace(0, 5, 6)))
    scores = []
    for train, test in _splits(len(labels), splits, seed):
        if kind is classifier and len(np.unique(labels[train])) < 2:
            scores.append(np.mean(labels[test] == labels[train][0]))
            continue
        model = make_pipeline(StandardScaler(), kind()).fit(representations[train], labels[train])
        scores.append(model.score(representations[test], labels[test]))
    return np.array(scores)


def spread(representations: np.ndarray) -> float:
    """Measures how far representations point in different directions: 1 for random directions, 0 for a single one.

    √D × the mean over dimensions of the standard deviation of representations of length one.

    Reference:
        Chen & He 2021, arXiv:2011.10566, section 4.1.
    """
    x = np.asarray(representations, float)
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return float(np.sqrt(x.shape[1]) * x.std(axis=0).mean())


def effective_rank(representations: np.ndarray) -> float:
    """Measures how many dimensions representations use: the exponential of the entropy of their singular values.

    Reference:
        Roy & Vetterli 2007 (EUSIPCO, 606), of the centred representations.
    """
    x = np.asarray(representations, float)
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    share = values / max(values.sum(), 1e-12)
    share = share[share > 1e-12]
    return float(np.exp(-(share * np.log(share)).sum())) if len(share) else 0.0


def principal_components(images: np.ndarray, components: int = 64, seed: int = 0) -> np.ndarray:
    """Principal components of pixels, the baseline without a network: (N, H, W, C) images → (N, components)."""
    from sklearn.decomposition import PCA

    x = np.asarray(images, np.float32).reshape(len(images), -1)
    return PCA(min(components, *x.shape), svd_solver="randomized", random_state=seed).fit_transform(x)


def _prepared(labels, classifier, regressor):
    """Labels as an array, and the estimator to predict them."""
    labels = np.asarray(labels)
    return (labels.astype(str), classifier) if is_class(labels) else (labels.astype(float), regressor)


def _splits(galaxies: int, splits: int, seed: int):
    """Random rows for training (75%) and test."""
    rng = np.random.default_rng(seed)
    for _ in range(splits):
        order = rng.permutation(galaxies)
        yield order[galaxies // 4 :], order[: galaxies // 4]
