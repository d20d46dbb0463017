import numpy as np
import pytest

from morphtools.answers.familiarity import Familiarity, fit_familiarity, tell


def galaxies(n, dimension=30, seed=0, shift=0.0):
    """Correlated normal representations, with a few directions that vary most."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(5, dimension))
    return 3 * rng.normal(size=(n, 5)) @ mixing + rng.normal(size=(n, dimension)) + shift


@pytest.mark.parametrize("n", [25, 400])
def test_distances_are_mahalanobis_of_the_shrunk_covariance_of_scikit_learn(n):
    from sklearn.covariance import OAS

    x, y = galaxies(n), galaxies(50, seed=1, shift=1.0)
    ours, theirs = fit_familiarity(x), OAS().fit(x)
    np.testing.assert_allclose(ours.distance(y) ** 2 * x.shape[1], theirs.mahalanobis(y), rtol=1e-6)


@pytest.mark.parametrize("held_out", [False, True])
def test_galaxies_like_the_training_galaxies_have_uniform_p_values(held_out):
    x = galaxies(500)
    p = fit_familiarity(x, galaxies(500, seed=1) if held_out else None)(galaxies(2000, seed=2))
    for share in (0.05, 0.2, 0.5):  # the 500 distances leave an error of sqrt(share (1 - share) / 500)
        assert np.mean(p <= share) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 500))


def test_galaxies_of_another_kind_are_recognised_where_no_single_number_is_unusual():
    x, other = galaxies(500), galaxies(200, seed=3)
    rng = np.random.default_rng(0)
    other = np.stack([rng.permutation(column) for column in other.T], axis=1)  # same numbers, no correlations
    fitted = fit_familiarity(x)
    assert np.mean(fitted(other) <= fitted.rare) > 0.9


def test_few_galaxies_make_no_claim_beyond_their_number():
    fitted = fit_familiarity(galaxies(30))
    far = fitted(galaxies(3, shift=1e3))
    assert fitted.rare == pytest.approx(1 / 31)
    np.testing.assert_allclose(far, 1 / 31)


def test_what_is_saved_is_what_was_fitted_and_damage_is_named(tmp_path):
    fitted, y = fit_familiarity(galaxies(60)), galaxies(5, seed=4)
    fitted.save(tmp_path / "familiarity.npz")
    np.testing.assert_array_equal(Familiarity.open(tmp_path / "familiarity.npz")(y), fitted(y))
    content = bytearray((tmp_path / "familiarity.npz").read_bytes())
    content[300] ^= 1
    (tmp_path / "familiarity.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"familiarity\.npz is damaged"):
        Familiarity.open(tmp_path / "familiarity.npz")


def test_directions_in_which_nothing_varies_do_no_harm():
    x = np.hstack([galaxies(40), np.zeros((40, 10))])
    assert np.isfinite(fit_familiarity(x).distance(x)).all()


@pytest.mark.parametrize(("x", "message"), [(np.ones((50, 4)), "are the same"), (np.ones((5, 4)), "at least 10")])
def test_what_cannot_be_described_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        fit_familiarity(x)


def test_representations_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"shape \(n, 30\), got \(2, 4\)"):
        fit_familiarity(galaxies(20))(np.ones((2, 4)))


def test_a_warning_names_the_fraction_of_unfamiliar_galaxies_unless_it_is_due_to_chance():
    uniform = (np.arange(1000) + 0.5) / 1000
    assert tell(uniform, 0.01) is None
    assert tell(np.concatenate([uniform[390:780], np.full(610, 0.002)]), 0.01).startswith("61% of these galaxies")
    assert tell(np.array([0.001, 0.5]), 0.01) is None  # one galaxy is no survey
    assert tell(np.array([]), 0.01) is None
