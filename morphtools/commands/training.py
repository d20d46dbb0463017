"""Commands that fit."""

from pathlib import Path

import click

import morphtools
from morphtools.commands.calling import IN_MEMORY, call, import_quietly, typed


@click.command()
@click.option("--task", help="rings (default), bars, spirals, edge-on, mergers, smooth; photoz; or your own, as YAML.")
@click.option("--column", help="Or ask what this column holds, or several, as a,b,c: classes, fractions, numbers.")
@click.option("--answer", help="What that is, where it is not certain: classes, fractions or number.")
@click.option("--labels", type=int, help="Labelled galaxies to use, for training and validation (500).")
@click.option("--catalog", type=click.Path(), help="Table with id_str, file_loc and labels, votes or redshifts.")
@click.option("--images", type=click.Path(), help="Folder or zip of images (the catalogue's folder).")
@click.option("--records", type=click.Path(), help="Folder of records, instead of catalog and images.")
@click.option("--balance", is_flag=True, default=None, help="Let all classes count the same in training.")
@click.option("--bands", help="Names of the bands in the order of the files, as g,r,z.")
@click.option("--weights", help="Pretrained: efficientnet_lite0_gz2 (default), another name, a run; or random.")
@click.option(
    "--encoder",
    help="For random weights: resnet18 (default), resnet10_half, resnet50, efficientnet_b0, mobilenet_v3_small.",
)
@click.option("--small-images", is_flag=True, default=None, help="For random weights: stem for some 64 pixels.")
@click.option("--image-size", type=int, help="Side in pixels (that of the weights).")
@click.option("--view-size", type=int, help="Side of the middle that the encoder sees, if not all.")
@click.option("--stretch", help="What turns flux into pictures (that of the weights).")
@click.option("--survey", help="Whose bands, to deredden by ebv: sdss, decals, des, ps1; or none.")
@click.option("--orientations", type=int, help="Orientations of an image to average over (8).")
@click.option("--depth", help="Train the head only (default), a number of blocks too, or all.")
@click.option("--epochs", type=int, help="Most epochs per stage.")
@click.option("--batch-size", type=int, help="Galaxies per step (32).")
@click.option("--optimizer", help="If the encoder is trained: adam (default) or sgd.")
@click.option("--learning-rate", type=float, help="Of the head (1e-3).")
@click.option("--encoder-learning-rate", type=float, help="Of the encoder (a hundredth of that, for photoz a tenth).")
@click.option("--in-memory/--no-in-memory", default=None, help=IN_MEMORY)
@click.option("--bins", type=int, help="Redshift bins (180).")
@click.option("--redshift-range", type=(float, float), help="Where they lie (0 0.4).")
@click.option("--pdf", help="Redshift PDFs: softmax (default), free bins; or mixture, of Gaussians.")
@click.option("--estimate", help="Redshift in one number: mean (default) or mode of the PDF.")
@click.option("--test-labels", type=int, help="Most galaxies to test on (2000).")
@click.option("--seed", type=int, help="Decides splits, draw, weights and views (0).")
@click.option("--out", type=click.Path(), help="Run folder (morphtools-runs/TASK-LABELS).")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file with any of these.")
def finetune(config, **options):
    """Learn to answer a question about galaxies from a few hundred labels, and test.

    Without galaxies of your own it uses a small simulated sky:

        morphtools finetune --task rings --labels 500

        morphtools finetune --task rings --labels 500 --catalog galaxies.csv --images jpegs/

    Any column can be the question:

        morphtools finetune --column hubble_type --labels 300 --catalog galaxies.csv --images jpegs/
    """
    import_quietly()
    click.echo(call(morphtools.finetune, config, typed(options)).summary)


