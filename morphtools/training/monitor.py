"""Is it learning? Scores of an encoder while it is trained without labels, beside its baselines."""

import math
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from morphtools.data.batches import read_batches
from morphtools.survey.label_columns import is_class
from morphtools.training.probes import effective_rank, knn_scores, linear_scores, principal_components, spread
from tfrecords_builder.records import Records


class Watched(NamedTuple):
    """Galaxies whose labels are used to watch a training, never to train.

    Attributes:
        images: (N, H, W, C) float32, as the encoder is shown them.
        labels: Classes or numbers (N,) by name, missing where unknown.
    """

    images: np.ndarray
    labels: dict[str, np.ndarray]


def watched_galaxies(
    records: Records, labels: dict[str, pd.Series], views: keras.Model, *, most: int, reading: dict
) -> Watched:
    """Takes labelled galaxies from the val split, and from the train split if there are too few; never from the test.

    Args:
        records: Records with these galaxies.
        labels: By name, one value per row of `records.index()`.
        views: The augmentations, which show the middle of an image when not training.
        most: Maximum number of galaxies.
        reading: Keyword arguments of `load_dataset`.
    """
    index = records.index(["id_str", "split"])
    table = pd.DataFrame({name: each.to_numpy() for name, each in labels.items()}, index=index["id_str"].to_numpy())
    has_label = table.notna().any(axis=1) & (index["split"] != "test").to_numpy()
    if has_label.any():  # without labels, spread and rank of any galaxies
        table = table[has_label]
    images, names = [], []
    for split in ("val", "train"):
        if not records.splits.get(split) or len(names) >= most:
            continue
        for batch in read_batches(records, split, batch_size=256, **reading):
            ids = batch["id_str"]
            rows = np.flatnonzero(pd.Index(ids).isin(table.index))[: most - len(names)]
            if len(rows):
                images.append(keras.ops.convert_to_numpy(views(batch["image"][rows], training=False)))
                names += list(ids[rows])
            if len(names) >= most:
                break
    table = table.loc[names]
    return Watched(np.concatenate(images), {name: table[name].to_numpy() for name in labels})


def scores(representations: np.ndarray, labels: dict[str, np.ndarray], *, splits: int = 50, seed: int = 0) -> dict:
    """Scores how well labels can be predicted from representations (N, D) of the watched galaxies.

    Returns:
        `spread`, `effective_rank`, and for every label of at least 20 galaxies `knn NAME` with its 95% range over the
        splits (`low`, `high`) and `linear NAME`.
    """
    results = {"spread": spread(representations), "effective_rank": effective_rank(representations)}
    for name, values in labels.items():
        has_label = pd.notna(values)
        if has_label.sum() < 20:
            continue
        knn = knn_scores(representations[has_label], values[has_label], splits=splits, seed=seed)
        low, high = np.percentile(knn, (2.5, 97.5))
        results |= {f"knn {name}": knn.mean(), f"knn {name} low": low, f"knn {name} high": high}
        results[f"linear {name}"] = linear_scores(representations[has_label], values[has_label], seed=seed).mean()
    return {name: float(value) for name, value in results.items()}


def baselines(watched: Watched, encoders: dict[str, keras.Model], noise, seed: int = 0) -> dict[str, dict]:
    """Scores the baselines to beat: encoders by name, principal components, the most common class."""
    results = {
        name: scores(represented(encoder, watched), watched.labels, seed=seed) for name, encoder in encoders.items()
    }
    pixels = watched.images if noise is None else np.arcsinh(watched.images / np.asarray(noise, np.float32))
    results["pixels + PCA"] = scores(principal_components(pixels, seed=seed), watched.labels, seed=seed)
    classes = {name: pd.Series(values).dropna() for name, values in watched.labels.items() if is_class(values)}
    shares = {f"knn {name}": float(known.value_counts(normalize=True).max()) for name, known in classes.items()}
    results["most common class"] = {name: share for name, share in shares.items() if name in results["pixels + PCA"]}
    return results


def represented(encoder: keras.Model, watched: Watched) -> np.ndarray:
    """Representations (N, D) of the watched galaxies, without augmentation."""
    return encoder.predict(watched.images, batch_size=64, verbose=0)


def chance(method: str, *, queue: int | None, batch_size: int) -> float:
    """Loss of a guess: for MoCo ln(1 + queue), for SimCLR ln(2B − 1), for BYOL (any two directions, twice) 4."""
    return {"moco": math.log1p(queue or 0), "simclr": math.log(2 * batch_size - 1), "byol": 4.0}[method]


def alarms(row: dict, guess: float) -> list[str]:
    """Describes in words what is going wrong, if anything.

    Args:
        row: `loss`, `spread` and `effective_rank` of an epoch.
        guess: The loss of a guess (`chance`).
    """
    warnings = []
    if row["loss"] > 0.98 * guess:
        warnings.append(
            f"the loss {row['loss']:.3f} is that of a guess, {guess:.3f}: views of a galaxy are not recognised; "
            "try a larger learning rate or weaker augmentations"
        )
    if row["spread"] < 0.05 or row["effective_rank"] < 2:
        warnings.append(
            f"representations collapse: spread {row['spread']:.3f}, effective rank {row['effective_rank']:.1f}: "
            "all galaxies look alike to the encoder; try a smaller learning rate, a larger batch or a slower momentum"
        )
    return warnings
