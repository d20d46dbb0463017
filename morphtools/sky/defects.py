"""What goes wrong in imaging: missing data, trails, cosmic rays, saturated stars."""

import numpy as np

from morphtools.sky.galaxies import ARTIFACTS, streams, uniforms


def _missing_band(image, rng, noise, fwhm):
    image[rng.integers(len(image))] = 0


def _field_edge(image, rng, noise, fwhm):
    """Nothing beyond a straight line: the edge of the survey or of a detector."""
    image[:, _distance(image, rng, 0.15, 0.45) > 0] = 0


def _bad_columns(image, rng, noise, fwhm):
    size = image.shape[-1]
    start = rng.integers(size - 3)
    image[rng.integers(len(image)), :, start : start + rng.integers(1, 4)] = 0


def _cosmic_rays(image, rng, noise, fwhm):
    """Short sharp tracks in one band: no lens has blurred them."""
    band, size = rng.integers(len(image)), image.shape[-1]
    for _ in range(rng.integers(1, 6)):
        length, angle = rng.integers(2, max(4, size // 6)), 2 * np.pi * rng.random()
        steps = rng.random(2)[:, None] * size + np.arange(length) * np.array([[np.sin(angle)], [np.cos(angle)]])
        row, col = np.clip(steps.astype(int), 0, size - 1)
        image[band, row, col] += noise[band] * rng.uniform(30, 300)


def _satellite(image, rng, noise, fwhm):
    """A straight trail across one band, as wide as the seeing, sometimes two of them side by side."""
    band = rng.integers(len(image))
    away = _distance(image, rng, -0.35, 0.35)
    trail = np.exp(-0.5 * (away / (0.6 * fwhm[band])) ** 2)
    image[band] += noise[band] * rng.uniform(8, 60) * trail


def _saturated_star(image, rng, noise, fwhm):
    """A star beyond full well: flat core, wide halo, diffraction spikes, charge bleeding along its column."""
    size = image.shape[-1]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    row, col = rng.uniform(0.0, 1.0, 2) * size
    if max(abs(row / size - 0.5), abs(col / size - 0.5)) < 0.2:  # not on top of the galaxy: then beside it
        row = 0.1 * size
    dx, dy = np.abs(x - col), np.abs(y - row)
    radius = np.hypot(dx, dy)
    full, colour = rng.uniform(3e3, 2e4), rng.uniform(0.6, 1.4, len(image))
    for band, width in enumerate(fwhm):
        level = noise[band] * full * colour[band]
        halo = (1 + (radius / width) ** 2) ** -1.5
        spikes = np.exp(-((np.minimum(dx, dy) / (0.35 * width)) ** 2)) / (1 + (radius / width) ** 2)
        star = level * (halo + 0.15 * spikes)
        full_well = 0.15 * level
        bled = (dx < 0.5 * width) & (dy < rng.uniform(2, 8) * width)
        image[band] += np.minimum(np.where(bled, full_well, star), full_well)


def _distance(image, rng, nearest, farthest):
    """Signed distance (pixels) of every pixel from a random line this far (image sides) from the middle."""
    size = image.shape[-1]
    steps = np.arange(size, dtype=np.float32) - (size - 1) / 2
    angle = 2 * np.pi * rng.random()
    away = rng.uniform(nearest, farthest) * size
    return steps * np.float32(np.cos(angle)) + steps[:, None] * np.float32(np.sin(angle)) - np.float32(away)


ARTIFACT_KINDS = {
    "missing_band": _missing_band,
    "field_edge": _field_edge,
    "bad_columns": _bad_columns,
    "cosmic_rays": _cosmic_rays,
    "satellite": _satellite,
    "saturated_star": _saturated_star,
}


def draw_artifacts(seed, galaxies, rate):
    """Name of the artefact in each galaxy's image, an empty string for most; array of str (N,)."""
    if not 0 <= rate <= 1:
        raise ValueError(f"artifact_rate must be from 0 to 1, got {rate}")
    kinds = list(ARTIFACT_KINDS)
    draws = uniforms(seed, galaxies, ARTIFACTS, 2)
    chosen = np.array(kinds)[(draws[:, 1] * len(kinds)).astype(int)]
    return np.where(draws[:, 0] < rate, chosen, "")


def add_artifacts(images, seed, galaxies, kinds, *, noise, fwhm):
    """Draw the artefacts into the images, in place.

    Args:
        images: (N, C, size, size) in nanomaggies per pixel.
        seed: Seed of the survey.
        galaxies: (N,) the galaxies' numbers.
        kinds: (N,) names as `draw_artifacts` returns them.
        noise: (N, C) noise per pixel.
        fwhm: (N, C) seeing in pixels.
    """
    spoilt = np.flatnonzero(kinds != "")
    for k, rng in zip(spoilt, streams(seed, np.asarray(galaxies)[spoilt], ARTIFACTS), strict=True):
        rng.random(2)  # spent on whether and which
        ARTIFACT_KINDS[str(kinds[k])](images[k], rng, noise[k], fwhm[k])
    return images
