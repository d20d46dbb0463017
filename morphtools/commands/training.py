"""Commands that train."""

import click

import morphtools
from morphtools.commands.calling import call, import_quietly
from morphtools.commands.options import CONFIG, IN_MEMORY, Listed, galaxies, joined, number


@click.command()
@click.option(
    "--task", help="rings (default), bars, spirals, edge-on, mergers, smooth, photoz, or a YAML file of your own."
)
@click.option(
    "--column",
    multiple=True,
    callback=joined,
    help="Instead of a task, the column to learn: classes, fractions or numbers. Repeat it for several at once.",
)
@click.option("--answer", help="What the column contains, if that is ambiguous: classes, fractions or number.")
@click.option("--labels", type=int, help="Number of labelled galaxies for training and validation (500).")
@galaxies("Table with id_str, file_loc and labels, votes or redshifts.")
@click.option("--balance", is_flag=True, default=None, help="Give all classes the same weight in training.")
@click.option("--bands", help="Names of the bands, in the order of the files, such as g,r,z.")
@click.option(
    "--weights", help="Pretrained weights: efficientnet_lite0_gz2 (default), another name, a run folder, or random."
)
@click.option(
    "--encoder",
    help="With random weights: resnet18 (default), resnet10_half, resnet50, efficientnet_b0, mobilenet_v3_small.",
)
@click.option(
    "--small-images",
    is_flag=True,
    default=None,
    help="With random weights: first layers for images of about 64 pixels.",
)
@click.option("--flux", help="With random weights, how flux enters: asinh (default), linear or maximum.")
@click.option("--image-size", type=int, help="Image side in pixels (that of the weights).")
@click.option("--view-size", type=int, help="Side of the central part that the encoder sees (all).")
@click.option("--stretch", help="How flux becomes a picture (as for the weights).")
@click.option("--survey", help="Survey whose bands are dereddened by ebv: sdss, decals, des, ps1, or none.")
@click.option("--orientations", type=int, help="Orientations to average over: 8, 4, 2 or 1 (8).")
@click.option("--depth", help="How much to train: head (default), a number of encoder blocks as well, or all.")
@click.option("--epochs", type=int, help="Maximum number of epochs per stage.")
@click.option("--batch-size", type=int, help="Galaxies per step (32).")
@click.option("--optimizer", help="Optimizer of the encoder: adam (default) or sgd.")
@click.option("--learning-rate", type=float, help="Learning rate of the head (1e-3).")
@click.option(
    "--encoder-learning-rate",
    type=float,
    help="Learning rate of the encoder (a hundredth of the head's, for photoz a tenth).",
)
@IN_MEMORY
@click.option("--mixed-precision", is_flag=True, default=None, help="Compute in bfloat16 (see doctor --speed).")
@click.option("--bins", type=int, help="Redshift bins (180).")
@click.option("--redshift-range", type=(float, float), help="Lowest and highest redshift (0 0.4).")
@click.option("--pdf", help="Redshift PDFs: softmax over bins (default), or a mixture of Gaussians.")
@click.option("--estimate", help="Point estimate of the redshift: mean (default) or mode of the PDF.")
@click.option("--test-labels", type=int, help="Maximum number of test galaxies (2000).")
@click.option("--seed", type=int, help="Seed of splits, draws, weights and views (0).")
@click.option("--scheduler", help="Address of a Dask scheduler that represents the galaxies, such as tcp://host:8786.")
@click.option("--out", type=click.Path(), help="Run folder (morphtools-runs/TASK-LABELS).")
@CONFIG
def finetune(**options):
    """Learn any question from a few hundred labels.

    Trains, tests on galaxies it never saw, and draws what it learned. Without galaxies of your own it uses a
    simulated sky:

        morphtools finetune --task rings --labels 500

        morphtools finetune --task rings --labels 500 --catalog galaxies.csv --images jpegs/

    Any column can be the question:

        morphtools finetune --column hubble_type --labels 300 --catalog galaxies.csv --images jpegs/

    Several columns are learned at once; a galaxy may lack some of the answers:

        morphtools finetune --column bar --column ring --column hubble_type --catalog galaxies.csv --images jpegs/
    """
    import_quietly()
    click.echo(call(morphtools.finetune, options).summary)


