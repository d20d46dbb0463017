"""How many votes the answers to a question of a known campaign got, if the catalogue has the numbers."""

import numpy as np
import pandas as pd

from morphtools.survey.schemas import SCHEMAS
from morphtools.survey.vote_columns import count_votes
from morphtools.survey.vote_names import FRACTIONS, total_column, variants


def votes_of(catalog: pd.DataFrame, columns: tuple[str, ...]) -> np.ndarray | None:
    """Counts of votes in columns that belong to one question of a known campaign.

    Args:
        catalog: One row per galaxy.
        columns: Counts, or fractions of a question whose number of votes stands in another column.

    Returns:
        (N, K), NaN where it is unknown; None where the columns are not those of a question, all of them, or where
        nothing tells how many votes their fractions are of.
    """
    for schema in SCHEMAS.values():
        for question in schema.questions:
            for stems, ending in variants(question, schema):
                names = [stem + ending for stem in stems]
                if set(names) != set(columns):
                    continue
                total = total_column(question, schema, catalog.columns)
                if ending in FRACTIONS and total is None:
                    return None
                counts = count_votes(catalog, question.text, names, total).astype(float)
                unknown = catalog[names].isna().any(axis=1).to_numpy()
                counts[unknown] = np.nan
                return counts[:, [names.index(name) for name in columns]]
    return None
