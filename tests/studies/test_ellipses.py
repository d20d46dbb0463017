import numpy as np
import pytest

from morphtools.studies.ellipses import FEATURES, ellipse_features, scale_features

Y, X = np.mgrid[:65, :65] - 32.0


def galaxy(aspect=2.0, angle=0.0, shift=0.0, noise=0.002):
    angle = np.deg2rad(angle)
    along, aside = (X - shift) * np.cos(angle) + Y * np.sin(angle), Y * np.cos(angle) - (X - shift) * np.sin(angle)
    light = np.exp(-np.hypot(along, aside * aspect) / 6)
    return light + np.random.default_rng(0).normal(0, noise, light.shape)


def named(image):
    return dict(zip(FEATURES, ellipse_features([image])[0], strict=True))


def test_nested_aligned_ellipses_have_nothing_to_report():
    for aspect, angle in ((1.5, 0), (2.5, 30), (2.0, 110)):
        features = named(galaxy(aspect, angle, noise=0))
        for p in (80, 70, 60, 50):
            assert features[f"residual_{p}"] < 0.005
            assert features[f"offset_{p}"] < 0.2
            assert features[f"aspect_{p}"] == pytest.approx(1, abs=0.12)
            assert features[f"angle_{p}"] < 3


def test_a_twist_is_measured_in_degrees_and_never_more_than_a_right_angle():
    inner, outer = galaxy(3, 170, noise=0), galaxy(2, 10, noise=0)
    twisted = np.where(np.hypot(X, Y) < 10, inner + 0.5, outer * 0.5)
    assert named(twisted)["angle_0"] == pytest.approx(20, abs=6)  # not 160
    turned = np.where(np.hypot(X, Y) < 10, galaxy(3, 100, noise=0) + 0.5, outer * 0.5)
    assert named(turned)["angle_0"] == pytest.approx(90, abs=6)


def test_a_companion_offsets_the_outer_ellipses_and_leaves_a_residual():
    alone = galaxy(1.2, noise=0)
    merging = alone + 0.6 * galaxy(1.2, shift=15, noise=0)
    assert named(merging)["offset_0"] > 3 * named(alone)["offset_0"]
    assert named(merging)["residual_0"] > 2 * named(alone)["residual_0"]


def test_features_do_not_depend_on_brightness_bands_or_a_quarter_turn():
    image = galaxy(1.8, 20)
    features = ellipse_features([image, 7 * image, np.stack([image] * 3, axis=-1), np.rot90(image)])
    for other in features[1:]:
        np.testing.assert_allclose(other, features[0], atol=1e-6)


def test_what_has_no_galaxy_in_the_middle_is_nan_and_becomes_the_median():
    corner = np.zeros((65, 65))
    corner[:5, :5] = 1
    features = ellipse_features([corner, galaxy(1.5), galaxy(2.0), galaxy(2.5), np.full((65, 65), np.nan)])
    assert np.isnan(features[[0, 4]]).all() and np.isfinite(features[1:4]).all()
    scaled = scale_features(features)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_array_equal(scaled[0], scaled[4])
    assert ellipse_features([]).shape == (0, 24)
