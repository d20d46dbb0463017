# %% [markdown]
# # From positions to labels, and back to TOPCAT
#
# A project begins with a list of positions and ends in a table that TOPCAT opens. Between them lie cuts, a cutout
# service that fails at times, somebody else's labels at slightly other positions, a classifier, and a format with
# units. Here is all of it.

# %%
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
from astropy.table import Table

import morphtools

GALAXIES, LABELS = (80, 30) if "MORPHTOOLS_SHORT" in os.environ else (700, 300)

# %% [markdown]
# ## A survey to ask
#
# With positions of your own you skip this cell. It simulates galaxies, and a small server on this machine plays the
# viewer of the Legacy Surveys: it has an image where there is a galaxy, and nothing elsewhere.

# %%
sky = morphtools.simulate_survey(
    "pretend-survey",
    galaxies=GALAXIES,
    image_size=128,
    pixel_scale=0.262,
    magnitude_limit=15.5,
    fractions={"ring": 0.5},
)


class Viewer(BaseHTTPRequestHandler):  # noqa: D101
    def do_GET(self):  # noqa: D102
        asked = parse_qs(urlsplit(self.path).query)
        ra, dec = float(asked["ra"][0]), float(asked["dec"][0])
        apart = 3600 * np.hypot((sky["ra"] - ra) * np.cos(np.radians(dec)), sky["dec"] - dec)
        there = apart.min() < 5
        body = (Path("pretend-survey") / sky["file_loc"][apart.argmin()]).read_bytes() if there else b""
        self.send_response(200 if there else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):  # noqa: D102
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Viewer)
threading.Thread(target=server.serve_forever, daemon=True).start()
for old in ("cutouts", "ring-run", "predictions"):
    shutil.rmtree(old, ignore_errors=True)  # of another server, if you run this again
for old in ("selected.csv", "labelled.parquet"):
    Path(old).unlink(missing_ok=True)

# %% [markdown]
# ## A list of positions
#
# Your catalogue: positions, a magnitude and a radius in arcsec. Two of the positions are far from any galaxy, and one
# galaxy has no radius, as in every catalogue.

# %%
mine = pd.DataFrame({"ra": sky["ra"], "dec": sky["dec"], "r": sky["true_magnitude"], "radius": sky["true_radius"]})
mine.loc[3, "radius"] = np.nan
mine.loc[[5, 8], "dec"] = [-60.0, -61.0]
mine.to_csv("positions.csv", index=False)
mine.head()

# %% [markdown]
# ## Quality cuts, as data
#
# A cut is a column, an operator and a value. The steps show what each of them costs: a referee will ask. Where a
# radius is unknown, a galaxy is left out, unless the cut has `unknown: keep`. The cuts of some papers come with the
# package: `morphtools.list_cuts()`.

# %%
cuts = {
    "name": "bright and resolved",
    "cuts": [
        {"column": "r", "operator": "<", "value": 15.45},
        {"column": "radius", "operator": ">=", "value": 1.0},
    ],
}
selection = morphtools.select_galaxies("positions.csv", "selected.csv", cuts)
print(selection.steps.to_string(index=False))

# %% [markdown]
# ## Images
#
# One image per position, politely: no faster than the survey can bear, with a pause whenever it asks for one. Stop
# it and call again, and it resumes. What has no image is listed with the reason. Only `base_url` and `per_second` are
# there because the server is ours: leave them out for a real survey, and give `contact`.

# %%
cutouts = morphtools.fetch_cutouts(
    "selected.csv",
    "cutouts",
    survey="legacy-dr10",
    size="128px",
    bands=("g", "r", "z"),
    base_url=f"http://127.0.0.1:{server.server_port}",
    per_second=500,
)
server.shutdown()
server.server_close()
print(cutouts.galaxies, "galaxies have an image;", cutouts.failed, "have none:")
print(pd.read_csv("cutouts/failures.csv").to_string(index=False))

