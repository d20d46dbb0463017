"""Rounds numbers to the digits that mean something."""

import numpy as np
import pandas as pd

_DIGITS = 3


def significant(values: np.ndarray) -> np.ndarray:
    """Numbers rounded to three significant digits, of the same type; NaN, infinity and 0 stay what they are."""
    return _rounded(values, values)


def to_error(values: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Numbers rounded to the decimal place of the third significant digit of their errors.

    6562.8134 ± 0.3456 becomes 6562.813: three digits of the number alone would be 6560.
    """
    return _rounded(values, errors)


def significant_columns(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose columns of floating-point numbers are `significant`."""
    floats = table.select_dtypes("floating")
    return table.assign(**{name: significant(floats[name].to_numpy()) for name in floats})


def _rounded(values, sizes) -> np.ndarray:
    values = np.asarray(values)
    exact, sizes = values.astype(np.float64), np.abs(np.asarray(sizes, np.float64))
    usual = np.isfinite(exact) & np.isfinite(sizes) & (sizes > 0)
    places = _DIGITS - 1 - np.floor(np.log10(np.where(usual, sizes, 1.0)))
    # powers of ten with whole exponents are exact, so 1230 is not 1230.0000000000002
    up, down = 10.0 ** np.clip(places, 0, 300), 10.0 ** np.clip(-places, 0, 300)
    with np.errstate(over="ignore"):
        scaled = np.round(exact * up / down)
    rounded = np.where(usual & np.isfinite(scaled), scaled / up * down, exact)
    return rounded.astype(values.dtype if values.dtype.kind == "f" else np.float64)
