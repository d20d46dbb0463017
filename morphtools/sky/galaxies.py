"""The galaxies of the mock sky: latent parameters drawn from distributions, the truth behind every image."""

import numpy as np
from scipy.special import gammaincinv, ndtri

from morphtools.sky.spectra import k_correction, kpc_per_arcsec, redshift_at

# What a caller may ask to be more common: each name is also a boolean column of the truth.
CLASSES = ("smooth", "spiral", "bar", "ring", "edge_on", "merger", "irregular")

# Separate random streams of one galaxy: adding draws to one leaves the others as they were.
LATENTS, CLUMPS, NEIGHBOURS, CONDITIONS, NOISE, ARTIFACTS, PLACES, VOTES, RING_VOTES = range(9)

_N_DRAWS = 64
_R_BAND = 6166.0


def streams(seed, galaxies, purpose):
    """Yields the random generator of each galaxy for one purpose, independent of all other draws and their order.

    Philox is counter-based: keyed by (seed, galaxy), with the purpose in the counter's highest word, streams
    never overlap. Reference: Salmon et al. 2011 (SC'11).

    Trap: it is one generator set to another place each time, which costs a tenth of making a new one; what is
    needed of a galaxy's stream must be drawn before asking for the next.
    """
    bits = np.random.Philox(key=[seed, 0])
    rng, state = np.random.Generator(bits), bits.state
    state["state"]["counter"][:] = 0, 0, 0, purpose
    for galaxy in galaxies:
        state["state"]["key"][1] = galaxy
        bits.state = state
        yield rng


def uniforms(seed, galaxies, purpose, shape):
    """(len(galaxies), *shape) uniform deviates in the open interval (0, 1), one row per galaxy."""
    rows = [rng.random(shape) for rng in streams(seed, galaxies, purpose)]
    return np.clip(np.array(rows).reshape(len(rows), *np.atleast_1d(shape)), 1e-12, 1 - 1e-12)


def _between(u, low, high):
    return low + (high - low) * u


def _normal(u, mean, sigma):
    return mean + sigma * ndtri(u)


def _logistic(x):
    return 1 / (1 + np.exp(-x))


def check_fractions(fractions):
    """The requested share of each class as a dict, or ValueError naming what is wrong."""
    fractions = dict(fractions or {})
    unknown = sorted(set(fractions) - set(CLASSES))
    if unknown:
        raise ValueError(f"unknown class {unknown[0]!r} in fractions; known classes: {', '.join(CLASSES)}")
    if any(not 0 <= f <= 1 for f in fractions.values()) or sum(fractions.values()) > 1 + 1e-9:
        raise ValueError(f"fractions must be from 0 to 1 and sum to at most 1, got {fractions}")
    return fractions


def draw_galaxies(seed, galaxies, *, fractions=None, magnitude_limit=17.0):
    """Latent parameters of the galaxies with these numbers.

    A class named in `fractions` occurs in that fraction of the galaxies and in no other; classes not named
    keep their natural frequency.

    Args:
        seed: Seed of the survey.
        galaxies: Integers, the galaxies' numbers in the survey.
        fractions: Share of the sky for some of `CLASSES`, e.g. `{"ring": 0.5}`.
        magnitude_limit: Faintest apparent r magnitude.

    Returns:
        Dict of arrays (N,): booleans for `CLASSES`; lengths in arcsec, angles in radians, magnitudes in AB.

    Reference:
        Luminosities: Schechter function of Blanton et al. 2003 (ApJ 592, 819). Sizes: Shen et al. 2003 (MNRAS
        343, 978), eqs. 14-16. Flux-limited counts of a Euclidean volume: N(<m) ~ 10^(0.6 m).
    """
    fractions = check_fractions(fractions)
    columns = iter(uniforms(seed, galaxies, LATENTS, _N_DRAWS).T)

    def u():
        return next(columns)

    g = {}
    forced = _requested(u(), fractions)
    luminosity = gammaincinv(1.45, u())  # L/L* weighted by the volume L^1.5 a flux limit reaches
    _draw_classes(g, u, forced, fractions, luminosity)
    _draw_distance(g, u, luminosity, magnitude_limit)
    _draw_disk(g, u, forced, fractions)
    _draw_structure(g, u)
    _draw_merger(g, u)
    _draw_colours(g, u)
    g["ebv"] = np.minimum(0.035 * np.exp(0.7 * ndtri(u())), 0.4)
    return g


def _requested(u, fractions):
    """The class that each galaxy was requested to have, or an empty string."""
    edges = np.cumsum(list(fractions.values()))
    names = np.array([*fractions, ""])
    return names[np.searchsorted(edges, u, side="right")]


