"""`find_similar`: more galaxies like this one."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.answers import class_figures as figures
from morphtools.explore.exact_search import exact, nearest_in
from morphtools.explore.neighbours import Neighbours
from morphtools.explore.page import write_page
from morphtools.explore.pictures import Pictures, thumbnails
from morphtools.explore.positions import nearest_on_sky, positions, separations, within_cone
from morphtools.explore.tables import known_in, left_out, open_catalog
from morphtools.inference.representations import Representations
from tfrecords_builder.naming import some
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.tables_out import write_csv

log = logging.getLogger(__name__)

_AWAY = 0.5  # how far counter-examples push, in their distance from the examples
_MOST = 2**16  # proposals of an index
_BLUE, _ORANGE = (0, 114, 178), (213, 94, 0)  # as in `plain_figure`


def find_similar(
    representations: str | Path | Representations | Neighbours,
    *,
    like: str | Sequence[str] = (),
    unlike: str | Sequence[str] = (),
    query: np.ndarray | None = None,
    image: str | Path | None = None,
    ra: float | None = None,
    dec: float | None = None,
    max_separation: float = 5.0,
    within: tuple[float, float, float] | None = None,
    galaxies: int = 48,
    metric: str = "cosine",
    index: str | Path | None = None,
    catalog: str | Path | pd.DataFrame | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    exclude: str | Path | pd.DataFrame | None = None,
    out: str | Path = "morphtools-runs/similar",
) -> pd.DataFrame:
    """Finds the galaxies whose representations are nearest to one, or to the mean of several.

    Writes `similar.csv` and, where there are images, `similar.png` and `similar.html`, a page that needs no other
    file. Counter-examples move the target away from their mean m₋: m₊ + ½ (m₊ − m₋), Rocchio's rule, where
    m₊ is the mean of the examples.

    Args:
        representations: The store or its folder; or `Neighbours`, to ask many times.
        like: `id_str` of an example, or of several.
        unlike: `id_str` of counter-examples.
        query: (D,) or (n, D) representations of further examples, such as your own images.
        image: Image file that `query` represents, drawn beside the galaxies that were found.
        ra: Right ascension of another example (deg, ICRS): the galaxy of the catalogue that is nearest on the sky.
        dec: Its declination.
        max_separation: Maximum separation from that position (arcsec).
        within: Search only a circle on the sky: ra, dec, radius (deg).
        galaxies: Number of galaxies to find.
        metric: `cosine`, `euclidean` or `manhattan`; that of `Neighbours` where they are given.
        index: Folder of an index on disk for a search among up to hundreds of millions, made there if it is not there
            yet (minutes to hours). What it proposes is ranked by exact distances; its recall is logged.
        catalog: Table with `id_str`; its columns are added to the result. Needs `ra` and `dec` for places.
        images: Folder, zip archive or stack in which the catalogue's `file_loc` is found.
        records: Folder of records, instead of images.
        exclude: Table with the `id_str` of galaxies to leave out, such as `artifacts.csv`.
        out: Output folder.

    Returns:
        `rank` from 1, `id_str`, `distance`, `separation` (arcsec, where a place was given) and the columns of the
        catalogue, of which those named like ours begin with `catalog_`. Examples and counter-examples are not among
        them.

    Raises:
        ValueError: No example is given, an id is unknown, or no galaxy is near the position.
    """
    if galaxies < 1:
        raise ValueError(f"galaxies must be at least 1, got {galaxies}")
    catalog = open_catalog(catalog)
    if isinstance(representations, Neighbours):
        near = representations
    else:
        near = Neighbours(representations, metric=metric, index=index, streamed=index is None)
    like, unlike = _names(like), _names(unlike)
    if (ra is None) != (dec is None):
        raise ValueError("give both ra and dec, in degrees")
    if (ra is not None or within is not None) and catalog is None:
        raise ValueError("a position needs a catalogue with ra and dec: give catalog")
    known, places = (None, np.array([], int)) if catalog is None else _known_of(near, catalog)
    if known is not None and ra is not None and dec is not None:
        closest, separation = nearest_on_sky(known, ra, dec, max_separation)
        like = [*like, known.index[closest]]
        log.info("%s is %.2f arcsec from ra %g, dec %g", like[-1], separation, ra, dec)
    if both := set(like) & set(unlike):
        raise ValueError(f"{some(sorted(both))} cannot be an example and a counter-example")
    rows, others = near.rows(like), near.rows(unlike)
    allowed, excluded = np.ones(len(near), bool), near.of_store(left_out(near.store, exclude))
    allowed[excluded[excluded >= 0]] = False
    if known is not None and within is not None:
        inside = np.zeros(len(near), bool)
        inside[places[within_cone(known, *within)]] = True
        allowed &= inside
    nearest, distance = nearest_to(near, rows, others, query, galaxies=galaxies, allowed=allowed)
    table = pd.DataFrame({"rank": np.arange(1, len(nearest) + 1), "id_str": near.names(nearest), "distance": distance})
    if known is not None and ra is not None and dec is not None:
        table["separation"] = _separation(known.reindex(table["id_str"]), ra, dec)
    if known is not None:
        more = known.drop(columns="file_loc", errors="ignore").reindex(table["id_str"]).reset_index(drop=True)
        more = more.rename(columns={name: f"catalog_{name}" for name in table.columns})
        table = pd.concat([table, more], axis=1)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_csv(table, out / "similar.csv")
    if records is not None or images is not None:
        title = f"The {len(table)} nearest of {len(near):,} galaxies ({near.metric} distance)"
        _draw(out, title, table, like, unlike, Pictures(records, catalog, images, near.store), image)
    return table


def nearest_to(
    near: Neighbours,
    rows: np.ndarray,
    others: Sequence[int] | np.ndarray = (),
    query: np.ndarray | None = None,
    *,
    galaxies: int = 48,
    allowed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The galaxies nearest to the mean of examples, pushed away from that of counter-examples (see `find_similar`).

    Args:
        near: Among which to search.
        rows: Rows of the examples.
        others: Rows of the counter-examples.
        query: (D,) or (n, D) representations of further examples.
        galaxies: Number of galaxies to find.
        allowed: (N,) bool: which may be found.

    Returns:
        Rows and distances (n,), the nearest first, without examples and counter-examples.

    Raises:
        ValueError: There is no example.
    """
    rows, others = np.asarray(rows, np.int64), np.asarray(others, np.int64)
    sought = _sought(near, rows, others, query)
    allowed = np.ones(len(near), bool) if allowed is None else np.array(allowed)
    allowed[rows] = allowed[others] = False
    return _nearest_allowed(near, sought, galaxies, allowed)


