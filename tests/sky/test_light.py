import numpy as np
import pytest
from astropy.modeling.models import Sersic2D
from scipy.special import gammainc, kv

from morphtools.sky.galaxies import draw_galaxies
from morphtools.sky.light import COMPONENTS, component_shares, planes, sersic_b

BULGE, BAR, DISK, YOUNG, COMPANION, TAIL = range(len(COMPONENTS))


def ellipticals(**latents):
    """Pure Sersic galaxies, as many as the latents given; the others as drawn."""
    count = len(next(iter(latents.values())))
    g = draw_galaxies(0, range(count), fractions={"smooth": 1.0})
    return g | {name: np.asarray(values, float) for name, values in latents.items()}


def test_a_bulge_agrees_with_astropys_sersic_integrated_over_each_pixel():
    n, q, pa = [1.0, 2.5, 4.0], [0.9, 0.5, 0.7], [0.3, 1.4, 2.9]
    g = ellipticals(bulge_sersic=n, bulge_axis_ratio=q, position_angle=pa, bulge_radius=[3.0, 4.0, 5.0])
    size, fine = 40, 31
    light, *_ = planes(g, size, np.ones(3))
    steps = (np.arange(size * fine) + 0.5) / fine - size / 2
    for k in range(3):
        # astropy's radius is the semi-major axis; ours keeps the area of the ellipse.
        model = Sersic2D(1, 1, n[k], g["offset_x"][k], g["offset_y"][k], 1 - q[k], pa[k])
        model.r_eff = g["bulge_radius"][k] / np.sqrt(q[k])
        b = sersic_b(n[k])
        total = 2 * np.pi * n[k] * g["bulge_radius"][k] ** 2 * np.exp(b) * b ** (-2 * n[k])
        total *= float(np.prod(np.arange(1, 2 * n[k])))  # Gamma(2n), 2n being whole
        judge = model(*np.meshgrid(steps, steps)).reshape(size, fine, size, fine).mean(axis=(1, 3)) / total
        # A pixel is worth its centre outside the finely divided core, and the cusp is cut off a little.
        np.testing.assert_allclose(light[k, BULGE], judge, rtol=0.02, atol=2e-3 * judge.max())
        assert light[k, BULGE].sum() == pytest.approx(judge.sum(), rel=0.005)


def test_the_growth_curve_of_a_bulge_is_the_incomplete_gamma_function():
    n = np.array([1.0, 2.0, 4.0, 6.0])
    g = ellipticals(bulge_sersic=n, bulge_axis_ratio=np.ones(4), bulge_radius=np.full(4, 12.0))
    g["offset_x"], g["offset_y"] = np.zeros(4), np.zeros(4)
    light, *_ = planes(g, 256, np.ones(4))
    steps = np.arange(256) - 127.5
    radius = np.hypot(steps, steps[:, None])
    for within in (6.0, 12.0, 36.0, 100.0):
        inside = light[:, BULGE, radius < within].sum(axis=1)
        # Graham & Driver 2005, eq. 2: L(<R) / L = P(2n, b (R / Re)^(1/n)).
        np.testing.assert_allclose(inside, gammainc(2 * n, sersic_b(n) * (within / 12) ** (1 / n)), atol=0.012)


