import io
import re
import zipfile

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image as Picture

from tfrecords_builder import build_records, read_pixels
from tfrecords_builder.bounded import LIMITS
from tfrecords_builder.hdf5 import check_weights
from tfrecords_builder.images import open_images, read_images


@pytest.fixture
def stack():
    return np.random.default_rng(0).normal(size=(6, 5, 8, 9)).astype("f2")


def save(path, stack):
    if path.suffix == ".npy":
        np.save(path, stack)
    elif path.suffix == ".npz":
        np.savez(path, images=stack, z=np.arange(len(stack)))
    else:
        with h5py.File(path, "w") as file:
            file["images"] = stack
            file["z"] = np.arange(len(stack))


@pytest.mark.parametrize("ending", ["npy", "npz", "h5"])
@pytest.mark.parametrize("bands_first", [True, False])
def test_a_row_of_a_stack_is_the_image_whichever_axis_holds_the_bands(tmp_path, stack, ending, bands_first):
    path = tmp_path / f"s.{ending}"
    save(path, stack if bands_first else np.moveaxis(stack, 1, -1))
    for image, expected in zip(
        read_images(open_images(path), [{"file_loc": str(i)} for i in (4, 0)]), stack[[4, 0]], strict=True
    ):
        np.testing.assert_array_equal(np.moveaxis(image.data, -1, 0), expected.astype("f4"))


def test_the_number_of_bands_decides_where_the_shorter_axis_would_mislead(tmp_path, stack):
    np.save(tmp_path / "s.npy", stack[:, :, :3])  # (6, 5, 3, 9) with five bands of 3 × 9 pixels, or nine of 5 × 3
    (image,) = read_images(open_images(tmp_path / "s.npy", bands=tuple("ugriz")), [{"file_loc": "0"}])
    assert image.shape == (3, 9, 5)


def test_rows_that_are_not_there_are_failures_with_a_reason(tmp_path, stack):
    save(tmp_path / "s.npz", stack)
    for row, reason in (("6", "which has 6"), ("x", "'x'"), ("-1", "row -1")):
        (error,) = read_images(open_images(tmp_path / "s.npz"), [{"file_loc": row}])
        assert isinstance(error, ValueError) and reason in str(error)


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "s.npy", np.array([{"a": 1}] * 3), allow_pickle=True)
    (error,) = read_images(open_images(tmp_path / "s.npy"), [{"file_loc": "0"}])
    assert isinstance(error, ValueError)


def test_an_unknown_array_is_named_with_the_known_ones(tmp_path, stack):
    save(tmp_path / "s.npz", stack)
    (error,) = read_images(open_images(tmp_path / "s.npz", hdu="image"), [{"file_loc": "0"}])
    assert "did you mean 'images'?" in str(error)


def test_arrays_in_groups_and_zarr_stores_are_answered_with_what_to_do(tmp_path, stack):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["survey/images"] = stack
    (error,) = read_images(open_images(tmp_path / "s.h5"), [{"file_loc": "0"}])
    assert "s.h5 has 0 arrays that could be images; choose one with hdu: survey/…" in str(error)
    (tmp_path / "s.zarr").mkdir()
    (tmp_path / "s.zarr" / ".zarray").write_text("{}")
    with pytest.raises(ValueError, match="is a zarr store, which is not supported: save its array as npy or h5"):
        open_images(tmp_path / "s.zarr")


@pytest.mark.parametrize("ending", ["npy", "npz", "h5"])
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("bands_first", [True, False])
def test_uint8_with_one_or_three_bands_is_the_picture_that_a_png_would_be(tmp_path, ending, bands, bands_first):
    levels = np.random.default_rng(0).integers(0, 256, (4, 12, 13, bands), np.uint8)
    stored = levels[..., 0] if bands == 1 else np.moveaxis(levels, -1, 1) if bands_first else levels
    save(tmp_path / f"s.{ending}", stored)
    for i, image in enumerate(
        read_images(open_images(tmp_path / f"s.{ending}"), [{"file_loc": str(i)} for i in range(4)])
    ):
        assert isinstance(image.data, bytes) and image.shape == (12, 13, bands)
        picture = np.asarray(Picture.open(io.BytesIO(image.data)))
        np.testing.assert_array_equal(picture.reshape(levels[i].shape), levels[i])


def test_records_of_a_uint8_stack_are_those_of_its_pictures(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8)
    save(tmp_path / "s.h5", levels)
    for i, picture in enumerate(levels):
        Picture.fromarray(picture).save(tmp_path / f"{i}.png")
        np.save(tmp_path / f"{i}.npy", picture)
    ids = [f"g{i}" for i in range(12)]
    names = {
        "s.h5": [str(i) for i in range(12)],
        ".": [f"{i}.png" for i in range(12)],
        "./": [f"{i}.npy" for i in range(12)],
    }
    pixels = []
    for number, (images, places) in enumerate(names.items()):
        catalog = pd.DataFrame({"id_str": ids, "file_loc": places})
        records = build_records(catalog, tmp_path / f"r{number}", images=f"{tmp_path}/{images}")
        assert (records.encoding, records.bands) == ("encoded", ("r", "g", "b"))
        pixels.append(list(read_pixels(records, ids)))
    np.testing.assert_array_equal(pixels[0], levels / np.float32(255))
    np.testing.assert_array_equal(pixels[1], pixels[0])
    np.testing.assert_array_equal(pixels[2], pixels[0])


