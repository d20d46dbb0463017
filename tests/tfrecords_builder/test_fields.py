import pytest

from tfrecords_builder.fields import gz_decals
from tfrecords_builder.mosaics import cutout_size


@pytest.mark.parametrize(("half", "most", "arcsec"), [(10, 30, 169.6), (10, 15, 127.2), (1, 2, 42.4)])
def test_the_field_of_galaxy_zoo_decals_is_that_of_its_paper(half, most, arcsec):
    # 424 times max(min(0.04 p50, 0.02 p90), 0.1), by hand: 0.4, 0.3 and 0.1 arcsec per pixel
    assert gz_decals({"PETROTH50": half, "PETROTH90": most}) == pytest.approx(arcsec)
    assert cutout_size("gz_decals", {"petroR50_r": half, "petroR90_r": most}, 0.25) == pytest.approx(4 * arcsec)


@pytest.mark.parametrize("radius", [0, -1, None, float("nan"), float("inf"), "large"])
def test_a_radius_that_is_none_is_named(radius):
    with pytest.raises(ValueError, match=f"petro_th90 must be above 0 arcsec, got {radius}"):
        gz_decals({"petro_th50": 1.0, "petro_th90": radius})


def test_a_column_of_that_name_is_still_a_size_in_pixels():
    assert cutout_size("gz_decals", {"gz_decals": 50}, 0.25) == 50
    with pytest.raises(ValueError, match="needs a column petroth50 or petro_th50 or petroR50_r; the columns are x"):
        cutout_size("gz_decals", {"x": 1}, 0.25)
