"""Gathers all available labels, as questions of several campaigns, from which the shipped weights learned votes.

    python benchmarks/weights/gather_labels.py DATA OUT --mock 5000

DATA holds a folder per set with `catalog.csv` and `images.zip`: Galaxy Zoo 2's public challenge (two parts), 1000
galaxies of Hart et al. 2016, the Stripe 82 counts among bright SDSS galaxies and spirals, EFIGI, Nair & Abraham 2010,
Galaxy Zoo 1. OUT gets the images, `catalog.parquet` with votes and splits, and `schema.yaml`. What counts as a vote:

- Galaxy Zoo 2 (`-gz2`): Stripe 82 counts as they are; the weighted fractions of Hart et al. times the volunteers who
  came to the question.
- The challenge (`-kaggle`): its probabilities are cumulative down the tree, so 40 times one of them is about the number
  of volunteers who gave the answer; a campaign of its own, since they were re-weighted.
- A class, type, ring or bar that one person or one rule saw (`class-…`, `t-type-…`, `…-na10`): one vote. As ten equal
  votes they would teach that all volunteers always agree, and concentrations of at least 1 cannot express doubt about
  the answer: rare classes disappear (none of 64 cigar-shaped galaxies was recognised).
- EFIGI's attributes in steps of a quarter (`…-efigi`): four votes; undefined (−1) is not a vote.
- With `--mock N`, N galaxies of the simulated sky in *gri*, three in ten with a ring, with the votes of their own
  volunteers (`…-mock`), for training only.

Galaxies within 5 arcsec of the transfer tests (`decals_rings`, `galaxy10_decals`) stay out.
"""

import argparse
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from astropy import units as u
from astropy.coordinates import SkyCoord
from PIL import Image

from morphtools.sky.simulate import simulate_galaxies
from morphtools.survey.schemas import get_schema
from morphtools.survey.stretch import sdss_rgb
from tfrecords_builder.splits import split_of

TRANSFER = ("decals_rings", "galaxy10_decals")
SETS = ("gz2_kaggle", "gz2_kaggle_more", "gz2_hart1000", "sdss_bright", "sdss_spirals", "efigi", "gz1_small")
# Galaxy Zoo 2: question, its answers with the codes of the published columns, the tasks of the challenge
GZ2 = {
    "smooth-or-featured": ("t01", {"smooth": "a01", "featured-or-disk": "a02", "artifact": "a03"}),
    "disk-edge-on": ("t02", {"yes": "a04", "no": "a05"}),
    "bar": ("t03", {"yes": "a06", "no": "a07"}),
    "has-spiral-arms": ("t04", {"yes": "a08", "no": "a09"}),
    "bulge-size": ("t05", {"no": "a10", "just-noticeable": "a11", "obvious": "a12", "dominant": "a13"}),
    "something-odd": ("t06", {"yes": "a14", "no": "a15"}),
    "how-rounded": ("t07", {"round": "a16", "in-between": "a17", "cigar": "a18"}),
    "odd-feature": (
        "t08",
        {
            "ring": "a19",
            "lens": "a20",
            "disturbed": "a21",
            "irregular": "a22",
            "other": "a23",
            "merger": "a24",
            "dust-lane": "a38",
        },
    ),
    "bulge-shape": ("t09", {"round": "a25", "boxy": "a26", "no-bulge": "a27"}),
    "spiral-winding": ("t10", {"tight": "a28", "medium": "a29", "loose": "a30"}),
    "spiral-arm-count": (
        "t11",
        {"1": "a31", "2": "a32", "3": "a33", "4": "a34", "more-than-4": "a36", "cant-tell": "a37"},
    ),
}
PARENT = {
    "smooth-or-featured": None,
    "disk-edge-on": "smooth-or-featured_featured-or-disk",
    "bar": "disk-edge-on_no",
    "has-spiral-arms": "disk-edge-on_no",
    "bulge-size": "disk-edge-on_no",
    "something-odd": None,
    "how-rounded": "smooth-or-featured_smooth",
    "odd-feature": "something-odd_yes",
    "bulge-shape": "disk-edge-on_yes",
    "spiral-winding": "has-spiral-arms_yes",
    "spiral-arm-count": "has-spiral-arms_yes",
}
EFIGI = (
    "Arm_Strength Arm_Curvature Bar_Length Inner_Ring Outer_Ring Pseudo_Ring Perturbation Visible_Dust "
    "Flocculence Hot_Spots Inclination Contamination Multiplicity Bulge_to_Total"
).split()
T_TYPES = {
    "elliptical": (-9, -3.5),
    "lenticular": (-3.5, 0.5),
    "sa-sb": (0.5, 3.5),
    "sbc-sd": (3.5, 7.5),
    "late": (7.5, 99),
}


