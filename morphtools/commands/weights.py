"""Commands that import and export weights."""

import click

import morphtools
from morphtools.commands.calling import call, import_quietly
from morphtools.commands.options import CONFIG, Listed

_PER_BAND = Listed(float, "0.485,0.456,0.406")  # or one number for all


@click.command()
@click.argument("source")
@click.argument("out", type=click.Path())
@click.option("--architecture", help="Name in timm, such as convnext_nano (from config.json).")
@click.option(
    "--mean", type=_PER_BAND, help="Subtracted from pixel values 0–1, such as 0.485,0.456,0.406 (from config.json)."
)
@click.option("--deviation", type=_PER_BAND, help="Divides them afterwards (from config.json).")
@click.option("--image-size", type=int, help="Image side in pixels (from config.json).")
@click.option("--bands", type=Listed(), help="Names of the bands, such as g,r,z (r,g,b).")
@click.option("--prefix", help="Prefix of the names, if a file contains several encoders.")
@click.option("--name", help="Name of the new weights (the architecture).")
@click.option("--licence", help="Licence of the weights (that of the files).")
@click.option("--citation", help="What to cite.")
@CONFIG
def import_weights(**options):
    """Import an encoder that was trained with PyTorch.

    SOURCE is a folder, a file, or a name on the Hugging Face Hub.

    morphtools import-weights mwalmsley/zoobot-encoder-convnext_nano zoobot-nano

    morphtools import-weights r50.pth r50 --architecture resnet50 --mean 0 --deviation 1 --image-size 224
    """
    import_quietly()
    out = call(morphtools.import_weights, options)
    click.echo(f"use {out} wherever a command takes WEIGHTS, for example: morphtools represent {out} REPRESENTATIONS …")


@click.command()
@click.argument("weights")
@click.argument("out", type=click.Path())
@click.option("--format", "format", help="onnx, saved-model, safetensors or keras (onnx).")
@click.option("--include-top/--no-top", default=None, help="Include the head (if there is one).")
@click.option("--orientations", type=int, help="Orientations to average over: 8, 4, 2 or 1 (8 with the head).")
@click.option("--records", type=click.Path(), help="Records for comparing the outputs (simulated galaxies).")
@CONFIG
def export(**options):
    """Export a model to ONNX, SavedModel or the Hub.

    WEIGHTS is a name from list-pretrained, a run folder or a file. Checks that the exported model gives
    the same outputs.

        morphtools export run onnx-model --format onnx
    """
    import_quietly()
    out = call(morphtools.export, options)
    click.echo(f"see {out}; its card.json describes how images are prepared")
