"""The light of mock galaxies before the telescope: one plane of surface brightness per component.

Everything is vectorised over the N galaxies of a chunk; each plane holds a component's flux per pixel for a
total flux of one, normalised in closed form over the whole plane of the sky, so that light falling outside an
image is lost as it is in life. A component absent from some galaxies is only computed for the others.
"""

from functools import lru_cache
from math import erfc, exp, pi, sqrt

import numpy as np
from scipy.special import erfcx, gamma, gammaincinv, ive

# The components, in the order of the planes and of the fluxes.
COMPONENTS = ("bulge", "bar", "disk", "young", "companion", "tail")

_TILE = 256
_CORE, _FINE = 8, 8  # the innermost pixels, and how finely each is divided to integrate a bulge's cusp
# Integral of sqrt(1 + pi x / 2) exp(-x) from 0 to infinity.
_EDGE_ON_NORM = 1 + sqrt(pi * pi / 2) / 2 * exp(2 / pi) * erfc(sqrt(2 / pi))


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


def sersic_b(n):
    """The b_n of a Sersic profile: half its light lies inside the effective radius (Ciotti & Bertin 1999)."""
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


def column(values):
    """(N,) to float32 (N, 1, 1), to stand against planes."""
    return np.asarray(values, np.float32)[:, None, None]


def grid(size, scale):
    """Pixel centres in arcsec from the middle of the image: x (N, 1, size) and y (N, size, 1)."""
    steps = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * np.asarray(scale, np.float32)[:, None]
    return steps[:, None, :], steps[:, :, None]


def _turned(x, y, angle, q):
    """Coordinates along the major axis and, deprojected by the axis ratio ``q``, along the minor axis."""
    c, s = column(np.cos(angle)), column(np.sin(angle))
    return x * c + y * s, (y * c - x * s) / column(q)


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
        g: latents, as ``draw_galaxies`` returns them, of N galaxies.
        size: pixels on a side.
        scale: (N,) arcsec per pixel.

    Returns:
        float32 (N, 6, size, size), the components' flux per pixel, and (N, size, size), the optical depth of
        dust in r.
    """
    x, y = grid(size, scale)
    x, y = x - column(g["offset_x"]), y - column(g["offset_y"])
    area = column(scale) ** 2
    out = np.zeros((len(scale), len(COMPONENTS), size, size), np.float32)
    dust = np.zeros((len(scale), size, size), np.float32)
    _add(out[:, 0], g, g["bulge_fraction"] > 0, x, y, area, _bulge)
    _add(out[:, 1], g, g["bar_fraction"] > 0, x, y, area, _bar)
    _add(out[:, 4], g, g["merger"], x, y, area, _companion)
    _add(out[:, 5], g, g["merger"], x, y, area, _tail)
    _add(out[:, 2], g, g["edge_on"], x, y, area, _edge_on_disk)
    inclined = np.flatnonzero(~g["smooth"] & ~g["edge_on"])
    if len(inclined):
        sub = _rows(g, inclined)
        disk, young, depth = _inclined_disk(sub, x[inclined], y[inclined])
        out[inclined, 2], out[inclined, 3] = disk * area[inclined], young * area[inclined]
        dust[inclined] = depth
    _add(dust, g, g["edge_on"], x, y, np.ones_like(area), _dust_lane)
    return out, dust


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
        major, minor = _turned(x, y, g["position_angle"], q)
        # Circularised radius: the effective ellipse keeps the area of the effective circle.
        return _sersic(major**2 * column(q) + minor**2 * column(q) + soft**2, n, effective)

    whole = brightness(x, y, 0.3 * step)
    half = min(_CORE, size) // 2
    inner = slice(size // 2 - half, size // 2 + half)
    fine = ((np.arange(_FINE, dtype=np.float32) + 0.5) / _FINE - 0.5) * step
    core_x = (x[:, :, inner, None] + fine[:, :, None, :]).reshape(len(x), 1, -1)
    core_y = (y[:, inner, :, None] + fine[:, :, None, :]).reshape(len(y), -1, 1)
    core = brightness(core_x, core_y, 0.3 * step / _FINE)
    whole[:, inner, inner] = core.reshape(len(x), 2 * half, _FINE, 2 * half, _FINE).mean(axis=(2, 4))
    return whole


def _bar(g, x, y):
    """Flat bar in the plane of the disk: exp(-(r/a)^3), r being constant on ellipses of axis ratio q."""
    x, y = _turned(x, y, g["position_angle"], g["axis_ratio"])
    x, y = _turned(x, y, g["bar_angle"], g["bar_axis_ratio"])
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
    x, y = _turned(x, y, g["position_angle"], np.ones(len(x)))
    h = column(g["scale_length"])
    r = np.abs(x) / h
    y = y - column(g["warp"]) * x * r / 2
    # A tilt away from 90 degrees shows the disk's own depth, about h cos(i), as extra thickness.
    z0 = h * column(np.hypot(g["thickness"], 0.8 * g["cos_inclination"]))
    e = np.exp(-2 * np.minimum(np.abs(y) / z0, 15))
    sech2 = 4 * e / (1 + e) ** 2
    return (
        np.sqrt(1 + np.float32(pi / 2) * r)
        * np.exp(-r)
        * sech2
        / (2 * h * np.float32(_EDGE_ON_NORM) * 2 * z0)
    )


def _dust_lane(g, x, y):
    """Optical depth of a thin layer in the plane of an edge-on disk, displaced where the disk is tilted."""
    x, y = _turned(x, y, g["position_angle"], np.ones(len(x)))
    h, tau = column(g["scale_length"]), column(g["dust"])
    r = np.abs(x) / h
    y = y - column(g["warp"]) * x * r / 2 + h * column(0.35 * g["cos_inclination"])
    patchy = np.exp(0.5 * _texture(g, np.arctan2(y * 4, x), np.log1p(r) * 1.5, 3))
    lane = np.exp(-np.abs(y) / (h * column(0.4 * g["thickness"] + 0.01)))
    return tau * lane * np.exp(-r / 1.5) * np.minimum(patchy, 2)


def _texture(g, angle, log_radius, layer):
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


def _inclined_disk(g, x, y):
    """Old disk and young arms and rings of an inclined disk per square arcsec; its dust's optical depth."""
    h = column(g["scale_length"])
    major, minor = _turned(x, y, g["position_angle"], g["axis_ratio"])
    major = major + column(g["lopsidedness"]) * np.sqrt(major**2 + minor**2)
    r = np.sqrt(major**2 + minor**2) / h
    angle = np.arctan2(minor, major)
    log_r = np.log(r + np.float32(0.08))
    winding = spiral_angle(g, log_r)
    arms, lag = _arm_pattern(g, r, angle, winding)
    rough = column(g["flocculence"] + 0.4 * g["irregular"])
    clouds = _texture(g, angle - winding, log_r + 4, 0)
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
    """Where young stars are missing, around bar and bulge: a factor 0..1, and how much light that takes.

    They have a scale length of 1.2 h, farther out than the old stars. The light missing, in units of 2 pi
    h^2, is the integral of r exp(-r / 1.2 - r^2 / a^2).
    """
    a = np.maximum(0.35, 0.8 * g["bar_length"] / g["scale_length"])
    a = np.where(g["irregular"], 1e-3, a)
    t = a / 2.4
    return 1 - np.exp(-((r / column(a)) ** 2)), a**2 / 2 * (1 - sqrt(pi) * t * erfcx(t))


