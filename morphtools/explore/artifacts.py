"""`find_artifacts`: lists what is not a galaxy. Nothing is deleted; without the list, everything is as before."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.explore import figures
from morphtools.explore.pictures import Pictures, thumbnails
from tfrecords_builder.naming import some
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.tables_out import write_csv

_COLUMNS, _ROWS = 16, 10


def find_artifacts(
    *,
    clusters: str | Path | None = None,
    numbers: Sequence[int] = (),
    map: str | Path | None = None,
    regions: Sequence[Sequence[tuple[float, float]]] = (),
    ids: Sequence[str] = (),
    catalog: str | Path | pd.DataFrame | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    crop: int | None = None,
    out: str | Path = "morphtools-runs/artifacts",
) -> pd.DataFrame:
    """Lists artefacts: all galaxies of some clusters or regions of a map, and single ones.

    Writes `artifacts.csv` and, if there are images, `artifacts.png` with up to 160 of them: look at it before using the
    list. `make_map`, `cluster`, `find_similar`, `find_outliers` and `find_anomalies` accept it as `exclude`; nothing is
    deleted.

    Args:
        clusters: Folder written by `cluster`.
        numbers: Clusters that contain artefacts, as seen in `clusters.png`.
        map: Folder written by `make_map`.
        regions: Polygons on the map, each with at least three corners (x, y), in the coordinates of `map.parquet`.
        ids: `id_str` of single galaxies.
        catalog: Table with `id_str` and `file_loc`, for the picture.
        images: Folder, zip archive or stack of its images.
        records: Folder of records, instead of catalogue and images.
        crop: Side in pixels of the middle of each image to show; by default all of it.
        out: Output folder.

    Returns:
        `id_str` and `reason`, each galaxy once.

    Raises:
        FileNotFoundError: The folder contains no clusters or no map.
        ValueError: Nothing was chosen, or the choice does not exist.
    """
    listed = [pd.DataFrame({"id_str": list(ids), "reason": "chosen"}, dtype=object)]
    if len(numbers):
        listed.append(_in_clusters(clusters, list(numbers)))
    listed += [_in_region(map, region) for region in regions]
    table = pd.concat(listed, ignore_index=True)
    if table.empty:
        raise ValueError("nothing is chosen: give numbers of clusters, regions of a map, or ids")
    reasons = table.groupby("id_str", sort=False)["reason"].agg("; ".join)
    table = reasons.reset_index()
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_csv(table, out / "artifacts.csv")
    if records is not None or images is not None:
        shown = table["id_str"].iloc[np.linspace(0, len(table) - 1, min(_COLUMNS * _ROWS, len(table))).astype(int)]
        pictures = thumbnails(Pictures(records, catalog, images, crop=crop), shown)
        rows = [pictures[i : i + _COLUMNS] for i in range(0, len(pictures), _COLUMNS)]
        title = f"{len(pictures)} of {len(table):,} listed as artefacts"
        write_figure(out / "artifacts.png", figures.contact_sheet(rows, [""] * len(rows), title))
    return table


def _in_clusters(folder: str | Path | None, numbers: list[int]) -> pd.DataFrame:
    galaxies = _read(folder, "galaxies.parquet", "clusters")
    unknown = sorted(set(numbers) - set(galaxies["cluster"]))
    if unknown:
        raise ValueError(f"there is no cluster {some(unknown)}; they are numbered 0 to {galaxies['cluster'].max()}")
    chosen = galaxies[galaxies["cluster"].isin(numbers)]
    return pd.DataFrame({"id_str": chosen["id_str"], "reason": "cluster " + chosen["cluster"].astype(str)})


def _in_region(folder: str | Path | None, corners: Sequence[tuple[float, float]]) -> pd.DataFrame:
    from matplotlib.path import Path as Polygon

    galaxies = _read(folder, "map.parquet", "map")
    corners = np.asarray(corners, float)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise ValueError("a region of a map is a polygon of three corners (x, y) or more")
    inside = galaxies[Polygon(corners).contains_points(galaxies[["x", "y"]])]
    if inside.empty:
        low, high = galaxies[["x", "y"]].min(), galaxies[["x", "y"]].max()
        spans = ", ".join(f"{axis} from {low[axis]:.3g} to {high[axis]:.3g}" for axis in "xy")
        raise ValueError(f"no galaxy lies in the region around {corners.mean(axis=0).round(2).tolist()} (map: {spans})")
    where = " ".join(f"({x:g}, {y:g})" for x, y in corners)
    return pd.DataFrame({"id_str": inside["id_str"], "reason": f"region {where}"})


def _read(folder: str | Path | None, name: str, what: str) -> pd.DataFrame:
    if folder is None:
        raise ValueError(f"which {what}? give the folder that {'cluster' if what == 'clusters' else 'make_map'} wrote")
    path = Path(folder) / name
    if not path.exists():
        raise FileNotFoundError(f"there is no {what} at {folder} (no {name})")
    return pd.read_parquet(path)
