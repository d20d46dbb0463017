"""Commands about redshifts from images."""

from pathlib import Path

import click

import morphtools
from morphtools.commands.calling import call, import_quietly, typed


def _by_name(folders) -> dict[str, str]:
    """`name=folder`, or a folder that is its own name."""
    pairs = [folder.rpartition("=") for folder in folders]
    return {name or Path(folder).name: folder for name, _, folder in pairs}


@click.command()
@click.argument("predictions", nargs=-1)
@click.option("--catalog", type=click.Path(), help="Table with id_str and what is known (that of the first run).")
@click.option("--images", type=click.Path(), help="Folder, zip or stack in which its file_loc is found.")
@click.option("--records", type=click.Path(), help="Records, instead of both.")
@click.option("--magnitude", help="Column to bin by.")
@click.option("--baselines", is_flag=True, default=None, help="Compare with magnitudes, neighbours and the mean.")
@click.option("--representations", multiple=True, help="Store to find neighbours in, as NAME=FOLDER; several.")
@click.option("--recalibrate", is_flag=True, default=None, help="Add PDFs as wide as they should be.")
@click.option("--threshold", type=float, help="|Δz| of an outlier (0.05).")
@click.option("--bins", type=int, help="Bins of redshift and magnitude (8).")
@click.option("--resamples", type=int, help="Bootstrap samples (1000).")
@click.option("--seed", type=int, help="Of bootstrap samples and folds (0).")
@click.option("--out", type=click.Path(), help="Folder to write to (morphtools-runs/photoz).")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file with any of these.")
def evaluate_photoz(predictions, representations, config, **options):
    """Score redshift PDFs: runs of finetune or their predictions.parquet, as NAME=RUN, beside what needs no network.

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
    click.echo(table[shown].to_string(index=False, float_format="{:.4g}".format))
    click.echo(f"see {given.get('out', 'morphtools-runs/photoz')}: scores.csv with intervals, and pictures")
