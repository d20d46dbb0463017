"""Disks seen at an angle: spiral arms, clouds, rings and dust in the plane of the disk."""

from functools import lru_cache
from math import pi, sqrt

import numpy as np
from scipy.special import erfcx, ive

_TILE = 256


def column(values):
    """(N,) to float32 (N, 1, 1), to stand against planes."""
    return np.asarray(values, np.float32)[:, None, None]


def turned(x, y, angle, q):
    """Coordinates along the major axis and, deprojected by the axis ratio `q`, along the minor axis."""
    c, s = column(np.cos(angle)), column(np.sin(angle))
    return x * c + y * s, (y * c - x * s) / column(q)


@lru_cache(maxsize=1)
def _textures():
    """Eight Gaussian random fields (8, 256, 256), periodic, of zero mean and unit variance.

    A power spectrum k^-2.2 between cloud-sized and tile-sized scales, much as HI maps of spirals have.
    """
    rng = np.random.default_rng(20130415)  # any constant: the clouds are a stencil, not a draw of the survey
    k = np.hypot(np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE)[None, :]) * _TILE
    amplitude = np.where(k < 2, 0, np.maximum(k, 1) ** -1.1) * np.exp(-((k / 80) ** 2))
    fields = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((8, _TILE, _TILE))) * amplitude)
    return (fields / fields.std(axis=(1, 2), keepdims=True)).astype(np.float32)


def texture(g, angle, log_radius, layer):
    """Nearest-neighbour look-up of the textures at an angle (rad, periodic) and the logarithm of a radius."""
    tiles = _textures().reshape(-1)
    turns = column(g["arm_phase"] * (layer + 1)) + angle
    u = (turns * np.float32(_TILE / (2 * pi))).astype(np.int32) & (_TILE - 1)
    v = (log_radius * np.float32(_TILE / 5.0)).astype(np.int32) & (_TILE - 1)
    tile = (np.asarray(g["bar_angle"] * 1e4, np.int32)[:, None, None] + layer) % 8
    return tiles[(tile * _TILE + v) * _TILE + u]


def spiral_angle(g, log_radius):
    """Position angle of the first arm in the disk's plane at the logarithm of the radius in scale lengths."""
    # A slow wobble breaks the perfect logarithmic spiral, as in nearly every real one.
    phase = column(3 * g["tail_phase"])
    wobble = 0.30 * np.sin(2.2 * log_radius + phase) + 0.12 * np.sin(5.1 * log_radius + 2 * phase)
    return column(g["handedness"] / np.tan(g["pitch"])) * log_radius + column(g["arm_phase"]) + wobble


def inclined_disk(g, x, y):
    """Old disk and young arms and rings of an inclined disk per square arcsec; its dust's optical depth."""
    h = column(g["scale_length"])
    major, minor = turned(x, y, g["position_angle"], g["axis_ratio"])
    major = major + column(g["lopsidedness"]) * np.sqrt(major**2 + minor**2)
    r = np.sqrt(major**2 + minor**2) / h
    angle = np.arctan2(minor, major)
    log_r = np.log(r + np.float32(0.08))
    unwound = angle - spiral_angle(g, log_r)
    arms, lag = _arm_pattern(g, r, angle, unwound)
    rough = column(g["flocculence"] + 0.4 * g["irregular"])
    clouds = texture(g, unwound, log_r + 4, 0)
    clumpy = np.exp(rough * clouds - rough**2 / 2)
    norm = 2 * pi * h**2 * column(g["axis_ratio"])
    contrast = column(g["arm_contrast"])
    falling = np.exp(-r)
    disk = falling * (1 + 0.35 * contrast * (arms - 1)) * (0.75 + 0.25 * clumpy) / norm
    hole, missing = _hole(g, r)
    young = np.exp(-r / 1.2) * (1 + contrast * (arms - 1)) * clumpy * hole / (norm * column(1.44 - missing))
    share = column(g["ring_fraction"] / (0.15 + 0.45 * g["arm_contrast"] + g["ring_fraction"] + 1e-9))
    young = (1 - share) * young + share * _rings(g, r * h, angle) * (0.6 + 0.4 * clumpy)
    # Dust lies on the inner edge of the arms, in the same clouds.
    patches = np.clip(0.25 + lag * contrast + 0.5 * rough * clouds, 0, 3)
    # Lopsided radii r sqrt(1 + 2 e cos + e^2) enlarge every area by 1 / (1 - e^2).
    lopsided = 1 - column(g["lopsidedness"]) ** 2
    return disk * lopsided, young * lopsided, column(g["dust"]) * np.exp(-r / 1.5) * hole * patches


def _hole(g, r):
    """Where young stars are missing, around bar and bulge: a factor 0..1, and the light lost.

    They have a scale length of 1.2 h, farther out than the old stars. The light missing, in units of 2 pi
    h^2, is the integral of r exp(-r / 1.2 - r^2 / a^2).
    """
    a = np.maximum(0.35, 0.8 * g["bar_length"] / g["scale_length"])
    a = np.where(g["irregular"], 1e-3, a)
    t = a / 2.4
    return 1 - np.exp(-((r / column(a)) ** 2)), a**2 / 2 * (1 - sqrt(pi) * t * erfcx(t))


def _arm_pattern(g, r, angle, unwound):
    """Azimuthal pattern of the arms, mean 1, and the same pattern lagging behind, for the dust."""
    m, kappa = column(g["arms"]), column(g["arm_sharpness"])
    phase = m * unwound
    start = column(np.maximum(0.25, 0.8 * g["bar_length"] / g["scale_length"]))
    reached = (m > 0) * np.minimum(r / start, 1) ** 2 / (1 + (r * r / 16) ** 2)
    unit = column(1 / ive(0, g["arm_sharpness"]))
    # One arm is brighter than the others, and each comes and goes along its length.
    uneven = 1 + column(0.35 * (g["arms"] > 1)) * np.cos(unwound)
    patchy = np.clip(0.75 + 0.35 * texture(g, angle, np.log1p(r) * 2, 5), 0.1, 1.8) / np.float32(0.77)
    arms = np.exp(kappa * (np.cos(phase) - 1)) * unit * uneven * patchy
    lag = (0.5 + 0.5 * np.cos(phase + 0.7 * column(g["handedness"]))) ** 2
    return 1 + reached * (arms - 1), lag * reached


def _rings(g, radius, angle):
    """Gaussian annulus of unit flux, stretched along the bar; some with a fainter one at twice its size."""
    stretch = 1 + 0.12 * column(g["bar"]) * np.cos(2 * (angle - column(g["bar_angle"])))
    radius = radius / stretch
    q = column(g["axis_ratio"])

    def annulus(at, width):
        # (2 pi)^1.5 R w is the flux of an annulus much narrower than its radius.
        return np.exp(-(((radius - at) / width) ** 2) / 2) / ((2 * pi) ** 1.5 * at * width * q)

    at, width = column(g["ring_radius"]), column(g["ring_width"])
    outer = column(g["outer_ring"]) * np.float32(0.4)
    return (1 - outer) * annulus(at, width) + outer * annulus(2.1 * at, 1.8 * width)
