"""From nanomaggies to pictures: the published stretches to red, green and blue.

Every function takes `images` of shape (..., H, W, C) in nanomaggies and the names of its C `bands`, and
returns float32 (..., H, W, 3) between 0 and 1. NaN pixels (no data) come out black.
"""

from functools import partial

import numpy as np

# Which band shows as red, green, blue: the longest wavelengths a survey's own pictures use.
_RGB_BANDS = ("irg", "zrg")


def _planes(images, bands, choices=_RGB_BANDS):
    """The bands shown as red, green and blue, as a float32 (..., H, W, 3) copy, with their names."""
    images = np.asarray(images, np.float32)
    if images.ndim < 3 or images.shape[-1] != len(bands):
        raise ValueError(f"images of shape {images.shape} do not end in the {len(bands)} bands {bands!r}")
    for rgb in choices:
        if set(rgb) <= set(bands):
            return np.nan_to_num(images[..., [bands.index(b) for b in rgb]]), rgb
    raise ValueError(f"cannot make red, green and blue from bands {bands!r}; needed: {' or '.join(choices)}")


def _shared_asinh(images, bands, choices, scales, m, q):
    """Lupton-like colours: one asinh of the mean intensity scales all three channels alike."""
    rgb, names = _planes(images, bands, choices)
    rgb = rgb * np.array([scales[b] for b in names], np.float32) + np.float32(m)
    intensity = np.maximum(rgb, 0).mean(axis=-1, keepdims=True)
    gain = np.arcsinh(q * intensity) / np.sqrt(q) / np.maximum(intensity, 1e-6)
    return np.clip(rgb * gain, 0, 1).astype(np.float32)


def sdss_rgb(images, *, bands="gri"):
    """The SDSS-like colours of the Legacy Surveys viewer; i, r, g shown as red, green, blue.

    Reference:
        legacysurvey/imagine, `sdss_rgb`: g 2.5, r 1.5, i 1.0; m = 0.02; Q = 20. With its z (0.4) in place of i
        galaxies come out cyan, so there is none here.
    """
    return _shared_asinh(images, bands, ("irg",), {"g": 2.5, "r": 1.5, "i": 1.0}, 0.02, 20.0)


def dr2_rgb(images, *, bands="grz"):
    """The grz colours of the Legacy Surveys since DR2; z, r, g shown as red, green, blue.

    Reference:
        legacysurvey/imagine, `dr2_rgb`: g 6.0, r 3.4, z 2.2; m = 0.03; Q = 20.
    """
    return _shared_asinh(images, bands, ("zrg",), {"g": 6.0, "r": 3.4, "z": 2.2}, 0.03, 20.0)


def gz_decals(images, *, bands="grz"):
    """The colours the volunteers of Galaxy Zoo DECaLS saw: asinh per band, then weakly coloured noise greyed.

    Reference:
        Walmsley et al. 2022 (MNRAS 509, 3966); the mapping runs from asinh(-0.5) to asinh(300).
    """
    rgb, _ = _planes(images, bands, ("zrg",))
    low, high = np.arcsinh(-0.5), np.arcsinh(300.0)
    rgb = (np.arcsinh(rgb / np.array([0.019, 0.014, 0.008], np.float32)) - low) / (high - low)
    grey = rgb.mean(axis=-1, keepdims=True)
    # Trap: the ratio is only a colour where there is light; a non-positive mean is treated as grey.
    lit = grey > 1e-6
    ratio = np.where(lit, rgb / np.where(lit, grey, 1), 1).max(axis=-1, keepdims=True)
    w = np.sin((1 - np.minimum(ratio / 2.5, 1)) * np.pi / 2)
    return np.clip(rgb * w + grey * (1 - w) + grey * (1 - w) ** 2 * rgb, 0, 1).astype(np.float32)


def asinh(images, *, bands="grz", softening=0.02, white=5.0):
    """One asinh per band, from 0 to `white` nanomaggies a pixel, linear below `softening`.

    Reference:
        Lupton, Gunn & Szalay 1999 (AJ 118, 1406), eq. 3, without the magnitude zero point.
    """
    rgb, _ = _planes(images, bands)
    return np.clip(np.arcsinh(rgb / softening) / np.arcsinh(white / softening), 0, 1).astype(np.float32)


def lupton(images, *, bands="grz", stretch=0.5, q=8.0):
    """Colours of Lupton et al. 2004 as astropy draws them, 8-bit levels divided by 255.

    Reference:
        Lupton et al. 2004 (PASP 116, 133); `astropy.visualization.make_lupton_rgb`.
    """
    from astropy.visualization import make_lupton_rgb

    rgb, _ = _planes(images, bands)
    # astropy draws one picture at a time but works pixel by pixel: a stack is drawn as one tall picture.
    tall = rgb.reshape(-1, rgb.shape[-2], 3)
    with np.errstate(invalid="ignore", divide="ignore"):  # astropy divides by the intensity where there is none
        drawn = make_lupton_rgb(tall[..., 0], tall[..., 1], tall[..., 2], stretch=stretch, Q=q)
    return (drawn.reshape(rgb.shape) / np.float32(255)).astype(np.float32)


def grey(images, *, sky, noise):
    """One band as a grey picture: linear at the noise, logarithmic above; the sky is 0, 300 times the noise 1.

    Args:
        images: (..., H, W, 1) in any unit.
        sky: Level of the sky.
        noise: Its standard deviation.

    Returns:
        float32 (..., H, W, 3), the same in all three.
    """
    plane = np.nan_to_num((np.asarray(images, np.float32) - np.float32(sky)) / np.float32(noise))
    return np.repeat(np.clip(np.arcsinh(plane) / np.arcsinh(np.float32(300.0)), 0, 1), 3, axis=-1).astype(np.float32)


STRETCHES = {
    "asinh": asinh,
    "dr2_rgb": dr2_rgb,
    "gz_decals": gz_decals,
    "lupton": lupton,
    "sdss_rgb": sdss_rgb,
}


def survey_stretch(bands):
    """The name of the stretch for a survey in these bands: sdss_rgb if i is among them, otherwise dr2_rgb."""
    return "sdss_rgb" if "i" in bands else "dr2_rgb"


def stretches_for(bands):
    """The stretches that can show these bands.

    Args:
        bands: Names of the C bands.

    Returns:
        By name, functions from nanomaggies (..., H, W, C) to a picture (..., H, W, 3); empty if the bands are not
        those of a survey.
    """
    usable = {}
    for name, function in STRETCHES.items():
        try:
            function(np.zeros((2, 2, len(bands)), np.float32), bands=tuple(bands))
        except ValueError:
            continue
        usable[name] = partial(function, bands=tuple(bands))
    return usable