def _known_of(near: Neighbours, catalog: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """What a catalogue knows of the galaxies among which to search, and where these are."""
    known, rows = known_in(near.store, catalog)
    rows = near.of_store(rows)
    return known[rows >= 0], rows[rows >= 0]


def _names(ids: str | Sequence[str]) -> list[str]:
    return [ids] if isinstance(ids, str) else [str(name) for name in ids]


def _sought(near: Neighbours, rows: np.ndarray, others: np.ndarray, query: np.ndarray | None) -> np.ndarray:
    """(1, D): the mean of the examples, pushed away from that of the counter-examples."""
    examples = near.at(rows)
    if query is not None:
        examples = np.concatenate([examples, near.as_values(query)])
    if not len(examples):
        raise ValueError("give an example to search for: like (id_str), ra and dec, or query (representations)")
    mean = examples.mean(axis=0)
    if len(others):
        mean = mean + _AWAY * (mean - near.at(others).mean(axis=0))
    return mean[np.newaxis]


def _nearest_allowed(near: Neighbours, sought: np.ndarray, galaxies: int, allowed: np.ndarray):
    """Rows and distances of the nearest that are allowed."""
    refused = int(np.count_nonzero(~allowed))
    if near.indexed:
        return _proposed(near, sought, galaxies, allowed)
    if near.streamed:
        return nearest_in(near.store, near.as_values(sought), galaxies, near.metric, allowed)
    if refused <= 1000:  # so many more, instead of a copy of all others
        (rows,), (distances,) = near.nearest(sought, galaxies + refused)
        good = (rows >= 0) & allowed[rows]
        return rows[good][:galaxies], distances[good][:galaxies]
    (kept,) = np.nonzero(allowed)
    (rows,), (distances,) = exact(near.values[kept], near.as_values(sought), min(galaxies, len(kept)), near.metric)
    return kept[rows], distances


def _proposed(near: Neighbours, sought: np.ndarray, galaxies: int, allowed: np.ndarray):
    """Of an index, which proposes more until enough of them are allowed."""
    number = galaxies + 16
    while True:
        (rows,), (distances,) = near.nearest(sought, number)
        good = (rows >= 0) & allowed[rows]
        if good.sum() >= galaxies or number >= min(len(near), _MOST):
            return rows[good][:galaxies], distances[good][:galaxies]
        number *= 4


def _separation(known: pd.DataFrame, ra: float, dec: float) -> np.ndarray:
    separation = np.full(len(known), np.nan)
    places, rows = positions(known)
    separation[rows] = 3600 * separations(places, ra, dec)
    return separation


def _draw(
    out: Path,
    title: str,
    table: pd.DataFrame,
    like: list[str],
    unlike: list[str],
    pictures: Pictures,
    image: str | Path | None,
) -> None:
    """The gallery and the page: examples in blue, counter-examples in orange, then the galaxies that were found."""
    given = [*like, *unlike]
    shown = thumbnails(pictures, [*given, *table["id_str"]], 128)
    if image is not None:
        like, given = [Path(image).name, *like], [Path(image).name, *given]
        shown.insert(0, _picture_of(Path(image), 128))
    for i in range(len(given)):
        shown[i] = _framed(shown[i], _BLUE if i < len(like) else _ORANGE)
    captions = [*["example"] * len(like), *["not like this"] * len(unlike)]
    captions = [f"{caption}\n{_short(name)}" for caption, name in zip(captions, given, strict=True)]
    captions += [f"{row.rank}: {row.distance:.3f}\n{_short(row.id_str)}" for row in table.itertuples()]
    write_page(out / "similar.html", title, [*given, *table["id_str"]], shown, captions, table)
    gap = -len(given) % 8  # results start on a new row
    shown[len(given) : len(given)] = [np.full_like(shown[0], 255)] * gap
    captions[len(given) : len(given)] = [""] * gap
    write_figure(out / "similar.png", figures.gallery(shown, captions, title, columns=8))


def _picture_of(image: Path, side: int) -> np.ndarray:
    """The picture (side, side, 3) uint8 of an image file."""
    alone = pd.DataFrame({"id_str": [image.name], "file_loc": [image.name]})
    return thumbnails(Pictures(catalog=alone, images=image.absolute().parent), [image.name], side)[0]


def _framed(picture: np.ndarray, colour) -> np.ndarray:
    framed = np.empty_like(picture)
    framed[:] = colour
    width = len(picture) // 24
    framed[width:-width, width:-width] = picture[width:-width, width:-width]
    return framed


def _short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:9]}…{name[-10:]}"
