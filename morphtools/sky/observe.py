"""The telescope of the mock sky: seeing, Galactic dust and noise."""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from morphtools.sky.galaxies import CONDITIONS, NOISE, streams
from morphtools.sky.light import component_shares, planes
from morphtools.sky.sources import clumps, neighbours
from morphtools.sky.spectra import component_fluxes
from morphtools.survey.extinction import transmission

NARROWEST = 2.5  # pixels; coarser images are resampled from finer ones, which cannot hold a sharper star
MARGIN = 8  # pixels rendered around an image and cut off, so that light does not wrap around in the convolution


def moffat_transfer(size, fwhm):
    """Fourier transform of a Moffat profile with beta = 3.5, of unit flux.

    Args:
        size: Pixels on a side.
        fwhm: Full widths at half maximum in pixels, any shape (...,).

    Returns:
        float32 (..., size, size // 2 + 1), 1 at frequency zero.

    Reference:
        Moffat 1969 (A&A 3, 455); the transform (k a)^(beta-1) K_(beta-1)(k a), elementary for half-integer
        orders: (1 + x + x^2 / 3) exp(-x) with x = k a.
    """
    rows, columns = np.abs(np.fft.fftfreq(size)[:, None]), np.fft.rfftfreq(size)[None, :]
    cycles = np.hypot(rows, columns).astype(np.float32)
    alpha = np.maximum(fwhm, NARROWEST) / (2 * np.sqrt(2 ** (1 / 3.5) - 1))
    x = 2 * np.float32(np.pi) * cycles * np.asarray(alpha, np.float32)[..., None, None]
    # A soft cut below the Nyquist frequency (0.5), and nothing at it, where a shift by part of a pixel has no meaning:
    # otherwise a star of 13 mag rings across the whole image at ten times the noise.
    below = np.exp(-((cycles / np.float32(0.4)) ** 8)) * ((rows < 0.5) & (columns < 0.5))
    return (1 + x + x * x / 3) * np.exp(-x) * below


@dataclass(frozen=True)
class Conditions:
    """Observing conditions; every array starts with (N, C).

    Attributes:
        fwhm: Seeing in arcsec.
        noise: Standard deviation of the empty sky in nanomaggies per pixel.
        background: (N, C, 3) what is left of the sky after its subtraction, nanomaggies per pixel: its value
            in the middle of the image, and its rise from there to the right and the upper edge.
    """

    fwhm: np.ndarray
    noise: np.ndarray
    background: np.ndarray

    def rows(self, index):
        """The conditions of some of the galaxies."""
        return Conditions(self.fwhm[index], self.noise[index], self.background[index])


def draw_conditions(seed, galaxies, *, camera, bands, scale, depth=1.0):
    """Seeing, depth and background of every galaxy's exposures.

    Seeing scatters by 9% from field to field and 3% from band to band, noise by 20% and 7%.

    Args:
        seed: Seed of the survey.
        galaxies: (N,) the galaxies' numbers.
        camera: The camera.
        bands: (C,) positions of the wanted bands in the camera.
        scale: (N,) arcsec per pixel.
        depth: Divides the noise: 2 is a survey 0.75 mag deeper.
    """
    shape = (5, 1 + len(camera.bands))
    draws = np.array([rng.standard_normal(shape) for rng in streams(seed, galaxies, CONDITIONS)])
    common, single = draws[:, :, :1], draws[:, :, 1:][:, :, bands]
    fwhm = np.array(camera.fwhm)[bands] * np.exp(0.09 * common[:, 0] + 0.03 * single[:, 0])
    # The noise of a sum of pixels grows with its side: sky counts grow with the area.
    noise = np.array(camera.noise)[bands] / depth * (np.asarray(scale)[:, None] / camera.pixel_scale)
    noise = noise * np.exp(0.20 * common[:, 1] + 0.07 * single[:, 1])
    background = camera.background * noise[..., None] * np.moveaxis(single[:, 2:], 1, -1)
    return Conditions(fwhm, noise, background)


