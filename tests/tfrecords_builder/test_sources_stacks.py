import h5py
import numpy as np
import pytest

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