def _arm_pattern(g, r, angle, winding):
    """Azimuthal pattern of the arms, mean 1, and the same pattern lagging behind, for the dust."""
    m, kappa = column(g["arms"]), column(g["arm_sharpness"])
    phase = m * (angle - winding)
    start = column(np.maximum(0.25, 0.8 * g["bar_length"] / g["scale_length"]))
    reached = np.clip(r / start, 0, 1) ** 2 / (1 + (r / 4) ** 4)
    unit = column(1 / ive(0, g["arm_sharpness"]))
    # One arm is brighter than the others, and each comes and goes along its length.
    uneven = 1 + 0.35 * np.cos(angle - winding) * (m > 1)
    patchy = 0.75 + 0.35 * _texture(g, angle, np.log1p(r) * 2, 5)
    arms = np.exp(kappa * (np.cos(phase) - 1)) * unit * uneven * np.clip(patchy, 0.1, 1.8) / 0.77
    lag = np.exp(2 * (np.cos(phase + 0.7 * column(g["handedness"])) - 1))
    return np.where(m > 0, 1 + reached * (arms - 1), np.float32(1)), np.where(
        m > 0, lag * reached, np.float32(0)
    )


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


def _companion(g, x, y):
    """The other galaxy of a merger: a softened Sersic ellipse beside the first."""
    x = x - column(g["companion_distance"] * np.cos(g["companion_angle"]))
    y = y - column(g["companion_distance"] * np.sin(g["companion_angle"]))
    x, y = _turned(x, y, g["companion_position_angle"], g["companion_axis_ratio"])
    q, effective = column(g["companion_axis_ratio"]), column(g["companion_radius"])
    return _sersic((x**2 + y**2) * q + (0.1 * effective) ** 2, column(g["companion_sersic"]), effective)


def _tail(g, x, y):
    """Tidal tails: an open arm from each side, one of them fainter, and a diffuse envelope."""
    x, y = _turned(x, y, g["position_angle"], np.sqrt(np.clip(g["axis_ratio"], 0.3, 1)))
    r = np.sqrt(x**2 + y**2) / column(g["radius"])
    phase = np.arctan2(y, x) - column(g["handedness"] / np.tan(g["tail_pitch"])) * np.log(r + 0.1)
    phase = phase - column(g["tail_phase"])
    arm = np.exp(6 * (np.cos(phase) - 1)) + 0.4 * np.exp(6 * (np.cos(phase - 2.8) - 1))
    arm = 0.25 + arm / (1.4 * ive(0, 6.0))
    # r^2 exp(-r/0.7): dark in the middle; the integral of r^3 exp(-r/c) is 6 c^4.
    q = column(np.sqrt(np.clip(g["axis_ratio"], 0.3, 1)))
    return r**2 * np.exp(-r / 0.7) * arm / (1.25 * 2 * pi * 6 * 0.7**4 * column(g["radius"]) ** 2 * q)
