"""The light of mock galaxies before the telescope: one plane of surface brightness per component.

Everything is vectorised over the N galaxies of a chunk; each plane holds a component's flux per pixel for a
total flux of one, normalised in closed form over the whole plane of the sky, so that light falling outside an
image is lost as it is in life. A component absent from some galaxies is only computed for the others.
"""

from math import erfc, exp, pi, sqrt

import numpy as np
from scipy.special import gamma, gammaincinv, ive

from morphtools.sky.disks import column, inclined_disk, texture, turned

# The components, in the order of the planes and of the fluxes.
COMPONENTS = ("bulge", "bar", "disk", "young", "companion", "tail")

_CORE, _FINE = 8, 8  # the innermost pixels, and how finely each is divided to integrate a bulge's cusp
# Integral of sqrt(1 + pi x / 2) exp(-x) from 0 to infinity.
_EDGE_ON_NORM = 1 + sqrt(pi * pi / 2) / 2 * exp(2 / pi) * erfc(sqrt(2 / pi))


def sersic_b(n):
    """The b_n of a Sersic profile, for which half its light is inside the effective radius (Ciotti & Bertin 1999)."""
    return gammaincinv(2 * np.asarray(n, float), 0.5)


def _sersic(radius2, n, effective):
    """Sersic profile of unit flux where it is round, for squared radii; all (N, 1, 1) or planes."""
    n = np.asarray(n, float)
    b = sersic_b(n)
    # Graham & Driver 2005 (PASA 22, 118), eq. 2 solved for the total of one.
    peak = b ** (2 * n) / (2 * pi * n * effective**2 * gamma(2 * n))
    n, b, peak = (np.asarray(a, np.float32) for a in (n, b, peak))
    scaled = np.log(radius2 / np.asarray(effective, np.float32) ** 2) / (2 * n)
    return peak * np.exp(-b * np.exp(scaled))


def grid(size, scale):
    """Pixel centres in arcsec from the middle of the image: x (N, 1, size) and y (N, size, 1)."""
    steps = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * np.asarray(scale, np.float32)[:, None]
    return steps[:, None, :], steps[:, :, None]


def component_shares(g):
    """(N, 6) share of the r-band light of every component, and (N, 6) their stellar populations' ages."""
    main = np.where(g["merger"], (1 - g["tail_fraction"]) / (1 + g["companion_ratio"]), 1.0)
    bulge = g["bulge_fraction"] * main
    rest = main - bulge
    bar = np.minimum(g["bar_fraction"], 0.7) * rest
    young = (0.15 + 0.45 * g["arm_contrast"] + g["ring_fraction"]) * (~g["smooth"] & ~g["edge_on"])
    young = np.clip(np.where(g["irregular"], 0.6, young), 0, 0.85) * (rest - bar)
    clumps = g["clump_fraction"] * young
    disk = rest - bar - young
    companion = main * g["companion_ratio"]
    tail = np.where(g["merger"], g["tail_fraction"], 0.0)
    shares = np.stack([bulge, bar, disk, young - clumps, companion, tail, clumps], axis=1)
    ages = [g["bulge_age"], 0.5 * (g["bulge_age"] + g["disk_age"]), g["disk_age"], g["young_age"]]
    ages += [g["companion_age"], g["disk_age"], np.full(len(bulge), 2.5)]
    return shares, np.stack(ages, axis=1)


def planes(g, size, scale):
    """Unit-flux planes and dust.

    Args:
        g: Latents, as `draw_galaxies` returns them, of N galaxies.
        size: Pixels on a side.
        scale: (N,) arcsec per pixel.

    Returns:
        float32 (N, 4, size, size), the flux per pixel of the components every galaxy may have;
        (N, size, size), the optical depth of dust in r; and (M, 2, size, size), the companions and tails of
        the M mergers.
    """
    x, y = grid(size, scale)
    x, y = x - column(g["offset_x"]), y - column(g["offset_y"])
    area = column(scale) ** 2
    out = np.zeros((len(scale), 4, size, size), np.float32)
    dust = np.zeros((len(scale), size, size), np.float32)
    _add(out[:, 0], g, g["bulge_fraction"] > 0, x, y, area, _bulge)
    _add(out[:, 1], g, g["bar_fraction"] > 0, x, y, area, _bar)
    _add(out[:, 2], g, g["edge_on"], x, y, area, _edge_on_disk)
    inclined = np.flatnonzero(~g["smooth"] & ~g["edge_on"])
    if len(inclined):
        sub = _rows(g, inclined)
        disk, young, depth = inclined_disk(sub, x[inclined], y[inclined])
        out[inclined, 2], out[inclined, 3] = disk * area[inclined], young * area[inclined]
        dust[inclined] = depth
    _add(dust, g, g["edge_on"], x, y, np.ones_like(area), _dust_lane)
    merging = np.flatnonzero(g["merger"])
    sub, x, y, area = _rows(g, merging), x[merging], y[merging], area[merging]
    return out, dust, np.stack([_companion(sub, x, y) * area, _tail(sub, x, y) * area], axis=1)


def _rows(g, index):
    return {name: values[index] for name, values in g.items()}


def _add(out, g, which, x, y, area, profile):
    """Write one profile (flux per square arcsec) into the planes of the galaxies that have it."""
    index = np.flatnonzero(which)
    if len(index):
        out[index] = profile(_rows(g, index), x[index], y[index]) * area[index]


