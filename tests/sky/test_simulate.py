import json

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from morphtools.sky.simulate import pictures, simulate_galaxies, simulate_survey
from morphtools.survey.schemas import SCHEMAS


def test_galaxies_are_the_same_however_many_are_made_and_wherever_one_starts():
    table, images = simulate_galaxies(70, image_size=32, seed=5)
    later, later_images = simulate_galaxies(9, image_size=32, seed=5, start=40)
    pd.testing.assert_frame_equal(table[40:49].reset_index(drop=True), later)
    # Chunks of another length may sum in another order: equal to float32 rounding.
    np.testing.assert_allclose(images[40:49], later_images, rtol=1e-4, atol=1e-5 * images.max())


def test_another_seed_is_another_sky():
    assert not np.allclose(simulate_galaxies(3, seed=1)[1], simulate_galaxies(3, seed=2)[1])


def test_the_size_of_the_image_does_not_change_the_galaxy():
    small, _ = simulate_galaxies(5, image_size=32)
    large, _ = simulate_galaxies(5, image_size=64)
    pd.testing.assert_frame_equal(small, large)


@pytest.mark.parametrize(("schema", "bands"), [("gz_decals_dr5", "grz"), ("gz2", "ugriz")])
def test_a_catalogue_holds_positions_votes_and_truth(schema, bands):
    table, images = simulate_galaxies(20, image_size=32, bands=bands, schema=schema)
    assert images.shape == (20, 32, 32, len(bands)) and images.dtype == np.float32
    assert table["id_str"].is_unique and table["ra"].between(0, 360).all() and table["dec"].between(-90, 90).all()
    labels = [*SCHEMAS[schema].label_cols, "ring_yes", "ring_no"]
    assert (table[labels] >= 0).all(axis=None) and (table[["ring_yes", "ring_no"]].sum(axis=1) > 0).all()
    assert {f"true_{c}" for c in [*labels, "ring", "pitch", *(f"flux_{b}" for b in bands)]} <= set(table.columns)
    assert not table.isna().any(axis=None)


def test_redshift_can_be_learnt_from_size_colour_and_magnitude():
    from sklearn.ensemble import RandomForestRegressor

    table, images = simulate_galaxies(700, image_size=48, bands="ugriz", crowding=0.0)
    flux = np.maximum(images[:, 8:40, 8:40].sum(axis=(1, 2)), 1e-2)
    core = np.maximum(images[:, 21:27, 21:27].sum(axis=(1, 2)), 1e-3)
    colours = [np.diff(np.log10(f), axis=1) for f in (flux, core)]
    seen = np.column_stack([-2.5 * np.log10(flux), *colours, core[:, 2] / flux[:, 2]])
    z = table["redshift"].to_numpy()
    forest = RandomForestRegressor(60, min_samples_leaf=3, random_state=0).fit(seen[:500], z[:500])
    wrong, spread = np.abs(forest.predict(seen[500:]) - z[500:]), np.abs(z[500:] - np.median(z))
    # A coarse measure of few galaxies, yet better by a quarter than knowing the distribution alone.
    assert wrong.mean() < 0.75 * spread.mean()


def test_pictures_of_coarser_pixels_keep_the_surface_brightness_of_the_surveys_own():
    table = pd.DataFrame({"pixel_scale": [0.262, 0.524]})
    flat = np.full((2, 4, 4, 3), 0.05, np.float32)
    flat[1] *= 4  # twice the pixel holds four times the light
    fine, coarse = pictures(table, flat)
    np.testing.assert_allclose(fine, coarse, atol=1e-6)


def test_field_radii_make_every_galaxy_fill_its_image_alike():
    table, _ = simulate_galaxies(20, image_size=48, field_radii=12.0)
    np.testing.assert_allclose(table["pixel_scale"] * 48 / table["true_radius"], 12, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bands": "xyz"}, "no camera takes bands 'xyz'"),
        ({"schema": "gz3"}, r"unknown schema 'gz3'; known schemas: gz2, gz_decals_dr5"),
        ({"image_size": 4}, "at least 16 pixels, got 4"),
        ({"fractions": {"rings": 1}}, "unknown class 'rings'"),
        ({"pixel_scale": 0.4, "field_radii": 9.0}, "not both"),
        ({"depth": 0.0}, "depth must be positive"),
        ({"seed": -1}, "seed must not be negative"),
        ({"start": -3}, "start at least 0, got 2 and -3"),
    ],
)
def test_settings_that_cannot_be_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        simulate_galaxies(2, **wrong)