def test_half_of_an_ellipticals_light_lies_in_the_effective_ellipse_whatever_its_shape():
    q, pa = np.array([0.35, 0.6, 0.85]), np.array([0.2, 1.0, 2.5])
    g = ellipticals(bulge_axis_ratio=q, position_angle=pa, bulge_radius=[9.0, 12.0, 15.0])
    light, *_ = planes(g, 200, np.ones(3))
    steps = np.arange(200) - 99.5
    for k in range(3):
        dx, dy = steps - g["offset_x"][k], steps[:, None] - g["offset_y"][k]
        major, minor = dx * np.cos(pa[k]) + dy * np.sin(pa[k]), dy * np.cos(pa[k]) - dx * np.sin(pa[k])
        inside = major**2 * q[k] + minor**2 / q[k] < g["bulge_radius"][k] ** 2
        assert light[k, BULGE, inside].sum() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("kind", "component", "scatter"),
    [
        ("edge_on", DISK, 0.005),
        ("bar", BAR, 0.005),
        ("spiral", DISK, 0.04),
        ("irregular", DISK, 0.1),
        ("spiral", YOUNG, 0.4),
        ("ring", YOUNG, 0.4),
        ("merger", TAIL, 0.02),
        ("merger", COMPANION, 0.06),
    ],
)
def test_every_component_has_unit_flux_over_a_wide_field(kind, component, scatter):
    # Clouds and patchy arms are random fields of mean one: a galaxy scatters, the sky does not.
    g = draw_galaxies(5, range(16), fractions={kind: 1.0})
    scale = np.maximum(20 * g["scale_length"], 16 * g["radius"]) / 256
    light, _, merging = planes(g, 256, scale)
    flux = (light[:, component] if component < 4 else merging[:, component - 4]).sum(axis=(1, 2))
    flux = flux[flux > 0]
    assert np.abs(flux - 1).max() < scatter
    assert flux.mean() == pytest.approx(1, abs=0.045)


def test_an_edge_on_disk_falls_off_as_the_bessel_function_of_an_exponential_disk():
    g = draw_galaxies(1, range(1), fractions={"edge_on": 1.0})
    for name in ("position_angle", "offset_x", "offset_y", "warp", "cos_inclination"):
        g[name] = np.zeros(1)
    g["scale_length"], g["thickness"] = np.array([10.0]), np.array([0.2])
    light, *_ = planes(g, 129, np.ones(1))
    x = np.arange(1, 60) / 10
    along = light[0, DISK, 64, 65:124] / light[0, DISK, 64, 64]
    np.testing.assert_allclose(along, x * kv(1, x), rtol=0.06)  # van der Kruit & Searle 1981
    z = np.arange(-5, 6)
    np.testing.assert_allclose(light[0, DISK, 59:70, 64] / light[0, DISK, 64, 64], np.cosh(z / 2) ** -2, rtol=1e-4)


def test_the_shares_of_the_components_sum_to_one_and_none_is_negative():
    for fractions in ({}, {"merger": 0.5, "irregular": 0.5}, {"ring": 0.5, "bar": 0.5}):
        shares, ages = component_shares(draw_galaxies(2, range(300), fractions=fractions))
        np.testing.assert_allclose(shares.sum(axis=1), 1)
        assert shares.min() >= 0 and ages.min() >= 0 and ages.max() <= 3


def test_spiral_arms_wind_with_the_pitch_angle_they_are_given():
    g = draw_galaxies(3, range(1), fractions={"spiral": 1.0})
    for name in ("lopsidedness", "bar_length", "bar_fraction", "ring_fraction"):
        g[name] = np.zeros(1)
    g |= {"arms": np.array([2]), "axis_ratio": np.ones(1), "flocculence": np.array([0.2])}
    g |= {"pitch": np.array([0.3]), "scale_length": np.array([12.0]), "arm_contrast": np.array([0.9])}
    g["offset_x"] = g["offset_y"] = g["position_angle"] = np.zeros(1)
    light, *_ = planes(g, 161, np.ones(1))
    steps = np.arange(161) - 80.0
    radius, angle = np.hypot(steps, steps[:, None]), np.arctan2(steps[:, None], steps)
    young = light[0, YOUNG]
    log_r, phase = [], []
    for r in np.geomspace(12, 48, 15):
        ring = np.abs(radius - r) < 1.5
        log_r.append(np.log(r))
        # The phase of the second harmonic follows the arms: theta = ln r / tan(pitch).
        phase.append(np.angle((young[ring] * np.exp(2j * angle[ring])).sum()) / 2)
    slope = np.polyfit(log_r, np.unwrap(phase, period=np.pi), 1)[0]
    # The wobble moves single stretches of an arm, not the mean pitch over four e-folds by more than a sixth.
    assert slope * g["handedness"][0] == pytest.approx(1 / np.tan(0.3), rel=0.17)
