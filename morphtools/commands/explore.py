"""Commands that explore representations."""

from pathlib import Path

import click

import morphtools
from morphtools.commands.calling import arguments, call, echo_table, import_quietly
from morphtools.commands.handing_on import handing_on
from morphtools.commands.options import CONFIG, EXCLUDE, SCHEDULER, Listed, galaxies


@click.command()
@click.argument("representations", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--components", type=int, help="Principal components to keep (40, unless --variance or --like is given).")
@click.option("--variance", type=float, help="Or as many as explain this fraction of the variance.")
@click.option("--like", type=click.Path(), help="Or use the components of representations reduced before.")
@CONFIG
def reduce_representations(**options):
    """Compress representations by principal components.

    morphtools reduce-representations representations representations-40 --components 40

    morphtools reduce-representations new-galaxies new-galaxies-40 --like representations-40
    """
    store = call(morphtools.reduce_representations, options)
    click.echo(f"{len(store)} galaxies in {store.dimension} dimensions in {store.folder}")


@click.command()
@click.argument("out", type=click.Path())
@click.option("--image-size", type=int, help="Side in pixels to which images are shrunk (32).")
@galaxies(images="Folder, zip archive or stack of images.")
@CONFIG
def represent_pixels(**options):
    """Represent galaxies by their pixels, as a baseline.

    Every encoder should do better than this.

    morphtools represent-pixels pixels --catalog galaxies.csv --images jpegs/
    """
    store = call(morphtools.represent_pixels, options)
    click.echo(f"{len(store)} galaxies in {store.dimension} dimensions in {store.folder}")


@click.command()
@click.argument("representations", type=click.Path())
@click.option("--like", type=Listed(), help="id_str of one or more examples, such as a,b.")
@click.option("--unlike", type=Listed(), help="id_str of counter-examples.")
@click.option("--image", type=click.Path(), help="An image file as the example; needs --weights.")
@click.option("--weights", help="The weights that made REPRESENTATIONS, for --image.")
@click.option("--ra", type=float, help="Right ascension of an example (deg).")
@click.option("--dec", type=float, help="Declination of an example (deg).")
@click.option("--max-separation", type=float, help="Maximum separation from that position, in arcsec (5).")
@click.option("--within", type=Listed(float, "1,2,3"), help="Search only this circle on the sky: ra,dec,radius (deg).")
@click.option("--galaxies", type=int, help="Number of galaxies to find (48).")
@click.option("--metric", help="cosine (default), euclidean or manhattan.")
@click.option("--index", type=click.Path(), help="Folder of an index on disk for 10⁷ galaxies or more; made if new.")
@galaxies(images="Folder, zip archive or stack of images.")
@EXCLUDE
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/similar).")
@CONFIG
@handing_on
def find_similar(image, weights, **options):
    """Find galaxies that look like an example.

    Writes a table, a gallery, and an HTML page with both.

    morphtools find-similar representations --like J0004+02 --catalog galaxies.csv --images jpegs/

    morphtools find-similar representations --ra 150.1 --dec 2.2 --unlike J0039-03 --catalog galaxies.csv
    """
    if image is not None:
        from morphtools.explore.pca import represent_image

        if weights is None:
            raise ValueError("--image needs --weights: the weights that made the representations")
        if not Path(image).is_file():
            raise FileNotFoundError(f"no image at {image}")
        import_quietly()
        options |= {"query": represent_image(Path(image), weights, options["representations"]), "image": image}
    given = arguments(morphtools.find_similar, options)
    table = morphtools.find_similar(**given)
    click.echo(table.head(10).to_string(index=False, columns=["rank", "id_str", "distance"]))
    click.echo(f"see {given['out']}: similar.csv, and with images .png and .html")
    return table


