# %% [markdown]
# # More like this
#
# You have found one strange and beautiful galaxy. Are there more? You have no labels, and no name for what you like.
# But a trained network gives every picture a place in a space of many dimensions, its *representation*, and galaxies
# that look alike are close together there. That one idea gives you a search engine, a map, an inventory, and a broom.

# %%
import os

import morphtools

GALAXIES, CLUSTERS = (48, 3) if "MORPHTOOLS_SHORT" in os.environ else (1000, 10)

# %% [markdown]
# ## A survey, and a list of numbers for each galaxy

# %%
options = {"bands": "gri", "image_size": 128, "field_radii": 8, "magnitude_limit": 15.5}
options["fractions"] = {"ring": 0.1, "merger": 0.06}
sky = morphtools.simulate_survey("mixed", galaxies=GALAXIES, artifact_rate=0.06, seed=7, **options)
sky["kind"] = "disk"
for kind in ("smooth", "edge_on", "ring", "merger"):
    sky.loc[sky[f"true_{kind}"] > 0, "kind"] = kind
sky.loc[sky["true_artifact"] != "none", "kind"] = "artefact"
records = morphtools.build_records(sky[["id_str", "file_loc", "redshift"]], "mixed-records", images="mixed")
store = morphtools.represent("efficientnet_lite0_gz2", "representations", records=records)
print(len(store), "galaxies in", store.dimension, "dimensions;", sky["kind"].value_counts().to_dict())
where = {"catalog": sky, "images": "mixed"}

# %% [markdown]
# They are computed once, kept on disk, and used by everything below. (If your galaxies are small in their images,
# `represent` with `crop=96` looks at the middle 96 pixels, and all pictures show the same.)
#
# ## A search engine
#
# Take the galaxy with the clearest ring. The first picture (blue frame) is the example, followed by the galaxies
# nearest to it.

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
# All galaxies on one page, and neighbours look alike. Colours show what we know about them: is the map about shape,
# or only about colour and size? The axes and empty places mean nothing; only closeness does.

# %%
morphtools.make_map("representations", **where, colour=["kind", "redshift"], cells=16, out="map")
morphtools.show("map/galaxies.png", "map/panels.png")

# %% [markdown]
# ## An inventory
#
# Clusters, from the most typical member (left) to the least (right). Nobody told the network what a ring is.

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
# Every survey has rubbish. Some of it gives itself away in its pixels: a band is missing, columns are dead, the
# galaxy lies at the edge of a field. `build_records` reported it (the lines "odd:" at the top) and noted it for each
# galaxy. List these, **look at the list**, and leave them out of all that follows. Nothing is deleted: without the
# list everything is as before.

# %%
odd = records.index(["id_str", "findings"]).query("findings != ''")
listed = morphtools.find_artifacts(ids=odd["id_str"], **where, out="artifacts")
morphtools.show("artifacts/artifacts.png")
caught = sky.set_index("id_str").loc[listed["id_str"], "kind"].eq("artefact")
print(f"{len(listed)} listed, {caught.mean():.0%} of them artefacts, of {(sky['kind'] == 'artefact').sum()} there are")
clean = morphtools.make_map("representations", **where, exclude="artifacts/artifacts.csv", out="map-without-rubbish")
print(len(clean), "galaxies on the map without the rubbish")

# %% [markdown]
# And the others? These weights learned to look past a trail or a bright star: a spiral with a trail lies among the
# spirals, and no cluster holds the rubbish. `find_outliers` ranks galaxies by how unlike all others they are; look at
# the first, and put what you do not want on the list, too.

# %%
options = {"method": "local_outlier_factor", "galaxies": 24, "exclude": "artifacts/artifacts.csv"}
outliers = morphtools.find_outliers("representations", **options, **where, out="outliers")
morphtools.show("outliers/outliers.png")
print("the first 24:", sky.set_index("id_str").loc[outliers["id_str"], "kind"].value_counts().to_dict())

# %% [markdown]
# ## How far can you trust it?
#
# How many of a galaxy's ten nearest neighbours are of its kind? The network has to beat the pixels themselves, and
# chance.

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
# redshift, names) are copied into the results, and with `ra` and `dec` you can search by position.
#
# ```python
# morphtools.represent("efficientnet_lite0_gz2", "mine", catalog="galaxies.csv", images="images.zip")
# morphtools.find_similar("mine", ra=150.1, dec=2.2, catalog="galaxies.csv", images="images.zip")
# ```
#
# `similar.html` is a single page, pictures included, to send to a colleague.
#
# ## Try
#
# 1. Find an artefact (`sky["kind"] == "artefact"`) and search for more like it. Which kinds are found, which are not?
# 2. Search with the network and with the pixels for the same galaxy. When do pixels win?