@click.command()
@click.option("--schema", help="Question tree: gz_decals_dr5 (default), another campaign, several, or a YAML file.")
@click.option("--catalog", type=click.Path(), help="Table with id_str, file_loc and votes.")
@click.option("--images", type=click.Path(), help="Folder or zip of images (the catalogue's folder).")
@click.option("--records", type=click.Path(), help="Folder of records, instead of catalog and images.")
@click.option("--weights", help="Pretrained weights to start from, or random (default).")
@click.option(
    "--encoder",
    help="For random weights: efficientnet_b0 (default), mobilenet_v3_small, resnet10_half, resnet18, resnet50.",
)
@click.option("--augmentations", help="Preset or YAML file (any rotation, flips, zoom, shift; contrast and grey).")
@click.option("--image-size", type=int, help="Side in pixels (that of the images).")
@click.option("--stretch", help="What turns flux into pictures (that of the weights).")
@click.option("--epochs", type=int, help="Passes over the galaxies (30).")
@click.option("--patience", type=int, help="Epochs without progress before it stops (8).")
@click.option("--batch-size", type=int, help="Galaxies per step, over all devices (64).")
@click.option("--learning-rate", type=float, help="Highest, of AdamW (1e-3).")
@click.option("--weight-decay", type=float, help="Of AdamW (1e-4).")
@click.option("--average", type=float, help="Momentum of the running average of the weights (0.999).")
@click.option("--warmup-epochs", type=float, help="Epochs until the learning rate is at its highest (2).")
@click.option("--clip", type=float, help="Largest norm of all gradients together (5 for those of each weight).")
@click.option("--drop", type=float, help="Stochastic depth of EfficientNet-Lite (0).")
@click.option("--method", help="byol, moco or simclr, to learn from views beside the votes.")
@click.option("--method-weight", type=float, help="Of its loss beside that of the votes (1).")
@click.option("--dimension", type=int, help="Of its projection.")
@click.option("--hidden", type=int, help="Width of BYOL's hidden layers.")
@click.option("--momentum", type=float, help="Of the second network of MoCo and BYOL.")
@click.option("--in-memory/--no-in-memory", default=None, help=IN_MEMORY)
@click.option("--mixed-precision", is_flag=True, default=None, help="Compute in bfloat16 where that is safe.")
@click.option("--seed", type=int, help="Decides first weights, order and views (0).")
@click.option("--out", type=click.Path(), help="Run folder (morphtools-runs/votes).")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file with any of these.")
def train(config, **options):
    """Train an encoder on the votes for every question of a tree.

    Without galaxies of your own it uses a small simulated sky:

        morphtools train --epochs 5

        morphtools train --schema gz2 --catalog votes.parquet --images jpegs/

        morphtools train --schema gz_decals_dr5 --records records --epochs 50
    """
    import_quietly()
    click.echo(call(morphtools.train, config, typed(options)).summary)


@click.command()
@click.option("--task", help="rings (default), or any other of finetune.")
@click.option("--labels", help="Numbers of labels, or shares of all: 50,100,250,500 if nothing is said.")
@click.option("--seeds", type=int, help="How many (5).")
@click.option("--catalog", type=click.Path(), help="Table with id_str, file_loc and labels or votes.")
@click.option("--images", type=click.Path(), help="Folder or zip of images (the catalogue's folder).")
@click.option("--records", type=click.Path(), help="Folder of records, instead of catalog and images.")
@click.option("--column", help="As for finetune.")
@click.option("--answer", help="As for finetune.")
@click.option("--metric", help="What to draw (accuracy, or sigma_mad of redshifts).")
@click.option("--reference", help="Way to compare with (the first from random weights).")
@click.option("--out", type=click.Path(), help="Folder (morphtools-runs/learning-curve).")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file with any of these.")
def learning_curve(config, **options):
    """Find out how many labels are needed, and how many pretraining saves; goes on after a kill.

    The ways of training to compare stand in the config; without, the shipped weights and training from scratch.

    morphtools learning-curve --catalog galaxies.csv --images jpegs/ --labels 20,50,100,250

    morphtools learning-curve --config configs/learning_curve/rings.yaml --catalog galaxies.csv --images jpegs/
    """
    import_quietly()
    given = typed(options)
    if "labels" in given:
        given["labels"] = [float(each) if "." in each else int(each) for each in given["labels"].split(",")]
    click.echo(call(morphtools.learning_curve, config, given).summary)
