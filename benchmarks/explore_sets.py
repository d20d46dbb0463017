"""Tests representations of real galaxies: retrieval, planted artefacts, clusters, stability, and a map of all.

    python benchmarks/explore_sets.py DATA OUT [--weights NAME_OR_PATH …] [--store NAME=FOLDER …] [--only STEP …]

DATA holds a folder per set with `catalog.csv` (`id_str`, `file_loc`, labels) and `images.zip`. Their galaxies are
gathered in OUT as one catalogue, with names `set/id_str`; `--weights` represents them, `--store` takes representations
made before with `morphtools represent … --catalog OUT/catalog.parquet --images OUT/images`. Pixels and a random encoder
are always compared, except for the map of everything. Every step writes into OUT and prints one line of JSON; finished
results are kept. `--sets` and `--most` limit the galaxies: for the steps `classes` and `moved`, `--sets gz1_small
gz2_kaggle --most 5000` is enough.
"""

import argparse
import functools
import json
import resource
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

import morphtools
from morphtools.data.augment import RandomView
from morphtools.data.augment_light import RandomBlur
from morphtools.explore.pictures import Pictures

_SHOWN = 12  # galaxies per cluster that a person looks at
_EASY = {"gz1_class": ("elliptical", "edge_on", "spiral"), "clean_class": ("round_smooth", "edge_on", "spiral")}
_MOVED, _VIEWS = 200, 8  # galaxies that are augmented, and how often


def gather(data: Path, out: Path, sets: list[str], most: int) -> pd.DataFrame:
    """One catalogue and one folder of images of the sets (all by default), with the labels that are compared below."""
    path = out / "catalog.parquet"
    if path.exists():
        return pd.read_parquet(path)
    tables = []
    for folder in sorted(path.parent for path in data.glob("*/images.zip") if (path.parent / "catalog.csv").exists()):
        if sets and folder.name not in sets:
            continue
        with zipfile.ZipFile(folder / "images.zip") as archive:
            archive.extractall(out / "images" / folder.name)
        table = pd.read_csv(folder / "catalog.csv", dtype={"id_str": str, "file_loc": str}, low_memory=False)
        table = table.sample(min(most, len(table)), random_state=0).sort_index() if most else table
        for column in ("id_str", "file_loc"):
            table[column] = f"{folder.name}/" + table[column]
        if folder.name != "gz1_small" and "gz1_class" in table:
            table = table.drop(columns="gz1_class")  # of one class only
        keep = ["ra", "dec", "spec_z", "clean_class", "galaxy10_class", "gz1_class", "ring", "na10_ring"]
        keep += [name for name in table if name.endswith("_debiased")]
        tables.append(
            table[["id_str", "file_loc", *(name for name in keep if name in table)]].assign(survey=folder.name)
        )
    table = pd.concat(tables, ignore_index=True)
    if "na10_ring" in table:
        bright = table["na10_ring"].notna() & (table["survey"] == "sdss_bright")
        table["bright_ring"] = (table["na10_ring"] > 0).where(bright).astype(float)
    table["gz1_class"] = table["gz1_class"].replace({"cw_spiral": "spiral", "acw_spiral": "spiral", "dont_know": None})
    table.to_parquet(path)
    return table


def random_encoder(folder: Path, catalog: pd.DataFrame, images: Path, seed: int = 0):
    """Representations by a ResNet-18 that has learned nothing, at 64 pixels."""
    import keras

    from morphtools.models.encoders import settle_batch_norm

    store = morphtools.Representations.create(folder, 512, {"weights": f"random resnet18, seed {seed}"})
    ids = pd.Index(catalog["id_str"]).difference(store.id_str, sort=False)
    if not len(ids):
        return store
    keras.utils.set_random_seed(seed)
    encoder = morphtools.build_encoder("resnet18", (64, 64, 3))
    pictures = Pictures(catalog=catalog, images=images)

    def read(names):
        found = [p for p in pictures.read(names, 64) if not isinstance(p, ValueError)]
        return np.stack(found).astype("f4") / 255

    settle_batch_norm(encoder, read(catalog["id_str"].sample(128, random_state=seed)))
    for start in range(0, len(ids), 1024):
        batch = read(ids[start : start + 1024])
        parts = [encoder.predict_on_batch(batch[i : i + 64]) for i in range(0, len(batch), 64)]
        store.append(ids[start : start + 1024], np.concatenate(parts))
    return store


