"""The command that opens the browser application."""

import webbrowser

import click

from morphtools.commands.calling import call, import_quietly
from morphtools.commands.options import CONFIG, Listed, galaxies


@click.command()
@click.argument("store", type=click.Path())
@galaxies("Table with id_str and columns to show.", "Folder, zip or stack of the catalogue's images.")
@click.option("--map", type=click.Path(), help="Folder of make-map (the first two principal components).")
@click.option("--clusters", type=click.Path(), help="Folder of cluster; they can also be made in the browser.")
@click.option("--predictions", type=click.Path(), help="Table of predict, to look at and to label what is uncertain.")
@click.option("--run", type=click.Path(), help="Run of finetune, which suggests what to label next.")
@click.option("--session", type=click.Path(), help="Folder of find-anomalies, to continue its ratings.")
@click.option("--weights", help="The weights that made STORE: to search with images of your own, and to train.")
@click.option("--out", type=click.Path(), help="Folder for labels, ratings and selections (STORE-explore).")
@click.option("--host", help="Address to listen on; any other gives access to all who know the link (127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on (any free one).")
@click.option("--hosts", type=Listed(), help="Names under which a proxy shows it: a.example.org,b.example.org.")
@click.option("--browser/--no-browser", default=True, help="Open the page in your browser.")
@CONFIG
def explore(browser, **options):
    """Search, rate and label galaxies in the browser.

    morphtools explore representations --catalog galaxies.csv --images images.zip --map morphtools-runs/map

    Everything you judge is on disk before the next galaxy is shown. Stop it with Ctrl-C, and the same command
    resumes. To work on another machine, forward the port (ssh -L 8000:localhost:8000 HOST) and give --port 8000 there.
    """
    import_quietly()
    from morphtools.app.server import serve

    def announce(url: str) -> None:
        click.echo(f"open {url}\nanyone with this link can look and judge; Ctrl-C stops the server")
        if browser:
            webbrowser.open(url)

    call(serve, options | {"announce": announce})
