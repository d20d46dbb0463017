import logging

import numpy as np
import pandas as pd
import pytest

from morphtools.answers.drawing import draw_classes, draw_redshifts
from tfrecords_builder.splits import split_of

CLASSES = ("no ring", "ring")


def catalog(n=2000, share=0.3, seed=0):
    rng = np.random.default_rng(seed)
    label = (rng.uniform(size=n) < share).astype(float)
    label[::10] = np.nan
    return pd.DataFrame({"id_str": [f"g{i}" for i in range(n)], "label": label})


def draw(table, labels, test_labels=100, seed=0):
    return draw_classes(table, labels, test_labels=test_labels, classes=CLASSES, seed=seed)


@pytest.mark.parametrize("labels", [20, 77, 500])
def test_as_many_as_requested_an_eighth_of_them_for_validation(labels):
    count = draw(catalog(), labels)["split"].value_counts()
    assert count["train"] + count["val"] == labels
    assert abs(count["val"] - labels / 8) <= 1
    assert count["test"] == 100


def test_the_proportions_of_the_classes_are_kept():
    drawn = draw(catalog(share=0.2), 800, test_labels=200)
    for _, rows in drawn.groupby("split"):
        assert rows["label"].mean() == pytest.approx(0.2, abs=0.03)


def test_the_test_split_is_that_of_the_hash_and_unknown_labels_stay_out():
    drawn = draw(catalog(), 300)
    assert [split_of(i) == "test" for i in drawn["id_str"]] == list(drawn["split"] == "test")
    assert drawn["label"].isin((0, 1)).all() and drawn["id_str"].is_unique


def test_a_split_that_is_decided_already_is_kept():
    table = catalog().assign(split=np.where(np.arange(2000) % 4 == 0, "test", "train"))
    drawn = draw(table, 300).set_index("id_str")["split"]
    assert [int(i[1:]) % 4 == 0 for i in drawn.index] == list(drawn == "test")


def test_fewer_labels_are_among_more_and_a_growing_catalogue_keeps_the_splits():
    small, large = (draw(catalog(), n).query("split != 'test'") for n in (100, 400))
    assert set(small["id_str"]) <= set(large["id_str"])


def test_the_seed_draws_others():
    a, b = (set(draw(catalog(), 100, seed=s)["id_str"]) for s in (0, 1))
    assert a != b


def test_training_and_validation_have_galaxies_of_rare_classes():
    table = catalog(share=0.02)
    drawn = draw(table, 50)
    assert (drawn.query("split == 'train'")["label"] == 1).sum() >= 2
    assert (drawn.query("split == 'val'")["label"] == 1).sum() >= 1


def test_if_there_are_fewer_labels_than_requested_all_are_used_and_that_is_reported(caplog):
    with caplog.at_level(logging.WARNING):
        drawn = draw(catalog(100), 500)
    used = (drawn["split"] != "test").sum()
    assert 50 < used < 90
    assert f"500 labels were requested, only {used} are available" in caplog.text


def test_one_class_is_refused():
    table = catalog().assign(label=1.0)
    with pytest.raises(ValueError, match="needs both classes, the catalogue has 0 no ring, 2000 ring"):
        draw(table, 100)


def test_too_few_are_refused_with_their_numbers():
    with pytest.raises(ValueError, match=r"too few labels: 1 no ring and 1 ring for train"):
        draw(catalog(), 4)


def with_redshifts(n=1000):
    return catalog(n).assign(label=np.where(np.arange(n) % 5, np.random.default_rng(0).gamma(4, 0.04, n), np.nan))


def draw_z(table, labels, test_labels=50, redshift_range=(0.0, 0.3)):
    return draw_redshifts(table, labels, test_labels=test_labels, redshift_range=redshift_range, seed=0)


@pytest.mark.parametrize("labels", [3, 20, 300])
def test_as_many_redshifts_as_requested_an_eighth_of_them_for_validation(labels):
    count = draw_z(with_redshifts(), labels)["split"].value_counts()
    assert count["train"] + count["val"] == labels and count["test"] == 50
    assert abs(count["val"] - labels / 8) <= 1


def test_fewer_redshifts_are_among_more_and_the_test_stays_the_same():
    few, many = (draw_z(with_redshifts(), n) for n in (50, 100))
    assert set(few.query("split != 'test'")["id_str"]) < set(many.query("split != 'test'")["id_str"])
    assert list(few.query("split == 'test'")["id_str"]) == list(many.query("split == 'test'")["id_str"])
    assert [split_of(i) == "test" for i in many["id_str"]] == list(many["split"] == "test")


def test_redshifts_outside_the_range_are_tested_only(caplog):
    table = with_redshifts()
    drawn = draw_z(table, 500, test_labels=1000, redshift_range=(0.1, 0.2))
    assert drawn.query("split != 'test'")["label"].between(0.1, 0.2).all()
    assert not drawn.query("split == 'test'")["label"].between(0.1, 0.2).all()
    known = table["label"].dropna()
    outside = (~known.between(0.1, 0.2)).sum()
    assert f"{outside} of {len(known)} redshifts lie outside redshift_range, 0.1 to 0.2" in caplog.text
    assert "500 labels were requested" in caplog.text


def test_too_few_redshifts_are_refused():
    with pytest.raises(ValueError, match=r"too few redshifts: 2 from 0 to 0.3 to train and validate"):
        draw_z(with_redshifts(), 2)