def expose(g, seed, galaxies, *, camera, bands, size, scale, fwhm, crowding=1.0):
    """Noiseless images of galaxies, blurred and reddened.

    Args:
        g: Latents of the N galaxies.
        seed: Seed of the survey.
        galaxies: (N,) the galaxies' numbers.
        camera: The camera.
        bands: (C,) positions of the wanted bands in the camera.
        size: Pixels on a side of the images.
        scale: (N,) arcsec per pixel.
        fwhm: (N, C) seeing in arcsec.
        crowding: Density of stars and faint galaxies relative to a high-latitude field.

    Returns:
        float32 (N, C, size, size) in nanomaggies per pixel.
    """
    padded = fft.next_fast_len(size + 2 * MARGIN, real=True)
    wavelengths = np.array(camera.wavelengths)[bands]
    shares, ages = component_shares(g)
    red = camera.wavelengths[camera.bands.index("r")]
    flux = component_fluxes(ages, shares, g["redshift"], wavelengths, red, g["magnitude"])
    flux = flux.astype(np.float32)
    light, dust, merging = planes(g, padded, scale)
    images = np.einsum("nck,nkyx->ncyx", flux[:, :, :4], light)
    images[g["merger"]] += np.einsum("nck,nkyx->ncyx", flux[g["merger"], :, 4:6], merging)
    dusty = np.flatnonzero(g["dust"] > 0)
    # Charlot & Fall 2000 (ApJ 539, 718): optical depth ~ wavelength^-0.7; a seventh of the stars in front.
    law = ((wavelengths / red) ** -0.7).astype(np.float32)
    images[dusty] *= 0.15 + 0.85 * np.exp(-dust[dusty, None] * law[:, None, None])
    transfer = fft.rfft2(images)
    clumpy = np.flatnonzero(g["clump_fraction"] > 0)
    if len(clumpy):
        some = {name: values[clumpy] for name, values in g.items()}
        spots = clumps(some, seed, np.asarray(galaxies)[clumpy]).spectrum(padded, scale[clumpy])
        transfer[clumpy] += spots * flux[clumpy, :, -1, None, None]
    if crowding > 0:
        others = neighbours(seed, galaxies, field=padded * scale, camera=camera, bands=bands, crowding=crowding)
        transfer += others.spectrum(padded, scale)
    through = transmission(g["ebv"], bands=[camera.bands[b] for b in bands], survey=camera.survey)
    transfer *= moffat_transfer(padded, fwhm / scale[:, None]) * through[..., None, None].astype(np.float32)
    cut = slice((padded - size) // 2, (padded - size) // 2 + size)
    return fft.irfft2(transfer, s=(padded, padded))[..., cut, cut]


def add_noise(images, seed, galaxies, *, camera, bands, scale, conditions):
    """Sky and photon noise and the background, in place.

    Counts are high enough for Poisson noise to be Gaussian: an empty sky of variance s^2 and surface
    brightness B has gain B / s^2, so that a source of brightness f adds the variance s^2 f / B.

    Args:
        images: (N, C, size, size) noiseless, nanomaggies.
        seed: Seed of the survey.
        galaxies: (N,) the galaxies' numbers.
        camera: The camera.
        bands: (C,) positions of the bands in the camera.
        scale: (N,) arcsec per pixel.
        conditions: Noise and background.
    """
    sky = 10 ** (-0.4 * (np.array(camera.sky)[bands] - 22.5)) * np.asarray(scale)[:, None] ** 2
    size = images.shape[-1]
    drawn = size + (2 if camera.correlation else 0)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    for k, rng in enumerate(streams(seed, galaxies, NOISE)):
        # All the camera's bands are drawn, so that g looks the same alone and among u, r, i and z.
        draws = rng.standard_normal((len(camera.bands), drawn, drawn), np.float32)[bands]
        sigma, bright = (np.asarray(a[k], np.float32)[:, None, None] for a in (conditions.noise, sky))
        level, right, up = np.moveaxis(conditions.background[k].astype(np.float32), -1, 0)[..., None, None]
        noise = np.maximum(images[k], 0)
        noise *= sigma**2 / bright
        noise += sigma**2
        np.sqrt(noise, out=noise)
        noise *= _correlate(draws, camera.correlation) if camera.correlation else draws
        images[k] += noise
        images[k] += level + right * ramp + up * ramp[:, None]
    return images


def _correlate(white, a):
    """White noise (..., H + 2, W + 2) smoothed by (a, 1, a) both ways, its variance kept; (..., H, W)."""
    rows = white[..., 1:-1, :] + a * (white[..., :-2, :] + white[..., 2:, :])
    both = rows[..., 1:-1] + a * (rows[..., :-2] + rows[..., 2:])
    return both / np.float32(1 + 2 * a * a)
