"""Small sources of the mock sky, star-forming clumps, faint galaxies and stars, as round Gaussian blobs.

They are added in Fourier space, where a blob anywhere on the sky costs two short vectors and stays exact
however far below a pixel its size or its position lies.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from morphtools.sky.disks import spiral_angle
from morphtools.sky.galaxies import CLUMPS, NEIGHBOURS, streams, uniforms
from morphtools.sky.spectra import spectrum

_N_CLUMPS = 48
# Numbers per square arcmin brighter than r = 23.5 and slopes of log N(<r): galaxies, and stars at high
# Galactic latitude, about as SDSS and Legacy Surveys fields show.
_FAINT, _GALAXIES, _GALAXY_SLOPE, _STARS, _STAR_SLOPE = 23.5, 15.0, 0.36, 3.2, 0.18
_BRIGHTEST_GALAXY, _BRIGHTEST_STAR = 17.5, 13.0
_NOTHING = 1e-20  # nanomaggies; unused slots of a field have less


@dataclass(frozen=True)
class Blobs:
    """Round Gaussians: positions and widths in arcsec (N, K), fluxes in nanomaggies (N, C, K)."""

    x: np.ndarray
    y: np.ndarray
    sigma: np.ndarray
    flux: np.ndarray

    def spectrum(self, size, scale):
        """The blobs' discrete Fourier transform on an image's grid, complex64 (N, C, size, size // 2 + 1).

        Args:
            size: Pixels on a side; positions count from the image's middle.
            scale: (N,) arcsec per pixel.
        """
        out = np.empty((*self.flux.shape[:2], size, size // 2 + 1), np.complex64)
        # Trap: a BLAS shares products beyond some 2^16 multiplications among threads, which then wait for one
        # another (ten times slower on a busy machine). Blocks of rows stay well below. Nor are all galaxies done
        # together: a near one has a hundred times as many neighbours as most, whose slots would be empty.
        for k, flux in enumerate(self.flux.astype(np.float32)):
            used = flux.max(axis=0) > _NOTHING
            x, y, sigma = (a[k, used] / scale[k] for a in (self.x, self.y, self.sigma))
            rows = _waves(y, sigma, np.fft.fftfreq(size), size)
            weighted = _waves(x, sigma, np.fft.rfftfreq(size), size).T * flux[:, used, None]
            step = max(1, 2**15 // max(1, weighted.shape[-1] * weighted.shape[-2]))
            for top in range(0, size, step):
                np.matmul(rows[top : top + step], weighted, out=out[k, :, top : top + step])
        return out


def _waves(position, sigma, frequency, size):
    """exp(-2 pi i f x - 2 pi^2 sigma^2 f^2) of K blobs in pixels: complex64 (len(frequency), K)."""
    f = (2 * np.pi * frequency).astype(np.float32)[:, None]
    phase = f * (position + (size - 1) / 2).astype(np.float32)
    fade = np.exp(-((f * sigma.astype(np.float32)) ** 2) / 2)
    wave = np.empty(phase.shape, np.complex64)
    wave.real, wave.imag = np.cos(phase) * fade, -np.sin(phase) * fade
    return wave


def clumps(g, seed, galaxies):
    """Star-forming regions along the arms of disks and all over irregulars; unit total flux each galaxy."""
    a, b, c, d = np.moveaxis(uniforms(seed, galaxies, CLUMPS, (4, _N_CLUMPS)), 1, 0)
    h = np.asarray(g["scale_length"])[:, None]
    # Radii from x exp(-x) by the sum of two exponentials; too far out there is no gas.
    r = np.minimum(-0.9 * np.log(a * b), 4.5)
    m = np.maximum(g["arms"], 1)[:, None]
    arm = np.floor(c * m) * 2 * np.pi / m
    winding = spiral_angle(g, np.log(r + 0.08)[:, None, :].astype(np.float32))[:, 0]
    scatter = np.where(g["arms"] > 0, 0.15 + 0.25 * g["flocculence"], 4.0)[:, None]
    angle = winding + arm + scatter * ndtri(d)
    flux = 1 / (0.05 + np.modf(a * 1e4)[0])  # luminosities fall as L^-2, as those of HII regions do
    width = h * (0.03 + 0.06 * np.modf(b * 1e4)[0])
    major, minor = r * h * np.cos(angle), r * h * np.sin(angle) * g["axis_ratio"][:, None]
    turn_c, turn_s = np.cos(g["position_angle"])[:, None], np.sin(g["position_angle"])[:, None]
    x = major * turn_c - minor * turn_s + g["offset_x"][:, None]
    y = major * turn_s + minor * turn_c + g["offset_y"][:, None]
    return Blobs(x, y, width, (flux / flux.sum(axis=1, keepdims=True))[:, None, :])


def neighbours(seed, galaxies, *, field, camera, bands, crowding=1.0):
    """Faint galaxies and foreground stars around each galaxy.

    Args:
        seed: Seed of the survey.
        galaxies: (N,) the galaxies' numbers.
        field: (N,) side of the images in arcsec.
        camera: Whose wavelengths the colours are for.
        bands: Positions of the bands in the camera, (C,).
        crowding: Multiplies the numbers of sources; 0 for an empty field.

    Returns:
        Blobs with fluxes in every band: one for a star, four for a galaxy.
    """
    field = np.asarray(field, float)
    area = crowding * (field / 60) ** 2
    generators = streams(seed, galaxies, NEIGHBOURS)
    fields = [_field(rng, a, camera.limit) for rng, a in zip(generators, area, strict=True)]
    wavelengths = np.array(camera.wavelengths)[bands]
    longest = max([1, *(len(f) for f in fields)])
    table = np.zeros((len(fields), longest, 8))
    table[..., 0] = 99.0  # magnitude of an unused slot
    for row, sources in zip(table, fields, strict=True):
        row[: len(sources)] = sources
    return _blobs(table, field, wavelengths)


def _field(rng, area, limit):
    """Sources of one field: magnitude, is it a star, x and y (fractions of the field), four uniforms."""
    n_galaxies = rng.poisson(_GALAXIES * 10 ** (_GALAXY_SLOPE * (limit - _FAINT)) * area)
    n_stars = rng.poisson(_STARS * 10 ** (_STAR_SLOPE * (limit - _FAINT)) * area)
    rows = rng.random((n_galaxies + n_stars, 8))
    slope = np.where(np.arange(len(rows)) < n_galaxies, _GALAXY_SLOPE, _STAR_SLOPE)
    brightest = np.where(slope == _GALAXY_SLOPE, _BRIGHTEST_GALAXY, _BRIGHTEST_STAR)
    rows[:, 0] = np.maximum(limit + np.log10(rows[:, 0]) / slope, brightest)
    rows[:, 1] = np.arange(len(rows)) >= n_galaxies
    return rows


def _blobs(table, field, wavelengths):
    """Stars as black bodies and galaxies as four Gaussians along their major axis."""
    magnitude, star, x, y, u1, u2, u3, u4 = np.moveaxis(table, -1, 0)
    x, y = (x - 0.5) * field[:, None], (y - 0.5) * field[:, None]
    colour = np.where(star[..., None] > 0, _star_colour(u1, wavelengths), _galaxy_colour(u1, magnitude, wavelengths))
    flux = np.moveaxis(10 ** (-0.4 * (magnitude[..., None] + colour - 22.5)), -1, 1)
    # Median half-light radii of field galaxies shrink with magnitude; scatter of a factor 1.5.
    radius = 0.75 * 10 ** (-0.13 * (magnitude - 21)) * np.exp(0.4 * ndtri(np.clip(u2, 1e-6, 1 - 1e-6)))
    radius = np.where(star > 0, 0, np.minimum(radius, 2.2))
    along, pa = 0.9 * u3 * radius, 2 * np.pi * u4
    weights, widths, places = (0.25, 0.3, 0.3, 0.15), (0.2, 0.45, 0.45, 1.1), (0, 1, -1, 0)
    parts = [
        (x + place * along * np.cos(pa), y + place * along * np.sin(pa), width * radius, weight * flux)
        for weight, width, place in zip(weights, widths, places, strict=True)
    ]
    return Blobs(*(np.concatenate(p, axis=-1) for p in zip(*parts, strict=True)))


def _star_colour(u, wavelengths):
    """Magnitudes relative to r of black bodies of 3100 to 8000 K, cool ones more common."""
    temperature = (3100 + 4900 * u**1.5)[..., None]

    def magnitude(angstrom):
        x = 1.4388e8 / (angstrom * temperature)
        return -2.5 * np.log10(1 / (angstrom**3 * np.expm1(x)))

    return magnitude(wavelengths) - magnitude(6166.0)


def _galaxy_colour(u, magnitude, wavelengths):
    """Magnitudes relative to r of field galaxies: fainter ones younger and farther."""
    age = np.clip(2.6 * u**0.8 + 0.05 * (magnitude - 20), 0, 2.6)
    stretch = 1 + np.clip(0.12 + 0.08 * (magnitude - 18), 0.05, 0.7)
    emitted = spectrum(age, wavelengths / stretch[..., None])
    return emitted - spectrum(age, 6166.0 / stretch[..., None])
