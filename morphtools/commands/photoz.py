"""Commands for photometric redshifts."""

from pathlib import Path

import click

import morphtools
from morphtools.commands.calling import call, echo_table, import_quietly, typed


def _by_name(folders) -> dict[str, str]:
    """`name=folder`, or a folder that is its own name."""
    pairs = [folder.rpartition("=") for folder in folders]
    return {name or Path(folder).name: folder for name, _, folder in pairs}


@click.command()
@click.argument("predictions", nargs=-1)
@click.option("--catalog", type=click.Path(), help="Table with id_str and redshifts (that of the first run).")
@click.option("--images", type=click.Path(), help="Folder, zip archive or stack of images.")
@click.option("--records", type=click.Path(), help="Folder of records, instead of catalog and images.")
@click.option("--magnitude", help="Magnitude column to bin by.")
@click.option(
    "--baselines",
    is_flag=True,
    default=None,
    help="Compare with magnitudes and colours, with neighbours and with the mean.",
)
@click.option(
    "--representations",
    multiple=True,
    help="Representations in which to find neighbours, as NAME=FOLDER; can be repeated.",
)
@click.option("--recalibrate", is_flag=True, default=None, help="Also score PDFs recalibrated on validation galaxies.")
@click.option("--threshold", type=float, help="|Δz|/(1+z) above which a redshift is an outlier (0.05).")
@click.option("--bins", type=int, help="Bins of redshift and magnitude (8).")
@click.option("--resamples", type=int, help="Bootstrap samples (1000).")
@click.option("--seed", type=int, help="Seed of bootstrap samples and folds (0).")
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/photoz).")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file with any of these options.")
def evaluate_photoz(predictions, representations, config, **options):
    """Score photometric redshifts and their PDFs.

    PREDICTIONS are runs of finetune or their predictions.parquet, as NAME=RUN. With --baselines, methods
    without a network are scored too.

    morphtools evaluate-photoz my-redshifts --baselines --recalibrate

    morphtools evaluate-photoz pretrained=run-1 scratch=run-2 --records records --magnitude mag_r
    """
    given = typed(options)
    if predictions:
        given["predictions"] = _by_name(predictions)
    if representations:
        given["representations"] = _by_name(representations)
    if given.get("baselines"):
        import_quietly()  # for the representations
    table = call(morphtools.evaluate_photoz, config, given)
    shown = ["method", "galaxies", "bias", "sigma_mad", "outlier_fraction", "crps", "log_likelihood", "ks_p"]
    echo_table(table[shown], "{:.4g}")
    click.echo(f"see {given.get('out', 'morphtools-runs/photoz')}: scores.csv with intervals, and pictures")
