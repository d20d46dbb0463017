"""A picture of what augmentations do."""

from pathlib import Path

import keras
import numpy as np

from morphtools.answers.class_figures import as_picture
from morphtools.data.presets import build_augmentations, read_augmentations
from morphtools.sky.simulate import simulate_galaxies
from morphtools.survey.instruments import camera_for
from tfrecords_builder.plain_figure import Figure, write_figure
from tfrecords_builder.records import Records


def show_augmentations(
    augmentations: str | Path = "hayat2021",
    out: str | Path = "augmentations.png",
    *,
    records: str | Path | None = None,
    galaxies: int = 5,
    views: int = 7,
    view_size: int | None = None,
    seed: int = 0,
) -> Figure:
    """Draws galaxies, a row each, beside random views of them.

    Galaxies come from `records`, or from the simulated sky: of 107 pixels in g, r and z, shown as flux or, to
    augmentations that work on pictures, as colour pictures.

    Args:
        augmentations: A preset, or a YAML file with a list.
        out: Where to write the picture (PNG).
        records: Folder of records.
        galaxies: Number of galaxies.
        views: Views of each.
        view_size: Side in pixels of the views, by default that of the images.
        seed: Seed of the views.

    Returns:
        The figure.
    """
    images, bands, noise = _simulated(galaxies) if records is None else _stored(Records.open(records), galaxies)
    if records is None:  # the presets for flux cut their views out of larger images
        view_size = view_size or {"hayat2021": 64, "stein2022": 72}.get(str(augmentations))
    names = [name for name, _ in read_augmentations(augmentations)]
    if records is None and not {"RandomExtinction", "RandomNoise"} & set(names):  # made for pictures
        images, bands, noise = np.stack([as_picture(each, noise) for each in images]), (), None
    make = build_augmentations(augmentations, bands=bands, noise=noise, size=view_size, seed=seed)
    drawn = [keras.ops.convert_to_numpy(make(images, training=True)) for _ in range(views)]
    figure = Figure(figsize=(1.3 * (views + 1), 1.3 * len(images) + 0.3), layout="constrained")
    grid = figure.subplots(len(images), views + 1, squeeze=False)
    for row, axes in enumerate(grid):
        for column, each in enumerate(axes):
            pixels = images[row] if column == 0 else drawn[column - 1][row]
            each.imshow(as_picture(pixels, noise), interpolation="nearest")
            each.set_axis_off()
    grid[0, 0].set_title("as it is", fontsize=8)
    if views:
        grid[0, 1].set_title(f"views by {Path(augmentations).stem}", fontsize=8, loc="left")
    write_figure(out, figure, dpi=120)
    return figure


def _simulated(galaxies: int):
    options = {"image_size": 107, "magnitude_limit": 15.5, "field_radii": 9.0, "seed": 4}
    camera = camera_for("grz")
    _, images = simulate_galaxies(galaxies, fractions={"spiral": 0.8}, **options)
    noise = 1.4826 * np.median(np.abs(images - np.median(images, axis=(1, 2), keepdims=True)), axis=(0, 1, 2))
    return images.astype("float32"), camera.bands, tuple(float(each) for each in noise)


def _stored(records: Records, galaxies: int):
    from morphtools.data.dataset import load_dataset

    split = next(name for name in ("val", "train", "test") if records.splits.get(name))
    batch = next(load_dataset(records, split, batch_size=galaxies).as_numpy_iterator())
    return batch["image"], records.bands, records.noise
