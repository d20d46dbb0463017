"""A self-contained HTML page of galaxies, without other files, a server or scripts."""

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.explore.pictures import data_url
from tfrecords_builder.files import write_whole

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; background: #fff; color: #222 }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 14px }
figure { margin: 0 } img { width: 100%; border-radius: 4px; image-rendering: auto; background: #888 }
figcaption { white-space: pre-line; overflow-wrap: anywhere; font-size: 12px }
details { font-size: 11px; color: #555 }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } details { color: #aaa } }
"""


def write_page(
    path: Path,
    title: str,
    ids: Sequence[str],
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    table: pd.DataFrame,
) -> None:
    """Writes a page of pictures, each with a caption and the galaxy's row in the table.

    Args:
        path: File to write.
        title: Title of the page.
        ids: (n,) galaxies.
        pictures: (H, W, 3) uint8 of each; kept inside the page.
        captions: One per picture.
        table: With `id_str`, of some of them; those with `ra` and `dec` are linked to the sky viewer of the Legacy
            Surveys.
    """
    rows = table.set_index("id_str").to_dict("index")
    figures = [_figure(*each, rows.get(each[0], {})) for each in zip(ids, pictures, captions, strict=True)]
    page = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1><main>{''.join(figures)}</main></body></html>"
    )
    write_whole(path, page)


def _figure(name: str, picture: np.ndarray, caption: str, row: dict) -> str:
    row = {key: value for key, value in row.items() if not pd.isna(value)}
    image = f'<img src="{data_url(picture)}" alt="{html.escape(name, quote=True)}">'
    if "ra" in row and "dec" in row:
        url = f"https://www.legacysurvey.org/viewer?ra={float(row['ra'])}&amp;dec={float(row['dec'])}&amp;zoom=15"
        image = f'<a href="{url}">{image}</a>'
    facts = "<br>".join(html.escape(f"{key}: {_value(value)}") for key, value in row.items())
    details = f"<details><summary>{html.escape(name)}</summary>{facts}</details>" if facts else ""
    return f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption>{details}</figure>"


def _value(value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
