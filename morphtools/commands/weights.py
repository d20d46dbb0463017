"""Commands that bring weights from elsewhere, and take them there."""

import click

import morphtools
from morphtools.commands.calling import call, import_quietly, typed


def _numbers(context, parameter, value: str | None):
    """One number, or one for each band."""
    try:
        return None if value is None else tuple(float(x) for x in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a number or numbers like 0.485,0.456,0.406") from None


@click.command()
@click.argument("source")
@click.argument("out", type=click.Path())
@click.option("--architecture", help="Its name in timm, such as convnext_nano (that of config.json).")
@click.option("--mean", callback=_numbers, help="Taken from pictures 0–1, as 0.485,0.456,0.406 (config.json).")
@click.option("--deviation", callback=_numbers, help="What they are divided by then (config.json).")
@click.option("--image-size", type=int, help="Side in pixels (config.json).")
@click.option("--bands", help="Names of the bands, as g,r,z (r,g,b).")
@click.option("--prefix", help="What stands before the names, where a file holds several encoders.")
@click.option("--name", help="Of the weights (the architecture).")
@click.option("--licence", help="Of the weights (that of the files).")
@click.option("--citation", help="What to cite.")
@click.option("--config", type=click.Path(), help="YAML file with any of these.")
def import_weights(source, out, config, **options):
    """Bring an encoder trained with PyTorch here: SOURCE is a folder, a file, or a name on the Hugging Face Hub.

    morphtools import-weights mwalmsley/zoobot-encoder-convnext_nano zoobot-nano

    morphtools import-weights r50.pth r50 --architecture resnet50 --mean 0 --deviation 1 --image-size 224
    """
    import_quietly()
    given = typed(options) | {"source": source, "out": out}
    if "bands" in given:
        given["bands"] = tuple(given["bands"].split(","))
    out = call(morphtools.import_weights, config, given)
    click.echo(f"use {out} wherever weights are wanted, as in: morphtools represent {out} REPRESENTATIONS …")


@click.command()
@click.argument("weights")
@click.argument("out", type=click.Path())
@click.option("--format", "format", help="onnx, saved-model, safetensors or keras (onnx).")
@click.option("--include-top/--no-top", default=None, help="Whether to end in the head (if there is one).")
@click.option("--orientations", type=int, help="Orientations of an image: 8, 4, 2 or 1 (8 with the head).")
@click.option("--records", type=click.Path(), help="Records whose galaxies are shown to both (the simulated sky).")
@click.option("--config", type=click.Path(), help="YAML file with any of these.")
def export(weights, out, config, **options):
    """Write weights for other software, and make sure that they give the same there.

    WEIGHTS is a name of list-pretrained, a run folder or a file.

        morphtools export run onnx-model --format onnx
    """
    import_quietly()
    out = call(morphtools.export, config, typed(options) | {"weights": weights, "out": out})
    click.echo(f"see {out}; card.json there tells how images are prepared")
