# %% [markdown]
# # A survey in the browser
#
# Galaxies are judged by looking. Everything from the tutorials before (a map, a search, clusters, ratings, labels, and
# a network trained on them) is on one page here, for your mouse and your keys. It runs on your machine, and every
# judgement is on disk before the next galaxy is shown.

# %%
import os
from pathlib import Path

import pandas as pd

import morphtools

GALAXIES = 48 if "MORPHTOOLS_SHORT" in os.environ else 1500

# %% [markdown]
# ## A survey, its representations and a map
#
# As in tutorial 4. `weights` are those that made the representations: with them you can search with a picture of your
# own, and train on your labels.

# %%
options = {"bands": "gri", "image_size": 128, "field_radii": 12, "magnitude_limit": 15.5}
options["fractions"] = {"ring": 0.15, "merger": 0.06}
sky = morphtools.simulate_survey("to-browse", galaxies=GALAXIES, artifact_rate=0.05, seed=8, **options)
where = {"catalog": "to-browse/catalog.csv", "images": "to-browse"}
morphtools.represent("efficientnet_lite0_gz2", "to-browse-as-numbers", **where)
morphtools.make_map("to-browse-as-numbers", **where, cells=12, out="to-browse-map")
morphtools.show("to-browse-map/galaxies.png")

# %% [markdown]
# ## Open it
#
# The page appears below this cell. From a terminal it is
#
# ```
# morphtools explore to-browse-as-numbers --catalog to-browse/catalog.csv --images to-browse \
#     --map to-browse-map --weights efficientnet_lite0_gz2
# ```

# %%
page = morphtools.browse("to-browse-as-numbers", **where, map="to-browse-map", weights="efficientnet_lite0_gz2")
page

# %% [markdown]
# ![The map of a simulated survey, as pictures](../screenshots/map.jpg)
#
# **Map.** Zoom with the wheel, drag, point at a galaxy to see it, click it for everything that is known about it.
# Colour by any column. *Pictures* shows galaxies at any zoom. Draw a box or a lasso: the selection is of galaxies, not
# of a place on the screen, so it stays when you zoom. Give it a name and it is a table in `selections/`.
#
# ![Galaxies similar to a ring](../screenshots/similar.jpg)
#
# **Similar.** Start from a name, a position on the sky or a picture of your own. Press + and − on what comes, until it
# is what you mean.
#
# ![One galaxy, with the keys to label it](../screenshots/label.jpg)
#
# **Label.** Ask a question of your own. `y`, `n` and `s` (unsure) answer it, `u` takes the last answer back, and
# "The 48 without a label are all *yes*" answers for all nearest galaxies in one go. When a few dozen of each kind are
# labelled, *Fine-tune* trains a classifier and shows its report.
#
# ![The report of a classifier trained on forty labels](../screenshots/report.jpg)
#
# ![Rating galaxies from 0 to 5](../screenshots/rate.jpg)
#
# **Rate.** When you cannot name what you like: `0` to `5`, and the survey is ranked by your interest (tutorial 5). The
# machine learns beside, and never lets you wait.
#
# ![Galaxies in clusters](../screenshots/clusters.jpg)
#
# **Clusters.** What kinds are there? Name them, merge them, throw out the artefacts.
#
# Two people can judge at the same time, each by their name, top right. Close the page, kill the server: nothing is
# lost, and the same call resumes.
#
# ## What is left when the page is closed
#
# Tables, that every other command reads. Label some rings, then run this cell (again).

# %%
folder = Path("to-browse-as-numbers-explore")
for path in sorted([*folder.glob("selections/*.csv"), *folder.glob("labels/*.csv")]):
    print(f"{path}: {len(pd.read_csv(path, dtype={'id_str': str}))} galaxies")
print("judged so far:", sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")))
page.stop()

# %% [markdown]
# ## With galaxies of your own
#
# ```
# morphtools represent efficientnet_lite0_gz2 mine --catalog galaxies.csv --images images.zip
# morphtools explore mine --catalog galaxies.csv --images images.zip --weights efficientnet_lite0_gz2
# ```
#
# On another machine, forward the port: `ssh -L 8000:localhost:8000 HOST`, there `morphtools explore … --port 8000
# --no-browser`, and open the printed address on your own. On Colab the page comes through Colab's proxy; that follows
# its documentation and was not run there.
#
# ## Try
#
# 1. Find one ring, then all of them: how many clicks does it take with Similar, with Rate, and with Label?
# 2. Which cluster holds the artefacts? Do all of them gather there?
