"""The numbers of votes for a question of a known campaign, if the catalogue has them."""

import numpy as np
import pandas as pd

from morphtools.survey.schemas import SCHEMAS
from morphtools.survey.vote_columns import count_votes
from morphtools.survey.vote_names import FRACTIONS, total_column, variants


def votes_of(catalog: pd.DataFrame, columns: tuple[str, ...]) -> np.ndarray | None:
    """Counts of votes in columns that belong to one question of a known campaign.

    Args:
        catalog: One row per galaxy.
        columns: Counts, or fractions if the number of votes on the question is in another column.

    Returns:
        (N, K), NaN where unknown; None if the columns are not all those of one question, or if the number of votes
        behind their fractions is not known.
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
