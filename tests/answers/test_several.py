import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from morphtools.answers.classes import Classes
from morphtools.answers.linear import standardisation
from morphtools.answers.several import Several

NAN = np.nan
ANSWER = Several(("bar", "type"), (Classes(("no", "yes")), Classes(("E", "S0", "Sb"))))


@pytest.fixture(scope="module")
def galaxies():
    """Representations, answers of which a third (bar) and a fifth (type) are unknown, and the head fitted to them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 40)) * rng.gamma(1, 1, 40)
    bar = (x[:, 0] + rng.normal(size=150) > 0).astype(float)
    kind = (x[:, 1:4] + rng.normal(size=(150, 3))).argmax(axis=1).astype(float)
    bar[::3], kind[1::5] = NAN, NAN
    truth = np.stack([bar, kind], axis=1)
    return x, truth, ANSWER.linear(x, truth, 0)


def table_of(n=1000, seed=0):
    """Two questions, each answered for half of the galaxies only; S0 are 4%."""
    rng = np.random.default_rng(seed)
    bar, kind = rng.integers(0, 2, n).astype(float), rng.choice(3, n, p=[0.5, 0.04, 0.46]).astype(float)
    bar[rng.random(n) < 0.5], kind[rng.random(n) < 0.5] = NAN, NAN
    return pd.DataFrame({"id_str": [f"g{i}" for i in range(n)], "label_0": bar, "label_1": kind})


def test_the_head_of_each_question_is_the_one_it_has_alone_from_the_same_galaxies(galaxies):
    x, truth, both = galaxies
    logits = both(x)
    for q, (_, answer, place) in enumerate(ANSWER):
        known = np.isfinite(truth[:, q])
        alone = answer.linear(x[known], truth[known, q : q + 1], 0)
        np.testing.assert_allclose(logits[:, place], alone(x), atol=1e-8)
        np.testing.assert_array_equal(both.left_out[known, place], alone.left_out)


def test_the_head_of_each_question_is_the_minimum_that_scikit_learn_finds(galaxies):
    x, truth, both = galaxies
    kept = both.history[both.history["kept"]].set_index("question")["strength"]
    for q, (question, answer, place) in enumerate(ANSWER):
        known = np.isfinite(truth[:, q])
        mean, deviation = standardisation(x[known])
        z = (x - mean) / deviation
        # the penalty of softmax over two classes is half of that on their difference
        strength = kept[question] * (z[known] ** 2).sum(axis=1).mean() * (0.5 if answer.outputs == 2 else 1)
        theirs = LogisticRegression(C=1 / strength, tol=1e-8, max_iter=5000).fit(z[known], truth[known, q])
        np.testing.assert_allclose(softmax(both(x)[:, place], axis=1), theirs.predict_proba(z), atol=2e-3)


def test_galaxies_without_an_answer_are_left_out_too_and_all_probabilities_add_up(galaxies):
    left_out = galaxies[2].left_out
    assert left_out.shape == (150, 5)
    for _, _, place in ANSWER:
        np.testing.assert_allclose(left_out[:, place].sum(axis=1), 1)


def test_a_galaxy_needs_an_answer_to_one_question_and_every_class_trains_and_validates():
    answer, drawn = ANSWER.draw(table_of(), 60, test_labels=100, seed=0)
    labels = drawn[["label_0", "label_1"]]
    assert answer == ANSWER and labels.notna().any(axis=1).all() and not labels.notna().all(axis=1).all()
    counts = drawn["split"].value_counts()
    assert counts["train"] + counts["val"] == 60 and counts["test"] == 100 and abs(counts["val"] - 60 / 8) < 1
    for name, classes in (("label_0", 2), ("label_1", 3)):
        for split, least in (("train", 2), ("val", 1)):
            assert (drawn.loc[drawn["split"] == split, name].value_counts() >= least).sum() == classes


def test_fewer_labels_are_among_more_and_the_test_stays_the_same():
    few, many = (ANSWER.draw(table_of(), n, test_labels=50, seed=3)[1] for n in (50, 100))
    assert set(few.query("split != 'test'")["id_str"]) < set(many.query("split != 'test'")["id_str"])
    assert list(few.query("split == 'test'")["id_str"]) == list(many.query("split == 'test'")["id_str"])


def test_a_class_with_too_few_labels_is_left_out_of_its_question_only(caplog):
    table = table_of()
    rare = (table["label_1"] == 1) & ((table["label_1"] == 1).cumsum() > 2)
    answer, drawn = ANSWER.draw(table.assign(label_1=table["label_1"].where(~rare)), 300, test_labels=100, seed=0)
    assert answer.answers == (Classes(("no", "yes")), Classes(("E", "Sb")))
    assert set(drawn["label_1"].dropna()) == {0, 1} and "type: left out, with fewer than 3 labels" in caplog.text


def test_balance_weighs_the_classes_of_each_question_by_its_own_counts():
    answer, drawn = ANSWER.draw(table_of(), 300, test_labels=100, seed=0, balance=True)
    fitted = drawn[drawn["split"] != "test"]
    for name, each in zip(answer.label_cols, answer.answers, strict=True):
        counts = fitted[name].value_counts().sort_index().to_numpy()
        np.testing.assert_allclose(each.weights, counts.sum() / (len(counts) * counts))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_0": 1.0}, "too few labels of bar: only one class"),
        ({"split": "train"}, "too few labels of bar: 0 no and 0 yes for test"),
    ],
)
def test_too_few_labels_are_refused_with_the_name_of_the_question(changes, message):
    with pytest.raises(ValueError, match=message):
        ANSWER.draw(table_of().assign(**changes), 60, test_labels=100, seed=0)


def test_columns_have_the_names_of_question_and_class_and_hold_the_mean_of_the_models():
    outputs = np.array([[[0.2, 0.8, 0.5, 0.3, 0.2]], [[0.4, 0.6, 0.1, 0.3, 0.6]]])
    read, full = ANSWER.tables(["x"], outputs, 0.9)
    assert list(read) == [
        "id_str",
        "bar_predicted",
        "bar_no",
        "bar_yes",
        "type_predicted",
        "type_E",
        "type_S0",
        "type_Sb",
    ]
    assert read.iloc[0].tolist() == ["x", "yes", 0.3, 0.7, "Sb", 0.3, 0.3, 0.4]
    assert full["type_Sb_1"].item() == 0.6 and ANSWER.to_read(full).equals(read)
    np.testing.assert_allclose(ANSWER.outputs_in(full), outputs.mean(axis=0))
    assert list(ANSWER.to_read(full, ("bar",))) == ["id_str", "bar_predicted", "bar_no", "bar_yes"]


def test_questions_that_would_share_a_column_are_refused():
    with pytest.raises(ValueError, match="would both have a column a_b_c"):
        Several(("a", "a_b"), (Classes(("b_c", "x")), Classes(("c", "y"))))
    with pytest.raises(ValueError, match="two questions or more"):
        Several(("a",), (Classes(("b", "c")),))


def test_neighbours_answer_by_those_whose_answer_is_known():
    targets = np.array([[0, 2], [1, NAN], [NAN, 2], [1, NAN]])
    answers = ANSWER.neighbours(targets, np.array([[0, 1, 2], [1, 2, 3], [1, 3, 1]]))
    np.testing.assert_allclose(answers, [[0.5, 0.5, 0, 0, 1], [0, 1, 0, 0, 1], [0, 1, 0, 0, 1]])


def test_each_question_has_its_own_folder_of_figures(tmp_path):
    rng, truth = np.random.default_rng(1), np.array([[0, NAN], [1, 0], [NAN, 1], [1, 2], [0, 0], [1, 1]])
    outputs = np.concatenate([rng.dirichlet([1, 1], 6), rng.dirichlet([1, 1, 1], 6)], axis=1)
    answer = Several(("is it/barred", "type"), ANSWER.answers)
    results = answer.results([f"g{i}" for i in range(6)], outputs, truth, {})
    history = pd.DataFrame({"stage": "encoder", "epoch": [1, 2], "loss": [2.0, 1], "val_loss": [2.0, 1]})
    answer.draw_figures(tmp_path, results, None, history.assign(kept=[False, True]))
    drawn = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")}
    assert drawn == {"training_curve.png", "is-it-barred/confusion.png", "is-it-barred/calibration.png"} | {
        "is-it-barred/roc.png", "type/confusion.png", "type/calibration.png"
    }  # fmt: skip
