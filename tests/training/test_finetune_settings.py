import dataclasses

import pytest

from morphtools.answers.classes import Classes
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.survey.tasks import TASKS
from morphtools.training.finetune_settings import FinetuneSettings
from morphtools.training.labels import labelled_galaxies
from morphtools.training.settings import Inputs, Start

SETTINGS = FinetuneSettings(
    task=None,
    labels=100,
    inputs=Inputs(None, None, None),
    column=None,
    answer=None,
    balance=False,
    bands="g, r,z",
    start=Start("efficientnet_lite0_gz2", "resnet18", None, None, False, None),
    survey=None,
    orientations=8,
    depth="2",
    epochs=None,
    batch_size=32,
    optimizer="adam",
    learning_rate=1e-2,
    encoder_learning_rate=None,
    in_memory=None,
    mixed_precision=False,
    photoz=Photoz(),
    test_labels=200,
    seed=0,
)


def test_folders_of_images_are_classes(tmp_path):
    for kind in ("ring", "bar"):
        (tmp_path / kind).mkdir()
        for i in range(30):
            (tmp_path / kind / f"{i}.jpg").touch()
    settings = changed(inputs=Inputs(None, tmp_path, None), column="folder", labels=40).checked()
    answer, drawn, _, _ = labelled_galaxies(settings)
    assert answer.names == ("bar", "ring")
    assert (drawn["label"] == drawn["id_str"].str.startswith("ring")).all()


def changed(**changes):
    start = dataclasses.replace(SETTINGS.start, **{k: changes.pop(k) for k in ("weights",) if k in changes})
    return dataclasses.replace(SETTINGS, start=start, **changes)


@pytest.mark.parametrize(
    ("column", "there", "names"),
    [
        (None, ["a"], ()),
        ("a", ["a", "b"], ("a",)),
        ("a, b", ["a", "b"], ("a", "b")),
        ("log M, solar", ["log M, solar", "b"], ("log M, solar",)),
    ],
)
def test_columns_are_split_at_commas_but_for_a_column_that_has_one_in_its_name(column, there, names):
    assert changed(column=column).columns(there) == names


def test_the_question_is_the_task_or_the_columns_and_gives_the_run_its_name():
    assert changed(task="bars").name == "bars" and changed(column="bar,ring").name == "bar, ring"
    assert changed(column="bar").question is None and changed(task="bars").question is TASKS["bars"]


@pytest.mark.parametrize(
    ("answer", "weights", "rate"),
    [
        (Classes(("a", "b")), "efficientnet_lite0_gz2", 1e-4),
        (Numbers(("m",)), "efficientnet_lite0_gz2", 1e-3),
        (Photoz(), "efficientnet_lite0_gz2", 1e-3),
        (Classes(("a", "b")), "random", 1e-2),
    ],
)
def test_a_pretrained_encoder_is_trained_slower_than_its_head_by_the_kind_of_answer(answer, weights, rate):
    settings = changed(weights=weights)
    assert settings.encoder_rate(answer) == pytest.approx(rate)
    with_rates = settings.with_rates(answer)
    assert with_rates.encoder_learning_rate == with_rates.encoder_rate(answer) == pytest.approx(rate)


@pytest.mark.parametrize(("answer", "most"), [(Classes(("a", "b")), 1e-3), (Numbers(("m",)), 1e-2)])
def test_a_rate_that_destroys_what_the_encoder_has_learned_is_refused(answer, most):
    assert changed(encoder_learning_rate=most).encoder_rate(answer) == most
    with pytest.raises(ValueError, match="encoder_learning_rate must be at most"):
        changed(encoder_learning_rate=1.01 * most).encoder_rate(answer)
    assert changed(encoder_learning_rate=1.0, weights="random").encoder_rate(answer) == 1.0


def test_a_column_needs_a_catalogue_not_the_simulated_sky():
    assert changed(task="rings").simulated_task() is TASKS["rings"]
    with pytest.raises(ValueError, match="column 'size' needs a catalog or records"):
        changed(column="size").simulated_task()


def test_checked_settings_are_plain_and_ask_for_rings_by_default():
    checked = changed(column=None).checked()
    assert (checked.task, checked.bands, checked.depth) == ("rings", ["g", "r", "z"], 2)
    assert checked.start.image_size == 128 and checked.start.stretch  # that of the weights, as pictures
