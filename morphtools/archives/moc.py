"""The sky coverage of a catalogue as a multi-order coverage map (MOC)."""

from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.archives.kept_tables import read_positions
from morphtools.survey.known_tables import recognise, translate
from tfrecords_builder.catalog import read_chunks
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import check_known

_FORMATS = {".fits": "fits", ".json": "json", ".txt": "ascii"}


def make_moc(catalog: str | Path | pd.DataFrame, out: str | Path, *, order: int = 10) -> float:
    """Writes the MOC of a catalogue: the HEALPix cells that hold at least one galaxy.

    This is not the footprint of the survey: if galaxies are sparse, cells between them are empty (choose a lower
    order).

    Args:
        catalog: A catalogue in any format with positions, or a `DataFrame`.
        out: File that ends in .fits, .json or .txt.
        order: HEALPix order of the cells, 0 to 29; cells of order 10 are 3.4 arcmin wide, those of order 9
            twice as wide.

    Returns:
        Fraction of the sky that is covered.

    Raises:
        ImportError: mocpy is not installed.
        FileExistsError: `out` exists.
        ValueError: There are no positions, or an argument is not allowed.
    """
    try:
        from mocpy import MOC
    except ImportError:
        raise ImportError("a MOC needs the package mocpy: pip install 'morphtools[moc]'") from None
    from astropy.coordinates import Latitude, Longitude

    out = Path(out)
    check_known("MOC format", out.suffix, _FORMATS)
    if not 0 <= order <= 29:
        raise ValueError(f"order must be from 0 to 29, got {order}")
    if out.exists():
        raise FileExistsError(f"{out} already exists; choose another out")
    moc = MOC.new_empty(order)
    for chunk in read_chunks(catalog, 2**18):
        sky, _ = read_positions(translate(chunk, recognise(chunk.columns))[0], None)
        ra, dec = sky[np.isfinite(sky).all(axis=1)].T
        moc = moc.union(MOC.from_lonlat(Longitude(ra, "deg"), Latitude(dec, "deg"), max_norder=order))
    if moc.empty():
        raise ValueError("no galaxy of the catalogue has a position")
    write_whole(out, lambda new: moc.save(new, format=_FORMATS[out.suffix]))
    return float(moc.sky_fraction)
