"""Commands that train without labels."""

import inspect

import click

import morphtools
from morphtools.commands.calling import arguments, call, echo_table, import_quietly
from morphtools.commands.options import CONFIG, IN_MEMORY, Listed, galaxies, number


@click.command()
@click.option("--method", help="byol (default), moco or simclr.")
@galaxies("Table with id_str, file_loc and, if there are any, labels to watch.")
@click.option("--encoder", help="resnet18 (by default), resnet10_half, resnet50, efficientnet_b0, …")
@click.option("--weights", help="Pretrained weights to start from: a name, a run folder or a path.")
@click.option("--image-size", type=int, help="Image side in pixels (that of the images).")
@click.option("--view-size", type=int, help="Side of views cut out of larger images, such as 64 from 107.")
@click.option("--small-images/--no-small-images", default=None, help="First layers for images of about 64 pixels (no).")
@click.option("--flux", help="How flux enters the network: asinh (default), linear or maximum.")
@click.option("--augmentations", help="hayat2021, mohale2023, rgb, stein2022, zoobot, or a YAML file.")
@click.option("--without", help="Augmentation to leave out, such as RandomNoise or RandomView.rotation.")
@click.option("--epochs", type=int, help="Passes over the galaxies (20).")
@click.option("--batch-size", type=int, help="Galaxies per step, on all devices together (128).")
@click.option("--optimizer", help="adam (default), adamw or sgd.")
@click.option("--learning-rate", type=float, help="Peak learning rate (1e-3).")
@click.option("--weight-decay", type=float, help="Weight decay of adamw or sgd (0).")
@click.option("--schedule", help="cosine (default) or constant.")
@click.option("--warmup-epochs", type=float, help="Epochs until the learning rate peaks (0).")
@click.option("--dimension", type=int, help="Dimension of the projection.")
@click.option("--hidden", type=int, help="Width of BYOL's hidden layers.")
@click.option("--queue", type=int, help="Length of MoCo's queue of keys, a multiple of the batch.")
@click.option("--momentum", type=float, help="Momentum of the second network of MoCo and BYOL.")
@click.option("--temperature", type=float, help="Temperature of MoCo and SimCLR.")
@click.option("--mixed-precision/--no-mixed-precision", default=None, help="Compute in bfloat16 (no).")
@click.option("--drop", type=float, help="Stochastic depth of EfficientNet-Lite (0).")
@click.option("--average", type=float, help="Momentum of a running average of the weights (none).")
@click.option("--clip", type=float, help="Maximum norm of all gradients together (no limit).")
@IN_MEMORY
@click.option("--label", help="Label columns to watch, such as class,redshift (those that look like labels).")
@click.option("--watched", type=int, help="Galaxies on which to watch progress (2000).")
@click.option("--keep-projection", is_flag=True, default=None, help="Keep the projection too, as OUT/projection.")
@click.option("--seed", type=int, help="Seed of initial weights, order and views (0).")
@click.option("--out", type=click.Path(), help="Run folder (morphtools-runs/METHOD).")
@CONFIG
def pretrain(**options):
    """Train an encoder without any labels.

    Scores it after every epoch, so that you see whether it learns. Without galaxies of your own it uses a
    simulated sky:

        morphtools pretrain --epochs 5

        morphtools pretrain --config configs/pretrain/laptop.yaml --records records --out mine
    """
    import_quietly()
    click.echo(call(morphtools.pretrain, options).summary)


@click.command()
@click.argument("augmentations", required=False)
@click.argument("out", type=click.Path(), required=False)
@click.option("--records", type=click.Path(), help="Folder of records (simulated galaxies).")
@click.option("--galaxies", type=int, help="Number of galaxies (5).")
@click.option("--views", type=int, help="Views of each galaxy (7).")
@click.option("--view-size", type=int, help="Side of the views in pixels (that of the images).")
@click.option("--seed", type=int, help="Seed of the views (0).")
def show_augmentations(**options):
    """Draw galaxies beside random views of them.

    AUGMENTATIONS is hayat2021 (default), mohale2023, rgb, stein2022, zoobot, or a YAML file. Writes augmentations.png.

    morphtools show-augmentations mohale2023 views.png
    """
    import_quietly()
    given = arguments(morphtools.show_augmentations, options)
    morphtools.show_augmentations(**given)
    click.echo(f"see {given['out']}")


