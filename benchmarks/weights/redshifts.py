"""Compares redshifts of real quasars and galaxies: networks, colours, neighbours and the mean.

    python benchmarks/weights/redshifts.py DATA OUT ENCODER [--seeds 3] [--only neighbours quasars galaxies]

DATA holds `quasar_ugriz/quasars.npz` (SDSS ugriz cubes of 32 px with `z`; those of `repo_class` 0 below z = 5 are used)
and `sdss_bright` (colour pictures with `spec_z`). ENCODER is a run of `pretrain` on SDSS *ugriz* flux, such as that of
`configs/pretrain/moco_ugriz_small.yaml`. Every seed has its own test split. Finished runs in OUT are used again.

- `quasars`: `pretrain` continues from ENCODER with the quasars of the train split, without labels; then the encoder is
  fine-tuned, and the same network is trained from scratch. Also neighbours in both encoders and in a random one, and
  neighbours and boosted trees in magnitudes and colours.
- `neighbours`: of the same quasars, in the representations by ENCODER as it is, by a random encoder, by the shipped
  weights (of pictures) and in their pixels, beside the baselines. Nothing is trained.
- `galaxies`: the head alone on the shipped weights, neighbours in their representations, and the same baselines.

Prints means over seeds with 95% intervals of the mean (Student's t).
"""

import argparse
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import yaml
from scipy.stats import t as student

import morphtools
from morphtools.explore.pictures import Pictures, represent_pixels
from morphtools.inference.represent import represent_galaxies
from morphtools.models.encoders import any_way_up, settle_batch_norm
from morphtools.studies.photoz_baselines import baseline_redshifts
from morphtools.studies.photoz_scores import flat, photoz_scores

SCORES = ["bias", "sigma_mad", "outlier_fraction", "crps", "log_likelihood"]
RECIPE = Path(__file__).parents[2] / "configs" / "pretrain" / "moco_ugriz_small.yaml"
QUASARS = {"redshift_range": (2.7, 5.0), "bins": 46, "labels": 5000, "test_labels": 5000, "orientations": 1}
QUASARS |= {"depth": "all", "pdf": "mixture", "epochs": 24, "image_size": 32}
QUASAR_MOCO = {"image_size": 32, "epochs": 20, "batch_size": 64, "queue": 512, "learning_rate": 3e-4}
QUASAR_MOCO |= {"encoder": None, "view_size": None}  # those of the weights, and all of the image
GALAXIES = {"redshift_range": (0.0, 0.2), "bins": 80, "labels": 5000, "test_labels": 5000, "pdf": "mixture"}


def quasars(data: Path, out: Path, encoder: str, seed: int) -> pd.DataFrame:
    """The scores of every method on the test quasars of a seed."""
    records = quasar_records(data, out, seed)
    recipe = yaml.safe_load(RECIPE.read_text()) | QUASAR_MOCO | {"weights": encoder}
    own = morphtools.pretrain(**recipe, records=records.folder, seed=seed, out=out / "moco").out
    stores = represented(records, {"MoCo of galaxies": encoder, "MoCo of quasars": own}, out, seed)
    common = {"records": records.folder, "seed": seed, "survey": "none", **QUASARS}
    starts = {
        "fine-tuned": {"weights": own, "encoder_learning_rate": 1e-3},
        "from scratch": {"weights": "random", "encoder": "resnet10_half"},
    }
    runs = {name: morphtools.finetune("photoz", **common, **start, out=out / name.replace(" ", "-")).out
            for name, start in starts.items()}  # fmt: skip
    return morphtools.evaluate_photoz(runs, baselines=True, representations=stores, out=out / "evaluated")


