import numpy as np
import pandas as pd

from morphtools.answers.classes import Classes

ABC = Classes(("a", "b", "c"))


def galaxies(counts, seed=0):
    labels = np.repeat(np.arange(len(counts)), counts).astype(float)
    labels = np.random.default_rng(seed).permutation(labels)
    return pd.DataFrame({"id_str": [f"g{i}" for i in range(len(labels))], "label": labels})


def test_rare_classes_are_left_out_with_a_warning_and_the_others_keep_their_names(caplog):
    answer, drawn = ABC.draw(galaxies([200, 2, 200]), 80, test_labels=50, seed=0)
    assert answer.names == ("a", "c") and set(drawn["label"]) == {0, 1}
    assert "fewer than 3 labels outside the test: b (2)" in caplog.text
    truth = galaxies([200, 2, 200]).set_index("id_str")["label"].map({0: 0, 2: 1})
    assert (truth[drawn["id_str"]].to_numpy() == drawn["label"].to_numpy()).all()


def test_every_class_trains_and_validates_and_the_test_has_natural_frequencies():
    _, drawn = ABC.draw(galaxies([600, 100, 30]), 100, test_labels=70, seed=1)
    counts = drawn.groupby("split")["label"].value_counts().unstack(fill_value=0)
    assert (counts.loc["train"] >= 2).all() and (counts.loc["val"] >= 1).all()
    np.testing.assert_allclose(counts.loc["test"] / 70, np.array([600, 100, 30]) / 730, atol=0.06)
    assert counts.loc[["train", "val"]].to_numpy().sum() == 100


def test_balanced_classes_weigh_the_same_altogether():
    answer, drawn = ABC.draw(galaxies([600, 100, 30]), 100, test_labels=70, seed=1, balance=True)
    used = drawn.loc[drawn["split"] != "test", "label"]
    totals = pd.Series(np.array(answer.weights)[used]).groupby(used.to_numpy()).sum()
    np.testing.assert_allclose(totals, len(used) / 3)
    assert answer == ABC  # the question is the same


def test_balancing_finds_more_of_a_rare_class():
    rng = np.random.default_rng(2)
    y = (rng.uniform(size=400) < 0.1).astype(float)
    x = rng.normal(size=(400, 10)) + y[:, np.newaxis]
    recalls = []
    for weights in ((), (0.5 / 0.9, 0.5 / 0.1)):
        head = Classes(("no", "yes"), weights).linear(x, y[:, np.newaxis], 0)
        logits = (x - head.mean) / head.deviation @ head.kernel + head.bias
        recalls.append(np.mean(logits[y == 1].argmax(axis=1)))
    assert recalls[1] > recalls[0] + 0.1


def test_the_baseline_is_the_most_common_class():
    results = ABC.results(list("wxyz"), np.full((4, 3), 1 / 3), np.array([[0.0], [2], [2], [1]]), {})
    assert results.baseline() == "base rates: c 50.0%, a 25.0%, b 25.0%; always guessing c: accuracy 0.500"


def test_neighbours_answer_with_their_fractions_of_each_class():
    targets, near = np.array([[0.0], [1], [2], [2]]), np.array([[0, 1, 2, 3], [2, 3, 2, 3]])
    np.testing.assert_array_equal(ABC.neighbours(targets, near), [[0.25, 0.25, 0.5], [0, 0, 1]])


def test_the_probabilities_of_several_models_are_averaged():
    outputs = np.array([[[0.8, 0.1, 0.1]], [[0.2, 0.7, 0.1]]])
    read, full = ABC.tables(["x"], outputs, 0.9)
    assert read[["id_str", "predicted"]].to_numpy().tolist() == [["x", "a"]]
    np.testing.assert_allclose(read[["a", "b", "c"]], [[0.5, 0.4, 0.1]])
    assert list(full) == ["id_str", "predicted", *"abc", "a_0", "b_0", "c_0", "a_1", "b_1", "c_1"]
