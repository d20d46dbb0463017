"""Baselines for redshift networks: one PDF for all, nearest neighbours, and boosted trees on magnitudes.

Every baseline fits the same training galaxies as the network, may look at the same validation galaxies, and gives a
PDF for every test galaxy.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from morphtools.answers.redshift_neighbours import kernel_pdf, nearest_rows, neighbour_pdf, training_pdf
from morphtools.answers.redshifts import Redshifts
from morphtools.explore.pca import fit_pca
from morphtools.explore.pictures import Pictures, pixel_noise
from morphtools.inference.representations import Representations
from morphtools.studies.photometry import aperture_fluxes, aperture_noise, magnitudes_and_colours
from tfrecords_builder.images import Image
from tfrecords_builder.pixels import to_pixels
from tfrecords_builder.progress import progress_bar

_COMPONENTS = 40  # principal components of representations
_NOISE_FROM = 256  # galaxies


def baseline_redshifts(
    galaxies: pd.DataFrame,
    edges: np.ndarray,
    *,
    pictures: Pictures | None = None,
    survey: str | None = None,
    representations: Mapping[str, Representations] | None = None,
    seed: int = 0,
) -> dict[str, Redshifts]:
    """Redshifts by every baseline whose inputs are available.

    Args:
        galaxies: Indexed by `id_str`, with `split`, `redshift`, and `ebv` where E(B−V) is known.
        edges: (B+1,) of the redshift bins.
        pictures: Where the images are, for magnitudes.
        survey: Whose filters these are, to deredden magnitudes (see `morphtools.survey.extinction`); None leaves them.
        representations: Stores by name.
        seed: Seed of the folds in which boosted trees are tested.

    Returns:
        By name, the redshifts of the test galaxies.
    """
    train, val = ((galaxies["split"] == split).to_numpy() for split in ("train", "val"))
    if not train.any() or not val.any():
        raise ValueError("baselines need galaxies of the splits 'train' and 'val' with redshifts")
    z, asked = galaxies["redshift"].to_numpy(float), (galaxies["split"] == "test").to_numpy()
    pdfs = {"mean": np.tile(training_pdf(z[train], edges), (asked.sum(), 1))}

    def neighbours(x):
        validation = {"validation": x[val], "validation_redshift": z[val]}
        return neighbour_pdf(x[train], z[train], x[asked], edges, **validation)

    if pictures is not None:
        ebv = galaxies["ebv"].to_numpy(float) if survey is not None and "ebv" in galaxies else None
        x = measure(pictures, galaxies.index, ebv, survey)
        pdfs["neighbours of magnitudes"] = neighbours(scaled(x, train))
        pdfs["boosting of magnitudes"] = boosted_pdf(x[train], z[train], x[asked], edges, seed=seed)
    for name, store in (representations or {}).items():
        pdfs[f"neighbours of {name}"] = neighbours(reduced(store, galaxies.index, train))
    ids = galaxies.index[asked].to_numpy()
    return {name: Redshifts(ids, pdf, edges, "mean", z[asked], {"baseline": name}) for name, pdf in pdfs.items()}


def boosted_pdf(known, redshift, asked, edges, *, seed: int = 0) -> np.ndarray:
    """PDFs by gradient boosting: around each estimate, the errors of similar estimates.

    Trees estimate ln(1 + z). Training galaxies are estimated by trees fitted to the other four fifths; the PDF of a
    galaxy consists of the errors of the tenth of the training galaxies (5 to 100) whose estimates are closest to its
    own.

    Args:
        known: (N, D) features of galaxies with known redshifts, NaN where missing.
        redshift: (N,).
        asked: (n, D) features of others.
        edges: (B+1,) of the redshift bins.
        seed: Seed of the folds.

    Returns:
        (n, B).
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import KFold, cross_val_predict

    with np.errstate(invalid="ignore"):
        varies = np.fmax.reduce(known, axis=0) > np.fmin.reduce(known, axis=0)
    known, asked = known[:, varies], asked[:, varies]  # trees cannot bin a column without two values
    y, number = np.log1p(redshift), len(known)
    trees = HistGradientBoostingRegressor(min_samples_leaf=int(np.clip(number // 10, 2, 20)), random_state=seed)
    folds = KFold(min(5, number), shuffle=True, random_state=seed)
    unseen = cross_val_predict(trees, known, y, cv=folds)
    estimate = trees.fit(known, y).predict(asked)
    rows = nearest_rows(unseen[:, np.newaxis], estimate[:, np.newaxis], int(np.clip(number // 10, 5, 100)))
    values = np.expm1(estimate[:, np.newaxis] + (y - unseen)[rows])
    return kernel_pdf(values, edges, training_pdf(redshift, edges), 1 / (number + 1))


def measure(pictures: Pictures, ids: pd.Index, ebv=None, survey: str | None = None) -> np.ndarray:
    """(N, 3C) asinh magnitudes and colours of galaxies; NaN without an image.

    Args:
        pictures: Where the images are.
        ids: (N,) names.
        ebv: (N,) E(B−V), to deredden them.
        survey: Whose filters these are.
    """
    fluxes, noises, bands = {}, [], tuple(pictures.bands or ())
    images = progress_bar(pictures.images(ids), "measuring magnitudes", total=len(ids), unit="galaxy")
    for row, image in enumerate(images):
        if not isinstance(image, Image):
            continue
        pixels, bands = to_pixels(image), bands or image.bands or ()
        if isinstance(image.data, bytes):  # the sky of a picture is not black
            pixels = pixels - np.median(pixels, axis=(0, 1))
        fluxes[row] = aperture_fluxes(pixels)
        if len(noises) < _NOISE_FROM:
            noises.append(aperture_noise(pixels.shape, pictures.noise or pixel_noise(pixels)))
    if not fluxes:
        raise ValueError("there are no images to measure magnitudes in")
    softening = np.median(noises, axis=0)
    flux = np.full((len(ids), *softening.shape), np.nan)
    flux[list(fluxes)] = list(fluxes.values())
    return magnitudes_and_colours(flux, softening, ebv=ebv, bands=bands, survey=survey)


def scaled(features: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Scales features to equal spread over the training galaxies; missing values become their median."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import RobustScaler

    steps = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), RobustScaler())
    return steps.fit(features[train]).transform(features)


def reduced(store: Representations, ids: pd.Index, train: np.ndarray) -> np.ndarray:
    """Up to 40 principal components, fitted to the training galaxies; galaxies not in the store get their mean."""
    store = Representations.open(store)
    rows = pd.Index(store.id_str).get_indexer(ids)
    keep = np.zeros(len(store), bool)
    keep[rows[train & (rows >= 0)]] = True
    if keep.sum() < 3:
        raise ValueError(f"{store.folder} has representations of only {keep.sum()} of the training galaxies")
    projection = fit_pca(store, components=min(_COMPONENTS, store.dimension, int(keep.sum()) - 1), keep=keep)
    values = np.tile(projection.mean.astype(np.float32), (len(ids), 1))
    values[rows >= 0] = store.values()[rows[rows >= 0]]
    return projection(values)
