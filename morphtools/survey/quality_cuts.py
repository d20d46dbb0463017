"""Cuts on catalogues: which galaxies of a table a paper, or you, keep.

A set of cuts is a YAML file. Those of some papers come with the package (`morphtools/survey/cuts`):

    name: Galaxy Zoo DECaLS
    source: Walmsley et al. 2022, arXiv:2102.08414
    cuts:
      - {column: petrotheta, operator: ">=", value: 3.0, section: "2.2", note: Petrosian radius in arcsec}
      - any:
          - {column: flags, operator: no bit of, value: [8]}
          - {column: flags, operator: any bit of, value: [64]}
        unknown: keep

A set may also, or instead, sort galaxies into classes: the `column` of each gets the first class whose conditions it
meets; galaxies that meet none are left out.

    column: shape
    classes:
      smooth: {column: Class1.1, operator: ">", value: 0.8}
      edge-on: {column: Class2.1, operator: ">", value: 0.8}

`column` of a condition may be a list of names, of which the first one in the table is used. `all` and `any` join
conditions and can be nested. If a cell is empty, a condition is unknown, and so is what depends on it (but any of true
and unknown is true). Galaxies that remain unknown are left out, or kept with `unknown: keep`. Nothing in a file is
executed.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tfrecords_builder.naming import check_known, some, unknown
from tfrecords_builder.yaml_files import read_yaml

FOLDER = Path(__file__).parent / "cuts"
_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_EQUAL, _IN, _BITS = ("==", "!="), ("in", "not in"), ("any bit of", "no bit of")
OPERATORS = (*_COMPARE, *_EQUAL, *_IN, *_BITS)
_ABOUT = ("section", "note", "unknown")


class Condition(NamedTuple):
    """A comparison of a column with a value."""

    columns: tuple[str, ...]
    operator: str
    value: Any

    def __str__(self) -> str:
        return f"{' or '.join(self.columns)} {self.operator} {self.value}"


class Joined(NamedTuple):
    """Conditions, all or any of which must hold."""

    how: str
    parts: tuple["Condition | Joined", ...]

    def __str__(self) -> str:
        return (" and " if self.how == "all" else " or ").join(
            f"({part})" if isinstance(part, Joined) else str(part) for part in self.parts
        )


class Cut(NamedTuple):
    """A cut: the test, its section in the paper, and whether galaxies for which it is unknown are kept."""

    test: Condition | Joined
    section: str
    note: str
    keep_unknown: bool


class Cuts(NamedTuple):
    """A set of cuts in order; the classes into which it sorts galaxies, and the column for their names."""

    name: str
    source: str
    cuts: tuple[Cut, ...]
    column: str = ""
    classes: tuple[tuple[str, Condition | Joined], ...] = ()


def list_cuts() -> list[str]:
    """Names of the sets of cuts that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_cuts(cuts: str | Path | Mapping) -> Cuts:
    """Reads a set of cuts.

    Args:
        cuts: A name of `list_cuts()`, the path of a YAML file, or the content of such a file.

    Raises:
        ValueError: It is not a valid set of cuts; the message names the cut and the problem.
        FileNotFoundError: There is no such file.
    """
    if not isinstance(cuts, Mapping):
        path = FOLDER / f"{cuts}.yaml" if str(cuts) in list_cuts() else Path(cuts)
        if path.suffix not in (".yaml", ".yml"):
            raise ValueError(f"{unknown('set of cuts', str(cuts), list_cuts())}; or give a .yaml file")
        where = path.name
        cuts = read_yaml(path)
    else:
        where = "the set of cuts"
    given = cuts.get("cuts") or [] if isinstance(cuts, Mapping) else None
    if not isinstance(given, list) or not (given or cuts.get("classes")):
        raise ValueError(f"{where} needs a list `cuts` with at least one cut")
    made = []
    for number, cut in enumerate(given, 1):
        try:
            made.append(_cut(cut))
        except ValueError as error:
            raise ValueError(f"{where}, cut {number}: {error}") from None
    name, source = str(cuts.get("name", where)), str(cuts.get("source", ""))
    if not cuts.get("classes"):
        return Cuts(name, source, tuple(made))
    try:
        column, classes = _classes(cuts)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    any_class = Cut(Joined("any", tuple(test for _, test in classes)), str(cuts.get("section", "")), "", False)
    return Cuts(name, source, (*made, any_class), column, classes)