def _bulge(g, x, y):
    """Sersic spheroid; the innermost pixels are integrated on a finer grid, where the cusp needs it."""
    n, effective = column(g["bulge_sersic"]), column(g["bulge_radius"])
    q = g["bulge_axis_ratio"]
    size = x.shape[-1]
    step = (x[:, :, 1:2] - x[:, :, :1]).astype(np.float32)

    def brightness(x, y, soft):
        major, minor = turned(x, y, g["position_angle"], q)
        # Circularised radius: the effective ellipse keeps the area of the effective circle.
        return _sersic(major**2 * column(q) + minor**2 * column(q) + soft**2, n, effective)

    whole = brightness(x, y, 0.3 * step)
    half = min(_CORE, size) // 2
    inner = slice(size // 2 - half, size // 2 + half)
    fine = ((np.arange(_FINE, dtype=np.float32) + 0.5) / _FINE - 0.5) * step
    core_x = (x[:, :, inner, None] + fine[:, :, None, :]).reshape(len(x), 1, -1)
    core_y = (y[:, inner, :, None] + fine[:, :, None, :]).reshape(len(y), -1, 1)
    core = brightness(core_x, core_y, 0.15 * step / _FINE)
    whole[:, inner, inner] = core.reshape(len(x), 2 * half, _FINE, 2 * half, _FINE).mean(axis=(2, 4))
    return whole


def _bar(g, x, y):
    """Flat bar in the plane of the disk: exp(-(r/a)^3), r being constant on ellipses of axis ratio q."""
    x, y = turned(x, y, g["position_angle"], g["axis_ratio"])
    x, y = turned(x, y, g["bar_angle"], g["bar_axis_ratio"])
    a = column(g["bar_length"] / 1.2)
    r2 = (x**2 + y**2) / a**2
    # Integral of exp(-r^3) over the plane: pi Gamma(5/3).
    norm = pi * gamma(5 / 3) * a**2 * column(g["bar_axis_ratio"] * g["axis_ratio"])
    return np.exp(-(r2**1.5)) / norm


def _edge_on_disk(g, x, y):
    """Edge-on disk, sech^2 in height, slightly warped.

    Edge-on, an exponential disk is (x/h) K1(x/h) (van der Kruit & Searle 1981, A&A 95, 105), which
    sqrt(1 + pi x / 2h) exp(-x/h) approximates within 2%.
    """
    x, y = turned(x, y, g["position_angle"], np.ones(len(x)))
    h = column(g["scale_length"])
    r = np.abs(x) / h
    y = y - column(g["warp"]) * x * r / 2
    # A tilt away from 90 degrees shows the disk's own depth, about h cos(i), as extra thickness.
    z0 = h * column(np.hypot(g["thickness"], 0.8 * g["cos_inclination"]))
    e = np.exp(-2 * np.minimum(np.abs(y) / z0, 15))
    sech2 = 4 * e / (1 + e) ** 2
    return np.sqrt(1 + np.float32(pi / 2) * r) * np.exp(-r) * sech2 / (2 * h * np.float32(_EDGE_ON_NORM) * 2 * z0)


def _dust_lane(g, x, y):
    """Optical depth of a thin layer in the plane of an edge-on disk, displaced where the disk is tilted."""
    x, y = turned(x, y, g["position_angle"], np.ones(len(x)))
    h, tau = column(g["scale_length"]), column(g["dust"])
    r = np.abs(x) / h
    y = y - column(g["warp"]) * x * r / 2 + h * column(0.35 * g["cos_inclination"])
    patchy = np.exp(0.5 * texture(g, np.arctan2(y * 4, x), np.log1p(r) * 1.5, 3))
    lane = np.exp(-np.abs(y) / (h * column(0.4 * g["thickness"] + 0.01)))
    return tau * lane * np.exp(-r / 1.5) * np.minimum(patchy, 2)


def _companion(g, x, y):
    """The other galaxy of a merger: a softened Sersic ellipse beside the first."""
    x = x - column(g["companion_distance"] * np.cos(g["companion_angle"]))
    y = y - column(g["companion_distance"] * np.sin(g["companion_angle"]))
    x, y = turned(x, y, g["companion_position_angle"], g["companion_axis_ratio"])
    q, effective = column(g["companion_axis_ratio"]), column(g["companion_radius"])
    return _sersic((x**2 + y**2) * q + (0.1 * effective) ** 2, column(g["companion_sersic"]), effective)


def _tail(g, x, y):
    """Tidal tails: an open arm from each side, one of them fainter, and a diffuse envelope."""
    x, y = turned(x, y, g["position_angle"], np.sqrt(np.clip(g["axis_ratio"], 0.3, 1)))
    r = np.sqrt(x**2 + y**2) / column(g["radius"])
    phase = np.arctan2(y, x) - column(g["handedness"] / np.tan(g["tail_pitch"])) * np.log(r + 0.1)
    phase = phase - column(g["tail_phase"])
    arm = np.exp(6 * (np.cos(phase) - 1)) + 0.4 * np.exp(6 * (np.cos(phase - 2.8) - 1))
    arm = 0.25 + arm / (1.4 * ive(0, 6.0))
    # r^2 exp(-r/0.7): dark in the middle; the integral of r^3 exp(-r/c) is 6 c^4.
    q = column(np.sqrt(np.clip(g["axis_ratio"], 0.3, 1)))
    return r**2 * np.exp(-r / 0.7) * arm / (1.25 * 2 * pi * 6 * 0.7**4 * column(g["radius"]) ** 2 * q)
