"""Cameras: what a survey's pixels are like."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """One survey's imaging; every tuple follows `bands`.

    Attributes:
        survey: Key into `extinction.COEFFICIENTS`.
        bands: One letter per band.
        wavelengths: Effective wavelengths in Angstrom.
        pixel_scale: Arcsec per native pixel.
        fwhm: Median width of the point-spread function in arcsec.
        noise: Standard deviation of the empty sky in nanomaggies per native pixel (1.4826 MAD).
        sky: Surface brightness of the sky in AB mag per square arcsec; it sets the shot noise of sources.
        correlation: How far noise leaks into each neighbouring pixel, from resampling; 0 is white.
        background: What sky subtraction leaves over, as a fraction of the noise.
        limit: r magnitude of the faintest sources that show at all.
    """

    survey: str
    bands: str
    wavelengths: tuple[float, ...]
    pixel_scale: float
    fwhm: tuple[float, ...]
    noise: tuple[float, ...]
    sky: tuple[float, ...]
    correlation: float
    background: float
    limit: float

    def indices(self, bands):
        """Positions of `bands` in this camera, as an integer array."""
        missing = [b for b in bands if b not in self.bands]
        if missing:
            raise ValueError(f"camera {self.survey!r} has no band {missing[0]!r}; its bands: {self.bands}")
        return np.array([self.bands.index(b) for b in bands])


# SDSS: effective wavelengths of Fukugita et al. 1996; seeing and sky of the SDSS DR7 paper (Abazajian et al.
# 2009); frames are not resampled, so their noise is white.
SDSS = Camera(
    survey="sdss",
    bands="ugriz",
    wavelengths=(3551.0, 4686.0, 6166.0, 7480.0, 8932.0),
    pixel_scale=0.396,
    fwhm=(1.53, 1.44, 1.32, 1.26, 1.29),
    noise=(0.048, 0.018, 0.026, 0.042, 0.160),
    sky=(22.1, 21.8, 20.9, 20.3, 19.1),
    correlation=0.0,
    background=0.12,
    limit=22.6,
)

# DECam as coadded by the Legacy Surveys: depths and seeing of Dey et al. 2019 (AJ 157, 168); the
# noise per pixel and its correlation are as measured on public DR9 cutouts.
DECAM = Camera(
    survey="decals",
    bands="grz",
    wavelengths=(4770.0, 6420.0, 9170.0),
    pixel_scale=0.262,
    fwhm=(1.29, 1.18, 1.11),
    noise=(0.0019, 0.0029, 0.0070),
    sky=(22.0, 21.2, 19.0),
    correlation=0.2,
    background=0.04,
    limit=23.7,
)

CAMERAS = {"sdss": SDSS, "decals": DECAM}


def camera_for(bands):
    """The camera whose bands these are: DECam for *grz* alone, SDSS as soon as u or i is among them.

    Raises:
        ValueError: No camera takes all these bands.
    """
    for camera in (DECAM, SDSS):
        if bands and set(bands) <= set(camera.bands) and len(set(bands)) == len(bands):
            return camera
    raise ValueError(f"no camera takes bands {bands!r}; known: {', '.join(c.bands for c in CAMERAS.values())}")
