"""Writes tables for other programs: csv, tsv, parquet, FITS, ECSV or VOTable, depending on the ending of the path.

Unknown values are written as each format prescribes: an empty cell in csv, null in parquet, NaN or TNULL in FITS, null
in VOTable. Ids stay text. Columns with a known meaning get a unit, a UCD and a description if the format allows.
"""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import some, unknown
from tfrecords_builder.table_files import for_spreadsheets


class Meaning(NamedTuple):
    """The meaning of a column: unit (in FITS and VOTable spelling), UCD1+ and a description."""

    unit: str
    ucd: str
    description: str


MEANINGS = {
    "id_str": Meaning("", "meta.id;meta.main", "Name of the galaxy"),
    "file_loc": Meaning("", "meta.ref", "Where the image of the galaxy is"),
    "ra": Meaning("deg", "pos.eq.ra;meta.main", "Right ascension (ICRS)"),
    "dec": Meaning("deg", "pos.eq.dec;meta.main", "Declination (ICRS)"),
    "redshift": Meaning("", "src.redshift", "Redshift"),
    "redshift_error": Meaning("", "stat.error;src.redshift", "Standard error of the redshift"),
    "ebv": Meaning("mag", "phot.color.excess", "Reddening E(B-V)"),
    "pixel_scale": Meaning("arcsec", "instr.scale", "Side of a pixel of the image"),
    "separation_arcsec": Meaning("arcsec", "pos.angDistance", "Separation on the sky of the two matched positions"),
    "probability": Meaning("", "stat.probability", "Probability of the positive class"),
    "predicted": Meaning("", "meta.code.class", "The more probable class"),
    "label": Meaning("", "meta.code.class", "The known class: 1 positive, 0 negative"),
    "split": Meaning("", "meta.code", "Part of the data set: train, validation or test"),
}


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Writes a table in the format given by the ending of its path; an existing file is replaced.

    Args:
        table: One row per galaxy. A named index becomes a column; an unnamed one is left out.
        path: Ends in .csv, .csv.gz, .tsv, .tsv.gz, .parquet, .fits, .fits.gz, .ecsv, .vot or .xml.

    Raises:
        ValueError: The ending is unknown, or the format cannot store a column, which the message names.
        OSError: The file cannot be written.
    """
    write_chunks(iter([table]), path)


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Writes a csv of any columns; `write_table` refuses those with several numbers per cell."""
    write_whole(path, lambda new: for_spreadsheets(table).to_csv(new, index=False))


def write_chunks(chunks: Iterator[pd.DataFrame], path: str | Path) -> None:
    """Writes a table from chunks with the same columns; csv and parquet keep only one chunk in memory.

    Args:
        chunks: At least one chunk.
        path: As for `write_table`.

    Raises:
        ValueError: As for `write_table`.
        OSError: The file cannot be written.
    """
    writer = _WRITERS[ending_of(path)]
    write_whole(path, lambda new: writer(map(_named, chunks), new))


def ending_of(path: str | Path) -> str:
    """The ending that decides the format of a table; ValueError if it is unknown."""
    path = Path(path)
    endings = [ending.lower() for ending in path.suffixes[-2:]]
    ending = "".join(endings if endings[-1:] == [".gz"] else endings[-1:])
    if ending not in _WRITERS:
        raise ValueError(f"{unknown('table format', ending, _WRITERS)}; the ending of {path.name} decides the format")
    return ending


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """A table without an index, whose column names are text and unique."""
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    table = table.set_axis([str(name) for name in table.columns], axis=1)
    repeated = table.columns[table.columns.duplicated()]
    if len(repeated):
        raise ValueError(f"several columns have the same name: {some(repeated.unique())}")
    return table


def _write_csv(chunks: Iterable[pd.DataFrame], path: Path) -> None:
    separator = "\t" if ".tsv" in path.suffixes else ","
    for i, chunk in enumerate(chunks):
        _refuse_arrays(chunk, "a csv file")
        chunk = for_spreadsheets(chunk)
        chunk.to_csv(path, index=False, mode="a" if i else "w", header=not i, sep=separator)


def _write_parquet(chunks: Iterable[pd.DataFrame], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    try:
        for chunk in chunks:
            mixed = {name: as_text(chunk[name]) for name in chunk.columns if _is_mixed(chunk[name])}
            part = pa.Table.from_pandas(chunk.assign(**mixed), preserve_index=False)
            if writer is None:
                writer = pq.ParquetWriter(path, part.schema)
            writer.write_table(part.cast(writer.schema))
    finally:
        if writer is not None:
            writer.close()


def _is_mixed(values: pd.Series) -> bool:
    """Whether a column mixes text with other types, which parquet cannot store."""
    return (
        values.dtype == object
        and pd.api.types.infer_dtype(values, skipna=True).startswith("mixed")
        and not _arrays(values)
    )


def _write_fits(chunks: Iterable[pd.DataFrame], path: Path) -> None:
    from astropy.io import fits

    table = _astropy(pd.concat(chunks, ignore_index=True), "a FITS table")
    lower = pd.Series([name.lower() for name in table.colnames])
    twins = [table.colnames[i] for i in np.flatnonzero(lower.duplicated(keep=False))]
    if twins:
        raise ValueError(f"FITS cannot distinguish columns that differ only in capitalisation: {some(twins)}")
    for name in table.colnames:
        _refuse_accents(name, table[name])
    logical = {name: np.ma.getmaskarray(table[name]) for name in table.colnames if table[name].dtype.kind == "b"}
    for name in logical:
        table[name] = np.ma.getdata(table[name])
    hdu = fits.table_to_hdu(table)
    for number, name in enumerate(table.colnames, 1):
        if name in MEANINGS:
            hdu.header[f"TUCD{number}"], hdu.header[f"TCOMM{number}"] = MEANINGS[name][1:]
        if name in logical:  # the null of a logical column, which astropy cannot write
            hdu.data.view(np.ndarray)[name][logical[name]] = 0
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)