def _draw_classes(g, u, forced, fractions, luminosity):
    """Which galaxies are ellipticals, irregulars and mergers, and which disks have arms, bars and rings."""

    def flag(name, natural):
        return forced == name if name in fractions else natural | (forced == name)

    early = u() < 0.10 + 0.40 * _logistic((np.log(luminosity) - 0.3) / 0.5)
    faint = u() < 0.25 * _logistic((-1.6 - np.log(luminosity)) / 0.4)
    disk_asked = np.isin(forced, ["spiral", "bar", "ring", "edge_on"])
    g["merger"] = flag("merger", ~disk_asked & (forced == "") & (u() < 0.05))
    g["irregular"] = flag("irregular", (forced == "") & ~g["merger"] & faint)
    g["smooth"] = flag("smooth", (forced == "") & early & ~g["irregular"] & ~g["merger"])
    g["disk"] = ~g["smooth"] & ~g["irregular"]
    # S0s are disks without arms: a quarter of all disks, fewer among mergers.
    g["spiral"] = flag("spiral", g["disk"] & (u() < 0.78)) & g["disk"]
    g["bar"] = flag("bar", g["disk"] & ~g["merger"] & (u() < 0.38)) & g["disk"]
    g["ring"] = flag("ring", g["disk"] & ~g["merger"] & (u() < np.where(g["spiral"], 0.10, 0.22))) & g["disk"]


def _draw_distance(g, u, luminosity, magnitude_limit):
    """Magnitude, redshift and half-light radius."""
    # Irregulars are dwarfs: three magnitudes down, and nearer for the same brightness.
    absolute = -21.2 - 2.5 * np.log10(np.maximum(luminosity, 0.02)) + np.where(g["irregular"], 2.5, 0)
    brightest = 10 ** (-0.6 * 4)  # galaxies span four magnitudes
    apparent = magnitude_limit + np.log10(_between(u(), brightest, 1)) / 0.6
    redshift = redshift_at(apparent - absolute)
    for _ in range(4):
        redshift = redshift_at(apparent - absolute - k_correction(np.where(g["smooth"], 0.1, 1.0), redshift, _R_BAND))
    early = 10 ** (-0.4 * 0.60 * absolute - 4.63)
    late = 10 ** (-0.4 * 0.21 * absolute + 0.32 * np.log10(1 + 10 ** (-0.4 * (absolute + 20.52))) - 1.31)
    scatter = 0.25 + 0.23 / (1 + 10 ** (-0.8 * (absolute + 20.52)))
    size = np.where(g["smooth"], early, late) * np.exp(scatter * ndtri(u()))
    g |= {"magnitude": apparent, "absolute_magnitude": absolute, "redshift": redshift, "radius_kpc": size}
    g["radius"] = size / kpc_per_arcsec(redshift)


def _draw_disk(g, u, forced, fractions):
    """Bulge and disk: fractions of the light, shapes, orientation."""
    n = len(forced)
    cos_i = u()
    shown = np.isin(forced, ["spiral", "bar", "ring"])
    cos_i = np.where(shown, _between(cos_i, 0.40, 1), np.where(forced == "edge_on", 0.16 * cos_i, cos_i))
    if "edge_on" in fractions:
        cos_i = np.where(forced == "edge_on", cos_i, np.maximum(cos_i, 0.3 + 0.7 * cos_i))
    g["cos_inclination"] = cos_i
    g["edge_on"] = g["disk"] & ~g["merger"] & (cos_i < 0.2)
    g["position_angle"] = np.pi * u()
    g["thickness"] = np.clip(_normal(u(), 0.16, 0.04), 0.08, 0.3)
    flat = np.sqrt(cos_i**2 * (1 - g["thickness"] ** 2) + g["thickness"] ** 2)
    g["axis_ratio"] = np.where(g["irregular"], _between(u(), 0.4, 0.95), flat)
    fat = gammaincinv(1.6, u())  # bulges of spirals: mostly small, with a tail of large ones
    bulge = np.where(g["spiral"], np.minimum(0.09 * fat, 0.6), np.minimum(0.25 + 0.15 * fat, 0.8))
    g["bulge_fraction"] = np.where(g["smooth"], 1.0, np.where(g["irregular"], 0.0, bulge))
    sersic = np.where(g["smooth"], np.clip(_normal(u(), 4.0, 1.0), 2, 6.5), _between(u(), 1.0, 2.2) + 2.5 * bulge)
    g["bulge_sersic"] = np.clip(sersic, 0.8, 6.5)
    # E0-E6: few are round, most near 0.8; bulges in disks flatten with the inclination.
    rounded = np.clip(_normal(u(), 0.76, 0.16), 0.32, 1.0)
    spheroid = np.sqrt(cos_i**2 * (1 - 0.55**2) + 0.55**2)
    g["bulge_axis_ratio"] = np.where(g["smooth"], np.where(rounded == 1, 0.97, rounded), spheroid)
    compact = 0.22 * np.exp(0.3 * ndtri(u())) * (0.6 + 1.6 * bulge)
    g["scale_length"] = g["radius"] / 1.678 * np.where(g["disk"], 1.05 + 0.35 * bulge, 1.0)
    g["bulge_radius"] = np.where(g["smooth"], g["radius"], compact * g["scale_length"])
    g["offset_x"], g["offset_y"] = _between(u(), -0.15, 0.15), _between(u(), -0.15, 0.15)
    g["lopsidedness"] = 0.06 * np.abs(ndtri(u())) + np.where(g["irregular"], 0.25, 0) + np.zeros(n)
    g["warp"] = 0.012 * ndtri(u())


