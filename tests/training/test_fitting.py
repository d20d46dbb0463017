import keras
import numpy as np
import pytest

from morphtools.training.fitting import fit, patience_of_walmsley
from morphtools.training.representing import shuffled

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 6)).astype("float32")
Y = (X[:, 0] + 0.5 * RNG.normal(size=96) > 0).astype(int)


def model():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(16, "relu"), keras.layers.Dropout(0.5), keras.layers.Dropout(0.2)]
    made = keras.Sequential([keras.Input((6,)), *layers, keras.layers.Dense(2, "softmax")])
    made.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    return made


def run(state, batches=None, fitted=None, **options):
    fitted = fitted or model()
    options = {"epochs": 12, "patience": 5, "seed": 3, "stage": "head"} | options
    history = fit(
        fitted,
        batches or (lambda epoch: shuffled(X[:64], Y[:64], 16, seed=epoch)),
        lambda: shuffled(X[64:], Y[64:], 16, seed=0),
        state=state,
        **options,
    )
    return history, fitted.get_weights()[0:2]


def test_a_killed_fit_resumes_to_the_same_result(tmp_path):
    history, weights = run(tmp_path / "whole.npz")

    for dies_at in (1, 4, 9):

        def dying(epoch, dies_at=dies_at):
            for i, batch in enumerate(shuffled(X[:64], Y[:64], 16, seed=epoch)):
                if epoch == dies_at and i == 2:
                    raise KeyboardInterrupt
                yield batch

        state = tmp_path / f"{dies_at}.npz"
        with pytest.raises(KeyboardInterrupt):
            run(state, dying, checkpoint_seconds=0)
        resumed, again = run(state)
        assert resumed.equals(history)
        for a, b in zip(weights, again, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_finished_fit_is_not_repeated(tmp_path):
    history, weights = run(tmp_path / "s.npz")

    def never(epoch):
        raise AssertionError("trained again")

    again, same = run(tmp_path / "s.npz", never)
    assert again.equals(history)
    np.testing.assert_array_equal(weights[0], same[0])


def test_the_best_weights_are_kept(tmp_path):
    fitted = model()
    history, _ = run(tmp_path / "s.npz", fitted=fitted)
    best = history.loc[history["kept"], "val_loss"].item()
    assert best == history["val_loss"].min()
    p = fitted.predict(X[64:], verbose=0)[np.arange(32), Y[64:]]
    assert -np.log(p).mean() == pytest.approx(best, rel=1e-5)


def test_the_log_the_history_and_the_picture_number_the_kept_epoch_alike(tmp_path, caplog):
    with caplog.at_level("INFO", logger="morphtools"):
        history, _ = run(tmp_path / "s.npz")
    assert list(history["epoch"]) == list(range(1, len(history) + 1))
    kept = int(history["val_loss"].argmin()) + 1  # counted from 1, as `training_curve` draws it
    assert list(history.loc[history["kept"], "epoch"]) == [kept]
    assert f"{len(history)} epochs, kept epoch {kept} with" in caplog.text


def test_it_stops_when_patience_is_over(tmp_path):
    history, _ = run(tmp_path / "s.npz", epochs=500, patience=3)
    assert len(history) == history["val_loss"].argmin() + 1 + 3


def test_other_seeds_give_other_dropout(tmp_path):
    first, second = (run(tmp_path / f"{seed}.npz", seed=seed)[0] for seed in (1, 2))
    assert not first["loss"].equals(second["loss"])


def test_a_diverging_loss_is_reported_in_words(tmp_path):
    diverging = model()
    diverging.compile("sgd", lambda true, said: keras.ops.sum(said) * np.nan)  # relu of NaN is 0 on some processors
    with pytest.raises(ValueError, match=r"loss of epoch 1 of head is nan; try a smaller learning rate"):
        run(tmp_path / "s.npz", fitted=diverging)


@pytest.mark.parametrize(
    ("galaxies", "epochs", "patience"),
    # Walmsley et al. 2022, section 4, worked by hand: 5e6/N and min(max(10, epochs/6), 30)
    [(500, 10_000, 30), (50_000, 100, 16), (200_000, 25, 10), (10**8, 1, 10)],
)
def test_patience_follows_the_published_rule(galaxies, epochs, patience):
    assert patience_of_walmsley(galaxies) == (epochs, patience)


def test_shuffled_batches_hold_everything_once():
    rows = np.concatenate([y for _, y in shuffled(X, np.arange(96), 20, seed=1)])
    assert sorted(rows) == list(range(96)) and list(rows) != list(range(96))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in shuffled(X, np.arange(96), 20, seed=1)]), X[rows])


def test_a_damaged_checkpoint_is_named_and_never_trained_on(tmp_path):
    state, rng = tmp_path / "s.npz", np.random.default_rng(0)
    history, weights = run(state)
    sound = state.read_bytes()
    for place in rng.integers(len(sound), size=40):
        flipped = bytearray(sound)
        flipped[place] ^= 1 << rng.integers(8)
        state.write_bytes(flipped)
        try:
            again, same = run(state)
        except ValueError as error:
            assert str(error).startswith(f"{state} is damaged")
            continue
        assert again.equals(history)
        for a, b in zip(weights, same, strict=True):
            np.testing.assert_array_equal(a, b)
    state.write_bytes(sound)
    other = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, "softmax")])
    other.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"s\.npz belongs to another model: remove it"):
        run(state, fitted=other)
