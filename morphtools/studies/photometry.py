"""Brightness and colours of galaxies, measured in round apertures on the images that networks see."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from photutils.aperture import CircularAperture

from morphtools.survey.extinction import transmission

SHARES = (1 / 16, 1 / 8, 1 / 4)  # radii of the apertures as fractions of the shorter side
_ZERO_POINT = 22.5  # of fluxes in nanomaggies; for other units, it cancels when magnitudes are compared


def aperture_fluxes(image: np.ndarray) -> np.ndarray:
    """Flux inside circles around the middle, of radii 1/16, 1/8 and 1/4 of the side.

    Missing pixels are taken to be as bright as the rest of their aperture.

    Args:
        image: (H, W, C) with the sky subtracted, NaN where missing.

    Returns:
        (3, C), NaN where an aperture has no pixel.
    """
    good = np.isfinite(image)
    weights = _weights(image.shape[:2])
    flux = np.tensordot(weights, np.where(good, image, 0), axes=2)
    covered = np.tensordot(weights, good.astype(float), axes=2)
    area = weights.sum(axis=(1, 2))[:, np.newaxis]
    return np.divide(flux * area, covered, out=np.full(flux.shape, np.nan), where=covered > 0)


def asinh_magnitude(flux, softening):
    """Magnitudes that are defined for zero and negative flux, unlike logarithms.

    Args:
        flux: In nanomaggies, any shape.
        softening: b, the flux around which the logarithm becomes a straight line; about its noise.

    Reference:
        Lupton, Gunn & Szalay 1999, arXiv:astro-ph/9903081, equation 3.
    """
    return _ZERO_POINT - 2.5 / np.log(10) * (np.arcsinh(flux / (2 * softening)) + np.log(softening))


def aperture_noise(shape: tuple[int, ...], noise: Sequence[float] | np.ndarray) -> np.ndarray:
    """(3, C) noise of `aperture_fluxes` of an image (H, W, C) whose pixels have independent `noise` (C,)."""
    return np.sqrt(_weights(shape[:2]).sum(axis=(1, 2)))[:, np.newaxis] * np.asarray(noise)


def magnitudes_and_colours(
    flux, softening, *, ebv=None, bands: Sequence[str] = (), survey: str | None = None
) -> np.ndarray:
    """Magnitudes and colours, from which photometric redshifts were derived before there were networks.

    Args:
        flux: (N, A, C) in A apertures and C bands, from blue to red.
        softening: (A, C) of the magnitudes, the same for all galaxies, so that they can be compared.
        ebv: (N,) E(B−V) of every galaxy, 0 where NaN, to correct its fluxes for extinction.
        bands: Names of the bands, for the dust.
        survey: Whose filters these are (see `transmission`).

    Returns:
        (N, A·C): for each aperture the asinh magnitude in the middle band, then the colours of neighbouring bands;
        NaN where there is no flux.
    """
    if ebv is not None:
        flux = flux / transmission(np.nan_to_num(ebv), bands=bands, survey=survey)[:, np.newaxis]
    magnitude = asinh_magnitude(flux, softening)
    middle, colours = flux.shape[2] // 2, magnitude[..., :-1] - magnitude[..., 1:]
    return np.concatenate([magnitude[..., middle : middle + 1], colours], axis=2).reshape(len(flux), -1)


@cache
def _weights(shape: tuple[int, int]) -> np.ndarray:
    """(3, H, W) fraction of every pixel that is inside each aperture."""
    centre = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    circles = (CircularAperture(centre, share * min(shape)) for share in SHARES)
    return np.stack([circle.to_mask(method="exact").to_image(shape) for circle in circles])
