"""Published tables, recognised by their columns, and the names that this package uses for these columns.

| table | recognised by | becomes |
|---|---|---|
| Galaxy Zoo 1 (Lintott+11, table 2; `zooSpec`) | `P_EL_DEBIASED`, `P_CS_DEBIASED`, `SPIRAL`, `ELLIPTICAL`, `UNCERTAIN` | `id_str`, `gz1_spiral` (1, 0, unknown where uncertain) |
| Galaxy Zoo 2 (Willett+13, Hart+16) | `dr7objid` or `dr8objid`, `t01_smooth_or_features_a01_smooth_…` | `id_str`, votes of schema `gz2` |
| Galaxy Zoo CANDELS (Simmons+17) | `t00_smooth_or_featured_a0_smooth_frac` | `id_str`, votes of schema `gz_candels` |
| Galaxy Zoo DECaLS (Walmsley+22) | `iauname`, `smooth-or-featured_…` | `id_str`, votes of schema `gz_decals_dr5` |
| Galaxy Zoo DESI (Walmsley+23) | `dr8_id`, `smooth-or-featured_…` | `id_str`, predicted fractions of schema `gz_desi` |
| Euclid Q1 (Walmsley+25; MER) | `object_id`, `right_ascension`, `declination` | `id_str`, predicted fractions of schema `gz_euclid` |
| Nair & Abraham 2010 (VizieR) | `SDSS`, `_RA`, `_DE`, `Bar`, `Ring`, `Pair` | `id_str`, `bar`, `ring` (of their flags) |
| MPA-JHU (`gal_info`) | `PLATEID`, `MJD`, `FIBERID`, `Z_WARNING`, `SPECTROTYPE` | `id_str` (plate-mjd-fibre), `redshift` |
| SDSS spectra (`specObj`, CasJobs) | `specObjID`, `Z`, `zWarning` | `id_str`, `redshift` |
| DESI spectra (`zall`) | `TARGETID`, `Z`, `ZWARN` | `id_str`, `redshift` |

Redshifts with a pipeline warning are unknown. All columns of the table are kept; if a name differs from a new one only
in capitalisation, `_published` is appended.
"""  # noqa: E501

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from tfrecords_builder.naming import some

POSITIONS = (  # in order of preference; capitals do not matter
    ("ra", "dec"),
    ("target_ra", "target_dec"),
    ("plug_ra", "plug_dec"),
    ("plugra", "plugdec"),
    ("right_ascension", "declination"),
    ("alpha_j2000", "delta_j2000"),
    ("ra_icrs", "de_icrs"),
    ("raj2000", "dej2000"),
    ("_ra", "_de"),
    ("_raj2000", "_dej2000"),
    ("ra_deg", "dec_deg"),
)


class KnownTable(NamedTuple):
    """A published table.

    Attributes:
        name: Its common name.
        columns: Columns by which it is recognised, in lower case; the beginning of a name if it ends in `…`.
        ids: Columns that name a galaxy, in order of preference; several together are joined by `-`.
        labels: Function that makes columns of labels or redshifts from its columns (in lower case).
        schema: Question tree of its votes.
        note: A remark for users.
    """

    name: str
    columns: tuple[str, ...]
    ids: tuple[tuple[str, ...], ...]
    labels: Callable[[pd.DataFrame], dict[str, pd.Series]] | None = None
    schema: str | None = None
    note: str = ""


def _numbers(values: pd.Series) -> pd.Series:
    return pd.to_numeric(values.astype(object), errors="coerce").astype(float)


def _zoo1(table: pd.DataFrame) -> dict[str, pd.Series]:
    spiral, elliptical = _numbers(table["spiral"]) == 1, _numbers(table["elliptical"]) == 1
    return {"gz1_spiral": pd.Series(np.select([spiral, elliptical], [1.0, 0.0], np.nan), index=table.index)}