def test_cutouts_on_disk_are_the_images_in_memory_with_a_sky_position(tmp_path):
    catalog = simulate_survey(tmp_path, galaxies=5, image_size=32, seed=3, artifact_rate=0.0)
    _, images = simulate_galaxies(5, image_size=32, seed=3)
    for row, image in zip(catalog.itertuples(), images, strict=True):
        with fits.open(tmp_path / row.file_loc) as file:
            data, header = file[0].data, file[0].header
        np.testing.assert_allclose(data, np.moveaxis(image, -1, 0), atol=1e-5 * np.abs(image).max())
        assert header["BANDS"] == "grz" and header["OBJECT"] == row.id_str
        middle = WCS(header, naxis=2).pixel_to_world(15.5, 15.5)
        assert (middle.ra.deg, middle.dec.deg) == pytest.approx((row.ra, row.dec), abs=1e-9)
        # North is up and east to the left; a pixel is as large as the camera's.
        above, left = (WCS(header, naxis=2).pixel_to_world(*p) for p in ((15.5, 16.5), (14.5, 15.5)))
        assert above.dec > middle.dec and left.ra > middle.ra
        assert middle.separation(above).arcsec == pytest.approx(0.262, rel=1e-4)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "catalog.csv"), catalog)


def test_a_survey_resumes_where_it_was_stopped_and_keeps_what_is_there(tmp_path):
    first = simulate_survey(tmp_path, galaxies=4, image_size=32)
    kept, lost = (tmp_path / first["file_loc"][k] for k in (0, 2))
    before, age = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    again = simulate_survey(tmp_path, galaxies=6, image_size=32)
    assert kept.stat().st_mtime_ns == age and lost.read_bytes() == before
    pd.testing.assert_frame_equal(again[:4], first)
    assert len(list((tmp_path / "images").iterdir())) == 6


def test_a_folder_with_another_survey_is_refused(tmp_path):
    simulate_survey(tmp_path, galaxies=2, image_size=32, seed=1)
    with pytest.raises(FileExistsError, match=r"other settings \(seed: 1 → 2\)"):
        simulate_survey(tmp_path, galaxies=2, image_size=32, seed=2)
    assert json.loads((tmp_path / "claim.json").read_text())["settings"]["seed"] == 1


def test_cutting_a_galaxy_out_of_its_mosaic_gives_its_image(tmp_path):
    catalog = simulate_survey(tmp_path, galaxies=11, image_size=32, products="mosaic", field_side=3, artifact_rate=0.0)
    _, images = simulate_galaxies(11, image_size=32)
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == ["field00000.fits", "field00001.fits"]
    for row, image in zip(catalog.itertuples(), images, strict=True):
        with fits.open(tmp_path / row.file_loc) as file:
            x, y = WCS(file[0].header, naxis=2).all_world2pix(row.ra, row.dec, 0)
            assert (x, y) == pytest.approx((row.x, row.y), abs=1e-5)
            left, low = round(float(x) - 15.5), round(float(y) - 15.5)
            cut = file[0].section[:, low : low + 32, left : left + 32]
        np.testing.assert_allclose(cut, np.moveaxis(image, -1, 0), atol=1e-5 * np.abs(image).max())


def test_a_survey_of_mosaics_grows_without_touching_its_files(tmp_path):
    how = {"image_size": 32, "products": "mosaic", "field_side": 2}
    simulate_survey(tmp_path, galaxies=5, **how)
    files = {p.name: p.read_bytes() for p in (tmp_path / "images").iterdir()}
    grown = simulate_survey(tmp_path, galaxies=8, **how)
    assert {p.name: p.read_bytes() for p in (tmp_path / "images").iterdir()} == files
    with fits.open(tmp_path / grown["file_loc"][7]) as file:
        assert file[0].data[:, 32:, 32:].std() > 0


def test_unknown_products_are_named(tmp_path):
    with pytest.raises(ValueError, match="unknown product 'png'; known products: fits, mosaic"):
        simulate_survey(tmp_path, products="png")
