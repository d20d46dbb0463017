# %% [markdown]
# # A survey in the browser
#
# Galaxies are judged by eye. One page brings together everything from the earlier tutorials: a map, a search, clusters,
# ratings, labels, and a network trained on them. It runs on your machine, and every judgement is on disk before the
# next galaxy is shown.

# %%
import os
from pathlib import Path

import pandas as pd

import morphtools

GALAXIES = 48 if "MORPHTOOLS_SHORT" in os.environ else 1500

# %% [markdown]
# ## A survey, its representations and a map
#
# As in tutorial 4. Giving the `weights` that made the representations lets you search with a picture of your own, and
# train on your labels.

# %%
options = {"bands": "gri", "image_size": 128, "field_radii": 8, "magnitude_limit": 15.5}
options["fractions"] = {"ring": 0.15, "merger": 0.06}
sky = morphtools.simulate_survey("to-browse", galaxies=GALAXIES, artifact_rate=0.05, seed=8, **options)
where = {"catalog": "to-browse/catalog.csv", "images": "to-browse"}
morphtools.represent("efficientnet_lite0_gz2", "to-browse-as-numbers", **where)
morphtools.make_map("to-browse-as-numbers", **where, cells=12, out="to-browse-map")
morphtools.show("to-browse-map/galaxies.png")

# %% [markdown]
# ## Open it
#
# The page appears below this cell. From a terminal, run
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
# **Map.** Zoom with the wheel and drag to move; point at a galaxy to see it, and click it to see all its columns.
# Colour the map by any column. *Pictures* shows images at any zoom. A box or lasso selects galaxies, not an area of the
# screen, so the selection stays the same when you zoom. Named selections are saved as tables in `selections/`.
#
# ![Galaxies similar to a ring](../screenshots/similar.jpg)
#
# **Similar.** Start from a name, a position on the sky or a picture of your own. Mark results with + and − until the
# search finds what you mean.
#
# ![One galaxy, with the keys to label it](../screenshots/label.jpg)
#
# **Label.** Ask your own question. Answer with `y`, `n` and `s` (unsure); `u` undoes the last answer. For a set of
# galaxies, such as the nearest ones of a search, *Label the remaining 48* labels them all at once. Once a few dozen of
# each kind are labelled, *Fine-tune* trains a classifier and shows its report.
#
# ![The report of a classifier trained on a hundred labels](../screenshots/report.jpg)
#
# ![Rating galaxies from 0 to 5](../screenshots/rate.jpg)
#
# **Rate.** If you cannot name what you are looking for, rate galaxies from `0` to `5`, and the survey is ranked by your
# interest (tutorial 5). The model learns in the background, so you never have to wait.
#
# ![Galaxies in clusters](../screenshots/clusters.jpg)
#
# **Clusters.** What kinds of galaxies are there? Name the clusters, merge them, and mark the artefacts.
#
# Several people can work at the same time, each under their own name (top right). If you close the page or kill the
# server, nothing is lost, and the same call resumes.
#
# ## What remains when the page is closed
#
# Tables that all other commands can read. Label some rings, then run this cell (again).

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
# On a remote machine, forward the port with `ssh -L 8000:localhost:8000 HOST`, run `morphtools explore … --port 8000
# --no-browser` there, and open the printed address in your own browser. On Colab the page is shown through Colab's
# proxy; this follows its documentation but was not tested there.
#
# ## Try
#
# 1. Find one ring, then all of them: how many clicks does it take with Similar, with Rate, and with Label?
# 2. Which cluster contains the artefacts? Does it contain all of them?