def subset(store, ids: set[str], folder: Path):
    """A store of some galaxies."""
    made = morphtools.Representations.create(folder, store.dimension, store.provenance | {"records": "a subset"})
    if not len(made):
        for names, values in store.batches():
            keep = np.isin(names.astype(str), list(ids))
            if keep.any():
                made.append(names[keep], values[keep])
    return made


def shown(members: pd.DataFrame) -> pd.DataFrame:
    """The galaxies of a cluster that `clusters.png` shows."""
    members = members.sort_values("distance", kind="stable")
    return members.iloc[np.linspace(0, len(members) - 1, min(_SHOWN, len(members))).astype(int)]


def named_by_looking(galaxies: pd.DataFrame, truth: pd.Series) -> pd.DataFrame:
    """The name that most of the galaxies shown of each cluster deserve, as a person would give it."""
    rows = []
    for number, members in galaxies.groupby("cluster"):
        seen = truth.reindex(shown(members)["id_str"]).dropna()
        if len(seen):
            rows.append({"cluster": number, "name": seen.value_counts().index[0]})
    return pd.DataFrame(rows)


def planted(store, catalog: pd.DataFrame, out: Path, **pictures) -> dict:
    """Plants 5% of artefacts among galaxies, and counts how many are in clusters that look like artefacts."""
    rubbish = set(catalog["id_str"][catalog["survey"] == "sdss_lowlat_misc"].sample(500, random_state=0))
    galaxies = catalog["id_str"][catalog["clean_class"].notna()].sample(9500, random_state=0)
    store = subset(store, rubbish | set(galaxies), out / "representations")
    labels = catalog.assign(kind=np.where(catalog["survey"] == "sdss_lowlat_misc", "artefact", "galaxy"))
    found = morphtools.cluster(store, catalog=labels, labels="kind", out=out / "clusters", **pictures).galaxies
    truth = labels.set_index("id_str")["kind"]
    names = named_by_looking(found, truth)
    numbers = names["cluster"][names["name"] == "artefact"].tolist()
    if not numbers:
        return {"clusters": [], "found": 0.0, "lost_galaxies": 0.0}
    options = {"clusters": out / "clusters", "numbers": numbers, "catalog": catalog, "out": out / "artifacts"}
    listed = set(morphtools.find_artifacts(**options, **pictures)["id_str"])
    return {
        "clusters": numbers,
        "found": len(listed & rubbish) / len(rubbish),
        "lost_galaxies": len(listed - rubbish) / len(galaxies),
    }


def three_classes(store, catalog: pd.DataFrame, out: Path, **pictures) -> dict:
    """Accuracy of clusters, named after a look at twelve galaxies of each, on three easy classes."""
    found = {}
    for column, classes in _EASY.items():
        easy = catalog[catalog[column].isin(classes)]
        some = subset(store, set(easy["id_str"]), out / column / "representations")
        options = {"catalog": easy, "labels": column, "out": out / column / "clusters"}
        first = morphtools.cluster(some, **options, **pictures)
        names = named_by_looking(first.galaxies, easy.set_index("id_str")[column])
        found[column] = morphtools.cluster(some, **options, names=names, **pictures).metrics
    return found


def draw_views(catalog: pd.DataFrame, images: Path, out: Path) -> Path:
    """Catalogue of galaxies turned, mirrored, zoomed by a tenth, shifted by 5% and blurred by up to 1 px."""
    import keras
    from PIL import Image

    if not (out / "views.csv").exists():
        out.mkdir(parents=True, exist_ok=True)
        drawn = catalog[catalog["clean_class"].notna()].sample(_MOVED, random_state=0)
        names = [f"{name}/{i}" for name in drawn["id_str"] for i in range(_VIEWS)]
        table = pd.DataFrame({"id_str": names, "file_loc": [f"{i}.png" for i in range(len(names))]})
        view = {"rotation": 0.5, "zoom": [0.9, 1.1], "shift": 0.05}
        change = keras.Sequential([RandomView(**view, seed=0), RandomBlur(sigma=[0.1, 1.0], seed=0)])
        for i, shown in enumerate(Pictures(catalog=catalog, images=images).read(drawn["id_str"], 128)):
            changed = change(np.repeat(shown[np.newaxis].astype("f4"), _VIEWS, axis=0), training=True)
            for j, picture in enumerate(keras.ops.convert_to_numpy(changed).round().clip(0, 255).astype("uint8")):
                Image.fromarray(picture).save(out / f"{_VIEWS * i + j}.png")
        table.to_csv(out / "views.csv", index=False)
    return out / "views.csv"


