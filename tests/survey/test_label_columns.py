import numpy as np
import pandas as pd
import pytest

from morphtools.survey.label_columns import check_classes, find_labels, is_class

N = 60
CATALOG = pd.DataFrame(
    {
        "id_str": [f"g{i}" for i in range(N)],
        "file_loc": [f"g{i}.jpg" for i in range(N)],
        "split": ["train", "val"] * (N // 2),
        "kind": [*(["spiral", "round"] * (N // 2))[:-1], None],
        "survey": "sdss",
        "ring": [0, 1] * (N // 2),
        "bar_yes": [9, 1, 5] * (N // 3),
        "bar_no": [1, 9, 5] * (N // 3),
        "redshift": np.linspace(0, 0.3, N),
        "ra": np.linspace(0, 360, N),
        "true_spiral": "yes",
    }
)


def test_classes_answers_to_tasks_and_redshifts_are_labels_and_names_are_not():
    found = find_labels(CATALOG)
    assert set(found) == {"kind", "rings", "bars", "redshift"}
    assert list(found["rings"][:2]) == ["no ring", "ring"]
    assert list(found["bars"][:2]) == ["bar", "no bar"] and pd.isna(found["bars"][2])  # 0.9, 0.1 and 0.5 of ten votes
    assert pd.isna(found["kind"][N - 1]) and found["redshift"].dtype == float


def test_a_rare_second_class_is_not_a_label():
    catalog = CATALOG.assign(ring=[1] * 9 + [0] * (N - 9))
    assert "rings" not in find_labels(catalog)


def test_named_columns_are_taken_and_nonsense_is_refused():
    assert set(find_labels(CATALOG, "ra, ring")) == {"ra", "ring"}
    with pytest.raises(ValueError, match=r"unknown column 'knd'.*did you mean 'kind'"):
        find_labels(CATALOG, "knd")
    with pytest.raises(ValueError, match="'survey' has only one value, sdss"):
        find_labels(CATALOG, "survey")


def test_text_and_few_numbers_are_classes():
    assert is_class(["a", "b"]) and is_class([0, 1, np.nan, 1]) and not is_class(np.linspace(0, 1, 50))


@pytest.mark.parametrize("values", [np.linspace(5, 9, 60), [f"galaxy {i}" for i in range(60)]])
def test_measurements_and_names_are_not_classes(values):
    with pytest.raises(ValueError, match="column 'x' has 60 different values for 60 galaxies: these are measurements"):
        check_classes(pd.Series([*values, None], name="x"))


@pytest.mark.parametrize("values", [["a", "b", "c"], [0, 1, 2, 5] * 9, [f"type {i // 3}" for i in range(90)]])
def test_words_and_codes_are_classes(values):
    assert check_classes(pd.Series(values)).tolist() == values
