"""Which galaxies to label next: those that a model is uncertain about, and that differ from each other."""

import numpy as np


def choose_diverse(representations: np.ndarray, uncertainty: np.ndarray, n: int, *, seed: int = 0) -> np.ndarray:
    """Chooses uncertain galaxies that are unlike each other.

    Representations, from their mean, are made as long as they are uncertain, and galaxies drawn by k-means++: the
    longest first, then each with a chance in proportion to its squared distance to the nearest chosen one, or to the
    mean, where the certain ones are. As in BADGE (Ash et al. 2020, arXiv:1906.03671), with one number for the
    uncertainty instead of the gradient of a class.

    Args:
        representations: (N, D).
        uncertainty: (N,), 0 or more.
        n: How many to choose.
        seed: Seed of the draws.

    Returns:
        (n,) different rows, in the order in which they were chosen; all rows where N ≤ n.
    """
    uncertainty = np.asarray(uncertainty, np.float64)
    x = np.asarray(representations, np.float32)
    x = (x - x.mean(axis=0)) * uncertainty[:, np.newaxis].astype(np.float32)
    rng, chosen = np.random.default_rng(seed), np.zeros(len(x), bool)
    distance, order = (x**2).sum(axis=1, dtype=np.float64), []
    for i in range(min(n, len(x))):
        chance = np.where(chosen | (uncertainty <= 0), 0, distance)
        if not chance.sum() > 0:  # the others are all certain, or like one that was chosen
            chance = np.where(chosen, 0, uncertainty + 1e-12)
        row = int(chance.argmax()) if i == 0 else int(rng.choice(len(x), p=chance / chance.sum()))
        chosen[row] = True
        order.append(row)
        distance = np.minimum(distance, ((x - x[row]) ** 2).sum(axis=1, dtype=np.float64))
    return np.array(order, int)