def _classes(cuts: Mapping) -> tuple[str, tuple[tuple[str, Condition | Joined], ...]]:
    """The column for the names of classes, and the test of each."""
    column, classes = cuts.get("column"), cuts["classes"]
    if not isinstance(column, str) or not column:
        raise ValueError(f"classes need a `column` for their names, got {column!r}")
    if not isinstance(classes, Mapping):
        raise ValueError(f"classes are conditions by name, got {classes!r}")
    made = []
    for name, test in classes.items():
        try:
            made.append((str(name), _test(test)))
        except ValueError as error:
            raise ValueError(f"class {name}: {error}") from None
    return column, tuple(made)


def class_of(cuts: Cuts, table: pd.DataFrame, columns: Mapping[str, str]) -> pd.Series:
    """The first class whose conditions each row meets, as text; missing if it meets none or that is unknown.

    Args:
        cuts: A set with classes.
        table: Rows.
        columns: As returned by `columns_of`.
    """
    passed = [passes(test, table, columns).fillna(False).to_numpy(bool) for _, test in cuts.classes]
    return pd.Series(np.select(passed, [name for name, _ in cuts.classes], ""), index=table.index)


def _cut(cut: object) -> Cut:
    if not isinstance(cut, Mapping):
        raise ValueError(f"a cut must have column, operator and value, or all or any, got {cut!r}")
    rule = cut.get("unknown", "leave out")
    check_known("rule for unknown values", rule, ("leave out", "keep"))
    test = _test({name: part for name, part in cut.items() if name not in _ABOUT})
    return Cut(test, str(cut.get("section", "")), str(cut.get("note", "")), rule == "keep")


def _test(test: object) -> Condition | Joined:
    for how in ("all", "any"):
        if isinstance(test, Mapping) and set(test) == {how} and isinstance(test[how], list) and test[how]:
            return Joined(how, tuple(map(_test, test[how])))
    if not isinstance(test, Mapping) or set(test) != {"column", "operator", "value"}:
        raise ValueError(f"a condition must have column, operator and value, or a list all or any, got {test!r}")
    columns = test["column"] if isinstance(test["column"], list) else [test["column"]]
    if not columns or not all(isinstance(name, str) for name in columns):
        raise ValueError(f"column must be a name, or a list of names, got {test['column']!r}")
    value, sign = test["value"], test["operator"]
    check_known("operator", sign, OPERATORS)
    number = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
    if sign in _COMPARE and not number:
        raise ValueError(f"{sign} needs a number, got {value!r}")
    if sign in _EQUAL and not (number or isinstance(value, bool | str)):
        raise ValueError(f"{sign} needs a number, a word, true or false, got {value!r}")
    if sign in _IN + _BITS and not (isinstance(value, list) and value):
        raise ValueError(f"{sign!r} needs a list, got {value!r}")
    if sign in _BITS and not all(type(bit) is int and bit > 0 for bit in value):
        raise ValueError(f"{sign!r} needs a list of bits as whole numbers, such as [2, 0x40000], got {value!r}")
    return Condition(tuple(columns), sign, value)


