"""An index on disk for searches among hundreds of millions: cells and short codes propose, exact distances decide."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_builder.checksums import check_file, file_checksum
from tfrecords_builder.claims import claim
from tfrecords_builder.files import read_arrays, write_arrays, write_whole
from tfrecords_builder.json_files import read_json, write_json
from tfrecords_builder.progress import progress_bar

log = logging.getLogger(__name__)

_BLOCK = 2**28  # bytes of values at a time, and of the sample that cells and codes are fitted to
_ITERATIONS = 10  # of k-means, as faiss has it for many cells
_CODE = 64  # bytes of a galaxy's code, at most
_QUERIES, _NEIGHBOURS, _GOOD = 200, 10, 0.95  # how recall is measured, and what is good enough


def open_index(
    folder: str | Path, keep_values: Callable[[], np.ndarray], metric: str, inputs: dict, seed: int, exact: Callable
) -> tuple[Any, np.ndarray]:
    """The index in a folder, which is made if it is not there: faiss's IVF, mapped into memory.

    Galaxies are in about 4 √N cells of a k-means partition, with codes of at most 64 bytes for their place in it: a
    byte for each of up to 64 numbers, or product quantization (Jégou et al. 2011). It is made block by block in bounded
    memory; the same call continues one that was killed. Of as many cells as give a recall of 0.95, or a quarter of
    them, are searched; the recall is measured on 200 galaxies.

    Args:
        folder: Where it is, or will be.
        keep_values: Gives (N, D) float32, mapped into memory; of length 1 for the cosine.
        metric: `cosine` or `euclidean`.
        inputs: Whose values they are, for the claim of the folder.
        seed: Seed of the cells and codes.
        exact: `(values, queries, n, metric)` → rows and distances of the true neighbours.

    Returns:
        The index, whose `search` proposes rows, and the values.

    Raises:
        ValueError: faiss is missing, the metric is another, or a file is damaged.
        FileExistsError: The folder holds an index of other galaxies.
    """
    faiss = _faiss()
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f"an index is for the metrics cosine and euclidean, got {metric!r}")
    folder, about = Path(folder), Path(folder) / "search.json"
    settings = {"metric": metric, "seed": seed}
    with claim(folder, "search-index", settings, inputs, others=True, wait=True) as claimed:
        claimed.keep()
        values = keep_values()
        if not about.exists():
            log.info("making an index of %s galaxies in %s, once …", f"{len(values):,}", folder)
            _make(folder, values, metric, seed)
            index = _read(folder, None)
            chosen = _choose_cells(index, values, metric, seed, exact)
            sizes = {
                "index": file_checksum(folder / "search.faiss"),
                "lists": (folder / "search.ivfdata").stat().st_size,
            }
            write_json(about, chosen | sizes)
            for path in [folder / "cells.npz", folder / "trained.faiss", *folder.glob("block-*.faiss")]:
                path.unlink(missing_ok=True)
    noted = read_json(about)
    index = _read(folder, noted)
    faiss.extract_index_ivf(index).nprobe = noted["searched"]
    log.info("%s finds %.1f%% of the true %d nearest", folder, 100 * noted["recall"], _NEIGHBOURS)
    return index, values


def nearest_by(index: Any, values: np.ndarray, queries: np.ndarray, n: int, metric: str, exact: Callable):
    """Rows and exact distances (Q, n) of the nearest of what an index proposes; −1 and ∞ where it proposes too few."""
    _, proposed = index.search(queries, min(len(values), max(200, 20 * n)))
    rows, distances = np.full((len(queries), n), -1), np.full((len(queries), n), np.inf, np.float32)
    for i, mine in enumerate(proposed):
        mine = np.sort(mine[(mine >= 0) & (mine < len(values))])  # in the order of the file
        if len(mine):
            (best,), (found,) = exact(np.array(values[mine]), queries[i : i + 1], min(n, len(mine)), metric)
            rows[i, : len(best)], distances[i, : len(best)] = mine[best], found
    return rows, distances


def _faiss():
    try:
        import faiss
        import faiss.contrib.ondisk
    except ImportError:
        raise ValueError('an index needs faiss: pip install "morphtools[faiss]"') from None
    return faiss


def _make(folder: Path, values: np.ndarray, metric: str, seed: int) -> None:
    """Cells and codes from a sample, a block of galaxies after the other, and all blocks put together on disk."""
    faiss, trained = _faiss(), folder / "trained.faiss"
    if not trained.exists():
        _write(_trained(values, metric, seed, folder / "cells.npz"), trained)
    rows, blocks = max(4096, _BLOCK // (4 * values.shape[1])), []
    for start in progress_bar(range(0, len(values), rows), desc="indexing", unit="block"):
        blocks.append(folder / f"block-{start // rows:06d}.faiss")
        if not blocks[-1].exists():
            index = faiss.read_index(str(trained))
            some = np.array(values[start : start + rows])
            index.add_with_ids(some, np.arange(start, start + len(some)))
            _write(index, blocks[-1])
    index, data = faiss.read_index(str(trained)), folder / "search.ivfdata"
    data.unlink(missing_ok=True)  # of a call that was killed here
    faiss.contrib.ondisk.merge_ondisk(index, [str(block) for block in blocks], str(data))
    _write(index, folder / "search.faiss")


def _write(index: Any, path: Path) -> None:
    write_whole(path, lambda new: _faiss().write_index(index, str(new)))


def _trained(values: np.ndarray, metric: str, seed: int, path: Path):
    """An index without galaxies; the cells of every iteration of k-means are kept at a path."""
    faiss, (number, dimension) = _faiss(), values.shape
    cells = max(1, min(int(4 * np.sqrt(number)), number // 39))
    # bytes for groups of numbers only where there are many: with groups of one, training took 25 times as long
    codes = max(n for n in range(1, _CODE + 1) if dimension % n == 0)
    code = "SQ8" if dimension <= _CODE else f"PQ{codes}x{8 if number >= 39 * 256 else 4}"
    kind = faiss.METRIC_INNER_PRODUCT if metric == "cosine" else faiss.METRIC_L2
    index = faiss.index_factory(dimension, f"IVF{cells},{code}", kind)
    index.cp.seed, index.cp.niter = seed + 1, 1
    if dimension > _CODE:
        index.pq.cp.seed = seed + 1
    some = min(number, max(64 * cells, 2**16), max(40 * cells, _BLOCK // (4 * dimension)))
    drawn = np.sort(np.random.default_rng(seed).choice(number, some, replace=False))
    sample = np.array(values[drawn])
    start = np.random.default_rng(seed).choice(some, cells, replace=False)
    kept = read_arrays(path, "done", "centres") if path.exists() else {"done": np.array(0), "centres": sample[start]}
    done, centres = int(kept["done"]), kept["centres"]
    bar = {"initial": done, "total": _ITERATIONS, "desc": "fitting cells", "unit": "iteration"}
    for i in progress_bar(range(done, _ITERATIONS), **bar):
        means = faiss.Clustering(dimension, cells, index.cp)
        faiss.copy_array_to_vector(centres.ravel(), means.centroids)
        means.train(sample, index.quantizer)
        centres = faiss.vector_to_array(means.centroids).reshape(cells, dimension)
        write_arrays(path, done=i + 1, centres=centres)
    index.quantizer.reset()
    index.quantizer.add(centres)
    index.train(sample)  # of the codes only: the cells are there
    return index


def _read(folder: Path, about: dict | None):
    faiss, data = _faiss(), folder / "search.ivfdata"
    if about is not None:
        check_file(folder / "search.faiss", about["index"])
        if not data.exists() or data.stat().st_size != about["lists"]:
            raise ValueError(f"{data} is damaged: remove the folder, and the same call makes it again")
    path = str(folder / "search.faiss")
    try:
        return faiss.read_index(path, faiss.IO_FLAG_READ_ONLY)
    except RuntimeError:  # the folder was moved; faiss prints a line about that
        return faiss.read_index(path, faiss.IO_FLAG_READ_ONLY | faiss.IO_FLAG_ONDISK_SAME_DIR)


def _choose_cells(index: Any, values: np.ndarray, metric: str, seed: int, exact: Callable) -> dict:
    """How many cells to search, and the recall that this gives."""
    inside = _faiss().extract_index_ivf(index)
    drawn = np.sort(np.random.default_rng(seed).choice(len(values), min(_QUERIES, len(values)), replace=False))
    queries, n = np.array(values[drawn]), min(_NEIGHBOURS, len(values))
    true, _ = exact(values, queries, n, metric)
    searched = max(1, min(8, inside.nlist))
    while True:
        inside.nprobe = searched
        rows, _ = nearest_by(index, values, queries, n, metric, exact)
        recall = float(np.mean([np.isin(t, f).mean() for t, f in zip(true, rows, strict=True)]))
        if recall >= _GOOD or 2 * searched > max(8, inside.nlist // 4):
            return {"cells": inside.nlist, "searched": searched, "recall": recall, "galaxies": len(values)}
        searched *= 2
