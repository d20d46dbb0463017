import numpy as np
import pandas as pd
import pytest

from morphtools.data.from_flux import dimming, stretch_of
from tfrecords_builder.build import build_records
from tfrecords_builder.pixels import from_pixels


def flux(tmp_path, bands, **columns):
    pixels = np.random.default_rng(0).normal(5.0, 2.0, (40, 12, 10, len(bands))).astype("float32")
    table = pd.DataFrame({"id_str": np.arange(40).astype(str), "file_loc": np.arange(40).astype(str), **columns})
    return build_records(table, tmp_path / "r", images=lambda i: from_pixels(pixels[int(i)]), bands=tuple(bands))


def test_a_single_band_is_shown_in_terms_of_its_noise(tmp_path):
    records = flux(tmp_path, "r")
    levels = np.array([records.sky[0], records.sky[0] + 300 * records.noise[0]], np.float32)
    shown = stretch_of(records, "grey")(levels[:, np.newaxis, np.newaxis, np.newaxis])
    np.testing.assert_allclose(shown, np.ones((2, 1, 1, 3)) * [[[[0.0]]], [[[1.0]]]], atol=1e-6)
    with pytest.raises(ValueError, match="bands r: unknown stretch 'dr2_rgb'"):
        stretch_of(records, "dr2_rgb")


def test_dust_dims_by_its_coefficient_in_each_band(tmp_path):
    dimmed = dimming(flux(tmp_path, "grz", ebv=0.1), "decals")
    # Schlafly & Finkbeiner 2011, as for the Legacy Surveys: A/E(B-V) of 3.214, 2.165, 1.211
    np.testing.assert_allclose(-2.5 * np.log10(dimmed), (3.214, 2.165, 1.211), rtol=1e-3)


def test_pictures_have_neither_dust_nor_a_stretch(galaxies, tmp_path):
    catalog, folder = galaxies
    pictures = build_records(catalog, tmp_path / "pictures", images=folder)
    with pytest.raises(ValueError, match="are pictures already"):
        stretch_of(pictures, "dr2_rgb")
    with pytest.raises(ValueError, match="needs flux and a column ebv"):
        dimming(pictures, "decals")
