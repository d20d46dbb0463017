"""Makes the picture of the README from simulated galaxies: `python docs/picture.py [WORK_FOLDER]`."""

import sys
import tempfile
from pathlib import Path

import pandas as pd

import morphtools
from morphtools.explore.pictures import Pictures, thumbnails
from tfrecords_builder.plain_figure import Figure

SHARES = {"smooth": 0.1, "spiral": 0.25, "bar": 0.2, "ring": 0.2, "edge_on": 0.1, "merger": 0.15}
EXAMPLES = {  # the votes that choose the example
    "ring": "ring_yes",
    "spiral": "spiral-winding-dr5_medium",
    "bar": "bar-dr5_strong",
    "edge-on": "disk-edge-on-dr5_yes",
    "merger": "merging-dr5_merger",
}
OUT = Path(__file__).parent / "picture.jpg"


def example_of(answer: str, catalog: pd.DataFrame) -> str:
    """The brightest of the twelve galaxies for which most volunteers gave an answer."""
    most = catalog.sort_values(answer, ascending=False).head(12)
    return str(most.sort_values("true_magnitude")["id_str"].iloc[0])


def draw(work: Path, galaxies: int = 1500) -> Figure:
    """A row per example: the galaxy, and those most like it among all simulated ones."""
    sky = {"fractions": SHARES, "field_radii": 8, "depth": 3.0, "crowding": 0.3, "artifact_rate": 0, "seed": 28}
    catalog = morphtools.simulate_survey(work / "sky", galaxies=galaxies, **sky)
    images = {"catalog": work / "sky" / "catalog.csv", "images": work / "sky"}
    store = morphtools.represent("efficientnet_lite0_gz2", work / "representations", orientations=4, **images)
    figure = Figure(figsize=(10, 5), facecolor="black")
    grid = figure.subplots(len(EXAMPLES), 10, gridspec_kw={"wspace": 0.04, "hspace": 0.04})
    figure.subplots_adjust(left=0.075, right=0.998, bottom=0.005, top=0.995)
    for row, (kind, answer) in zip(grid, EXAMPLES.items(), strict=True):
        example = example_of(answer, catalog)
        similar = morphtools.find_similar(store, like=example, galaxies=9, out=work / f"similar-{kind}")
        shown = [example, *similar["id_str"].astype(str)]
        for axes, picture in zip(row, thumbnails(Pictures(**images), shown, side=128), strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        row[0].spines[:].set(visible=True, color="#e69f00", lw=3)
        row[0].set_ylabel(kind, color="white", rotation=0, ha="right", va="center", fontsize=10)
    return figure


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        figure = draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder))
    figure.savefig(OUT, dpi=140, pil_kwargs={"quality": 85})
