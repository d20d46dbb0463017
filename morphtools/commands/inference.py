"""Commands that apply weights."""

import click

import morphtools
from morphtools.commands.calling import call, import_quietly, typed

_GALAXIES = (
    click.option("--catalog", type=click.Path(), help="Table with id_str and file_loc."),
    click.option("--images", type=click.Path(), help="Folder or zip of images (the catalogue's folder)."),
    click.option("--records", type=click.Path(), help="Folder of records, instead of catalog and images."),
    click.option("--split", help="Only this split of the records (all)."),
    click.option("--batch-size", type=int, help="Galaxies at a time (what suits a CPU; a GPU likes some hundred)."),
    click.option("--orientations", type=int, help="Orientations of an image: 8, 4, 2 or 1 (8)."),
    click.option("--image-size", type=int, help="Side in pixels (that of the weights)."),
    click.option("--stretch", help="What turns flux into pictures (that of the weights)."),
    click.option("--adapt-bands", is_flag=True, default=None, help="Adapt the weights to other bands."),
    click.option("--bands", help="Names of the bands in the order of the files, as g,r,z."),
    click.option("--part", help="Only this part of the shards, as 2/5; the same command without it comes last."),
    click.option("--config", type=click.Path(), help="YAML file with any of these."),
)


def _with_galaxies(command):
    for option in reversed(_GALAXIES):
        command = option(command)
    return command


@click.command()
@click.argument("weights", nargs=-1, required=True)
@click.argument("out", type=click.Path())
@click.option("--level", type=float, help="Probability inside the credible intervals (0.9).")
@_with_galaxies
def predict(weights, out, config, **options):
    """Predict votes, classes or redshifts of every galaxy; the same command goes on after a kill.

    WEIGHTS are names of list-pretrained, run folders or files; several are averaged.

        morphtools predict efficientnet_lite0_gz2 predictions --catalog galaxies.csv --images jpegs/

        morphtools predict run-1 run-2 run-3 predictions --records records --part 2/5
    """
    import_quietly()
    out = call(morphtools.predict, config, typed(options) | {"weights": list(weights), "out": out})
    if options["part"] is not None:
        click.echo(f"part {options['part']} of {out} is done; the same command without --part puts the tables together")
    else:
        click.echo(f"see {out}: predictions.csv to read, predictions-full.csv with everything")


@click.command()
@click.argument("weights")
@click.argument("out", type=click.Path())
@click.option("--survey", help="Whose bands, to deredden by ebv: sdss, decals, des, ps1 (as for the weights).")
@_with_galaxies
def represent(weights, out, config, **options):
    """Represent every galaxy; the same command goes on after a kill, and adds galaxies that are new.

    WEIGHTS is a name of list-pretrained, a run folder or a file.

        morphtools represent efficientnet_lite0_gz2 representations --records records
    """
    import_quietly()
    store = call(morphtools.represent, config, typed(options) | {"weights": weights, "out": out})
    click.echo(f"{len(store)} galaxies in {store.dimension} dimensions in {store.folder}")


@click.command()
def list_pretrained():
    """List the weights that come with morphtools.

    morphtools list-pretrained
    """
    cards = morphtools.list_pretrained()
    for card in cards:
        size = "×".join(str(n) for n in card.input_shape)
        click.echo(
            f"{card.name}: {card.kind}, {card.encoder['name']}, {size}, {' '.join(card.surveys)}\n    {card.data}"
        )
    if not cards:
        click.echo("none")


@click.command()
@click.argument("weights", required=False)
@click.option("--bibtex", is_flag=True, help="As BibTeX entries, each paper once.")
def cite(weights, bibtex):
    """Say what to cite when WEIGHTS were used (all that come with morphtools).

    morphtools cite efficientnet_lite0_gz2 --bibtex > papers.bib
    """
    click.echo(morphtools.cite(weights, bibtex))
