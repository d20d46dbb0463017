import numpy as np
import pytest

from morphtools.sky.galaxies import CLASSES, CLUMPS, LATENTS, draw_galaxies, streams, uniforms


def test_a_galaxy_is_the_same_alone_and_among_others():
    many, alone = draw_galaxies(11, range(40)), draw_galaxies(11, [17])
    for name in many:
        assert many[name][17] == alone[name][0], name


def test_seeds_galaxies_and_purposes_have_streams_of_their_own():
    draws = [r.random(4) for s in (0, 1) for p in (LATENTS, CLUMPS) for r in streams(s, (0, 1), p)]
    assert len({tuple(d) for d in draws}) == 8


def test_a_stream_is_numpys_philox_keyed_by_seed_and_galaxy_whatever_was_drawn_before():
    for galaxy, rng in zip((9, 2, 5), streams(4, (9, 2, 5), CLUMPS), strict=True):
        judge = np.random.Generator(np.random.Philox(key=[4, galaxy], counter=[0, 0, 0, CLUMPS]))
        np.testing.assert_array_equal(rng.random(7), judge.random(7))
        rng.integers(10, size=3, dtype=np.int32)  # leaves half a word behind


def test_uniforms_are_uniform_over_galaxies():
    u = uniforms(0, range(4000), LATENTS, 3)
    # Mean 1/2 and variance 1/12, to four standard errors.
    np.testing.assert_allclose(u.mean(axis=0), 0.5, atol=4 / np.sqrt(12 * 4000))
    np.testing.assert_allclose(u.var(axis=0), 1 / 12, rtol=0.07)


@pytest.mark.parametrize("name", CLASSES)
def test_a_requested_class_has_its_share_of_the_sky_and_no_more(name):
    g = draw_galaxies(3, range(2000), fractions={name: 0.5})
    assert g[name].mean() == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 2000))


def test_several_requested_classes_have_their_shares_together():
    g = draw_galaxies(3, range(3000), fractions={"ring": 0.3, "merger": 0.2, "smooth": 0.4})
    found = [g[name].mean() for name in ("ring", "merger", "smooth")]
    np.testing.assert_allclose(found, [0.3, 0.2, 0.4], atol=0.04)


def test_shares_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="unknown class 'rings' in fractions; known classes: smooth, spiral"):
        draw_galaxies(0, range(2), fractions={"rings": 0.5})
    for wrong in ({"ring": 0.7, "bar": 0.7}, {"ring": -0.1}):
        with pytest.raises(ValueError, match="sum to at most 1"):
            draw_galaxies(0, range(2), fractions=wrong)


def test_counts_grow_by_four_per_magnitude_as_in_a_euclidean_volume():
    m = draw_galaxies(5, range(6000), magnitude_limit=17.0)["magnitude"]
    # N(<m) ~ 10^(0.6 m): a quarter lies a magnitude above the limit; binomial scatter of 6000.
    assert (m < 16).mean() == pytest.approx(10**-0.6, abs=4 * np.sqrt(0.19 / 6000))
    assert m.max() < 17.0


def test_magnitudes_and_sizes_follow_from_distance_as_astropy_has_it():
    from astropy.cosmology import FlatLambdaCDM

    from morphtools.sky.spectra import k_correction

    g = draw_galaxies(5, range(200))
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3)
    k = k_correction(np.where(g["smooth"], 0.1, 1.0), g["redshift"], 6166.0)
    modulus = cosmology.distmod(g["redshift"]).value
    np.testing.assert_allclose(g["magnitude"], g["absolute_magnitude"] + modulus + k, atol=2e-3)
    kpc = g["radius"] * cosmology.kpc_proper_per_arcmin(g["redshift"]).value / 60
    np.testing.assert_allclose(kpc, g["radius_kpc"], rtol=2e-3)


def test_elliptical_sizes_scatter_about_the_relation_of_shen():
    g = draw_galaxies(6, range(3000), fractions={"smooth": 1.0})
    # Shen et al. 2003, eq. 14 with a = 0.60, b = -4.63: log R = -0.24 M - 4.63.
    slope, offset = np.polyfit(g["absolute_magnitude"] + 21, np.log10(g["radius_kpc"]), 1)
    assert slope == pytest.approx(-0.24, abs=0.02)
    assert offset == pytest.approx(0.24 * 21 - 4.63, abs=0.015)


def test_structure_belongs_where_it_can_be():
    g = draw_galaxies(8, range(3000))
    assert not (g["smooth"] & (g["spiral"] | g["bar"] | g["ring"] | g["edge_on"])).any()
    assert ((g["arms"] > 0) == g["spiral"]).all()
    assert ((g["bar_fraction"] > 0) == g["bar"]).all() and ((g["ring_fraction"] > 0) == g["ring"]).all()
    assert ((g["companion_ratio"] > 0) == g["merger"]).all()


def test_disks_are_bluer_the_smaller_their_bulge():
    g = draw_galaxies(8, range(3000), fractions={"spiral": 1.0})
    assert np.corrcoef(g["bulge_fraction"], g["disk_age"])[0, 1] < -0.3
    assert np.corrcoef(g["bulge_fraction"], g["pitch"])[0, 1] < -0.2
