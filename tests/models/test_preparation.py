import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from morphtools.data.dataset import load_dataset
from morphtools.models.cards import Card
from morphtools.models.preparation import pixel_scale_of, prepare
from tfrecords_builder import build_records
from tfrecords_builder.images import from_pixels
from tfrecords_builder.records import Records

PICTURES = Records(
    folder=Path("r"),
    shape=(64, 64, 3),
    bands=("r", "g", "b"),
    encoding="encoded",
    label_cols=(),
    splits={"train": 1},
    noise=None,
    pixel_scale=None,
    seed=0,
    checksums={},
    digest="",
)
GREY = dataclasses.replace(PICTURES, shape=(64, 64, 1), bands=("grey",))
FLUX = dataclasses.replace(PICTURES, encoding="float32", bands=("g", "r", "z"), noise=(0.1, 0.2, 0.3))
UGRIZ = dataclasses.replace(FLUX, shape=(64, 64, 5), bands=tuple("ugriz"), noise=(0.1,) * 5)
WIDE = dataclasses.replace(PICTURES, shape=(64, 96, 3))

OF_PICTURES = Card("p", "encoder", {"name": "resnet18"}, ("r", "g", "b"), "picture", (96, 96))
OF_FLUX = Card("f", "encoder", {"name": "resnet18", "noise": [1, 1, 1]}, ("g", "r", "z"), "flux", (64, 64))


def reading(stretch=None, size=(96, 96)):
    return {"image_size": size, "stretch": stretch}


@pytest.mark.parametrize(
    ("card", "records", "options", "expected"),
    [
        (OF_PICTURES, PICTURES, {}, reading()),  # resized to what the weights were trained on
        (OF_PICTURES, PICTURES, {"image_size": 64}, reading(size=(64, 64))),
        (OF_PICTURES, WIDE, {"image_size": (64, 96)}, reading(size=(64, 96))),
        (OF_PICTURES, dataclasses.replace(PICTURES, bands=tuple("irg")), {}, reading()),
        (OF_PICTURES, FLUX, {"stretch": "lupton"}, reading("lupton")),
        (dataclasses.replace(OF_PICTURES, stretch="dr2_rgb"), FLUX, {}, reading("dr2_rgb")),
        (dataclasses.replace(OF_PICTURES, stretch="dr2_rgb"), FLUX, {"stretch": "asinh"}, reading("asinh")),
        (OF_FLUX, FLUX, {}, reading(size=(64, 64))),
    ],
)
def test_images_are_read_as_the_weights_were_trained(card, records, options, expected):
    prepared = prepare(card, records, **options)
    assert prepared.reading == expected
    assert prepared.loading == {"input_shape": (*expected["image_size"], 3), "noise": None}


def test_bands_that_the_stretch_of_the_weights_cannot_show_are_shown_as_their_own_survey_does(caplog):
    card = dataclasses.replace(OF_PICTURES, stretch="sdss_rgb")
    assert prepare(card, UGRIZ).reading == reading("sdss_rgb") and not caplog.messages
    assert prepare(card, FLUX).reading == reading("dr2_rgb")
    assert caplog.messages == ["p was trained on sdss_rgb pictures, which cannot show g, r, z: using dr2_rgb"]


def test_the_middle_of_larger_images_is_read_as_the_weights_saw_it():
    card = dataclasses.replace(OF_FLUX, image_size=(40, 40), middle_of=(64, 64))
    prepared = prepare(card, FLUX)
    assert prepared.reading == {"image_size": (64, 64), "crop": (40, 40), "stretch": None}
    assert prepared.loading["input_shape"] == (40, 40, 3)
    whole = prepare(card, FLUX, image_size=48)  # the user knows better
    assert (whole.reading, whole.loading["input_shape"]) == (reading(size=(48, 48)), (48, 48, 3))


@pytest.mark.parametrize(("side", "scaled"), [(32, 192), (16, 384), (64, 96)])  # the 64 pixels, resized
def test_a_crop_shows_the_middle_of_the_images_in_the_size_of_the_weights(side, scaled):
    prepared = prepare(OF_PICTURES, FLUX, crop=side, stretch="asinh")
    assert prepared.reading == reading("asinh", (scaled, scaled)) | {"crop": (96, 96)}
    assert prepared.loading["input_shape"] == (96, 96, 3)


@pytest.mark.parametrize("side", [0, 65])
def test_a_crop_larger_than_the_images_is_refused_with_both_numbers(side):
    with pytest.raises(ValueError, match=rf"crop must be from 1 to 64, the side of the images .* got {side}"):
        prepare(OF_PICTURES, FLUX, crop=side, stretch="asinh")


def test_flux_is_dereddened_where_the_weights_saw_it_so(tmp_path, caplog):
    index = pd.DataFrame({"id_str": list("abc"), "ebv": [0.1, np.nan, 0.2]})
    index.to_parquet(tmp_path / "index.parquet")
    known = dataclasses.replace(FLUX, folder=tmp_path, label_cols=("ebv",))
    card = dataclasses.replace(OF_FLUX, dereddened="decals")
    assert prepare(card, known).reading == reading(size=(64, 64)) | {"dereddened": "decals"}
    assert "1 galaxies have no ebv and are not dereddened" in caplog.text
    assert prepare(OF_FLUX, known, survey="des").reading["dereddened"] == "des"
    assert "dereddened" not in prepare(OF_FLUX, known).reading
    assert "dereddened" not in prepare(card, FLUX).reading
    # 3.214 and 1.211 of E(B-V), Schlafly & Finkbeiner 2011
    assert "at a typical E(B-V) of 0.03, g is 0.10 mag fainter and g-z 0.06 mag redder than without dust" in caplog.text
    assert "dereddened" not in prepare(dataclasses.replace(OF_PICTURES, dereddened="sdss"), PICTURES).reading
    assert "hold pictures, which cannot be dereddened" in caplog.text