@click.command()
@click.option("--schema", help="Question tree: gz_decals_dr5 (default), another campaign, several, or a YAML file.")
@galaxies("Table with id_str, file_loc and votes.")
@click.option("--weights", help="Pretrained weights to start from, or random (default).")
@click.option(
    "--encoder",
    help="With random weights: efficientnet_b0 (default), mobilenet_v3_small, resnet10_half, resnet18, resnet50.",
)
@click.option("--augmentations", help="Preset or YAML file (rotation, flips, zoom, shift, contrast and grey).")
@click.option("--image-size", type=int, help="Image side in pixels (that of the images).")
@click.option("--stretch", help="How flux becomes a picture (as for the weights).")
@click.option("--epochs", type=int, help="Passes over the galaxies (30).")
@click.option("--patience", type=int, help="Epochs without improvement before training stops (8).")
@click.option("--batch-size", type=int, help="Galaxies per step, over all devices (64).")
@click.option("--learning-rate", type=float, help="Peak learning rate of AdamW (1e-3).")
@click.option("--weight-decay", type=float, help="Weight decay of AdamW (1e-4).")
@click.option("--average", type=float, help="Momentum of the running average of the weights (0.999).")
@click.option("--warmup-epochs", type=float, help="Epochs until the learning rate peaks (2).")
@click.option("--clip", type=float, help="Maximum norm of all gradients together (5 for each weight on its own).")
@click.option("--drop", type=float, help="Stochastic depth of EfficientNet-Lite (0).")
@click.option("--method", help="byol, moco or simclr, to learn from views as well as from votes.")
@click.option("--method-weight", type=float, help="Weight of its loss relative to that of the votes (1).")
@click.option("--dimension", type=int, help="Dimension of its projection.")
@click.option("--hidden", type=int, help="Width of BYOL's hidden layers.")
@click.option("--momentum", type=float, help="Momentum of the second network of MoCo and BYOL.")
@IN_MEMORY
@click.option("--mixed-precision", is_flag=True, default=None, help="Compute in bfloat16 where that is safe.")
@click.option("--seed", type=int, help="Seed of initial weights, order and views (0).")
@click.option("--out", type=click.Path(), help="Run folder (morphtools-runs/votes).")
@CONFIG
def train(**options):
    """Train an encoder on volunteers' votes.

    Learns every question of a tree at once. Without galaxies of your own it uses a simulated sky:

        morphtools train --epochs 5

        morphtools train --schema gz2 --catalog votes.parquet --images jpegs/

        morphtools train --schema gz_decals_dr5 --records records --epochs 50
    """
    import_quietly()
    click.echo(call(morphtools.train, options).summary)


@click.command()
@click.option("--task", help="rings (default), or any other task of finetune.")
@click.option(
    "--labels",
    type=Listed(number, "50,100,250"),
    help="Numbers of labels, or fractions of all; by default 50,100,250,500.",
)
@click.option("--seeds", type=int, help="Number of seeds (5).")
@galaxies("Table with id_str, file_loc and labels or votes.")
@click.option("--column", multiple=True, callback=joined, help="As for finetune.")
@click.option("--answer", help="As for finetune.")
@click.option("--metric", help="Score to draw (accuracy, or sigma_mad for redshifts).")
@click.option("--reference", help="Training to compare with (the first from random weights).")
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/learning-curve).")
@CONFIG
def learning_curve(**options):
    """Measure how many labels a question needs.

    Compares the ways of training listed in the config file; by default the shipped weights and training from scratch,
    so you also see how many labels pretraining saves. Resumes if interrupted.

    morphtools learning-curve --catalog galaxies.csv --images jpegs/ --labels 20,50,100,250

    morphtools learning-curve --config configs/learning_curve/rings.yaml --catalog galaxies.csv --images jpegs/
    """
    import_quietly()
    click.echo(call(morphtools.learning_curve, options).summary)
