"""The trees of every Galaxy Zoo campaign, as data.

A row is (question, answers, the answers after which it is asked) and, where the published table differs from the tree
that volunteers followed, the parent in that table: at most one, or None for a question that it leaves out. The
campaign's suffix is added to every question.
"""

from typing import NamedTuple


class Campaign(NamedTuple):
    """One campaign: the suffix of its questions, a description, and its rows."""

    suffix: str
    about: str
    rows: list[tuple]


_SMOOTH, _FEATURED, _FEATURES = (f"smooth-or-featured_{a}" for a in ("smooth", "featured-or-disk", "features"))
_GALAXY = f"{_SMOOTH} {_FEATURED}"  # everyone who did not answer "artefact"
_FACE_ON, _EDGE_ON, _SPIRAL = "disk-edge-on_no", "disk-edge-on_yes", "has-spiral-arms_yes"
_MERGING = ("merging", "none minor-disturbance major-disturbance merger", _GALAXY, "")

_DECALS_DR12 = [
    ("smooth-or-featured", "smooth featured-or-disk artifact", ""),
    ("disk-edge-on", "yes no", _FEATURED),
    ("has-spiral-arms", "yes no", _FACE_ON),
    ("bar", "yes no", _FACE_ON),
    ("bulge-size", "dominant obvious none", _FACE_ON),
    ("how-rounded", "completely in-between cigar-shaped", _SMOOTH),
    ("edge-on-bulge", "boxy none rounded", _EDGE_ON),
    ("spiral-winding", "tight medium loose", _SPIRAL),
    ("spiral-arm-count", "1 2 3 4 more-than-4", _SPIRAL),
    ("merging", "neither tidal-debris both merger", _GALAXY, ""),
]

# The questions of DECaLS DR5, and with small changes of all campaigns since.
_DISK = [
    ("disk-edge-on", "yes no", _FEATURED),
    ("has-spiral-arms", "yes no", _FACE_ON),
    ("bar", "strong weak no", _FACE_ON),
    ("bulge-size", "dominant large moderate small none", _FACE_ON),
]
_ROUNDED = ("how-rounded", "round in-between cigar-shaped", _SMOOTH)
_ARMS = [
    ("edge-on-bulge", "boxy none rounded", _EDGE_ON),
    ("spiral-winding", "tight medium loose", _SPIRAL),
    ("spiral-arm-count", "1 2 3 4 more-than-4 cant-tell", _SPIRAL),
]
_DECALS = [("smooth-or-featured", "smooth featured-or-disk artifact", ""), *_DISK, _ROUNDED, *_ARMS, _MERGING]
_COSMIC_DAWN = [
    ("smooth-or-featured", "smooth featured-or-disk problem", ""),
    *_DISK,
    _ROUNDED,
    *_ARMS,
    _MERGING,
    ("clumps", "yes no", _FACE_ON),
    ("problem", "star artifact zoom", "smooth-or-featured_problem"),
]
_ARTIFACTS = "satellite scattered diffraction ray saturation other"
_JWST = [
    ("smooth-or-featured", "smooth featured-or-disk star-artifact-zoom", ""),
    *_DISK,
    _ROUNDED,
    *_ARMS,
    ("clumps", "yes no", ""),
    _MERGING,
    ("problem", "star artifact bad-zoom", "smooth-or-featured_star-artifact-zoom"),
]

_GZ2 = [
    ("smooth-or-featured", "smooth featured-or-disk artifact", ""),
    ("disk-edge-on", "yes no", _FEATURED),
    ("has-spiral-arms", "yes no", _FACE_ON, _FEATURED),
    ("bar", "yes no", _FACE_ON, _FEATURED),
    ("bulge-size", "dominant obvious just-noticeable no", _FACE_ON, _FEATURED),
    ("something-odd", "yes no", _GALAXY, ""),
    ("odd-feature", "ring lens disturbed irregular other merger dust-lane", "something-odd_yes", None),
    ("how-rounded", "round in-between cigar", _SMOOTH),
    ("bulge-shape", "round boxy no-bulge", _EDGE_ON),
    ("spiral-winding", "tight medium loose", _SPIRAL),
    ("spiral-arm-count", "1 2 3 4 more-than-4 cant-tell", _SPIRAL),
]

_CLUMPY = ("clumpy-appearance", "yes no", _FEATURES)
_ROUNDED_HST = ("how-rounded", "completely in-between cigar-shaped", _SMOOTH)
_FEATURES_HST = [
    ("bulge-shape", "rounded boxy none", _EDGE_ON),
    ("bar", "yes no", _FACE_ON),
    ("has-spiral-arms", "yes no", _FACE_ON),
    ("spiral-winding", "tight medium loose", _SPIRAL, _FACE_ON),
    ("spiral-arm-count", "1 2 3 4 5-plus cant-tell", _SPIRAL, _FACE_ON),
    ("bulge-size", "none just-noticeable obvious dominant", _FACE_ON),
]
_HUBBLE = [
    ("smooth-or-featured", "smooth features artifact", ""),
    _ROUNDED_HST,
    _CLUMPY,
    ("disk-edge-on", "yes no", "clumpy-appearance_no"),
    *_FEATURES_HST,
    ("galaxy-symmetrical", "yes no", "clumpy-appearance_yes"),
    ("clumps-embedded-larger-object", "yes no", "clumpy-appearance_yes"),
]
_HUBBLE_V2 = [
    ("smooth-or-featured", "smooth features artifact", ""),
    _ROUNDED_HST,
    ("disk-edge-on", "yes no", _FEATURES),
    *_FEATURES_HST,
]
_CANDELS = [
    ("smooth-or-featured", "smooth features artifact", ""),
    _ROUNDED_HST,
    _CLUMPY,
    ("disk-edge-on", "yes no", "clumpy-appearance_no"),
    ("edge-on-bulge", "yes no", _EDGE_ON),
    *_FEATURES_HST[1:5],
    ("bulge-size", "none obvious dominant", _FACE_ON),
    ("merging", "merger tidal-debris both neither", f"{_SMOOTH} {_FEATURES}", ""),
]

