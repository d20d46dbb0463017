"""Commands that apply weights."""

import shutil

import click

import morphtools
from morphtools.commands.calling import arguments, call, echo_table, import_quietly
from morphtools.commands.options import CONFIG, SCHEDULER, galaxies, joined, with_options

_READING = with_options(
    galaxies("Table with id_str and file_loc."),
    click.option("--split", help="Only this split of the records: train, val or test (all)."),
    click.option("--batch-size", type=int, help="Galaxies at a time (suits a CPU; a GPU prefers several hundred)."),
    click.option("--orientations", type=int, help="Orientations to average over: 8, 4, 2 or 1 (8)."),
    click.option("--image-size", type=int, help="Image side in pixels (that of the weights)."),
    click.option("--stretch", help="How flux becomes a picture (as for the weights)."),
    click.option("--adapt-bands", is_flag=True, default=None, help="Adapt the weights to images with other bands."),
    click.option("--bands", help="Names of the bands, in the order of the files, such as g,r,z."),
    click.option("--mixed-precision", is_flag=True, default=None, help="Compute in bfloat16 (see doctor --speed)."),
    click.option("--part", help="Only this part of the shards, such as 2/5; the last part to finish merges them."),
    SCHEDULER,
    CONFIG,
)


@click.command()
@click.argument("weights", nargs=-1, required=True)
@click.argument("out", type=click.Path())
@click.option("--level", type=float, help="Probability inside the credible intervals (0.9).")
@click.option("--questions", help="Questions in the readable table: gz2,bar-na10, or all (those of the survey).")
@click.option("--format", help="Formats of the readable table, of csv, parquet, fits, vot, ecsv, tsv (csv,parquet).")
@_READING
def predict(weights, **options):
    """Predict votes, classes, numbers or redshifts.

    WEIGHTS are names from list-pretrained, run folders or files; several are averaged. Resumes if interrupted.

        morphtools predict efficientnet_lite0_gz2 predictions --catalog galaxies.csv --images jpegs/

        morphtools predict run-1 run-2 run-3 predictions --records records --part 2/5

    The readable table includes the catalogue's columns. To write it again with other questions or formats:

        morphtools predict efficientnet_lite0_gz2 predictions --records records --questions gz2,ring-na10 --format vot
    """
    import_quietly()
    given = arguments(morphtools.predict, options | {"weights": list(weights)})
    out = morphtools.predict(**given)
    if given["part"] is not None and not (out / "predict.json").exists():
        click.echo(f"part {given['part']} of {out} is done; the last part to finish writes the tables")
    else:
        first = (options["format"] or "csv").split(",")[0]
        click.echo(f"see {out}: predictions.{first} is the readable table, predictions-full.parquet has every column")


@click.command()
@click.argument("predictions", type=click.Path())
@click.argument("catalog", type=click.Path())
@click.option(
    "--column",
    multiple=True,
    callback=joined,
    help="Column with the truth; can be repeated (found by name for votes, numbers, redshifts).",
)
@click.option("--task", help="For two classes: the task whose rule decides what is a yes, or a YAML file.")
@click.option("--images", type=click.Path(), help="Folder, zip or stack of images, for galleries.")
@click.option("--records", type=click.Path(), help="Records with the images, instead.")
@click.option("--seed", type=int, help="Seed of the bootstrap (0).")
@click.option("--out", type=click.Path(), help="Folder to write to (morphtools-runs/evaluation).")
@CONFIG
def evaluate_predictions(**options):
    """Score predictions against a catalogue.

    PREDICTIONS is a folder written by predict; CATALOG has votes, classes, numbers or redshifts. Galaxies are matched
    by id_str; those that the model was trained on are left out.

        morphtools evaluate-predictions predictions experts.csv --column hubble_type
    """
    from morphtools.answers.score_names import score_name

    given = arguments(morphtools.evaluate_predictions, options)
    scores = morphtools.evaluate_predictions(**given)
    echo_table(scores.assign(score=scores["score"].map(score_name)), "{:.3g}")
    click.echo(f"see {given['out']}: scores.csv and figures/")


@click.command()
@click.argument("weights")
@click.argument("out", type=click.Path())
@click.option("--crop", type=int, help="Represent, and show in pictures, only the middle: side in pixels (all of it).")
@click.option(
    "--survey", help="Survey whose bands are dereddened by ebv: sdss, decals, des or ps1 (as for the weights)."
)
@_READING
def represent(**options):
    """Compute the representation of every galaxy.

    WEIGHTS is a name from list-pretrained, a run folder or a file. Resumes if interrupted, and adds new galaxies.

        morphtools represent efficientnet_lite0_gz2 representations --records records

    A run of pretrain --keep-projection can also be represented in the space in which it compared views:

        morphtools represent morphtools-runs/moco/projection projections --records records
    """
    import_quietly()
    store = call(morphtools.represent, options)
    click.echo(f"{len(store)} galaxies in {store.dimension} dimensions in {store.folder}")


@click.command()
def list_pretrained():
    """List the weights that come with morphtools.

    morphtools list-pretrained
    """
    cards = morphtools.list_pretrained()
    for card in cards:
        size = "×".join(str(n) for n in card.input_shape)
        click.echo(f"{card.name}: {card.kind}, {card.encoder['name']}, {size}, {' '.join(card.surveys)}")
        scores = ", ".join(f"{name} {score:.3g}" for name, score in card.scores.items())
        width = shutil.get_terminal_size().columns - 1
        for text in [card.data, *([f"On held-out galaxies: {scores}."] if scores else [])]:
            click.echo(click.wrap_text(text, width, initial_indent="    ", subsequent_indent="    "))
    if not cards:
        click.echo("none")


@click.command()
@click.argument("weights", required=False)
@click.option("--bibtex", is_flag=True, help="Print BibTeX entries, each paper once.")
def cite(weights, bibtex):
    """Print what to cite for the weights you used.

    Without WEIGHTS: for all that come with morphtools.

    morphtools cite efficientnet_lite0_gz2 --bibtex > papers.bib
    """
    click.echo(morphtools.cite(weights, bibtex))
