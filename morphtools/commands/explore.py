"""Commands that look at representations."""

import tempfile
from pathlib import Path

import click

import morphtools
from morphtools.commands.calling import call, import_quietly, typed

_IMAGES = (
    click.option("--catalog", type=click.Path(), help="Table with id_str and what is known of the galaxies."),
    click.option("--images", type=click.Path(), help="Folder, zip or stack in which its file_loc is found."),
    click.option("--records", type=click.Path(), help="Records, instead of images."),
)
_EXCLUDE = click.option("--exclude", type=click.Path(), help="Table of galaxies to leave out, as artifacts.csv.")
_CONFIG = click.option("--config", type=click.Path(path_type=Path), help="YAML file with any of these.")


def _with_images(command):
    for option in reversed(_IMAGES):
        command = option(command)
    return command


def _split(given: dict, *names: str, kind=str) -> None:
    """Turns `a,b` into a list, in place."""
    for name in names:
        if name in given:
            try:
                given[name] = [kind(part.strip()) for part in given[name].split(",")]
            except ValueError:
                raise ValueError(f"--{name} is a list like 1,2,3, got {given[name]!r}") from None


@click.command()
@click.argument("representations", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--components", type=int, help="Principal components to keep (40, without variance and like).")
@click.option("--variance", type=float, help="Or as many as explain this share of the variance.")
@click.option("--like", type=click.Path(), help="Or those of representations reduced before.")
@_CONFIG
def reduce_representations(representations, out, config, **options):
    """Write representations in fewer dimensions, by principal components.

    morphtools reduce-representations representations representations-40 --components 40

    morphtools reduce-representations new-galaxies new-galaxies-40 --like representations-40
    """
    given = typed(options) | {"representations": representations, "out": out}
    store = call(morphtools.reduce_representations, config, given)
    click.echo(f"{len(store)} galaxies in {store.dimension} dimensions in {out}")


@click.command()
@click.argument("out", type=click.Path())
@click.option("--image-size", type=int, help="Side in pixels to which pictures are shrunk (32).")
@_with_images
@_CONFIG
def represent_pixels(out, config, **options):
    """Represent galaxies by their pixels: what every encoder has to be better than.

    morphtools represent-pixels pixels --catalog galaxies.csv --images jpegs/
    """
    store = call(morphtools.represent_pixels, config, typed(options) | {"out": out})
    click.echo(f"{len(store)} galaxies in {store.dimension} dimensions in {out}")


@click.command()
@click.argument("representations", type=click.Path())
@click.option("--like", help="id_str of an example, or of several: a,b.")
@click.option("--unlike", help="id_str of counter-examples.")
@click.option("--image", type=click.Path(), help="An image file as example; needs --weights.")
@click.option("--weights", help="The weights that made REPRESENTATIONS, for --image.")
@click.option("--ra", type=float, help="Right ascension of an example (deg).")
@click.option("--dec", type=float, help="Declination of an example (deg).")
@click.option("--max-separation", type=float, help="Farthest it may be from there, in arcsec (5).")
@click.option("--within", help="Search a circle on the sky only: ra,dec,radius (deg).")
@click.option("--galaxies", type=int, help="How many to find (48).")
@click.option("--metric", help="cosine (default), euclidean or manhattan.")
@_with_images
@_EXCLUDE
@click.option("--out", type=click.Path(), help="Folder to write to (morphtools-runs/similar).")
@_CONFIG
def find_similar(representations, image, weights, config, **options):
    """Find more galaxies like some: a table, a picture, and a page with both.

    morphtools find-similar representations --like J0004+02 --catalog galaxies.csv --images jpegs/

    morphtools find-similar representations --ra 150.1 --dec 2.2 --unlike J0039-03 --catalog galaxies.csv
    """
    given = typed(options) | {"representations": representations}
    _split(given, "like", "unlike")
    _split(given, "within", kind=float)
    if image is not None:
        given["query"] = _represented(Path(image), weights, representations)
    table = call(morphtools.find_similar, config, given)
    click.echo(table.head(10).to_string(index=False, columns=["rank", "id_str", "distance"]))
    click.echo(f"see {given.get('out', 'morphtools-runs/similar')}: similar.csv, and with images .png and .html")


def _represented(image: Path, weights: str | None, representations: str):
    """An image in the space of a store, by the weights and in the orientations that made it."""
    from morphtools.explore.pca import into_space

    if weights is None:
        raise ValueError("an image has to be represented first: give --weights, those that made the representations")
    if not image.is_file():
        raise FileNotFoundError(f"there is no image at {image}")
    import_quietly()
    store = morphtools.Representations.open(representations)
    orientations = int(store.provenance.get("orientations", 8))
    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder) / "catalog.csv"
        catalog.write_text(f"id_str,file_loc\nquery,{image.absolute()}\n")
        new = morphtools.represent(weights, Path(folder) / "query", catalog=catalog, orientations=orientations)
        return into_space(store, new)


