"""All galaxies of a session with their scores, the most interesting first, a few at a time."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.anomalies.gaussian_process import Posterior
from morphtools.explore.sorting import in_order
from tfrecords_builder.progress import progress_bar

_SAMPLE = 20_000  # galaxies that tell how scores are distributed


def ranked_galaxies(
    posterior: Posterior,
    candidates: np.ndarray,
    names: Iterable[np.ndarray],
    rated: pd.DataFrame,
    excluded: np.ndarray,
    folder: Path,
) -> Iterator[pd.DataFrame]:
    """The columns of `AnomalyLoop.scores`.

    Args:
        posterior: What is expected of the candidates.
        candidates: (N, D), possibly memory-mapped.
        names: Their names (N,), some at a time.
        rated: `row`, `rating` and `raters` of the galaxies that were rated.
        excluded: Rows that are left out.
        folder: Where there is room for temporary files.
    """

    def tables() -> Iterator[pd.DataFrame]:
        start = 0
        with progress_bar(total=len(candidates), desc="scoring", unit="galaxy", delay=2) as bar:
            for batch in names:
                rows = np.arange(start, start + len(batch))
                score, uncertainty = posterior.predict(candidates, rows)
                here = rated[rated["row"].isin(rows)]
                rating, raters = np.full(len(batch), np.nan), np.zeros(len(batch), int)
                rating[here["row"] - start], raters[here["row"] - start] = here["rating"], here["raters"]
                columns = {"id_str": batch, "score": score, "uncertainty": uncertainty}
                yield pd.DataFrame(columns | {"rating": rating, "raters": raters})[~np.isin(rows, excluded)]
                start += len(batch)
                bar.update(len(batch))

    sample = np.random.default_rng(0).choice(len(candidates), min(_SAMPLE, len(candidates)), replace=False)
    like = posterior.predict(candidates, np.sort(sample), ratings=0)[0]
    yield from in_order(tables(), "score", like=like, total=len(candidates), folder=folder)
