import dataclasses
import inspect

import pytest

import morphtools
from morphtools.studies.compare_weights import CompareSettings
from morphtools.training.finetune_settings import FinetuneSettings
from morphtools.training.pretrain_settings import PretrainSettings
from morphtools.training.settings import Inputs, Start, check_numbers, config_of, flat, name_or_path
from morphtools.training.train_settings import TrainSettings


def names(kind):
    """The names of all values of settings, nested ones included."""
    for field in dataclasses.fields(kind):
        inside = dataclasses.is_dataclass(field.type)
        yield from names(field.type) if inside else [field.name]


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        ("train", TrainSettings),
        ("pretrain", PretrainSettings),
        ("finetune", FinetuneSettings),
        ("compare_weights", CompareSettings),
    ],
)
def test_settings_hold_each_argument_that_decides_the_result_of_their_verb_once(verb, kind):
    held = list(names(kind))
    assert len(held) == len(set(held))
    assert set(held) >= set(inspect.signature(getattr(morphtools, verb)).parameters) - {"out", "executor"}


@dataclasses.dataclass(frozen=True)
class Some:
    inputs: Inputs
    start: Start
    epochs: int
    rate: float
    sizes: tuple[int, int]
    seed: int


def some(**changes):
    values = {"inputs": Inputs(None, None, "records"), "start": Start("random", None, 32), "epochs": 3, "rate": 0.1}
    return Some(**values | {"sizes": (1, 2), "seed": 0} | changes)


def test_a_config_has_the_arguments_of_the_verb_in_its_order_as_plain_values(tmp_path, monkeypatch):
    def verb(epochs, sizes, *, records, weights, seed=0, out=None): ...

    monkeypatch.chdir(tmp_path)
    settings = some(inputs=Inputs(None, None, "records").checked())
    expected = {"epochs": 3, "sizes": [1, 2], "records": str(tmp_path / "records"), "weights": "random", "seed": 0}
    assert config_of(settings, verb) == expected
    assert list(config_of(settings, verb)) == list(expected)


@pytest.mark.parametrize(("name", "value"), [("epochs", 0), ("epochs", -1), ("start", Start("random", None, 0))])
def test_a_number_of_things_below_one_is_refused_by_name(name, value):
    wrong = {"start": "image_size"}.get(name, name)
    with pytest.raises(ValueError, match=f"{wrong} must be at least 1, got"):
        check_numbers(some(**{name: value}))


def test_settings_that_are_not_counts_may_be_zero():
    check_numbers(some(rate=0))
    with pytest.raises(ValueError, match="seed must be from 0 to"):
        check_numbers(some(seed=-1))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [(("c.csv", None, "r"), "either records or a catalog"), ((None, "i", None), "images need a catalog")],
)
def test_galaxies_come_from_one_place(inputs, said):
    with pytest.raises(ValueError, match=said):
        Inputs(*inputs).checked()


def test_names_stay_names_and_paths_that_exist_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree.yaml").write_text("")
    assert name_or_path("gz2") == "gz2" and name_or_path(None) is None
    assert name_or_path("tree.yaml") == str(tmp_path / "tree.yaml")


@pytest.mark.parametrize(("weights", "pretrained"), [(None, False), ("random", False), ("a_run", True)])
def test_weights_that_are_none_or_random_are_not_pretrained(weights, pretrained):
    assert Start(weights, None, None).pretrained is pretrained
    assert flat(Start(weights, None, None))["weights"] == weights