@click.command()
@click.argument("representations", type=click.Path())
@click.option("--method", help="isolation_forest (default), local_outlier_factor or density.")
@click.option("--galaxies", type=int, help="Number of galaxies to show (48).")
@click.option("--components", type=int, help="Number of principal components (40).")
@click.option("--neighbours", type=int, help="Neighbours of local_outlier_factor and density (20).")
@click.option("--sample", type=int, help="Maximum number of galaxies to fit (20000).")
@galaxies(images="Folder, zip archive or stack of images.")
@EXCLUDE
@click.option("--seed", type=int, help="Seed of the sample and the forest (0).")
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/outliers).")
@CONFIG
@handing_on
def find_outliers(**options):
    """Rank galaxies by how unlike all others they are.

    This needs no ratings, but what is rare need not be interesting: find-anomalies learns what interests you.

    morphtools find-outliers representations --catalog galaxies.csv --images jpegs/ --exclude artifacts.csv
    """
    given = arguments(morphtools.find_outliers, options)
    table = morphtools.find_outliers(**given)
    click.echo(table.head(10).to_string(index=False, columns=["rank", "id_str", "score"]))
    click.echo(f"see {given['out']}: outliers.csv, outliers.parquet, with images .png")
    return table


@click.command()
@click.argument("representations", type=click.Path())
@click.option("--onto", type=click.Path(), help="Folder of an existing map on which to place these galaxies.")
@click.option("--components", type=int, help="Principal components given to UMAP (15).")
@click.option("--neighbours", type=int, help="UMAP's n_neighbors (15).")
@click.option("--min-dist", type=float, help="UMAP's min_dist (0.01).")
@click.option("--sample", type=int, help="Fit to at most this many galaxies (50000).")
@click.option("--colour", type=Listed(), help="Columns of the catalogue to colour the map by, such as a,b.")
@click.option(
    "--views", type=click.Path(), help="Representations of augmented images, to measure how far galaxies move."
)
@click.option("--cells", type=int, help="Galaxies on each side of the grid (24).")
@galaxies(images="Folder, zip archive or stack of images.")
@EXCLUDE
@click.option("--seed", type=int, help="Seed of the sample and of UMAP (0).")
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/map).")
@click.option("--part", help="Place only this part of the galaxies, such as 2/5; the last part to finish draws them.")
@SCHEDULER
@CONFIG
def make_map(**options):
    """Draw a map with similar galaxies side by side.

    With ra and dec in the catalogue, also the same galaxies on the sky.

    morphtools make-map representations --catalog galaxies.csv --images jpegs/ --colour ring,redshift

    morphtools make-map more-representations --onto morphtools-runs/map --out more --part 2/5
    """
    import pyarrow.parquet as pq

    given = arguments(morphtools.make_map, options)
    given["part"] = given["part"] or "1/1"  # so that memory does not hold the table of all galaxies
    morphtools.make_map(**given)
    table = Path(given["out"]) / "map.parquet"
    if not table.exists():
        click.echo(f"this part is done; the last part to finish writes {table}")
        return
    fitted = pq.read_table(table, columns=["fitted"])["fitted"]
    click.echo(
        f"{len(fitted)} galaxies on the map, fitted to {sum(chunk.true_count for chunk in fitted.chunks)} of them"
    )
    click.echo(f"see {table.parent}: map.parquet and pictures")


@click.command()
@click.argument("representations", type=click.Path())
@click.option("--estimator", help="bayesian_gaussian_mixture (default), gaussian_mixture or kmeans.")
@click.option("--clusters", type=int, help="Number of clusters (20).")
@click.option("--variance", type=float, help="Fraction of the variance that the components explain (0.95).")
@click.option("--sample", type=int, help="Fit to at most this many galaxies (20000).")
@click.option("--labels", help="Column of the catalogue with the true classes.")
@click.option("--fractions", type=Listed(), help="Vote fractions to draw as violins, such as a,b.")
@click.option("--names", type=click.Path(), help="Table with columns cluster and name: labels every galaxy.")
@galaxies(images="Folder, zip archive or stack of images.")
@EXCLUDE
@click.option("--seed", type=int, help="Seed of the sample and the fit (0).")
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/clusters).")
@CONFIG
@handing_on
def cluster(**options):
    """Group galaxies that look alike.

    Name the clusters in a table, and the same command with --names labels every galaxy.

    morphtools cluster representations --catalog galaxies.csv --images jpegs/ --labels class

    morphtools cluster representations --catalog galaxies.csv --labels class --names names.csv
    """
    from morphtools.explore.tables import with_known

    given = arguments(morphtools.cluster, options)
    clusters = morphtools.cluster(**given)
    echo_table(clusters.summary)
    click.echo("\n".join(f"{name}: {value:.4g}" for name, value in clusters.metrics.items()))
    click.echo(f"see {clusters.out}")
    return lambda: with_known(clusters.galaxies, given["catalog"])


