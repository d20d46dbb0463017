import numpy as np
import pandas as pd
import pytest

from morphtools.answers.digits import significant, significant_columns, to_error


def test_three_significant_digits_are_those_that_python_formats():
    rng = np.random.default_rng(0)
    values = rng.normal(size=500) * 10.0 ** rng.integers(-12, 12, 500)
    assert significant(values).tolist() == [float(f"{value:.3g}") for value in values]
    assert [repr(value) for value in significant(np.array([1234.5, 0.12345, 98765432.1])).tolist()] == [
        "1230.0",
        "0.123",
        "98800000.0",
    ]


def test_zero_infinity_and_nan_are_not_rounded():
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0])
    np.testing.assert_array_equal(significant(values), values)
    assert significant(np.array([0.123456], np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [(6562.8134, 0.3456, 6562.813), (10.456789, 0.0123456, 10.4568), (0.00123, 45.6, 0.0), (98765.4, 123.4, 98765.0)],
)
def test_a_number_keeps_as_many_decimals_as_its_error(value, error, expected):
    assert to_error(np.array([value]), np.array([error])).item() == expected


def test_only_columns_of_floating_point_numbers_are_rounded():
    table = pd.DataFrame({"id_str": ["a"], "n": [123456], "p": [0.123456], "yes": [True]})
    assert significant_columns(table).to_dict("list") == {"id_str": ["a"], "n": [123456], "p": [0.123], "yes": [True]}