def test_levels_of_pictures_are_never_taken_for_measured_values(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (3, 12, 13, 3))
    for kind, reason in (("i8", "save pictures as uint8"), ("i2", "save pictures as uint8")):
        np.save(tmp_path / "s.npy", levels.astype(kind))
        (error,) = read_images(open_images(tmp_path / "s.npy"), [{"file_loc": "0"}])
        assert reason in str(error)
    np.save(tmp_path / "rgba.npy", np.zeros((3, 12, 13, 4), np.uint8))
    (error,) = read_images(open_images(tmp_path / "rgba.npy"), [{"file_loc": "0"}])
    assert "leave transparency out" in str(error)
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(15)], "file_loc": range(15)})
    for scale in (1, 255):
        np.save(tmp_path / f"{scale}.npy", (np.tile(levels, (5, 2, 2, 1)) / scale).astype("f4"))
        records = build_records(catalog, tmp_path / f"of {scale}", images=tmp_path / f"{scale}.npy")
        assert records.encoding == "float32" and records.index()["findings"].str.contains("like_a_picture").all()


@pytest.mark.parametrize("stretch", [lambda x: x, lambda x: np.clip(x, 0, 1), lambda x: np.arcsinh(x) / 10, np.abs])
def test_measured_values_do_not_look_like_a_picture(tmp_path, stretch):
    np.save(tmp_path / "s.npy", stretch(np.random.default_rng(0).normal(size=(15, 24, 26, 3))).astype("f4"))
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(15)], "file_loc": range(15)})
    records = build_records(catalog, tmp_path / "r", images=tmp_path / "s.npy")
    assert not records.index()["findings"].str.contains("like_a_picture").any()


def test_counts_that_no_picture_has_are_measured_values(tmp_path):
    counts = np.random.default_rng(0).poisson(3, (3, 12, 13, 3)).astype("u2")
    np.save(tmp_path / "s.npy", counts)
    (image,) = read_images(open_images(tmp_path / "s.npy"), [{"file_loc": "1"}])
    np.testing.assert_array_equal(image.data, counts[1])


def test_h5_reads_what_is_in_the_file_itself_and_nothing_else(tmp_path, stack):
    save(tmp_path / "secret.h5", stack)
    stack.tofile(tmp_path / "raw")
    layout = h5py.VirtualLayout(stack.shape, stack.dtype)
    layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "images", stack.shape)
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["linked"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "images")
        file.create_dataset("external", stack.shape, stack.dtype, external=[(str(tmp_path / "raw"), 0, stack.nbytes)])
        file.create_virtual_dataset("virtual", layout)
        file["soft"] = h5py.SoftLink("/group/inner")
        file["group/inner"] = stack
        file["group/linked"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "images")
    reasons = {"linked": "is a link", "external": "another file", "virtual": "another file", "soft": "is a link"}
    reasons |= {"group/linked": "is a link", "group/linked/images": "is a link", "absent/x": "no array 'absent/x'"}
    reasons |= {"group": "is not an array", "gone": "unknown array"}
    for name, reason in reasons.items():
        (error,) = read_images(open_images(tmp_path / "s.h5", hdu=name), [{"file_loc": "0"}])
        assert isinstance(error, ValueError) and reason in str(error), name
    (image,) = read_images(open_images(tmp_path / "s.h5", hdu="group/inner"), [{"file_loc": "2"}])
    np.testing.assert_array_equal(np.moveaxis(image.data, -1, 0), stack[2].astype("f4"))
    assert isinstance(next(read_images(open_images(tmp_path / "s.h5"), [{"file_loc": "0"}])), ValueError)


def test_weights_that_would_read_other_files_are_refused(tmp_path, stack):
    save(tmp_path / "secret.h5", stack)
    stack.tofile(tmp_path / "raw")
    with h5py.File(tmp_path / "good.h5", "w") as file:
        file["layers/dense/vars/0"] = stack
        file["layers/again"] = file["layers"]  # hard links may go round
        file["soft"] = h5py.SoftLink("/layers/dense")
    check_weights(tmp_path / "good.h5")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["layers/dense/vars/0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "images")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        place = [(str(tmp_path / "raw"), 0, stack.nbytes)]
        file.create_dataset("layers/dense/vars/0", stack.shape, stack.dtype, external=place)
    for name, reason in (("link.h5", "link to the file"), ("raw.h5", "are stored in another file")):
        with zipfile.ZipFile(tmp_path / f"{name}.keras", "w") as archive:
            archive.write(tmp_path / name, "model.weights.h5")
        for path in (tmp_path / name, tmp_path / f"{name}.keras"):
            with pytest.raises(ValueError, match=rf"{re.escape(path.name)} is refused.*{reason}"):
                check_weights(path)
    (tmp_path / "broken.h5").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"cannot read the weights broken\.h5"):
        check_weights(tmp_path / "broken.h5")


def test_tables_and_other_files_are_not_stacks(tmp_path):
    for name, reason in (("t.arrow", "neither a folder"), ("t.txt", "neither a folder")):
        (tmp_path / name).write_bytes(b"PAR1")
        with pytest.raises(ValueError, match=reason):
            open_images(tmp_path / name)


def test_an_image_of_more_pixels_than_allowed_is_refused(tmp_path, stack):
    for ending in ("npy", "npz", "h5"):
        save(tmp_path / f"s.{ending}", stack)
        limits = LIMITS._replace(pixels=5 * 8 * 9 - 1)
        (error,) = read_images(open_images(tmp_path / f"s.{ending}", limits=limits), [{"file_loc": "0"}])
        assert "360 values are read for an image; max_pixels allows 359" in str(error)
