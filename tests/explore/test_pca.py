import numpy as np
import pytest
from sklearn.decomposition import PCA

from morphtools.explore import pca
from morphtools.explore.pca import Projection, fit_pca, reduce_representations, represent_image
from morphtools.inference.representations import Representations


@pytest.fixture
def store(tmp_path):
    """100 galaxies in 6 dimensions of very different variance, in two parts."""
    values = np.random.default_rng(0).normal(size=(100, 6)) * [9, 5, 3, 1, 0.5, 0.1] + 100
    made = Representations.create(tmp_path / "r", 6, {"weights": "w", "records": "a"})
    made.append([f"g{i}" for i in range(70)], values[:70])
    made.append([f"g{i}" for i in range(70, 100)], values[70:])
    return made


@pytest.mark.parametrize("asked", [{"components": 3}, {"variance": 0.95}, {"variance": 1.0}])
def test_components_are_those_of_scikit_learn_whatever_the_batches(store, asked, monkeypatch):
    monkeypatch.setattr(pca, "_ROWS", 7)
    ours = fit_pca(store, **asked)
    theirs = PCA(asked.get("components") or (asked["variance"] if asked["variance"] < 1 else None), svd_solver="full")
    expected = theirs.fit_transform(store.values().astype("f8"))
    assert len(ours.components) == expected.shape[1]
    np.testing.assert_allclose(ours.variance, theirs.explained_variance_ratio_, rtol=1e-9)
    np.testing.assert_allclose(np.abs(ours(store.values())), np.abs(expected), atol=1e-4)


def test_new_galaxies_land_in_the_same_space(store, tmp_path):
    reduced = reduce_representations(store, tmp_path / "40", components=2)
    assert (
        reduced.dimension == 2 and reduced.provenance["weights"] == "w" and list(reduced.id_str) == list(store.id_str)
    )
    new = Representations.create(tmp_path / "new", 6, {"weights": "w", "records": "b"})
    new.append(["h"], store.values()[5:6])
    again = reduce_representations(new, tmp_path / "new40", like=tmp_path / "40")
    np.testing.assert_array_equal(again.values()[0], reduced.values()[5])
    assert again.provenance["pca"] == reduced.provenance["pca"]


def test_other_weights_are_another_space(store, tmp_path):
    reduce_representations(store, tmp_path / "2", components=2)
    new = Representations.create(tmp_path / "new", 6, {"weights": "v", "records": "a"})
    with pytest.raises(ValueError, match="another weights"):
        reduce_representations(new, tmp_path / "new2", like=tmp_path / "2")


def test_a_killed_reduction_resumes_to_the_same_result(store, tmp_path, monkeypatch):
    whole = reduce_representations(store, tmp_path / "whole", components=2)
    append = Representations.append

    def killed(self, names, values, **part):
        if len(self):
            raise KeyboardInterrupt
        append(self, names, values, **part)

    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(Representations, "append", killed)
        reduce_representations(store, tmp_path / "halves", components=2)
    halves = reduce_representations(store, tmp_path / "halves", components=2)
    np.testing.assert_array_equal(halves.values(), whole.values())
    assert list(halves.id_str) == list(whole.id_str)
    again = reduce_representations(store, tmp_path / "halves", components=2)
    assert len(again) == 100
    before = (tmp_path / "halves/projection.npz").read_bytes()
    with pytest.raises(ValueError, match="another projection"):
        reduce_representations(store, tmp_path / "halves", variance=0.99)
    assert (tmp_path / "halves/projection.npz").read_bytes() == before


def test_a_store_that_grows_in_its_middle_is_reduced_in_its_order(store, tmp_path):
    reduce_representations(store, tmp_path / "2", components=2)
    store.append(["middle"], store.values()[3:4], part="0000005")
    again = reduce_representations(store, tmp_path / "2", components=2)
    assert list(again.id_str) == list(store.id_str) and again.id_str[70] == "middle"
    np.testing.assert_array_equal(again.values()[70], again.values()[3])


def test_an_image_from_elsewhere_is_reduced_as_the_store_was(store, tmp_path, monkeypatch):
    reduced = reduce_representations(store, tmp_path / "2", components=2)
    new = Representations.create(tmp_path / "new", 6, {"weights": "w", "records": "b"})
    new.append(["h"], store.values()[5:6])
    monkeypatch.setattr("morphtools.inference.represent.represent", lambda *arguments, **options: new)
    np.testing.assert_array_equal(represent_image(tmp_path / "h.png", "w", reduced)[0], reduced.values()[5])
    np.testing.assert_array_equal(represent_image(tmp_path / "h.png", "w", store)[0], store.values()[5])
    new = Representations.create(tmp_path / "other", 6, {"weights": "v"})
    with pytest.raises(ValueError, match=r"another weights \(v now, w there\)"):
        represent_image(tmp_path / "h.png", "v", reduced)


def test_galaxies_of_another_store_are_not_taken_for_its_own(store, tmp_path):
    reduce_representations(store, tmp_path / "2", components=2)
    other = Representations.create(tmp_path / "other", 6, store.provenance)
    other.append(["x"], store.values()[:1])
    with pytest.raises(ValueError, match="other galaxies"):
        reduce_representations(other, tmp_path / "2", like=tmp_path / "2")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "either components"),
        ({"components": 3, "variance": 0.5}, "either components"),
        ({"components": 7}, "from 1 to 6"),
        ({"variance": 95}, "a fraction above 0"),
    ],
)
def test_impossible_requests_are_named(store, asked, message):
    with pytest.raises(ValueError, match=message):
        fit_pca(store, **asked)


def test_representations_that_do_not_vary_are_refused(tmp_path):
    store = Representations.create(tmp_path, 2, {})
    store.append(["a", "b"], np.ones((2, 2)))
    with pytest.raises(ValueError, match="all the same"):
        fit_pca(store, components=1)


def test_a_projection_that_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no projection in"):
        Projection.open(tmp_path)
    (tmp_path / "projection.npz").write_bytes(b"x")
    with pytest.raises(ValueError, match="damaged"):
        Projection.open(tmp_path)


def test_a_damaged_part_of_a_reduced_store_is_named_in_one_line(store, tmp_path):
    reduced = reduce_representations(store, tmp_path / "reduced", components=3)
    part = reduced.parts[0]
    part.write_bytes(part.read_bytes()[:-30] + b"\xff" * 22 + part.read_bytes()[-8:])  # what describes its columns
    with pytest.raises(ValueError, match=rf"{part.name} is damaged: .+") as error:
        reduce_representations(store, tmp_path / "reduced", components=3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("asked", [{"components": 1}, {"components": -1}, {"variance": 0.9}])
def test_two_galaxies_are_needed_whatever_is_requested(tmp_path, asked):
    store = Representations.create(tmp_path / "one", 3, {"weights": "w"})
    store.append(["a"], np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"principal components need two galaxies or more, .*one has 1"):
        fit_pca(store, **asked)