def gz2_from_columns(table, template, suffix, total=None):
    """Counts of the GZ2 questions from columns `template` % (task, answer); fractions walk down from `total`."""
    votes = pd.DataFrame(index=table.index)
    for question, (task, answers) in GZ2.items():
        columns = [
            next((c for c in table if c.startswith(f"{task}_") and f"_{code}_" in c and c.endswith(template)), None)
            for code in answers.values()
        ]
        values = np.column_stack([table[c] if c else np.zeros(len(table)) for c in columns]).astype(float)
        if total is not None:
            parent = PARENT[question]
            asked = total if parent is None else votes[f"{parent.split('_')[0]}{suffix}_{parent.split('_')[1]}"]
            values = np.round(np.nan_to_num(values) * np.asarray(asked)[:, None])
        for answer, column in zip(answers, values.T, strict=True):
            votes[f"{question}{suffix}_{answer}"] = column
    return votes


def from_challenge(table):
    """About 40 volunteers times the cumulative probabilities `Class1.1` … `Class11.6`."""
    tasks = {
        "t01": 1,
        "t02": 2,
        "t03": 3,
        "t04": 4,
        "t05": 5,
        "t06": 6,
        "t07": 7,
        "t08": 8,
        "t09": 9,
        "t10": 10,
        "t11": 11,
    }
    votes = pd.DataFrame(index=table.index)
    for question, (task, answers) in GZ2.items():
        for i, answer in enumerate(answers):
            column = f"Class{tasks[task]}.{i + 1}"
            votes[f"{question}-kaggle_{answer}"] = np.round(40 * table[column]) if column in table else np.nan
    return votes


def one_hot(values, classes, question):
    """A vote for the class of every galaxy that has one."""
    known = values.isin(classes)
    return pd.DataFrame(
        {f"{question}_{c}": np.where(known, values == c, np.nan) for c in classes}, index=values.index, dtype=float
    )


def yes_no(yes, known, question, votes=1):
    """Votes for and against."""
    yes = np.where(known, votes * np.asarray(yes, float), np.nan)
    return pd.DataFrame({f"{question}_yes": yes, f"{question}_no": votes - yes}, index=known.index)


def t_types(values, question):
    """A vote for the range a T type falls into."""
    names = pd.Series(pd.NA, index=values.index, dtype=object)
    for name, (low, high) in T_TYPES.items():
        names[(values > low) & (values <= high)] = name
    return one_hot(names, list(T_TYPES), question)


def votes_of(name, table):
    """All votes that a set gives its galaxies."""
    parts = []
    if "clean_class" in table:
        classes = ["round_smooth", "inbetween_smooth", "cigar_smooth", "edge_on", "spiral"]
        parts.append(one_hot(table["clean_class"], classes, "class-clean"))
    if "Class1.1" in table:
        parts.append(from_challenge(table))
    if name == "gz2_hart1000":
        parts.append(gz2_from_columns(table, "_weighted_fraction", "-gz2", table["total_classifications"]))
    if "gz2s82_total_votes" in table:
        parts.append(gz2_from_columns(table, "_count", "-gz2"))
    if "decals_votes_total" in table:
        renamed = {"smooth": "smooth", "featured": "featured-or-disk", "artifact": "artifact"}
        parts.append(
            pd.DataFrame({f"smooth-or-featured-dr5_{b}": table[f"decals_votes_{a}"] for a, b in renamed.items()})
        )
    for column in ("na10_ring", "na10_bar"):
        if column in table:
            parts.append(yes_no(table[column] > 0, table[column].notna(), f"{column[5:]}-na10"))
    if "na10_ttype" in table:
        parts.append(t_types(table["na10_ttype"], "t-type-na10"))
    if name == "efigi":
        parts.append(t_types(table["T"], "t-type-efigi"))
        for column in EFIGI:
            parts.append(yes_no(table[column], table[column] >= 0, column.lower().replace("_", "-") + "-efigi", 4))
    classes = ["elliptical", "edge_on", "spiral", "merger", "dont_know"]
    if "gz1_class" in table:
        value = table["gz1_class"].replace({"cw_spiral": "spiral", "acw_spiral": "spiral"})
        parts.append(one_hot(value, classes, "class-gz1"))
    elif "gz1_spiral" in table:
        value = pd.Series(
            np.where(table["gz1_spiral"] == 1, "spiral", np.where(table["gz1_elliptical"] == 1, "elliptical", None)),
            index=table.index,
        )
        parts.append(one_hot(value, classes, "class-gz1"))
    return pd.concat(parts, axis=1)