def _refuse_accents(name: str, values) -> None:
    if not name.isascii():
        raise ValueError(
            f"the name of column {name!r} has characters that FITS cannot store; write csv, parquet or VOTable"
        )
    if values.dtype.kind == "U":
        strange = next((text for text in np.ma.getdata(values).tolist() if not text.isascii()), None)
        if strange is not None:
            raise ValueError(
                f"column {name!r} contains {strange!r}, but FITS is ASCII only; write csv, parquet or VOTable"
            )


def _write_votable(chunks: Iterable[pd.DataFrame], path: Path) -> None:
    from astropy.io.votable import from_table

    table = _astropy(pd.concat(chunks, ignore_index=True), "a VOTable")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that are not XML identifiers get another ID
        document = from_table(table)
        for field in document.get_first_table().fields:
            if field.name in MEANINGS:
                _, field.ucd, field.description = MEANINGS[field.name]
        document.to_xml(str(path), tabledata_format="binary2")


def _write_ecsv(chunks: Iterable[pd.DataFrame], path: Path) -> None:
    table = _astropy(pd.concat(chunks, ignore_index=True), "an ECSV file")
    for name in set(table.colnames) & set(MEANINGS):
        table[name].description = MEANINGS[name].description
        table[name].meta["ucd"] = MEANINGS[name].ucd
    table.write(path, format="ascii.ecsv")


def _astropy(table: pd.DataFrame, what: str):
    """Converts to an astropy table with types that FITS and VOTable share, masked where a value is unknown."""
    from astropy.table import Table

    _refuse_arrays(table, what)
    made = Table({name: _column(table[name]) for name in table.columns}, copy=False)
    for name in set(table.columns) & set(MEANINGS):
        if MEANINGS[name].unit and made[name].dtype.kind in "fiu":
            made[name].unit = MEANINGS[name].unit
    return made


def _column(values: pd.Series) -> np.ndarray:
    missing = values.isna().to_numpy()
    known = values[~missing]
    if pd.api.types.is_bool_dtype(values) or (len(known) and known.map(lambda v: isinstance(v, bool | np.bool_)).all()):
        return _masked(values.where(~missing, False).to_numpy(bool), missing)
    if pd.api.types.is_integer_dtype(values):
        return _integers(values.where(~missing, 0).to_numpy(values.dtype.name.lower()), missing)
    if pd.api.types.is_float_dtype(values):
        numbers = values.to_numpy(float, na_value=np.nan)
        return numbers.astype(np.float32) if values.dtype in (np.float16, np.float32) else numbers
    text = as_text(values)
    return _masked(np.array(text.where(~missing, "").tolist() or [""], str)[: len(text)], missing)


def _integers(numbers: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Integers in a type of FITS and VOTable, or as text if they are too long for any."""
    if numbers.dtype == np.uint64 and numbers.max(initial=0) > np.iinfo(np.int64).max:
        return _masked(numbers.astype(str), missing)
    wider = {"int8": "int16", "uint16": "int32", "uint32": "int64", "uint64": "int64"}
    masked = _masked(numbers.astype(wider.get(numbers.dtype.name, numbers.dtype)), missing)
    if missing.any():  # the null value must differ from all others
        taken = masked.dtype.type(np.iinfo(masked.dtype).min if masked.dtype.kind == "i" else 255)
        while taken in masked.compressed():
            taken += 1 if masked.dtype.kind == "i" else -1
        masked.fill_value = taken
    return masked


def _masked(values: np.ndarray, missing: np.ndarray) -> Any:
    return np.ma.array(values, mask=missing) if missing.any() else values


def as_text(values: pd.Series) -> pd.Series:
    """Converts a column to text, None where it is unknown; times as ISO 8601."""
    if pd.api.types.is_datetime64_any_dtype(values):
        values = values.map(lambda time: time.isoformat(), na_action="ignore")
    return values.astype(object).map(str, na_action="ignore").where(values.notna(), None)


def _arrays(values: pd.Series) -> bool:
    return values.dtype == object and any(isinstance(v, list | tuple | dict | np.ndarray) for v in values)


def _refuse_arrays(table: pd.DataFrame, what: str) -> None:
    names = [name for name in table.columns if _arrays(table[name])]
    if names:
        raise ValueError(f"columns with several numbers per cell do not fit into {what}: {some(names)}; write parquet")


_WRITERS = dict.fromkeys((".csv", ".csv.gz", ".tsv", ".tsv.gz"), _write_csv) | {".parquet": _write_parquet}
_WRITERS |= {".fits": _write_fits, ".fits.gz": _write_fits, ".ecsv": _write_ecsv}
_WRITERS |= {".vot": _write_votable, ".xml": _write_votable}
