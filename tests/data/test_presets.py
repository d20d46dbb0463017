import inspect

import keras
import numpy as np
import pytest

from morphtools.data.presets import LAYERS, PRESETS, build_augmentations, parts_of, read_augmentations

FLUX = {"bands": ("g", "r", "z"), "noise": (0.002, 0.003, 0.007)}
NEEDS_FLUX = ("hayat2021", "stein2022")


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def images(n=6, side=48, bands=3):
    return np.random.default_rng(0).uniform(size=(n, side, side, bands)).astype("float32")


@pytest.mark.any_backend
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_makes_new_views_in_training_and_the_middle_otherwise(preset):
    views = build_augmentations(preset, **FLUX, size=32, seed=1)
    first, second = numpy(views(images(), training=True)), numpy(views(images(), training=True))
    assert first.shape == (6, 32, 32, 3) and np.isfinite(first).all()
    assert np.abs(first - second).max() > 0.01
    still = numpy(views(images(), training=False))
    np.testing.assert_array_equal(still, numpy(views(images(), training=False)))
    again = build_augmentations(preset, **FLUX, size=32, seed=1)
    np.testing.assert_allclose(numpy(again(images(), training=True)), first, atol=1e-6)


@pytest.mark.any_backend
def test_geometry_of_a_preset_is_one_resampling():
    for preset, entries in PRESETS.items():
        names = [name for entry in entries for name in entry]
        assert names.count("RandomView") == 1, preset


@pytest.mark.parametrize("preset", NEEDS_FLUX)
def test_a_preset_for_flux_asks_for_what_pictures_do_not_have(preset):
    with pytest.raises(ValueError, match=r"the augmentation Random(Extinction|Noise) cannot be made: .* are? needed"):
        build_augmentations(preset)


def test_the_layers_learn_what_they_need_from_the_bands():
    views = build_augmentations(["RandomExtinction", "RandomBlur", "RandomNoise"], bands="ugriz", noise=(1, 2, 3, 4, 5))
    extinction, blur, noise = views.layers
    assert extinction.coefficients == (4.239, 3.303, 2.285, 1.698, 1.263)  # Schlafly & Finkbeiner 2011, SDSS
    assert blur.wavelengths[2] == 6166.0 and blur.reference == 2 and noise.noise == (1, 2, 3, 4, 5)
    assert len({layer.seed for layer in views.layers}) == 3
    own = build_augmentations([{"RandomBlur": {"wavelengths": None}}], bands="ugriz")
    assert own.layers[0].wavelengths is None


def test_a_list_in_yaml_may_hold_layers_of_keras(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("- RandomView: {rotation: 0.25, zoom: 0}\n- keras.layers.RandomContrast: {factor: 0.3}\n")
    views = build_augmentations(path, seed=3)
    assert [type(layer).__name__ for layer in views.layers] == ["RandomView", "RandomContrast"]
    assert views.layers[0].rotation == 0.25 and views.layers[1].seed == 4
    assert np.isfinite(numpy(views(images(), training=True))).all()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="keras-cv's layers run on TensorFlow")
def test_a_list_may_hold_layers_of_keras_cv():
    pytest.importorskip("keras_cv", exc_type=ImportError)
    views = build_augmentations([{"keras_cv.layers.RandomShear": {"x_factor": 0.3}}, "RandomView"])
    assert numpy(views(images(), training=True)).shape == (6, 48, 48, 3)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("hayat", "unknown preset 'hayat'; .*did you mean 'hayat2021'.*or give a .yaml file"),
        (["RandomVeiw"], "unknown augmentation 'RandomVeiw'.*did you mean 'RandomView'"),
        ([{"RandomView": {"rotate": 1}}], "RandomView: unknown argument 'rotate'.*did you mean 'rotation'"),
        ([{"keras.layers.RandomContrast": {"strength": 1}}], "keras.layers.RandomContrast cannot be made"),
        (["keras.layers.Lambda"], "keras.layers has no layer 'Lambda' that could be"),
        (["keras.layers.TFSMLayer"], "no layer 'TFSMLayer' that could be"),
        (["os.system"], "unknown augmentation 'os.system'"),
        ([{"RandomView": {}, "RandomBlur": {}}], "one layer's name with its arguments"),
        ([{"RandomView": float("inf")}], "one layer's name with its arguments"),
        ([{"RandomView": [["rotation", 0.5]]}], "one layer's name with its arguments"),
        ([3], "one layer's name with its arguments"),
    ],
)
def test_what_is_not_an_augmentation_is_reported(entries, message):
    with pytest.raises(ValueError, match=message):
        build_augmentations(entries)


def test_a_file_is_read_safely(tmp_path):
    path = tmp_path / "c.yaml"
    for text, message in [
        ("!!python/object/apply:os.system ['true']", "c.yaml is not YAML"),
        ("RandomView: {}", "must contain a list of layers"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_augmentations(path)
    with pytest.raises(FileNotFoundError):
        read_augmentations(tmp_path / "none.yaml")


def test_presets_contain_only_arguments_of_the_layers():
    for entries in PRESETS.values():
        for name, arguments in read_augmentations(entries):
            if not name.startswith("keras"):
                assert set(arguments) <= set(inspect.signature(LAYERS[name]).parameters)


def test_every_part_can_be_left_out_alone():
    assert parts_of("hayat2021") == ["RandomExtinction", "RandomView.rotation", "RandomView.jitter", "RandomNoise"]
    without = dict(read_augmentations("hayat2021", without="RandomNoise + RandomView.jitter"))
    assert list(without) == ["RandomExtinction", "RandomView"] and without["RandomView"]["jitter"] == 0
    assert without["RandomView"]["rotation"] == 0.5
    kept = [name for name, _ in read_augmentations("hayat2021", without="RandomNoise")]
    assert kept == ["RandomExtinction", "RandomView"]
    ((name, arguments),) = [e for e in read_augmentations("hayat2021", "RandomView.rotation") if e[0] == "RandomView"]
    assert arguments == {**PRESETS["hayat2021"][1][name], "rotation": 0.0}
    with pytest.raises(ValueError, match=r"unknown part 'RandomView.shift'; known parts: RandomExtinction"):
        read_augmentations("hayat2021", without="RandomView.shift")
