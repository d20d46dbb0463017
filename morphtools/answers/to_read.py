"""Tables that people read: few digits, the questions of interest, and the columns of the catalogue."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from morphtools.answers.kinds import AnyAnswer
from morphtools.answers.several import Several
from morphtools.answers.votes import Votes
from morphtools.survey.question_filter import choose_questions
from tfrecords_builder.naming import check_known


def choose(answer: AnyAnswer, wanted: str | Sequence[str] | None, surveys: Iterable[str]) -> tuple[str, ...]:
    """The questions that a table shows: for a vote model see `choose_questions`; () for all.

    Raises:
        ValueError: There is no such question, or the model answers only one.
    """
    if isinstance(answer, Votes):
        return choose_questions(answer.schema, wanted, surveys)
    if wanted is None:
        return ()
    if not isinstance(answer, Several):
        raise ValueError(f"`questions` choose among several, and these weights predict {answer.kind}")
    names = [name.strip() for name in wanted.split(",")] if isinstance(wanted, str) else wanted
    for name in names:
        check_known("question", name, answer.questions)
    return tuple(names)


def beside_catalog(catalog: pd.DataFrame, predicted: pd.DataFrame) -> pd.DataFrame:
    """A catalogue with the predictions to its right, for galaxies that are in both, in the catalogue's order.

    Args:
        catalog: One row per galaxy, with `id_str` once each. A column with the name of one of the predictions becomes
            `NAME_catalog`.
        predicted: With `id_str`.
    """
    names = {}
    for name in catalog.columns:
        new = name
        while name != "id_str" and (
            new in predicted.columns or new in names.values() or (new != name and new in catalog.columns)
        ):
            new = f"{new}_catalog"
        names[name] = new
    ids = predicted["id_str"].to_numpy(str)
    known = catalog.rename(columns=names)
    known = known[np.isin(known["id_str"].to_numpy(str), ids)].reset_index(drop=True)
    order = pd.Index(ids).get_indexer(known["id_str"].to_numpy(str))
    return known.join(predicted.drop(columns="id_str").iloc[order].reset_index(drop=True))