def test_other_bands_are_adapted_only_on_request():
    assert prepare(OF_PICTURES, GREY, adapt_bands=True).loading == {"input_shape": (96, 96, 1), "noise": None}
    assert prepare(OF_FLUX, UGRIZ, adapt_bands=True).loading == {"input_shape": (64, 64, 5), "noise": (0.1,) * 5}


@pytest.mark.parametrize(
    ("card", "records", "options", "message"),
    [
        (OF_FLUX, PICTURES, {}, "f takes flux, the records in r hold pictures: build records from FITS"),
        (OF_FLUX, FLUX, {"stretch": "asinh"}, "takes flux as it is: no stretch"),
        (OF_PICTURES, PICTURES, {"stretch": "asinh"}, "hold pictures already: no stretch"),
        (OF_PICTURES, FLUX, {}, "hold flux in the bands g, r, z: give one of the stretches asinh, dr2_rgb"),
        (OF_PICTURES, FLUX, {"stretch": "asin"}, r"unknown stretch 'asin'.*did you mean 'asinh'"),
        (OF_PICTURES, dataclasses.replace(UGRIZ, bands=tuple("abcde")), {}, "which no stretch can show"),
        (OF_PICTURES, GREY, {}, "p takes the bands r, g, b, the records in r have grey: adapt_bands=True"),
        (OF_FLUX, UGRIZ, {}, "f takes the bands g, r, z, the records in r have u, g, r, i, z: adapt_bands=True"),
        (OF_FLUX, dataclasses.replace(FLUX, bands=tuple("zrg")), {}, "build the records with .* order, g,r,z"),
        (OF_PICTURES, WIDE, {}, "p takes 96×96 pixels, the records in r have 64×96 and would be squeezed: give image"),
    ],
)
def test_what_does_not_fit_is_reported_with_the_remedy(card, records, options, message):
    with pytest.raises(ValueError, match=message) as error:
        prepare(card, records, **options)
    assert "\n" not in str(error.value)


def test_another_pixel_scale_is_reported_with_both_numbers(tmp_path, caplog):
    pixels = np.random.default_rng(0).normal(size=(20, 32, 32, 3)).astype("f4")
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(20)], "file_loc": range(20)})
    source = {"images": lambda name: from_pixels(pixels[int(name)]), "bands": ("g", "r", "z")}
    card = Card("w", "encoder", {"name": "resnet18"}, ("g", "r", "z"), "flux", (32, 32), pixel_scale=0.262)
    for scale, warned in {0.05: True, 0.262: False, 0.3: False, None: False}.items():
        caplog.clear()
        prepare(card, build_records(catalog, tmp_path / f"{scale}", pixel_scale=scale, **source))
        assert (
            any("0.262 arcsec" in r.getMessage() and f"{scale} arcsec" in r.getMessage() for r in caplog.records)
            == warned
        )


def test_resized_images_have_the_scale_they_are_shown_with(tmp_path):
    pixels = np.random.default_rng(0).normal(size=(20, 32, 32, 3)).astype("f4")
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(20)], "file_loc": range(20)})
    records = build_records(catalog, tmp_path / "r", images=lambda n: from_pixels(pixels[int(n)]), pixel_scale=0.2)
    assert pixel_scale_of(records, {"image_size": (64, 64)}) == pytest.approx(0.1)


@pytest.mark.parametrize(("size", "scale"), [(None, 0.262), (32, 0.131), (8, 0.524)])
def test_records_made_from_records_keep_their_pixel_scale(tmp_path, size, scale):
    pixels = np.random.default_rng(0).normal(size=(40, 16, 16, 3)).astype("f4")
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(40)], "file_loc": range(40)})
    first = build_records(catalog, tmp_path / "a", images=lambda n: from_pixels(pixels[int(n)]), pixel_scale=0.262)
    copied = catalog.assign(file_loc=catalog["id_str"])
    again = build_records(copied, tmp_path / "b", images=first.source(), image_size=size)
    assert again.pixel_scale == pytest.approx(scale)  # arcsec: the field of view stays
    assert build_records(copied, tmp_path / "c", images=first.source(), pixel_scale=0.05).pixel_scale == 0.05


def test_one_band_of_flux_is_shown_in_grey_whatever_its_unit(tmp_path):
    """By hand: asinh of the pixels above the sky in units of their noise, 300 of it white."""
    unit = np.random.default_rng(0).normal(size=(20, 32, 32, 1)).astype("f4")
    unit[:, 10:20, 10:20] += 40
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(20)], "file_loc": range(20), "split": "train"})
    for name, factor, sky in (("counts", 10.0, 1000.0), ("flux", 1e-3, 0.0)):
        pixels = (unit * factor + sky).astype("f4")
        records = build_records(catalog, tmp_path / name, images=lambda n, p=pixels: from_pixels(p[int(n)]))
        reading = prepare(OF_PICTURES, records, image_size=32).reading
        assert reading["stretch"] == "grey"
        batch = next(iter(load_dataset(records, "train", batch_size=20, **reading)))
        order = [int(i.decode()[1:]) for i in batch["id_str"].numpy()]
        above = (pixels[order] - np.median(pixels)) / (1.4826 * np.median(abs(pixels - np.median(pixels))))
        expected = np.repeat(np.clip(np.arcsinh(above) / np.arcsinh(300), 0, 1), 3, axis=-1)
        np.testing.assert_allclose(batch["image"].numpy(), expected, atol=0.05)
