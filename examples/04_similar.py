# %% [markdown]
# # More like this
#
# You have found one strange and beautiful galaxy. Are there more? You have no labels, and no name for what you like.
# But a trained network has a place for every picture in a space of many dimensions, its *representation*, and
# galaxies that look alike lie close together there. That one idea gives you a search engine, a map, an inventory, and
# a broom.

# %%
import os

import morphtools

GALAXIES, CLUSTERS = (48, 3) if "MORPHTOOLS_SHORT" in os.environ else (1000, 10)

# %% [markdown]
# ## A survey, and a number of numbers for each galaxy

# %%
options = {"bands": "gri", "image_size": 128, "field_radii": 12, "magnitude_limit": 15.5}
options["fractions"] = {"ring": 0.1, "merger": 0.06}
sky = morphtools.simulate_survey("mixed", galaxies=GALAXIES, artifact_rate=0.06, seed=7, **options)
sky["kind"] = "disk"
for kind in ("smooth", "edge_on", "ring", "merger"):
    sky.loc[sky[f"true_{kind}"] > 0, "kind"] = kind
sky.loc[sky["true_artifact"] != "none", "kind"] = "artefact"
store = morphtools.represent("efficientnet_lite0_gz2", "representations", catalog="mixed/catalog.csv", images="mixed")
print(len(store), "galaxies in", store.dimension, "dimensions;", sky["kind"].value_counts().to_dict())
where = {"catalog": sky, "images": "mixed"}

# %% [markdown]
# Computed once, kept on disk, used by everything below.
#
# ## A search engine
#
# Take the galaxy with the clearest ring. The first picture (blue frame) is the example, then what is nearest to it.

# %%
example = sky.loc[sky["true_ring_yes"].where(sky["kind"] == "ring").idxmax(), "id_str"]
found = morphtools.find_similar("representations", like=example, galaxies=24, **where, out="similar")
morphtools.show("similar/similar.png")
print("of the 24 nearest:", found["kind"].value_counts().to_dict())

# %% [markdown]
# Is it what *you* meant? The network may have looked at the colour, the size or the star next to it. One example
# cannot say what matters. Tell it more: two examples, and one that you did **not** mean.

# %%
two = sky[sky["kind"] == "ring"].nlargest(3, "true_ring_yes")["id_str"].tolist()
wrong = found.loc[found["kind"] != "ring", "id_str"].head(2).tolist()
better = morphtools.find_similar("representations", like=two, unlike=wrong, galaxies=24, **where, out="similar-2")
morphtools.show("similar-2/similar.png")
print("of the 24 nearest:", better["kind"].value_counts().to_dict())

# %% [markdown]
# ## A map
#
# All galaxies on one page; neighbours look alike. Coloured by what we know of them: is the map about shape, or only
# about colour and size? The axes mean nothing, and neither do empty places; that two galaxies are close, does.

# %%
morphtools.make_map("representations", **where, colour=["kind", "redshift"], cells=16, out="map")
morphtools.show("map/galaxies.png", "map/panels.png")

# %% [markdown]
# ## An inventory
#
# Clusters, from the most typical member (left) to the least (right). Nobody told it what a merger is.

# %%
clusters = morphtools.cluster("representations", clusters=CLUSTERS, **where, labels="kind", out="clusters")
morphtools.show("clusters/clusters.png")
print(clusters.summary[["cluster", "galaxies", "majority", "purity"]].round(2).to_string(index=False))

# %% [markdown]
# Look at a row, give it a name, and every galaxy in it has a label. A person does this by eye; here the majority
# does.

# %%
names = clusters.summary[["cluster", "majority"]].rename(columns={"majority": "name"})
named = morphtools.cluster("representations", clusters=CLUSTERS, **where, labels="kind", names=names, out="clusters")
print(f"{len(names)} glances gave {len(named.galaxies)} labels, {named.metrics['accuracy']:.0%} of them right")

# %% [markdown]
# ## A broom
#
# Some rubbish gathers in a place of its own: above, galaxies of which one band is missing, in strange colours. List
# it, **look at the list**, and leave it out of all that follows. Nothing is deleted: without the list everything is
# as before.

# %%
summary = clusters.summary
dirtiest = summary.loc[(summary["is artefact"] / summary["galaxies"]).idxmax(), "cluster"]
listed = morphtools.find_artifacts(clusters="clusters", numbers=[dirtiest], **where, out="artifacts")
morphtools.show("artifacts/artifacts.png")
caught = sky.set_index("id_str").loc[listed["id_str"], "kind"].eq("artefact")
print(f"{len(listed)} listed, {caught.mean():.0%} of them artefacts, of {(sky['kind'] == 'artefact').sum()} there are")
clean = morphtools.make_map("representations", **where, exclude="artifacts/artifacts.csv", out="map-without-rubbish")
print(len(clean), "galaxies on the map without the rubbish")

# %% [markdown]
# And the others? A trail across a spiral leaves a spiral: it lies among its kind, and no cluster has it. For these,
# search for more like one of them, or rate (tutorial 5).
#
# ## How far can you trust it?
#
# Of the ten nearest to a galaxy, how many are of its kind? Beside the network, the least it has to beat: the pixels
# themselves, and chance.

# %%
morphtools.represent_pixels("pixels", **where)
table = morphtools.evaluate_retrieval(
    {"network": "representations", "pixels": "pixels"}, sky, ["kind"], out="retrieval"
)
morphtools.show("retrieval/retrieval.png")
print(table.pivot(index="value", columns="representations", values="precision").round(2).to_string())

# %% [markdown]
# ## With galaxies of your own
#
# A table with `id_str` and `file_loc`, and a folder or zip archive of images. Any other columns (`ra`, `dec`,
# redshift, names) travel into the results, and with `ra` and `dec` you can search by place.
#
# ```python
# morphtools.represent("efficientnet_lite0_gz2", "mine", catalog="galaxies.csv", images="images.zip")
# morphtools.find_similar("mine", ra=150.1, dec=2.2, catalog="galaxies.csv", images="images.zip")
# ```
#
# `similar.html` is a page with the pictures in it, to send to a colleague.
#
# ## Try
#
# 1. Find an artefact (`sky["kind"] == "artefact"`) and search for more like it. Which kinds are found, which are not?
# 2. Search with the network and with the pixels for the same galaxy. When do pixels win?