def _polygon(region: str) -> list[tuple[float, float]]:
    """The corners of a polygon, as `x,y x,y x,y`."""
    try:
        return [(float(x), float(y)) for x, y in (corner.split(",") for corner in region.split())]
    except ValueError:
        raise ValueError(f"--regions must be a polygon such as '0,0 1,0 1,1', got {region!r}") from None


@click.command()
@click.option("--clusters", type=click.Path(), help="Folder written by cluster.")
@click.option("--numbers", type=Listed(int, "1,2,3"), help="Clusters that contain artefacts, such as 3,17.")
@click.option("--map", type=click.Path(), help="Folder written by make-map.")
@click.option("--regions", multiple=True, help="Polygon on the map, 'x,y x,y x,y'; can be repeated.")
@click.option("--ids", type=Listed(), help="id_str of single galaxies, such as a,b.")
@galaxies(images="Folder, zip archive or stack of images.")
@click.option("--crop", type=int, help="Show only the middle of the images: side in pixels (all of it).")
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/artifacts).")
@CONFIG
def find_artifacts(**options):
    """List artefacts for other commands to leave out.

    They come from clusters and regions of a map; give the list to other commands as --exclude.

    morphtools find-artifacts --clusters morphtools-runs/clusters --numbers 3,17
    """
    options["regions"] = [_polygon(region) for region in options["regions"]] or None
    given = arguments(morphtools.find_artifacts, options)
    table = morphtools.find_artifacts(**given)
    click.echo(f"{len(table)} listed in {Path(given['out']) / 'artifacts.csv'}")


@click.command()
@click.argument("representations", nargs=-1, required=True)
@click.option("--catalog", type=click.Path(), required=True, help="Table with id_str and labels.")
@click.option("--labels", type=Listed(), required=True, help="Columns with classes, or 0 and 1, such as a,b.")
@click.option("--k", type=int, help="Number of neighbours (10).")
@click.option("--metric", help="cosine (default), euclidean or manhattan.")
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/retrieval).")
@CONFIG
def evaluate_retrieval(representations, **options):
    """Measure how often nearest neighbours agree.

    Reports precision at k for every class; several REPRESENTATIONS are compared.

    morphtools evaluate-retrieval representations pixels --catalog galaxies.csv --labels ring,class
    """
    named = {Path(path).name: path for path in representations}
    echo_table(call(morphtools.evaluate_retrieval, options | {"representations": named}))


@click.command()
@click.argument("run", type=click.Path())
@click.argument("representations", type=click.Path())
@click.option("--galaxies", type=int, help="Number of galaxies to suggest (50).")
@click.option("--question", help="The question to label for, if the run has several (all).")
@galaxies(images="Folder, zip archive or stack of images.")
@EXCLUDE
@click.option("--seed", type=int, help="Seed of the draws (0).")
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/suggestions).")
@CONFIG
@handing_on
def suggest_labels(**options):
    """Choose which galaxies to label next.

    Suggests galaxies about which the model is uncertain and that differ from each other.

    morphtools suggest-labels my-rings representations --galaxies 100 --catalog galaxies.csv --images jpegs/
    """
    import_quietly()
    given = arguments(morphtools.suggest_labels, options)
    table = morphtools.suggest_labels(**given)
    click.echo(f"{len(table)} galaxies to label: see {given['out']}/suggestions.csv")
    return table