def neighbours(data: Path, out: Path, encoder: str, seed: int) -> pd.DataFrame:
    """The scores of what trains nothing on the test quasars of a seed."""
    records = quasar_records(data, out, seed)
    galaxies = records.index().set_index("id_str")[["split", "redshift"]]
    edges = np.linspace(*QUASARS["redshift_range"], QUASARS["bins"] + 1)
    stores = represented(records, {"MoCo of galaxies": encoder}, out, seed)
    stores["pixels"] = represent_pixels(out / "pixels", records=records.folder)
    for name in ("efficientnet_lite0_gz2", "efficientnet_lite0_byol_sdss"):
        stores[name] = morphtools.represent(name, out / name, records=records.folder, image_size=64)
    found = baseline_redshifts(galaxies, edges, pictures=Pictures(records.folder), representations=stores, seed=seed)
    rows = [{"method": name, "galaxies": len(each.id_str)} | flat(photoz_scores(each)) for name, each in found.items()]
    return pd.DataFrame(rows)


def quasar_records(data: Path, out: Path, seed: int):
    """Records of the quasars that can be trusted."""
    path = data / "quasar_ugriz" / "quasars.npz"
    with np.load(path) as arrays:
        good, z = (arrays["repo_class"] == 0) & (arrays["z"] < 5), arrays["z"]
    rows = np.flatnonzero(good)
    catalog = pd.DataFrame({"id_str": [f"quasar{i}" for i in rows], "file_loc": rows.astype(str), "redshift": z[rows]})
    options = {"images": path, "hdu": "images", "bands": tuple("ugriz"), "seed": seed}
    return morphtools.build_records(catalog, out / "records", **options)


def represented(records, weights: dict[str, str], out: Path, seed: int) -> dict:
    """Representations by weights of several names and by a random encoder."""
    stores = {"random encoder": by_random_encoder(records, out / "random", seed)}
    for name, each in weights.items():
        folder = out / name.replace(" ", "-")
        stores[name] = morphtools.represent(each, folder, records=records.folder, image_size=32)
    return stores


def by_random_encoder(records, folder: Path, seed: int):
    """Representations by a network that was never trained."""
    keras.utils.set_random_seed(seed)
    encoder = morphtools.build_encoder("resnet10_half", records.shape, noise=records.noise)
    batch = next(iter(morphtools.load_dataset(records, "train", batch_size=64)))
    settle_batch_norm(encoder, batch["image"].numpy())
    model = keras.Sequential([keras.Input(records.shape), *any_way_up(encoder)])
    return represent_galaxies(model, records, folder, list(records.splits), provenance={"seed": seed})


def galaxies(data: Path, out: Path, _, seed: int) -> pd.DataFrame:
    """The scores of every method on the test galaxies of a seed."""
    folder = data / "sdss_bright"
    catalog = pd.read_csv(folder / "catalog.csv", dtype={"id_str": str}, low_memory=False)
    catalog = catalog.loc[catalog["spec_z"] > 0.002, ["id_str", "file_loc", "spec_z"]]
    records = morphtools.build_records(catalog, out / "records", images=folder / "images.zip", seed=seed)
    run = morphtools.finetune("photoz", records=records.folder, column="spec_z", seed=seed, out=out / "run", **GALAXIES)
    return morphtools.evaluate_photoz({"head on shipped weights": run.out}, baselines=True, out=out / "evaluated")


def over_seeds(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Means with 95% intervals, as text."""
    groups = pd.concat(tables).groupby("method", sort=False)[SCORES]
    half = groups.sem() * student.ppf(0.975, max(1, len(tables) - 1))
    text = groups.mean().map("{:+.4f}".format) + half.map(" ± {:.4f}".format)
    return text.assign(galaxies=pd.concat(tables).groupby("method")["galaxies"].mean().round().astype(int))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("encoder", help="a run of pretrain on SDSS ugriz flux")
    parser.add_argument("--seeds", type=int, default=3)
    kinds = {"neighbours": neighbours, "quasars": quasars, "galaxies": galaxies}
    parser.add_argument("--only", nargs="+", choices=kinds, default=list(kinds))
    options = parser.parse_args()
    for kind in options.only:
        tables = []
        for seed in range(options.seeds):
            tables.append(kinds[kind](options.data, options.out / f"{kind}-{seed}", options.encoder, seed))
            print(f"\n{kind}, {len(tables)} seeds\n{over_seeds(tables).to_string()}", flush=True)


if __name__ == "__main__":
    main()
