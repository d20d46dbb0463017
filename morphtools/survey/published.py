"""Column names of votes in the published tables of campaigns that number their questions and answers.

For each question under our name (`bar-gz2`): the stem of its columns, and the stem of each answer. The ending of a
column tells what it contains:

| table | votes | fractions | fractions, weighted | how many answered | never read as votes |
|---|---|---|---|---|---|
| Galaxy Zoo 2 (Willett+13, Hart+16), Hubble (Willett+17) | `_count` | `_fraction` | `_weighted_fraction` | `_total_count` | `_weight`, `_debiased`, `_best_fraction`, `_flag` |
| CANDELS (Simmons+17) | | `_frac` | `_weighted_frac` | `_count` | `_weight` |
| DECaLS, DESI, Euclid, Cosmic Dawn: `bar-dr5_strong` | none | `_fraction` | | `_total-votes` | `_debiased`, `_concentration`, `_proportion` |
"""  # noqa: E501

from typing import NamedTuple

from morphtools.survey.campaigns import GZ2_TASKS


class Published(NamedTuple):
    """Columns of the votes on a question: stems of the answers' columns, and the column of all who answered."""

    stems: dict[str, str]
    total: str


_HUBBLE = [  # numbered from 0 in every task; the words of Galaxy Zoo 2
    ("t01_smooth_or_features", "smooth-or-featured", "smooth features artifact"),
    ("t02_edgeon", "disk-edge-on", "yes no"),
    ("t03_bar", "bar", "yes no"),
    ("t04_spiral", "has-spiral-arms", "yes no"),
    ("t05_bulge_prominence", "bulge-size", "none just-noticeable obvious dominant"),
    ("t07_rounded", "how-rounded", "completely in-between cigar-shaped"),
    ("t09_bulge_shape", "bulge-shape", "rounded boxy none"),
    ("t10_arms_winding", "spiral-winding", "tight medium loose"),
    ("t11_arms_number", "spiral-arm-count", "1 2 3 4 5-plus cant-tell"),
]
_CLUMPS = [
    ("t12_clumpy", "clumpy-appearance"),
    ("t17_clumps_symmetrical", "galaxy-symmetrical"),
    ("t18_clumps_embedded", "clumps-embedded-larger-object"),
]

_CANDELS = [
    ("t00_smooth_or_featured", "smooth-or-featured", "smooth features artifact", "smooth features artifact"),
    ("t01_how_rounded", "how-rounded", "completely inbetween cigarshaped", "completely in-between cigar-shaped"),
    ("t02_clumpy_appearance", "clumpy-appearance", "yes no", "yes no"),
    ("t09_disk_edge_on", "disk-edge-on", "yes no", "yes no"),
    ("t10_edge_on_bulge", "edge-on-bulge", "yes no", "yes no"),
    ("t11_bar_feature", "bar", "yes no", "yes no"),
    ("t12_spiral_pattern", "has-spiral-arms", "yes no", "yes no"),
    ("t13_spiral_arm_winding", "spiral-winding", "tight medium loose", "tight medium loose"),
    ("t14_spiral_arm_count", "spiral-arm-count", "1 2 3 4 5_plus cant_tell", "1 2 3 4 5-plus cant-tell"),
    ("t15_bulge_prominence", "bulge-size", "no_bulge obvious dominant", "none obvious dominant"),
    ("t16_merging_tidal_debris", "merging", "merging tidal_debris both neither", "merger tidal-debris both neither"),
]


def _published() -> dict[str, Published]:
    tables = {}
    for task, (question, answers) in GZ2_TASKS.items():
        stems = {ours: f"{task}_{theirs}" for theirs, ours in answers}
        tables[f"{question}-gz2"] = Published(stems, f"{task}_total_count")
    for task, question, answers in _HUBBLE:
        words = [theirs.partition("_")[2] for theirs, _ in GZ2_TASKS[task][1]]
        stems = {a: f"{task}_a{k:02d}_{w}" for k, (a, w) in enumerate(zip(answers.split(), words, strict=True), 1)}
        tables[f"{question}-hubble"] = Published(stems, f"{task}_total_count")
    for task, question in _CLUMPS:
        tables[f"{question}-hubble"] = Published(
            {"yes": f"{task}_a01_yes", "no": f"{task}_a02_no"}, f"{task}_total_count"
        )
    for task, question, theirs, ours in _CANDELS:
        stems = {a: f"{task}_a{k}_{w}" for k, (a, w) in enumerate(zip(ours.split(), theirs.split(), strict=True))}
        tables[f"{question}-candels"] = Published(stems, f"{task}_count")
    return tables


PUBLISHED = _published()