def columns_of(cuts: Cuts, table: pd.Index, names: Mapping[str, str] | None = None) -> dict[str, str]:
    """The columns of a table that a set of cuts uses.

    Args:
        cuts: The set.
        table: Names of the table's columns; capitalisation is ignored if there is no exact match.
        names: Names in the table of columns of the cuts.

    Returns:
        From the first name of each condition to the column.

    Raises:
        ValueError: Columns are missing; the message lists them all.
    """
    names = dict(names or {})
    conditions = [condition for cut in cuts.cuts for condition in _conditions(cut.test)]
    used = {name for condition in conditions for name in condition.columns}
    strange = [name for name in names if name not in used]
    if strange:
        raise ValueError(f"the cuts use no column {some(strange)}: {some(sorted(used), 12)}")
    capitals = {str(name).lower(): name for name in reversed([*table])}
    columns, missing = {}, {}
    for condition in conditions:
        wanted = [names[name] for name in condition.columns if name in names] or condition.columns
        exact = [name for name in wanted if name in table]
        alike = [capitals[name.lower()] for name in wanted if name.lower() in capitals]
        if exact or alike:
            columns[condition.columns[0]] = (exact or alike)[0]
        else:
            missing[" or ".join(wanted)] = None
    if missing:
        raise ValueError(
            f"the table lacks columns of the cuts: {', '.join(missing)}; it has {some(table, 12)}. If they have "
            "other names there, give these"
        )
    return columns


def _conditions(test: Condition | Joined) -> Iterator[Condition]:
    if isinstance(test, Condition):
        yield test
    else:
        for part in test.parts:
            yield from _conditions(part)


def passes(test: Condition | Joined, table: pd.DataFrame, columns: Mapping[str, str]) -> pd.Series:
    """Which rows of a table pass a test: true, false or unknown.

    Args:
        test: Test of a cut.
        table: Rows.
        columns: As returned by `columns_of`.

    Raises:
        ValueError: A cell cannot be compared; the message names column and cell.
    """
    if isinstance(test, Joined):
        parts = [passes(part, table, columns) for part in test.parts]
        join: Callable = operator.and_ if test.how == "all" else operator.or_
        result = parts[0]
        for part in parts[1:]:
            result = join(result, part)
        return result
    values = table[columns[test.columns[0]]]
    missing = values.isna().to_numpy(bool)
    known = values[~missing]
    answer = pd.Series(pd.NA, index=table.index, dtype="boolean")
    answer[~missing] = _compare(known, test).astype(bool) if len(known) else []
    return answer


def _compare(values: pd.Series, test: Condition) -> np.ndarray:
    sign, value = test.operator, test.value
    if sign in _BITS:
        bits = np.uint64(int(np.bitwise_or.reduce([np.uint64(bit) for bit in value])))
        whole = np.array([_whole(cell, values.name) for cell in values], np.uint64)
        return ((whole & bits) != 0) == (sign == "any bit of")
    if sign in _COMPARE:
        return _COMPARE[sign](_numbers(values), value)
    wanted = value if sign in _IN else [value]
    if any(isinstance(each, str) for each in wanted):
        equal = values.astype(str).str.strip().isin([str(each) for each in wanted]).to_numpy()
    else:
        equal = np.isin(_numbers(values), [float(each) for each in wanted])
    return equal == (sign in ("==", "in"))


def _numbers(values: pd.Series) -> np.ndarray:
    if values.dtype == object or isinstance(values.dtype, pd.StringDtype):
        truth = {"true": "1", "false": "0"}
        values = values.map(lambda cell: truth.get(str(cell).strip().lower(), cell))
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(float, na_value=np.nan)
    if np.isnan(numbers).any():
        cell = values[np.isnan(numbers)].iloc[0]
        raise ValueError(f"column {values.name!r} contains {str(cell)!r}, which cannot be compared with a number")
    return numbers


def _whole(cell: Any, column: str) -> int:
    try:
        whole = int(cell)
        if whole == cell or str(whole) == str(cell).strip():
            return whole & 0xFFFFFFFFFFFFFFFF  # a negative number has its highest bit set
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"column {column!r} contains {str(cell)!r}, but bits need integers")
