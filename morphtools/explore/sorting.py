"""Rows in the order of a number, for more of them than memory holds."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

_ROWS = 2**19  # in memory at a time
_FILES = 256  # at most, for a process may not open any number of them


def in_order(tables: Iterable[pd.DataFrame], by: str, *, like: np.ndarray, total: int, folder: Path) -> Iterator:
    """All rows of some tables, those with the largest number first, equal ones in the order in which they came.

    They are dealt to temporary files, each for a range of the number, which are sorted one after another. The files
    have no names, and are gone when the process ends, however it ends.

    Args:
        tables: With the same columns.
        by: Column with the number, never NaN.
        like: Numbers like those of the rows, such as those of a random sample, from which the ranges follow.
        total: How many rows there are.
        folder: Where there is room for the temporary files.

    Yields:
        Tables, about half a million rows each.
    """
    ranges = min(_FILES, -(-total // _ROWS))
    edges = np.sort(np.quantile(-like, np.arange(1, ranges) / ranges))
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in range(ranges)]
        writers: list[pa.ipc.RecordBatchStreamWriter] = []
        start = 0
        for table in tables:
            rows = pa.Table.from_pandas(table, preserve_index=False)
            writers = writers or [pa.ipc.new_stream(file, rows.schema) for file in files]
            first, last = (np.searchsorted(edges, -table[by].to_numpy(), side=side) for side in ("left", "right"))
            # Equal numbers that fill several ranges are dealt to them as they come.
            share = np.minimum(np.arange(start, start + len(table)) / total, 1 - 1e-9)
            place = first + ((last - first + 1) * share).astype(int)
            start += len(table)
            rows = rows.take(pa.array(np.argsort(place, kind="stable")))
            ends = np.cumsum(np.bincount(place, minlength=ranges))
            for writer, begin, end in zip(writers, [0, *ends[:-1]], ends, strict=True):
                if end > begin:
                    writer.write_table(rows.slice(begin, end - begin))
        for writer, file in zip(writers, files, strict=False):
            writer.close()
            file.seek(0)
            with pa.ipc.open_stream(file) as stream:
                rows = stream.read_pandas()
            if len(rows):
                yield rows.sort_values(by, ascending=False, kind="stable", ignore_index=True)
