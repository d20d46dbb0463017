"""`evaluate_photoz`: how good redshifts from images are, compared with methods that need no network."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphtools.answers.redshift_figures import gallery
from morphtools.answers.redshift_metrics import delta_z
from morphtools.answers.redshifts import Redshifts
from morphtools.explore.pictures import Pictures, thumbnails
from morphtools.explore.tables import column_of, in_all, known_of, open_catalog
from morphtools.inference.representations import Representations
from morphtools.studies import photoz_figures as figures
from morphtools.studies.photoz_baselines import baseline_redshifts
from morphtools.studies.photoz_recalibration import fit_pit, recalibrate_redshifts
from morphtools.studies.photoz_scores import flat, photoz_scores, scores_by, take, uniformity
from tfrecords_builder.listing import images_of
from tfrecords_builder.naming import some
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.records import Records
from tfrecords_builder.tables_out import write_csv
from tfrecords_builder.yaml_files import read_yaml

log = logging.getLogger(__name__)


def evaluate_photoz(
    predictions: Mapping[str, str | Path | Redshifts] | str | Path,
    *,
    catalog: str | Path | pd.DataFrame | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    magnitude: str | None = None,
    baselines: bool = False,
    representations: Mapping[str, str | Path | Representations] | None = None,
    recalibrate: bool = False,
    threshold: float = 0.05,
    bins: int = 8,
    resamples: int = 1000,
    seed: int = 0,
    out: str | Path = "morphtools-runs/photoz",
) -> pd.DataFrame:
    """Scores redshift PDFs on the galaxies with a spectrum for which all methods have one.

    Writes `scores.csv`, `scores_by.csv` (the same in bins of the true redshift, of each method's estimate, and of
    magnitude), `scores.png`, `density.png` (estimate against spectrum), `pit.png`, `against.png` and, where there are
    images, `examples.png`. Bins of the true redshift show a bias that no method can avoid, because expected values are
    pulled towards the mean; science uses bins of the estimate.

    Args:
        predictions: By name, runs of `finetune` for redshifts, or files as their `predictions.parquet`; or one.
        catalog: Table with `id_str` and any other columns; by default that of the first run.
        images: Folder, zip archive or stack in which the catalogue's `file_loc` is found.
        records: Folder of records, instead of catalogue and images.
        magnitude: Column to bin by.
        baselines: Whether to compare with methods that need no network, fitted to the training galaxies of the first
            run: the distribution of all redshifts, neighbours and boosted trees in magnitudes and colours measured on
            the images, and neighbours in `representations`.
        representations: Stores by name; by default the weights that the first run started from represent its galaxies.
        recalibrate: Whether to add the predictions with recalibrated PDFs. This needs at least 200 validation galaxies
            (see `fit_pit`); a warning names runs that have fewer.
        threshold: |Δz| of an outlier.
        bins: Number of bins with equally many galaxies; those with fewer than thirty are left out.
        resamples: Number of bootstrap samples; at most 200 in a bin.
        seed: Seed of these samples and of folds.
        out: Output folder.

    Returns:
        One row per `method`: number of `galaxies`; `bias`, `sigma_mad`, `outlier_fraction`, `crps` and
        `log_likelihood` with 95% intervals (`… low`, `… high`); whether the PDFs are calibrated (see `uniformity`).

    Raises:
        ValueError: There is nothing to compare, or a baseline lacks what it needs; the message names it.
    """
    if not isinstance(predictions, Mapping):
        predictions = {Path(predictions).name: predictions}
    if not predictions:
        raise ValueError("which predictions? give at least one run or predictions.parquet")
    out = Path(out)
    tests, validation = _opened(predictions)
    knots = _recalibrations(tests, validation) if recalibrate else {}
    first = next(iter(predictions.values()))
    config, survey = _config(first)
    if catalog is None and records is None:
        catalog, images, records = (config.get(name) for name in ("catalog", "images", "records"))
        images = catalog and images_of(catalog, images)
    pictures = Pictures(records, catalog, images) if records or images else None
    if baselines:
        galaxies = _galaxies(first)
        if representations is None:
            representations = _represented(config, survey, out, catalog, images, records)
        options: dict[str, Any] = {"survey": survey, "representations": representations, "seed": seed}
        edges = next(iter(tests.values())).edges
        tests |= baseline_redshifts(galaxies, edges, pictures=pictures, **options)
    tests |= {f"{name}, recalibrated": recalibrate_redshifts(tests[name], fit) for name, fit in knots.items()}
    tests = _of_common_galaxies(tests)
    values = {} if magnitude is None else {magnitude: _magnitudes(tests, catalog, records, magnitude)}
    table, by = _tables(tests, values, threshold=threshold, bins=bins, resamples=resamples, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    write_csv(table, out / "scores.csv")
    write_csv(by, out / "scores_by.csv")
    _draw(out, tests, table, by, threshold, pictures)
    return table


def _opened(predictions: Mapping) -> tuple[dict[str, Redshifts], dict[str, Redshifts]]:
    """Redshifts of the test galaxies by every method, and of validation galaxies if a run kept them."""
    tests, validation = {}, {}
    for name, given in predictions.items():
        if isinstance(given, Redshifts):
            tests[name] = given
            continue
        folder = Path(given)
        path = folder / "predictions.parquet" if folder.is_dir() else folder
        if not path.is_file():
            raise FileNotFoundError(f"there are no predictions at {path}")
        tests[name] = Redshifts.open(path)
        if (path.parent / "validation.parquet").is_file():
            validation[name] = Redshifts.open(path.parent / "validation.parquet")
    return tests, validation


def _of_run(first, name: str) -> Path:
    """The path of a file beside the predictions of a run, which need not exist."""
    path = Path("nowhere" if isinstance(first, Redshifts) else first)
    return (path if path.is_dir() else path.parent) / name


def _config(first) -> tuple[dict, str | None]:
    """The arguments of a run of `finetune`, and by whose filters it dereddened; none if it is not a run."""
    config, card = _of_run(first, "config.yaml"), _of_run(first, "card.json")
    return (
        read_yaml(config) if config.is_file() else {},
        json.loads(card.read_text())["dereddened"] if card.is_file() else None,
    )


def _galaxies(first) -> pd.DataFrame:
    """The galaxies on which a run was trained, validated and tested."""
    path = _of_run(first, "galaxies.parquet")
    if not path.is_file():
        raise ValueError(f"baselines are fitted to the training galaxies of a run of finetune: there is no {path}")
    return pd.read_parquet(path).set_index("id_str").rename(columns={"label": "redshift"})


def _represented(config: dict, survey: str | None, out: Path, catalog, images, records) -> dict[str, Representations]:
    """The galaxies by the weights that a run started from."""
    weights = config.get("weights", "random")
    if weights == "random" or not (records or catalog):
        return {}
    from morphtools.inference.represent import represent

    name = Path(weights).name
    how: dict[str, Any] = {option: config.get(option) for option in ("image_size", "stretch")} | {"survey": survey}
    where: dict[str, Any] = {"records": records} if records else {"catalog": catalog, "images": images}
    return {name: represent(weights, out / "representations" / name, **where, **how)}


def _recalibrations(tests: dict[str, Redshifts], validation: dict[str, Redshifts]) -> dict[str, np.ndarray]:
    """`fit_pit` of every run that has enough validation galaxies."""
    results = {}
    for name in tests:
        try:
            if name not in validation:
                raise ValueError("there is no validation.parquet beside its predictions")
            results[name] = fit_pit(validation[name])
        except ValueError as error:
            log.warning("%s is shown as it is, not recalibrated: %s", name, error)
    return results


def _of_common_galaxies(tests: dict[str, Redshifts]) -> dict[str, Redshifts]:
    """All methods for the same galaxies, those with a spectrum, in the same order."""
    common = in_all(redshifts.id_str[np.isfinite(redshifts.redshift)] for redshifts in tests.values())
    if not len(common):
        raise ValueError(f"no galaxy with a redshift is in all of {some(tests)}")
    most = max(len(redshifts.id_str) for redshifts in tests.values())
    if len(common) < most:
        log.warning("%d of %d galaxies are compared: those with a spectrum that all methods have", len(common), most)
    return {name: take(each, pd.Index(each.id_str).get_indexer(common)) for name, each in tests.items()}


def _magnitudes(tests: dict[str, Redshifts], catalog, records, name: str) -> np.ndarray:
    known = Records.open(records).index() if records else open_catalog(catalog)
    if known is None:
        raise ValueError(f"the magnitude {name!r} needs a catalog or records that have it")
    ids = next(iter(tests.values())).id_str
    return pd.to_numeric(column_of(known_of(ids, known), name), errors="coerce").to_numpy(float)


def _tables(tests, values: dict[str, np.ndarray], *, bins: int, resamples: int, **options):
    """The scores of every method, and the same in bins."""
    rows, parts = [], []
    truth = next(iter(tests.values())).redshift
    for name, redshifts in tests.items():
        scores = photoz_scores(redshifts, resamples=resamples, **options)
        pit = uniformity(redshifts.cdf_at(redshifts.redshift))
        rows.append({"method": name, "galaxies": len(redshifts.id_str)} | flat(scores) | pit)
        for variable, x in ({"redshift": truth, "estimate": redshifts.z()} | values).items():
            edges = np.unique(np.nanquantile(x, np.linspace(0, 1, bins + 1)))
            if edges[-1] - edges[0] > 1e-6:  # the baseline has the same estimate for all
                part = scores_by(redshifts, x, edges, resamples=min(200, resamples), **options)
                parts.append(part.assign(method=name, variable=variable))
    by = pd.concat(parts)
    return pd.DataFrame(rows), by[["method", "variable", *by.columns.drop(["method", "variable"])]]


def _draw(out: Path, tests: dict[str, Redshifts], table, by, threshold: float, pictures: Pictures | None) -> None:
    write_figure(out / "scores.png", figures.score_table(table, threshold, next(iter(tests.values())).edges))
    write_figure(out / "density.png", figures.density(tests, threshold))
    write_figure(out / "pit.png", figures.pit_histograms(tests, table))
    if len(by):
        write_figure(out / "against.png", figures.scores_against(by, threshold))
    if pictures is not None:
        first = next(iter(tests.values()))
        order = np.argsort(first.redshift)
        spread = order[np.linspace(0, len(order) - 1, min(8, len(order))).round().astype(int)]
        worst = np.argsort(-np.abs(delta_z(first.z(), first.redshift)))[:8]
        rows = [*spread, *worst]
        write_figure(out / "examples.png", gallery(first, rows, thumbnails(pictures, first.id_str[rows], 96)))