def _nair(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Bars: strong 2, intermediate 4, weak 8; rings: nuclear 2, inner 4, outer 8; other bits are ignored."""
    labels = {}
    for name in ("bar", "ring"):
        flags = _numbers(table[name])
        certain = (flags.fillna(0).astype(int) & 14) > 0
        labels[name] = pd.Series(np.select([certain, flags == 0], [1.0, 0.0], np.nan), index=table.index)
    return labels


def _redshift(warning: str) -> Callable[[pd.DataFrame], dict[str, pd.Series]]:
    return lambda table: {"redshift": _numbers(table["z"]).where(_numbers(table[warning]) == 0)}


_SDSS_IDS = (("dr7objid",), ("dr8objid",), ("objid",))
_PREDICTED = "its fractions are predictions of a network, not votes"
KNOWN_TABLES = (
    KnownTable(
        "Galaxy Zoo 1",
        ("p_el_debiased", "p_cs_debiased", "spiral", "elliptical", "uncertain"),
        (("objid",), ("dr7objid",), ("specobjid",)),
        _zoo1,
        note="gz1_spiral is 1 for spirals, 0 for ellipticals, and unknown where Galaxy Zoo is uncertain",
    ),
    KnownTable("Galaxy Zoo 2", ("dr7objid", "t01_smooth_or_features_a01_smooth_…"), _SDSS_IDS, schema="gz2"),
    KnownTable("Galaxy Zoo 2", ("dr8objid", "t01_smooth_or_features_a01_smooth_…"), _SDSS_IDS, schema="gz2"),
    KnownTable(
        "Galaxy Zoo CANDELS",
        ("t00_smooth_or_featured_a0_smooth_frac",),
        (("id",), ("id_candels",)),
        schema="gz_candels",
    ),
    KnownTable("Galaxy Zoo DECaLS", ("iauname", "smooth-or-featured_…"), (("iauname",),), schema="gz_decals_dr5"),
    KnownTable(
        "Galaxy Zoo DESI", ("dr8_id", "smooth-or-featured_…"), (("dr8_id",),), schema="gz_desi", note=_PREDICTED
    ),
    KnownTable(
        "Euclid morphology",
        ("object_id", "right_ascension", "declination", "smooth-or-featured_…"),
        (("object_id",),),
        schema="gz_euclid",
        note=_PREDICTED,
    ),
    KnownTable("Euclid MER catalogue", ("object_id", "right_ascension", "declination"), (("object_id",),)),
    KnownTable(
        "Nair & Abraham 2010",
        ("sdss", "_ra", "_de", "bar", "ring", "pair"),
        (("sdss",),),
        _nair,
        note="bar and ring are 1 if the flag of any kind of bar or ring is set, 0 if none is, and otherwise unknown",
    ),
    KnownTable(
        "MPA-JHU",
        ("plateid", "mjd", "fiberid", "z", "z_warning", "spectrotype"),
        (("plateid", "mjd", "fiberid"),),
        _redshift("z_warning"),
        note="redshift is unknown where Z_WARNING is not 0",
    ),
    KnownTable(
        "SDSS spectra",
        ("specobjid", "z", "zwarning"),
        (("specobjid",),),
        _redshift("zwarning"),
        note="redshift is unknown where zWarning is not 0",
    ),
    KnownTable(
        "DESI spectra",
        ("targetid", "z", "zwarn"),
        (("targetid",),),
        _redshift("zwarn"),
        note="redshift is unknown where ZWARN is not 0",
    ),
)


def recognise(columns) -> KnownTable | None:
    """The published table with these columns, in any capitalisation; None if it is not a known table."""
    lower = {str(name).lower() for name in columns}

    def there(name: str) -> bool:
        return any(n.startswith(name[:-1]) for n in lower) if name.endswith("…") else name in lower

    return next((known for known in KNOWN_TABLES if all(map(there, known.columns))), None)


def position_columns(columns) -> tuple[str, str] | None:
    """The columns of right ascension and declination; None if there are none with a known name."""
    by_lower = {str(name).lower(): name for name in reversed([*columns])}
    return next(((by_lower[ra], by_lower[dec]) for ra, dec in POSITIONS if {ra, dec} <= by_lower.keys()), None)


def translate(table: pd.DataFrame, known: KnownTable | None) -> tuple[pd.DataFrame, list[str]]:
    """Adds the columns that other commands use: `id_str`, `ra`, `dec`, labels, votes and redshifts.

    Args:
        table: The table as published, or a part of it.
        known: The result of `recognise`.

    Returns:
        The table with further columns, and a sentence for each guess. Existing columns are not changed.
    """
    remarks, added = [], {}
    if known is not None:
        table, added, remarks = _of_known(table, known)
    place = position_columns(table.columns)
    if place is not None and place != ("ra", "dec") and "ra" not in table and "dec" not in table:
        added |= {"ra": table[place[0]], "dec": table[place[1]]}
        remarks.append(f"positions are from {place[0]} and {place[1]}")
    twins = {str(name).lower() for name in added}
    renamed = {name: f"{name}_published" for name in table.columns if str(name).lower() in twins}
    return table.rename(columns=renamed).assign(**added), remarks


def _of_known(table: pd.DataFrame, known: KnownTable) -> tuple[pd.DataFrame, dict[str, pd.Series], list[str]]:
    lower = table.set_axis([str(name).lower() for name in table.columns], axis=1)
    lower = lower.loc[:, ~lower.columns.duplicated()]
    added = known.labels(lower) if known.labels else {}
    added = {name: values for name, values in added.items() if name not in table.columns}
    remarks = [f"this is the table of {known.name}" + (f": {known.note}" if known.note else "")]
    ids = next((names for names in known.ids if set(names) <= set(lower.columns)), None)
    if ids and "id_str" not in table.columns:
        text = [lower[name].astype(object).map(_name, na_action="ignore") for name in ids]
        added["id_str"] = text[0].str.cat(text[1:], sep="-") if len(ids) > 1 else text[0]
        remarks.append(f"id_str is {'-'.join(ids)}")
    if added.keys() - {"id_str"}:
        remarks.append(f"new columns: {some(sorted(added.keys() - {'id_str'}))}")
    if known.schema:
        votes = {
            name: str(name).lower() for name in table.columns if str(name)[:1] in "Tt" and str(name)[1:3].isdigit()
        }
        table = table.rename(columns=votes)
        remarks.append(f"its votes are read with the schema {known.schema}")
    return table, added, remarks


def _name(value) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
