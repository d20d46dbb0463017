"""Measures how well real anomalies are found with a few ratings: weights, baselines, and one part swapped at a time.

    python benchmarks/weights/anomalies.py DATA OUT WEIGHTS [WEIGHTS ...]

DATA holds a folder per set with `catalog.csv` and `images.zip`. WEIGHTS are names, run folders, or
`random:ENCODER:SIZE`. Representations and finished runs are kept in OUT. The tasks:

- `odd`: Galaxy Zoo 2's public challenge, the 1.5% and 5% of galaxies with most votes for something odd;
- `rings`: galaxies with any ring by Nair & Abraham 2010 among bright SDSS galaxies;
- `mergers`: merging galaxies of Galaxy10 and Galaxy Zoo 1 among all of both (100 ratings);
- `artefacts`: images near the Galactic plane, mostly stars and artefacts, as 1.5% of the challenge's galaxies;
- `mock`, with `--mock N`: N galaxies of the simulated sky of which 1.5% have a ring. They differ from those that
  `gather_labels.py` gives to training.

`--held-out` leaves out the galaxies that `gather_labels.py` gave to training: weights that learned the answer to `odd`
from the same galaxies have an advantage that they will not have in another survey.
"""

import argparse
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.model_selection import KFold
from transfer import by_random_encoder

import morphtools
from morphtools.anomalies.ranking import ranking_metrics
from morphtools.anomalies.rating_learner import fit_learner
from morphtools.anomalies.session import standardized_components
from morphtools.explore.pictures import represent_pixels
from morphtools.inference.representations import Representations
from morphtools.sky.simulate import simulate_galaxies
from morphtools.survey.stretch import sdss_rgb
from tfrecords_builder.splits import split_of

SHARES = {"odd": (0.015, 0.05)}
RATINGS = {"mergers": 100}
SHOWN = ["representation", "method", "acquisition", "diversity", "start", "repeats"]
SHOWN += ["average_precision", "average_precision ±", "top_50", "top_50 ±", "top_200", "new_top_50", "found"]
WAYS = ("rational_quadratic", "walmsley2022", "neighbour_score", "isolation_forest", "local_outlier_factor", "random")
SWAPS = (  # the first for all weights and ellipses, the others for the weights that are named first
    {"methods": WAYS},
    {"methods": ("matern", "mohale2023")},
    {"acquisitions": ("upper_bound", "mean")},
    {"diversities": ("believer", "liar")},
    {"starts": ("spacing",)},
)


def galaxies_of(name: str, data: Path, out: Path) -> pd.DataFrame:
    """The catalogue of a set, with names and files that say which set it is; its images are unpacked."""
    table = pd.read_csv(data / name / "catalog.csv", dtype={"id_str": str, "file_loc": str}, low_memory=False)
    if not (out / "images" / name).exists():
        with zipfile.ZipFile(data / name / "images.zip") as archive:
            archive.extractall(out / "images" / name)
    key = table["dr7"].astype(str) if name in ("sdss_bright", "gz1_small", "gz2_hart1000") else table["id_str"]
    table["split"] = [split_of(each, 0) for each in key]
    if name == "galaxy10_decals":  # no weights learn from these
        table["split"] = "test"
    return table.assign(id_str=name + "-" + table["id_str"], file_loc=name + "/" + table["file_loc"])


def tasks(data: Path, out: Path) -> dict[str, pd.DataFrame]:
    """Galaxies with their `truth`, by task."""
    odd = galaxies_of("gz2_kaggle", data, out)
    odd = odd[odd["Class6.1"].notna()].assign(truth=odd["Class6.1"])
    bright = galaxies_of("sdss_bright", data, out)
    bright = bright[bright["na10_ring"].notna()].assign(truth=1.0 * (bright["na10_ring"] > 0))
    ten, one = galaxies_of("galaxy10_decals", data, out), galaxies_of("gz1_small", data, out)
    merging = [(ten["galaxy10_class"] == "Merging_Galaxies"), (one["gz1_class"] == "merger")]
    mergers = [table.assign(truth=1.0 * column) for table, column in zip((ten, one), merging, strict=True)]
    strange = galaxies_of("sdss_lowlat_misc", data, out).sample(round(len(odd) * 0.015 / 0.985), random_state=0)
    planted = [odd.assign(truth=0.0), strange.assign(truth=1.0, split="test")]
    found = {"odd": odd, "rings": bright, "mergers": pd.concat(mergers), "artefacts": pd.concat(planted)}
    return {name: table[["id_str", "file_loc", "split", "truth"]] for name, table in found.items()}


def mock_sky(galaxies: int, out: Path) -> pd.DataFrame:
    """Simulated galaxies of which 1.5% have a ring, as pictures; chunks that are there are not rendered again."""
    tables = []
    for start in range(0, galaxies, 500):
        folder = out / "images" / "mock" / str(start)
        if not (folder / "catalog.csv").exists():
            folder.mkdir(parents=True, exist_ok=True)
            table, images = simulate_galaxies(
                min(500, galaxies - start),
                image_size=96,
                bands="gri",
                seed=12,
                start=start,
                fractions={"ring": 0.015},
                field_radii=12.0,
                magnitude_limit=16.5,
            )
            for name, picture in zip(table["id_str"], sdss_rgb(images), strict=True):
                Image.fromarray((255 * picture).round().astype("uint8")).save(folder / f"{name}.jpg", quality=92)
            table = table[["id_str"]].assign(truth=1.0 * table["true_ring"], split="test")
            table["file_loc"] = f"mock/{start}/" + table["id_str"] + ".jpg"
            table.to_csv(folder / "catalog.csv", index=False)
        tables.append(pd.read_csv(folder / "catalog.csv"))
    return pd.concat(tables, ignore_index=True)


