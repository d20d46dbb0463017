import numpy as np
import pandas as pd
import pytest

from morphtools.survey.known_tables import KNOWN_TABLES, position_columns, recognise, translate
from morphtools.survey.schemas import SCHEMAS
from morphtools.survey.tasks import PHOTOZ, TASKS, task_labels, task_redshifts

ID = 588848900446224543
GZ2 = {"t01_smooth_or_features_a01_smooth_count": 30, "t01_smooth_or_features_a01_smooth_debiased": 0.7}
PLACE = {"ra": 150.0, "dec": 2.0}
PUBLISHED = {  # the beginnings of the tables' headers, and the name of a galaxy as other verbs get it
    "Galaxy Zoo 1": (
        {"OBJID": ID, "RA": "00:00:00.41", "DEC": "-10:22:25.7", "NVOTE": 59, "P_EL": 0.6, "P_EL_DEBIASED": 0.6}
        | {"P_CS_DEBIASED": 0.3, "SPIRAL": 0, "ELLIPTICAL": 0, "UNCERTAIN": 1},
        str(ID),
    ),
    "Galaxy Zoo 2": ({"dr7objid": ID, **PLACE, "rastring": "x", "gz2_class": "Er", "total_votes": 80} | GZ2, str(ID)),
    "Galaxy Zoo CANDELS": ({"ID": "COS_10131", **PLACE, "t00_smooth_or_featured_a0_smooth_frac": 0.5}, "COS_10131"),
    "Galaxy Zoo DECaLS": (
        {"iauname": "J112953.88-000427.4", **PLACE, "redshift": 0.1, "smooth-or-featured_smooth": 3},
        "J112953.88-000427.4",
    ),
    "Galaxy Zoo DESI": ({"dr8_id": "303240_2499", **PLACE, "smooth-or-featured_smooth_fraction": 0.3}, "303240_2499"),
    "Euclid morphology": (
        {"object_id": -520139, "right_ascension": 150.0, "declination": 2.0, "smooth-or-featured_smooth_fraction": 0.3},
        "-520139",
    ),
    "Euclid MER catalogue": ({"OBJECT_ID": 2700139, "RIGHT_ASCENSION": 150.0, "DECLINATION": 2.0}, "2700139"),
    "Nair & Abraham 2010": (
        {"SDSS": "J155341.74-003422.84", "_RA": 150.0, "_DE": 2.0, "TT": 4, "Bar": 8, "Ring": 0, "Pair": 0},
        "J155341.74-003422.84",
    ),
    "MPA-JHU": (
        {"PLATEID": 266, "MJD": 51630, "FIBERID": 1, "RA": 150.0, "DEC": 2.0, "Z": 0.02, "Z_WARNING": 0}
        | {"SPECTROTYPE": "GALAXY"},
        "266-51630-1",
    ),
    "SDSS spectra": ({"specObjID": "299489677444933632", **PLACE, "z": 0.02, "zWarning": 0}, "299489677444933632"),
    "DESI spectra": (
        {"TARGETID": 39627652591521181, "TARGET_RA": 150.0, "TARGET_DEC": 2.0, "Z": 0.2, "ZWARN": 0},
        "39627652591521181",
    ),
}


def of(name, **changes):
    return pd.DataFrame([PUBLISHED[name][0] | changes])


def made(table):
    return translate(table, recognise(table.columns))


def test_every_table_has_an_example():
    assert {known.name for known in KNOWN_TABLES} == set(PUBLISHED)
    assert {known.schema for known in KNOWN_TABLES} - {None} <= set(SCHEMAS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_tables_are_recognised_in_any_capitals(name):
    table, expected = of(name), PUBLISHED[name][1]
    for names in (table.columns, table.columns.str.upper(), table.columns.str.lower()):
        variant = table.set_axis(names, axis=1)
        assert recognise(variant.columns).name == name
        out, remarks = made(variant)
        assert out["id_str"].tolist() == [expected] and name in remarks[0]
        assert position_columns(out.columns) is not None and len(out.columns) == len({*out.columns.str.lower()}) + (
            out.columns.str.lower().duplicated().sum()
        )


def test_unknown_tables_are_not_changed():
    table = pd.DataFrame({"id_str": ["a"], "z": [0.1], "ra": [1.0], "dec": [2.0], "spiral": [1], "Bar": [1]})
    assert recognise(table.columns) is None
    out, remarks = translate(table, None)
    pd.testing.assert_frame_equal(out, table)
    assert remarks == []


def test_existing_columns_are_kept():
    out, _ = made(of("SDSS spectra", id_str="mine", redshift=0.5))
    assert out["id_str"].tolist() == ["mine"] and out["redshift"].tolist() == [0.5]


def test_an_uncertain_galaxy_of_zoo_1_is_neither_spiral_nor_elliptical():
    table = pd.concat([of("Galaxy Zoo 1", SPIRAL=s, ELLIPTICAL=e, UNCERTAIN=u) for s, e, u in np.eye(3, dtype=int)])
    labels = task_labels(TASKS["spirals"], made(table.reset_index(drop=True))[0])[0]
    np.testing.assert_array_equal(labels, [1, 0, np.nan])


@pytest.mark.parametrize(("flag", "label"), [(0, 0), (2, 1), (4, 1), (8, 1), (10, 1), (16, np.nan), (np.nan, np.nan)])
def test_flags_of_nair_and_abraham_are_labels_of_tasks(flag, label):
    table = pd.concat([of("Nair & Abraham 2010", Bar=f, Ring=f) for f in (flag, 0, 2)], ignore_index=True)
    out = made(table)[0]
    for task in ("bars", "rings"):
        np.testing.assert_array_equal(task_labels(TASKS[task], out)[0], [label, 0, 1])
    assert {"Bar_published", "Ring_published"} <= set(out.columns)


@pytest.mark.parametrize(
    ("name", "warning"), [("MPA-JHU", "Z_WARNING"), ("SDSS spectra", "zWarning"), ("DESI spectra", "ZWARN")]
)
def test_redshifts_with_a_warning_are_unknown(name, warning):
    table = pd.concat([of(name), of(name, **{warning: 4})], ignore_index=True)
    redshifts = task_redshifts(PHOTOZ, made(table)[0])[0]
    assert redshifts[0] > 0 and np.isnan(redshifts[1])


def test_votes_in_capitals_are_read_after_translation():
    table = of("Galaxy Zoo 2").rename(columns=str.upper)
    assert set(GZ2) <= set(made(table)[0].columns)


@pytest.mark.parametrize(
    ("columns", "place"),
    [
        ("RA DEC RAJ2000 DEJ2000", ("RA", "DEC")),
        ("RAJ2000 DEJ2000", ("RAJ2000", "DEJ2000")),
        ("TARGET_RA TARGET_DEC", ("TARGET_RA", "TARGET_DEC")),
        ("ra l b", None),
    ],
)
def test_position_columns(columns, place):
    assert position_columns(columns.split()) == place