def moved(store, views, catalog: pd.DataFrame, out: Path, **pictures) -> dict:
    """Median distance of views from their galaxy over that of two galaxies: in representation, and on the map."""
    morphtools.make_map(store, views=views, catalog=catalog, colour=("clean_class",), out=out / "map", **pictures)
    stores, found = (store, views), {}
    places = {"representation": [(each.id_str, each.values()) for each in stores]}
    tables = [morphtools.make_map(each, onto=out / "map", out=out / f"placed-{i}") for i, each in enumerate(stores)]
    places["map"] = [(table["id_str"], table[["x", "y"]].to_numpy()) for table in tables]
    for space, ((names, still), (seen, new)) in places.items():
        row = pd.Index(names).get_indexer(pd.Series(seen).str.rpartition("/")[0])
        pairs = np.random.default_rng(0).integers(0, len(still), (2, 2000))
        usual = np.median(np.linalg.norm(still[pairs[0]] - still[pairs[1]], axis=1))
        found[space] = round(float(np.median(np.linalg.norm(new - still[row], axis=1)) / usual), 3)
    return found


def everything(store, catalog: pd.DataFrame, out: Path, **pictures) -> dict:
    """All galaxies on a map and in clusters."""
    fractions = ("t01_smooth_or_features_a01_smooth_debiased", "t02_edgeon_a04_yes_debiased")
    fractions += ("t03_bar_a06_bar_debiased", "t04_spiral_a08_spiral_debiased", "t06_odd_a14_yes_debiased")
    start = time.perf_counter()
    colour = ("survey", "clean_class", "gz1_class", "bright_ring", *fractions[:1], "spec_z")
    morphtools.make_map(store, catalog=catalog, colour=colour, out=out / "map", **pictures)
    mapped = time.perf_counter()
    options = {"catalog": catalog, "labels": "clean_class", "fractions": fractions, "out": out / "clusters"}
    found = morphtools.cluster(store, **options, **pictures)
    times = {"galaxies": len(store), "map_s": round(mapped - start), "cluster_s": round(time.perf_counter() - mapped)}
    return times | found.metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", nargs="*", default=[])
    parser.add_argument("--store", nargs="*", default=[])
    parser.add_argument("--only", nargs="*", default=["retrieval", "planted", "classes", "moved", "everything"])
    parser.add_argument("--sets", nargs="*", default=[], help="all by default")
    parser.add_argument("--most", type=int, default=0, help="galaxies of a set; 0 means all")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    catalog = gather(options.data, options.out, options.sets, options.most)
    images, every = options.out / "images", {"catalog": options.out / "catalog.parquet"}
    stores = dict(pair.split("=", 1) for pair in options.store)
    by = {Path(weights).name: functools.partial(morphtools.represent, weights) for weights in options.weights}
    by["pixels"] = functools.partial(morphtools.represent_pixels, image_size=24)
    made = {name: represent(out=options.out / f"by-{name}", **every, images=images) for name, represent in by.items()}
    raw = {name: morphtools.Representations.open(folder) for name, folder in stores.items()}
    raw |= made | {"random encoder": random_encoder(options.out / "random", catalog, images)}
    reduced = {}
    for name, store in raw.items():
        folder = options.out / f"{name.replace(' ', '-')}-40"
        reduced[name] = morphtools.reduce_representations(store, folder, components=40)
    if "retrieval" in options.only:
        compared = {name: store for name, store in raw.items() if name != "pixels"}
        compared["pixels + PCA"] = reduced["pixels"]
        labels = ("bright_ring", "ring", "gz1_class", "clean_class", "galaxy10_class")
        table = morphtools.evaluate_retrieval(compared, catalog, labels, out=options.out / "retrieval")
        print(table.to_string(index=False, float_format="{:.3f}".format), flush=True)
    if "moved" in options.only:
        views = draw_views(catalog, images, options.out / "views")
        for name, represent in by.items():
            seen = represent(out=options.out / f"views-by-{name}", catalog=views, images=views.parent)
            said = moved(raw[name], seen, catalog, options.out / f"{name}-moved", images=images)
            print(json.dumps({"step": "moved", "representations": name} | said), flush=True)
    steps = {"planted": planted, "classes": three_classes, "everything": everything}
    for step in (step for step in steps if step in options.only):
        for name, store in list(reduced.items())[: 1 if step == "everything" else None]:
            start = time.perf_counter()
            folder = options.out / f"{name.replace(' ', '-')}-{step}"
            found = steps[step](store, catalog, folder, images=images)
            seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            said = {"step": step, "representations": name, "seconds": round(seconds), "peak_GiB": round(peak, 2)}
            print(json.dumps(said | found), flush=True)


if __name__ == "__main__":
    sys.exit(main())