@click.command()
@click.argument("representations", type=click.Path())
@click.option("--onto", type=click.Path(), help="Folder of a map made before, to place these galaxies on.")
@click.option("--components", type=int, help="Principal components given to UMAP (15).")
@click.option("--neighbours", type=int, help="UMAP's n_neighbors (15).")
@click.option("--min-dist", type=float, help="UMAP's min_dist (0.01).")
@click.option("--sample", type=int, help="Most galaxies to fit to (50000).")
@click.option("--colour", help="Columns of the catalogue to colour the map by: a,b.")
@click.option("--views", type=click.Path(), help="Representations of augmented images, for the stationarity.")
@click.option("--cells", type=int, help="On each side of the grid of galaxies (24).")
@_with_images
@_EXCLUDE
@click.option("--seed", type=int, help="Of the sample and of UMAP (0).")
@click.option("--out", type=click.Path(), help="Folder to write to (morphtools-runs/map).")
@_CONFIG
def make_map(representations, config, **options):
    """Draw a map of galaxies on which those that look alike lie close together.

    morphtools make-map representations --catalog galaxies.csv --images jpegs/ --colour ring,redshift
    """
    given = typed(options) | {"representations": representations}
    _split(given, "colour")
    table = call(morphtools.make_map, config, given)
    click.echo(f"{len(table)} galaxies, {table['fitted'].sum()} of them fitted")
    click.echo(f"see {given.get('out', 'morphtools-runs/map')}: map.parquet and pictures")


@click.command()
@click.argument("representations", type=click.Path())
@click.option("--estimator", help="bayesian_gaussian_mixture (default), gaussian_mixture or kmeans.")
@click.option("--clusters", type=int, help="Number of clusters (20).")
@click.option("--variance", type=float, help="Share of the variance that the components explain (0.95).")
@click.option("--sample", type=int, help="Most galaxies to fit to (20000).")
@click.option("--labels", help="Column of the catalogue with the true classes.")
@click.option("--fractions", help="Columns to draw as violins: a,b.")
@click.option("--names", type=click.Path(), help="Table with cluster and name.")
@_with_images
@_EXCLUDE
@click.option("--seed", type=int, help="Of the sample and the fit (0).")
@click.option("--out", type=click.Path(), help="Folder to write to (morphtools-runs/clusters).")
@_CONFIG
def cluster(representations, config, **options):
    """Find clusters of galaxies that look alike; the same command with --names gives every galaxy a label.

    morphtools cluster representations --catalog galaxies.csv --images jpegs/ --labels class

    morphtools cluster representations --catalog galaxies.csv --labels class --names names.csv
    """
    given = typed(options) | {"representations": representations}
    _split(given, "fractions")
    found = call(morphtools.cluster, config, given)
    click.echo(found.summary.to_string(index=False, float_format="{:.3f}".format))
    click.echo("\n".join(f"{name}: {value:.4g}" for name, value in found.metrics.items()))
    click.echo(f"see {given.get('out', 'morphtools-runs/clusters')}")


@click.command()
@click.option("--clusters", type=click.Path(), help="Folder that cluster wrote.")
@click.option("--numbers", help="Its clusters that hold artefacts: 3,17.")
@click.option("--map", type=click.Path(), help="Folder that make-map wrote.")
@click.option("--regions", multiple=True, help="Polygon on it: 'x,y x,y x,y'; may be given again.")
@click.option("--ids", help="id_str of single ones: a,b.")
@_with_images
@click.option("--out", type=click.Path(), help="Folder to write to (morphtools-runs/artifacts).")
@_CONFIG
def find_artifacts(regions, config, **options):
    """List what is no galaxy, from clusters and regions of a map; other commands take the list as --exclude.

    morphtools find-artifacts --clusters morphtools-runs/clusters --numbers 3,17
    """
    given = typed(options)
    _split(given, "ids")
    _split(given, "numbers", kind=int)
    if regions:
        given["regions"] = [_polygon(region) for region in regions]
    table = call(morphtools.find_artifacts, config, given)
    click.echo(f"{len(table)} listed in {Path(given.get('out', 'morphtools-runs/artifacts')) / 'artifacts.csv'}")


def _polygon(region: str) -> list[tuple[float, float]]:
    try:
        return [(float(x), float(y)) for x, y in (corner.split(",") for corner in region.split())]
    except ValueError:
        raise ValueError(f"a region is a polygon like '0,0 1,0 1,1', got {region!r}") from None


@click.command()
@click.argument("representations", nargs=-1, required=True)
@click.option("--catalog", type=click.Path(), required=True, help="Table with id_str and labels.")
@click.option("--labels", required=True, help="Its columns with classes, or 0 and 1: a,b.")
@click.option("--k", type=int, help="Number of neighbours (10).")
@click.option("--metric", help="cosine (default), euclidean or manhattan.")
@click.option("--out", type=click.Path(), help="Folder to write to (morphtools-runs/retrieval).")
@_CONFIG
def evaluate_retrieval(representations, config, **options):
    """Measure how many of the nearest galaxies are of the same class, for some REPRESENTATIONS.

    morphtools evaluate-retrieval representations pixels --catalog galaxies.csv --labels ring,class
    """
    given = typed(options) | {"representations": {Path(path).name: path for path in representations}}
    _split(given, "labels")
    table = call(morphtools.evaluate_retrieval, config, given)
    click.echo(table.to_string(index=False, float_format="{:.3f}".format))


@click.command()
@click.argument("run", type=click.Path())
@click.argument("representations", type=click.Path())
@click.option("--galaxies", type=int, help="How many to suggest (50).")
@_with_images
@_EXCLUDE
@click.option("--seed", type=int, help="Of the draws (0).")
@click.option("--out", type=click.Path(), help="Folder to write to (morphtools-runs/suggestions).")
@_CONFIG
def suggest_labels(run, representations, config, **options):
    """Suggest which galaxies to label next: uncertain ones that differ from each other.

    morphtools suggest-labels my-rings representations --galaxies 100 --catalog galaxies.csv --images jpegs/
    """
    import_quietly()
    given = typed(options) | {"run": run, "representations": representations}
    table = call(morphtools.suggest_labels, config, given)
    click.echo(f"{len(table)} galaxies to label: see {given.get('out', 'morphtools-runs/suggestions')}/suggestions.csv")