CAMPAIGNS = {
    "gz2": Campaign("-gz2", "SDSS, Galaxy Zoo 2 (Willett et al. 2013, MNRAS 435, 2835)", _GZ2),
    "gz_ukidss": Campaign("-ukidss", "UKIDSS near-infrared images", [r for r in _GZ2 if r[0] != "odd-feature"]),
    "gz_hubble": Campaign("-hubble", "Hubble surveys (Willett et al. 2017, MNRAS 464, 4176)", _HUBBLE),
    "gz_hubble_v2": Campaign("-hubble", "Hubble surveys, without the questions about clumps", _HUBBLE_V2),
    "gz_candels": Campaign("-candels", "CANDELS (Simmons et al. 2017, MNRAS 464, 4420)", _CANDELS),
    "gz_decals_dr12": Campaign("-dr12", "DECaLS DR1 and DR2 (Walmsley et al. 2022, MNRAS 509, 3966)", _DECALS_DR12),
    "gz_decals_dr5": Campaign("-dr5", "DECaLS DR5 (Walmsley et al. 2022, MNRAS 509, 3966)", _DECALS),
    "gz_decals_dr8": Campaign("-dr8", "Legacy Surveys DR8 (Walmsley et al. 2023, MNRAS 526, 4768)", _DECALS),
    "gz_desi": Campaign("", "the same without suffix (Walmsley et al. 2023, MNRAS 526, 4768)", _DECALS),
    "gz_cosmic_dawn": Campaign(
        "-cd",
        "HSC, Cosmic Dawn (Pearson et al. 2025, arXiv:2509.22311)",
        [*_COSMIC_DAWN, ("artifact", _ARTIFACTS, "problem_artifact")],
    ),
    "gz_euclid": Campaign(
        "-euclid", "Euclid", [*_COSMIC_DAWN, ("artifact", f"{_ARTIFACTS} ghost", "problem_artifact")]
    ),
    "gz_jwst_ceers": Campaign("-jwst", "JWST, CEERS", _JWST),
    "gz_jwst_cosmos": Campaign("-jwst", "JWST, COSMOS-Web", [r for r in _JWST if r[0] != "how-rounded"]),
    "rings": Campaign(
        "", "rings in DECaLS, one question (Walmsley et al. 2022, MNRAS 513, 1581)", [("ring", "yes no", "")]
    ),
}

# The published Galaxy Zoo 2 tables number tasks and answers: t01_smooth_or_features_a01_smooth_count. By task: our
# question, and (their answer, our answer) in their order, which is also that of the challenge's Class1.1, Class1.2, ...
GZ2_TASKS = {
    "t01_smooth_or_features": (
        "smooth-or-featured",
        [("a01_smooth", "smooth"), ("a02_features_or_disk", "featured-or-disk"), ("a03_star_or_artifact", "artifact")],
    ),
    "t02_edgeon": ("disk-edge-on", [("a04_yes", "yes"), ("a05_no", "no")]),
    "t03_bar": ("bar", [("a06_bar", "yes"), ("a07_no_bar", "no")]),
    "t04_spiral": ("has-spiral-arms", [("a08_spiral", "yes"), ("a09_no_spiral", "no")]),
    "t05_bulge_prominence": (
        "bulge-size",
        [
            ("a10_no_bulge", "no"),
            ("a11_just_noticeable", "just-noticeable"),
            ("a12_obvious", "obvious"),
            ("a13_dominant", "dominant"),
        ],
    ),
    "t06_odd": ("something-odd", [("a14_yes", "yes"), ("a15_no", "no")]),
    "t07_rounded": (
        "how-rounded",
        [("a16_completely_round", "round"), ("a17_in_between", "in-between"), ("a18_cigar_shaped", "cigar")],
    ),
    "t08_odd_feature": (
        "odd-feature",
        [
            ("a19_ring", "ring"),
            ("a20_lens_or_arc", "lens"),
            ("a21_disturbed", "disturbed"),
            ("a22_irregular", "irregular"),
            ("a23_other", "other"),
            ("a24_merger", "merger"),
            ("a38_dust_lane", "dust-lane"),
        ],
    ),
    "t09_bulge_shape": (
        "bulge-shape",
        [("a25_rounded", "round"), ("a26_boxy", "boxy"), ("a27_no_bulge", "no-bulge")],
    ),
    "t10_arms_winding": (
        "spiral-winding",
        [("a28_tight", "tight"), ("a29_medium", "medium"), ("a30_loose", "loose")],
    ),
    "t11_arms_number": (
        "spiral-arm-count",
        [
            ("a31_1", "1"),
            ("a32_2", "2"),
            ("a33_3", "3"),
            ("a34_4", "4"),
            ("a36_more_than_4", "more-than-4"),
            ("a37_cant_tell", "cant-tell"),
        ],
    ),
}
