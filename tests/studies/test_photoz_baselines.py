import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morphtools.answers.redshift_metrics import crps, delta_z, sigma_mad
from morphtools.answers.redshift_neighbours import training_pdf
from morphtools.explore.pictures import Pictures
from morphtools.inference.representations import Representations
from morphtools.studies.photoz_baselines import baseline_redshifts, boosted_pdf, measure, reduced, scaled
from morphtools.survey.extinction import transmission
from tfrecords_builder.build import build_records
from tfrecords_builder.pixels import from_pixels

EDGES = np.linspace(0, 0.4, 81)
Y, X = np.mgrid[:32, :32] - 15.5


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """Records of 300 galaxies in ugriz, redder the farther they are, behind dust; some pixels are missing."""
    rng = np.random.default_rng(0)
    z, ebv = rng.uniform(0.05, 0.35, 300), rng.uniform(0, 0.3, 300)
    magnitude = 17 + rng.normal(0, 0.3, 300)[:, np.newaxis] - 4 * z[:, np.newaxis] * np.linspace(-1, 1, 5)
    flux = 10 ** (-0.4 * (magnitude - 22.5)) * transmission(ebv, bands="ugriz", survey="sdss")
    shape = np.exp(-(X**2 + Y**2) / 18) / (18 * np.pi)
    images = flux[:, np.newaxis, np.newaxis] * shape[..., np.newaxis] + rng.normal(0, 0.02, (300, 32, 32, 5))
    images[::3, 10:13, 15, 2] = np.nan
    names = [f"g{i}" for i in range(300)]
    catalog = pd.DataFrame({"id_str": names, "file_loc": np.arange(300).astype(str), "redshift": z, "ebv": ebv})
    options = {"images": lambda place: from_pixels(images[int(place)]), "bands": tuple("ugriz"), "seed": 1}
    return build_records(catalog, tmp_path_factory.mktemp("sky") / "records", **options)


def galaxies_of(records):
    return records.index(["id_str", "split", "redshift", "ebv"]).set_index("id_str")


def test_all_baselines_beat_the_mean_on_galaxies_they_have_not_seen(sky, tmp_path):
    galaxies = galaxies_of(sky)
    store = Representations.create(tmp_path / "store", 3, {})
    rng = np.random.default_rng(0)
    z = galaxies["redshift"].to_numpy()
    store.append(galaxies.index, np.stack([np.sin(9 * z), np.cos(9 * z), rng.normal(0, 0.1, 300)], axis=1))
    options = {"pictures": Pictures(sky), "survey": "sdss", "representations": {"mine": store}}
    found = baseline_redshifts(galaxies, EDGES, **options)
    assert list(found) == ["mean", "neighbours of magnitudes", "boosting of magnitudes", "neighbours of mine"]
    loss = {}
    for name, redshifts in found.items():
        assert set(redshifts.id_str) == set(galaxies.index[galaxies["split"] == "test"])
        np.testing.assert_array_equal(redshifts.redshift, galaxies.loc[redshifts.id_str, "redshift"])
        assert redshifts.pdf.min() > 0
        loss[name] = crps(redshifts.pdf, EDGES, redshifts.redshift).mean()
    assert all(loss[name] < 0.5 * loss["mean"] for name in list(loss)[1:])
    expected = training_pdf(z[galaxies["split"] == "train"], EDGES)
    np.testing.assert_allclose(found["mean"].pdf, np.tile(expected, (len(found["mean"].id_str), 1)))


def test_dereddened_colours_give_better_redshifts_than_reddened_ones(sky):
    galaxies = galaxies_of(sky)
    z = galaxies["redshift"].to_numpy()
    clean = measure(Pictures(sky), galaxies.index, galaxies["ebv"].to_numpy(), "sdss")
    dusty = measure(Pictures(sky), galaxies.index)
    assert clean.shape == (300, 15) and np.isfinite(clean).all()
    # g − r of the middle aperture: 4 z · 0.5, and what the model above gives nobody else
    errors = [np.std(x[:, 7] - 2 * z) for x in (clean, dusty)]
    assert errors[0] < 0.05 < errors[1]


def test_pictures_and_images_that_cannot_be_read_are_measured_too(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(4):
        Image.fromarray(rng.integers(20, 60, (24, 24, 3)).astype("uint8")).save(tmp_path / f"{i}.png")
    (tmp_path / "4.png").write_text("no picture")
    catalog = pd.DataFrame({"id_str": list("abcde"), "file_loc": [f"{i}.png" for i in range(5)]})
    features = measure(Pictures(catalog=catalog, images=tmp_path), pd.Index(list("edcba")))
    assert np.isnan(features[0]).all() and np.isfinite(features[1:]).all()
    filled = scaled(features, np.array([True] * 4 + [False]))
    assert np.isfinite(filled).all()
    with pytest.raises(ValueError, match="no images to measure"):
        measure(Pictures(catalog=catalog, images=tmp_path), pd.Index(["e"]))


def test_boosting_beats_neighbours_and_estimates_its_own_errors():
    rng = np.random.default_rng(0)
    z = rng.uniform(0.05, 0.35, 1500)
    noise = np.where(z > 0.2, 0.05, 0.01)
    x = np.stack([z + noise * rng.normal(size=1500), rng.normal(0, 50, 1500), np.full(1500, np.nan)], axis=1)
    pdf = boosted_pdf(x[:1000], z[:1000], x[1000:], EDGES)
    np.testing.assert_allclose(pdf.sum(axis=1), 1)
    estimate = pdf @ ((EDGES[1:] + EDGES[:-1]) / 2)
    assert sigma_mad(delta_z(estimate, z[1000:])) < 0.03
    width = np.sqrt(pdf @ ((EDGES[1:] + EDGES[:-1]) / 2) ** 2 - estimate**2)
    assert width[estimate < 0.15].mean() < 0.6 * width[estimate > 0.25].mean()


def test_galaxies_without_representation_get_the_mean_of_the_others(tmp_path):
    store = Representations.create(tmp_path / "store", 2, {})
    store.append(["a", "b", "c", "d"], np.array([[0, 0], [2, 0], [0, 1], [2, 1]]))
    values = reduced(store, pd.Index(["d", "missing", "a", "b", "c"]), np.array([1, 0, 1, 1, 1], bool))
    np.testing.assert_allclose(values[1], 0, atol=1e-6)
    assert values.shape == (5, 2) and np.abs(values[[0, 2, 3, 4]]).sum() > 1
    with pytest.raises(ValueError, match="only 1 of the training galaxies"):
        reduced(store, pd.Index(["a", "x", "y"]), np.ones(3, bool))


def test_missing_training_galaxies_are_reported(sky):
    with pytest.raises(ValueError, match="splits 'train' and 'val'"):
        baseline_redshifts(galaxies_of(sky).query("split == 'test'"), EDGES)