def _draw_structure(g, u):
    """Arms, bars, rings, clumps and dust."""
    h, bulge = g["scale_length"], g["bulge_fraction"]
    # Pitch grows from early to late types: Kennicutt 1981 (AJ 86, 1847).
    g["pitch"] = np.clip(_normal(u(), 0.38 - 0.45 * bulge, 0.10), 0.12, 0.75)
    number = np.searchsorted([0.06, 0.62, 0.78, 0.90], u()) + 1
    g["arms"] = np.where(g["spiral"] & ~g["irregular"], number, 0)
    g["handedness"] = np.where(u() < 0.5, -1.0, 1.0)
    g["arm_phase"] = 2 * np.pi * u()
    # Grand designs have two strong arms; with more arms the pattern breaks into patches.
    g["flocculence"] = np.clip(_normal(u(), np.where(number <= 2, 0.65, 0.95), 0.22), 0.25, 1.4)
    g["arm_contrast"] = np.where(g["spiral"], np.clip(_normal(u(), 0.56, 0.22), 0.12, 0.95), 0.0)
    g["arm_sharpness"] = _between(u(), 0.8, 4.0)
    g["bar_length"] = np.where(g["bar"], h * _between(u(), 0.45, 1.5), 0.0)
    g["bar_fraction"] = np.where(g["bar"], _between(u(), 0.08, 0.28) * (1 - 0.6 * bulge), 0.0)
    g["bar_axis_ratio"] = _between(u(), 0.18, 0.45)
    g["bar_angle"] = np.pi * u()
    g["ring_radius"] = np.where(g["bar"], g["bar_length"] * _between(u(), 1.0, 1.25), h * _between(u(), 0.9, 2.3))
    g["ring_width"] = g["ring_radius"] * _between(u(), 0.08, 0.17)
    g["ring_fraction"] = np.where(g["ring"], _between(u(), 0.14, 0.42), 0.0)
    g["outer_ring"] = g["ring"] & (u() < 0.3)
    g["clump_fraction"] = np.where(
        g["irregular"], _between(u(), 0.05, 0.3), np.where(g["spiral"], 0.16 * u() ** 2 * (1 - bulge), 0.0)
    )
    dusty = _between(u(), 0.0, 1.0)
    lane = np.where(u() < 0.6, 0.8 + 3.0 * dusty, 0.15)
    dust = np.where(g["edge_on"], lane, 0.9 * dusty) * np.where(g["spiral"], 1.0, 0.5)
    g["dust"] = np.where(g["disk"], dust, 0.0)


def _draw_merger(g, u):
    """The second galaxy and the tides of a merger."""
    merging = g["merger"]
    g["companion_ratio"] = np.where(merging, _between(u(), 0.2, 1.0), 0.0)
    g["companion_distance"] = g["radius"] * _between(u(), 0.9, 2.8)
    g["companion_angle"] = 2 * np.pi * u()
    g["companion_sersic"] = _between(u(), 1.0, 3.0)
    g["companion_axis_ratio"] = _between(u(), 0.35, 0.95)
    g["companion_position_angle"] = np.pi * u()
    g["companion_radius"] = g["radius"] * np.sqrt(np.maximum(g["companion_ratio"], 0.05)) * _between(u(), 0.5, 0.9)
    g["tail_fraction"] = np.where(merging, _between(u(), 0.04, 0.25), 0.0)
    g["tail_phase"] = 2 * np.pi * u()
    g["tail_pitch"] = _between(u(), 0.35, 0.9)


def _draw_colours(g, u):
    """Ages of the components: old bulges, disks younger the smaller the bulge."""
    scatter = 0.12 * ndtri(u())
    disk = 1.35 - 1.1 * g["bulge_fraction"] + 0.22 * ndtri(u())
    disk = np.where(g["spiral"], disk, disk - 0.55) + np.where(g["irregular"], 0.55, 0.0)
    g["bulge_age"] = np.clip(np.where(g["smooth"], 0.08, 0.30 * disk) + scatter, 0, 1.2)
    g["disk_age"] = np.clip(disk, 0.1, 2.3)
    g["young_age"] = np.clip(disk + _between(u(), 0.3, 0.9), 0.2, 2.6)
    g["companion_age"] = np.clip(disk + 0.5 * ndtri(u()), 0.1, 2.2)