@click.command()
@click.argument("weights", required=False)
@click.argument("records", type=click.Path(), required=False)
@click.option("--label", help="Columns to learn, such as class,redshift (those that look like labels).")
@click.option("--labels", help="Numbers of labels to try (25,50,100,200,500,1000).")
@click.option("--repeats", type=int, help="Random draws for each number (5).")
@click.option("--galaxies", type=int, help="Maximum galaxies to draw labels from, and to test on (4000).")
@click.option("--orientations", type=int, help="Orientations to average over (8).")
@click.option(
    "--controls", is_flag=True, default=None, help="Add pixels divided by their maximum, and UMAP coordinates of all."
)
@click.option("--seed", type=int, help="Seed of the draws (0).")
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/representations).")
@CONFIG
def evaluate_representations(**options):
    """Compare representations by linear probes.

    Scores probes and nearest neighbours for growing numbers of labels, and how far galaxies move when their images are
    rotated, shifted, noised, mirrored or blurred.

    morphtools evaluate-representations my-encoder,efficientnet_lite0_gz2 records --label class
    """
    import_quietly()
    click.echo(call(morphtools.evaluate_representations, options).summary)


@click.command()
@click.argument("pretraining", type=click.Path())
@click.argument("records", type=click.Path())
@click.option("--parts", help="What to leave out, such as RandomNoise,RandomNoise+RandomBlur (each part in turn).")
@click.option(
    "--labels",
    type=Listed(number, "0.1,0.2"),
    help="Then fine-tune on these numbers of labels, or fractions of all, such as 0.1,0.2.",
)
@click.option("--finetuning", type=click.Path(), help="YAML file for finetune (redshifts, all layers).")
@click.option("--seeds", type=int, help="Number of fine-tuning runs, each with another seed (1).")
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/ablation).")
def ablate_augmentations(pretraining, finetuning, **options):
    """Measure what augmentations contribute.

    Pretrains with all augmentations, then without each in turn. Resumes if interrupted.

    morphtools ablate-augmentations configs/pretrain/laptop.yaml records
    """
    import_quietly()
    from morphtools.config import read_config

    options["pretraining"] = read_config(pretraining, inspect.signature(morphtools.pretrain).parameters)
    if finetuning is not None:
        options["finetuning"] = read_config(finetuning, inspect.signature(morphtools.finetune).parameters)
    echo_table(call(morphtools.ablate_augmentations, options))


@click.command()
@click.argument("pretraining", type=click.Path())
@click.argument("records", type=click.Path())
@click.option("--starts", help="random,efficientnet_lite0_imagenet,efficientnet_lite0_gz2 (default), or others.")
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/starts).")
def compare_starts(pretraining, **options):
    """Compare starting weights for pretraining.

    Pretrains the same encoder from each start and draws the k-NN accuracy after every epoch. Resumes if interrupted.

    morphtools compare-starts configs/pretrain/starts_mohale2023.yaml records
    """
    import_quietly()
    from morphtools.config import read_config

    options["pretraining"] = read_config(pretraining, inspect.signature(morphtools.pretrain).parameters)
    given = arguments(morphtools.compare_starts, options)
    table = morphtools.compare_starts(**given)
    echo_table(table[table["epoch"].isin([0, table["epoch"].max()])])
    click.echo(f"see {given['out']}: starts.png and starts.csv")


@click.command()
@click.argument("weights", required=False)
@click.option("--label", help="Column with classes.")
@click.option("--classes", help="Only galaxies of these classes, such as FRI,FRII.")
@galaxies("Table with id_str, file_loc and the label.", records="Folder of records with the label.")
@click.option("--galaxies", type=int, help="Galaxies to simulate, without catalogue or records (1000).")
@click.option("--neighbours", type=int, help="Neighbours that vote on a class (5).")
@click.option("--splits", type=int, help="Random splits into 75% and 25% (50).")
@click.option("--labels", type=Listed(int, "20,50,100"), help="Numbers of labels to fit a head to, such as 20,50,100.")
@click.option("--repeats", type=int, help="Repetitions for each number of labels (5).")
@click.option("--orientations", type=int, help="Average over 8, 4, 2 or 1 orientations of every image (8).")
@click.option("--image-size", type=int, help="Image side in pixels for all weights (each as in its training).")
@click.option("--seed", type=int, help="Seed of splits, random encoder and simulated sky (0).")
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/weights).")
@CONFIG
def compare_weights(**options):
    """Compare weights without training.

    The nearest neighbours of a galaxy vote on its class. WEIGHTS are names, run folders or paths, separated by commas;
    a random encoder and the bare pixels are always compared as well.

    morphtools compare-weights efficientnet_lite0_byol_sdss,efficientnet_lite0_gz2 --label class --catalog galaxies.csv
    """
    import_quietly()
    click.echo(call(morphtools.compare_weights, options).summary)
