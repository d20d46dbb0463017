"""Shows pictures below the cell of a notebook; elsewhere prints the name of the file."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from morphtools.answers.class_figures import gallery
from morphtools.explore.pictures import Pictures, thumbnails
from tfrecords_builder.plain_figure import write_figure


def show(*pictures: str | Path) -> None:
    """Shows picture files below the cell of a notebook; elsewhere prints where they are.

    Args:
        pictures: PNG or JPEG files, such as those in the `figures/` of a run.
    """
    for path in pictures:
        if "ipykernel" in sys.modules:
            from IPython.display import Image, display

            display(Image(filename=path))
        else:
            print(f"see {path}")


def show_galaxies(
    ids: Sequence[str],
    captions: Sequence[str] | None = None,
    title: str = "",
    *,
    catalog: str | Path | pd.DataFrame | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    columns: int = 8,
    crop: int | None = None,
    out: str | Path = "morphtools-runs/galaxies.png",
) -> None:
    """Draws galaxies side by side, each with a caption, and shows the picture (see `show`).

    A galaxy whose image cannot be read is grey.

    Args:
        ids: Their `id_str`.
        captions: One per galaxy; by default the `id_str`.
        title: Title of the figure.
        catalog: Table with `id_str` and `file_loc`.
        images: Folder, zip archive or stack of its images.
        records: Folder of records, instead of catalogue and images.
        columns: Galaxies per row.
        crop: Side in pixels of the middle of each image to show; by default all of it.
        out: Where to write the picture.
    """
    ids = list(ids)
    captions = ids if captions is None else list(captions)
    if len(captions) != len(ids):
        raise ValueError(f"{len(ids)} galaxies need as many captions, got {len(captions)}")
    figure = gallery(thumbnails(Pictures(records, catalog, images, crop=crop), ids, 128), captions, title, columns)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    write_figure(Path(out), figure)
    show(out)