def mock_sky(galaxies, folder):
    """Draws simulated galaxies into `folder`; returns their catalogue and their questions."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = []
    for start in range(0, galaxies, 500):
        table, images = simulate_galaxies(
            min(500, galaxies - start),
            image_size=112,
            bands="gri",
            seed=11,
            start=start,
            fractions={"ring": 0.3, "bar": 0.3, "merger": 0.08},
            field_radii=12.0,
            magnitude_limit=16.5,
        )
        for name, picture in zip(table["id_str"], sdss_rgb(images), strict=True):
            Image.fromarray((255 * picture).round().astype("uint8")).save(folder / f"{name}.jpg", quality=92)
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    galaxies = pd.DataFrame({"id_str": "mock/" + table["id_str"], "split": "train"})
    galaxies["file_loc"] = galaxies["id_str"] + ".jpg"
    questions = []
    for question in get_schema("gz_decals_dr5,rings").questions:
        text = question.text.removesuffix("-dr5") + "-mock"
        after = [parent.replace("-dr5_", "-mock_") for parent in question.asked_after]
        questions.append({"question": text, "answers": list(question.answers), "asked_after": after})
        for answer, column in zip(question.answers, question.label_cols, strict=True):
            galaxies[f"{text}_{answer}"] = table[column]
    return galaxies, questions


def read_sets(data):
    """The catalogues of all sets, the transfer tests among them, by name."""
    names = (*SETS, *TRANSFER)
    return {name: pd.read_csv(data / name / "catalog.csv", dtype={"id_str": str}, low_memory=False) for name in names}


def galaxies_of(name, table):
    """Names, files and splits; galaxies that several sets share under one name are in the same split."""
    key = table["dr7"].astype(str) if name in ("sdss_bright", "gz1_small", "gz2_hart1000") else table["id_str"]
    galaxies = pd.DataFrame({"id_str": name + "/" + table["id_str"], "file_loc": name + "/" + table["file_loc"]})
    return galaxies.assign(split=[split_of(str(each), 0) for each in key])


def in_transfer_tests(table, tables):
    """Which galaxies lie within 5 arcsec of one of the transfer tests."""
    tested = pd.concat([tables[name][["ra", "dec"]] for name in TRANSFER]).dropna()
    tested = SkyCoord(tested["ra"].to_numpy() * u.deg, tested["dec"].to_numpy() * u.deg)
    found = pd.Series(False, index=table.index)
    if "ra" in table:
        there = table["ra"].notna()
        sky = SkyCoord(table.loc[there, "ra"].to_numpy() * u.deg, table.loc[there, "dec"].to_numpy() * u.deg)
        found[there] = sky.match_to_catalog_sky(tested)[1] <= 5 * u.arcsec
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--mock", type=int, default=0, help="simulated galaxies to add")
    args = parser.parse_args()
    tables = read_sets(args.data)
    rows = []
    for name in SETS:
        table = tables[name]
        with zipfile.ZipFile(args.data / name / "images.zip") as archive:
            archive.extractall(args.out / "images" / name)
        head, votes = galaxies_of(name, table), votes_of(name, table)
        use = (votes.fillna(0).sum(axis=1) > 0) & ~in_transfer_tests(table, tables)
        print(f"{name}: {use.sum()} of {len(table)} galaxies with {int((votes.fillna(0).sum() > 0).sum())} answers")
        rows.append(pd.concat([head, votes.fillna(0)], axis=1)[use])
    catalog = pd.concat(rows, ignore_index=True)
    questions = {}
    for column in catalog.columns[3:]:
        question, answer = column.split("_", 1)
        questions.setdefault(question, []).append(answer)
    tree = []
    for question, answers in questions.items():
        text, suffix = question.rsplit("-", 1)
        parent = PARENT.get(text) if suffix in ("gz2", "kaggle") else None
        after = [] if parent is None else [parent.replace("_", f"-{suffix}_", 1)]
        tree.append({"question": question, "answers": answers, "asked_after": after})
    if args.mock:
        mock, more = mock_sky(args.mock, args.out / "images" / "mock")
        catalog, tree = pd.concat([catalog, mock], ignore_index=True), tree + more
    votes = catalog.columns[3:]
    catalog[votes] = catalog[votes].fillna(0).astype(np.float32)
    catalog.to_parquet(args.out / "catalog.parquet", index=False)
    text = yaml.safe_dump({"name": "sdss_every_label", "questions": tree}, sort_keys=False)
    (args.out / "schema.yaml").write_text(text)
    splits = catalog["split"].value_counts().to_dict()
    print(f"{len(catalog)} galaxies, {len(tree)} questions, {len(votes)} answers; splits {splits}")


if __name__ == "__main__":
    main()