# %%
catalog = pd.read_parquet(cutouts.catalog)
shown, where = catalog["id_str"].head(16), {"catalog": catalog, "images": "cutouts"}
morphtools.show_galaxies(shown, list(shown), "The first of them", **where, out="cutouts.png")

# %% [markdown]
# ## Somebody else's labels
#
# Volunteers have looked at most of these galaxies. Their table has other names, positions that are a few tenths of an
# arcsec off, and some galaxies twice. `cross_match` joins the two, each row once at most, the closest pairs first.

# %%
rng = np.random.default_rng(0)
theirs = pd.DataFrame(
    {"name": [f"Z{i}" for i in range(GALAXIES)], "ring_yes": sky["ring_yes"], "ring_no": sky["ring_no"]}
)
theirs["RAJ2000"], theirs["DEJ2000"] = (sky[name] + rng.normal(0, 0.2, GALAXIES) / 3600 for name in ("ra", "dec"))
theirs = pd.concat([theirs.iloc[: int(0.8 * GALAXIES)], theirs.head(5)])
theirs.to_csv("volunteers.csv", index=False)
match = morphtools.cross_match(
    cutouts.catalog, "volunteers.csv", "labelled.parquet", radius="1.98 arcsec", deduplicate="0.5 arcsec"
)
print(match.summary)
print(*match.remarks, sep="\n")

# %% [markdown]
# **Look at the separations.** If they pile up at the radius, many pairs are chance; if the median is not near zero,
# one of the two tables is shifted.

# %%
print(pd.Series(match.separations).describe().round(3).to_string())

# %% [markdown]
# ## A classifier, and an answer for every galaxy
#
# The labelled galaxies train and test a classifier of rings; it then answers for all, those without a label too.

# %%
run = morphtools.finetune("rings", LABELS, catalog="labelled.parquet", images="cutouts", bands="g,r,z", out="ring-run")
print(run.summary)
morphtools.show("ring-run/figures/confident.png", "ring-run/figures/mistakes.png")

# %%
morphtools.predict("ring-run", "predictions", catalog=cutouts.catalog, images="cutouts", bands="g,r,z")

# %% [markdown]
# ## Out: a VOTable with units
#
# The ending decides the format: `.vot`, `.fits`, `.csv`, `.parquet`, `.ecsv`. Known columns get units, UCDs and
# descriptions, so TOPCAT plots the galaxies on the sky by itself. With TOPCAT open,
# `morphtools.send_to_topcat("rings.vot")` hands the table over.

# %%
predictions = pd.read_parquet("predictions/predictions.parquet")
predictions = predictions[["id_str", *(name for name in predictions if name not in catalog)]]
morphtools.write_table(catalog.merge(predictions, on="id_str"), "rings.vot")
table = Table.read("rings.vot")
print(len(table), "rows;", {name: str(table[name].unit) for name in table.colnames if table[name].unit})

# %% [markdown]
# ## With positions of your own
#
# ```python
# morphtools.select_galaxies("nsa.fits", "selected.parquet", "gz_decals")
# morphtools.fetch_cutouts("selected.parquet", "cutouts", survey="legacy-dr10", size="152px", contact="you@example.org")
# morphtools.cross_match("cutouts/catalog.parquet", "gz2_hart16.fits", "labelled.parquet", radius="1.98 arcsec")
# morphtools.finetune("rings", 500, catalog="labelled.parquet", images="cutouts", bands="g,r,z")
# ```
#
# Published tables such as Galaxy Zoo's are recognised, and their columns become labels. More than 100,000 positions
# are too many for a cutout service: download the survey's tiles, and `build_records(…, cutout="40 arcsec")` cuts the
# galaxies out of them.
#
# ## Try
#
# 1. Match with a radius of 60 arcsec and `find="all"`. How many pairs are chance?
# 2. Delete some files in `cutouts/images` and call `fetch_cutouts` again.
