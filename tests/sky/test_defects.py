import numpy as np
import pytest

from morphtools.sky.defects import ARTIFACT_KINDS, add_artifacts, draw_artifacts


def spoil(kind, n=30, seed=0):
    images = np.full((n, 3, 64, 64), 0.5, np.float32)
    kinds = np.full(n, kind)
    return add_artifacts(images, seed, range(n), kinds, noise=np.full((n, 3), 0.02), fwhm=np.full((n, 3), 4.0))


def test_artifacts_occur_at_the_requested_rate_and_of_every_kind():
    kinds = draw_artifacts(0, range(3000), 0.3)
    assert (kinds != "").mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / 3000))
    assert set(kinds) == {"", *ARTIFACT_KINDS}
    assert (draw_artifacts(0, range(50), 0.0) == "").all()
    with pytest.raises(ValueError, match=r"artifact_rate must be from 0 to 1, got 2"):
        draw_artifacts(0, range(2), 2)


def test_a_higher_rate_keeps_the_artifacts_of_a_lower_one():
    few, many = draw_artifacts(0, range(500), 0.1), draw_artifacts(0, range(500), 0.4)
    assert (few[few != ""] == many[few != ""]).all()


@pytest.mark.parametrize("kind", ARTIFACT_KINDS)
def test_every_kind_changes_every_image_and_stays_finite(kind):
    images = spoil(kind)
    assert np.isfinite(images).all()
    assert (images != 0.5).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(images, spoil(kind))


def test_a_missing_band_is_exactly_one_band_of_zeros():
    assert ((spoil("missing_band") == 0).all(axis=(2, 3)).sum(axis=1) == 1).all()


def test_beyond_the_edge_of_the_field_all_bands_are_empty_together():
    empty = spoil("field_edge") == 0
    assert (empty.all(axis=1) == empty.any(axis=1)).all()
    assert 0 < empty.mean() < 0.5


def test_the_light_of_tracks_and_trails_and_stars_is_added_not_taken():
    for kind in ("cosmic_rays", "satellite", "saturated_star"):
        assert (spoil(kind) >= 0.5).all()