def represent_all(weights: str, catalog: pd.DataFrame, folder: Path, options) -> Representations:
    """One store with the galaxies of several tasks."""
    images = options.out / "images"
    if weights == "pixels":
        return represent_pixels(folder, catalog=catalog, images=images)
    if weights.startswith("random:"):
        return by_random_encoder(weights, catalog, images, folder)
    path = folder.parent.with_suffix(".csv")
    catalog[["id_str", "file_loc"]].to_csv(path, index=False)
    return morphtools.represent(weights, folder, catalog=path, images=images, orientations=options.orientations)


def part_of(store: Representations, ids: pd.Series, folder: Path) -> Representations:
    """The representations of one task's galaxies only, so that components are theirs."""
    part = Representations.create(folder, store.dimension, store.provenance)
    if not len(part):
        rows = pd.Index(store.id_str).get_indexer(ids)
        part.append(ids[rows >= 0], store.values()[rows[rows >= 0]])
    return part


def of_many_ratings(store: Representations, catalog: pd.DataFrame, anomalous: pd.Series, folder: Path) -> dict:
    """The best that representations allow: a ranking fitted to up to 2,500 ratings of others, in five folds."""
    path = folder / f"{store.folder.name}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        standardized_components(store, 40, path)
    x, score = np.load(path).astype(float), np.zeros(len(store))
    rating = (5 * catalog.set_index("id_str")["truth"].loc[store.id_str]).round().to_numpy()
    for others, fold in KFold(5, shuffle=True, random_state=0).split(x):
        rated = np.random.default_rng(0).permutation(others)[:2500]
        kernel = fit_learner(x[rated[:500]], rating[rated[:500]]).estimator.kernel_
        score[fold] = GaussianProcessRegressor(kernel, optimizer=None).fit(x[rated], rating[rated]).predict(x[fold])
    found = ranking_metrics(anomalous.loc[store.id_str].to_numpy()[np.argsort(-score, kind="stable")])
    return {"representation": store.folder.name, "method": "2,500 ratings of others", "repeats": 1} | found


def compare(task: str, catalog: pd.DataFrame, stores: dict[str, Representations], options) -> None:
    """Searches in all ways, and prints a table for every fraction of anomalies."""
    folder = options.out / task
    if options.held_out:
        folder, catalog = options.out / f"{task}-held-out", catalog[catalog["split"] != "train"]
    parts = {name: part_of(store, catalog["id_str"], folder / "parts" / name) for name, store in stores.items()}
    ratings = min(options.ratings, RATINGS.get(task, options.ratings))
    settings = {"catalog": catalog, "column": "truth", "repeats": options.repeats, "ratings": ratings}
    for share in SHARES.get(task, (None,)):
        tables = []
        for number in options.swaps:
            swap = {"methods": ("rational_quadratic",)} | SWAPS[number]
            if not number:
                swap["methods"] = [name for name in WAYS if name in options.ways]
                swap["images"] = options.out / "images" if options.ellipses else None
            compared = dict(list(parts.items())[: 1 if number else None])
            out = {"out": folder / f"swap-{number}", "share": share, "threshold": 0.5}
            tables.append(morphtools.benchmark_anomalies(compared, **settings, **swap, **out))
        truth = catalog.set_index("id_str")["truth"]
        anomalous = truth > 0.5 if share is None else truth >= truth.quantile(1 - share)
        most = [of_many_ratings(part, catalog, anomalous, folder / "components") for part in parts.values()]
        table = pd.concat([*tables, pd.DataFrame(most)]).sort_values("average_precision", ascending=False)
        print(f"\n{folder.name}: {anomalous.sum()} anomalies among {len(catalog)} galaxies, {ratings} ratings")
        print(table[SHOWN].to_string(index=False, float_format="{:.3f}".format, na_rep=""), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", nargs="+", help="also: pixels")
    parser.add_argument("--tasks", nargs="+", help="all by default")
    parser.add_argument("--mock", type=int, default=0, help="simulated galaxies, as one task more")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--ratings", type=int, default=200)
    parser.add_argument("--orientations", type=int, default=8)
    parser.add_argument("--ways", nargs="+", default=WAYS, help="for the first of SWAPS, all by default")
    parser.add_argument("--no-ellipses", action="store_false", dest="ellipses", help="for they are slow")
    parser.add_argument("--swaps", type=int, nargs="+", default=range(len(SWAPS)), help="which of SWAPS, by number")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    groups = {"representations": tasks(options.data, options.out)}
    if options.mock:
        name = f"mock-{options.mock}"
        groups[f"{name}-representations"] = {name: mock_sky(options.mock, options.out)}
    for group, catalogs in groups.items():
        asked = [task for task in catalogs if options.tasks is None or task.split("-")[0] in options.tasks]
        if asked:
            every, folder = pd.concat(catalogs.values()).drop_duplicates("id_str"), options.out / group
            names = {Path(each).name.replace(":", "_"): each for each in options.weights}
            stores = {name: represent_all(each, every, folder / name, options) for name, each in names.items()}
        for task in asked:
            compare(task, catalogs[task], stores, options)


if __name__ == "__main__":
    main()
