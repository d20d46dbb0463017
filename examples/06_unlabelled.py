# %% [markdown]
# # Learning without labels
#
# Labels are scarce, images are not. Can a network learn about galaxies from images alone? Yes, from a simple game:
# show it two *views* of the same galaxy, turned, shifted, with other noise, and let it say that they belong together.
# To win, it must find what stays the same: the galaxy. **You decide what is not the galaxy, by choosing the views.**
# That is all the knowledge you put in, and it is worth understanding.

# %%
import os

import morphtools

SHORT = "MORPHTOOLS_SHORT" in os.environ  # for tests
GALAXIES, EPOCHS, BATCH = (48, 1, 8) if SHORT else (800, 15, 32)

# %% [markdown]
# ## A small sky
#
# Flux in g, r and z, as the telescope sees it, at 64 pixels, in records (tutorial 2). A quarter each are smooth,
# disks seen edge-on, disks with a ring, and spirals. These labels are never trained on; they tell us whether anything
# is learned.

# %%
KINDS = ("smooth", "edge_on", "ring", "spiral")
options = {"image_size": 64, "field_radii": 6, "magnitude_limit": 15.5, "fractions": dict.fromkeys(KINDS, 0.25)}
sky = morphtools.simulate_survey("kinds", galaxies=GALAXIES, artifact_rate=0, seed=6, **options)
sky["class"] = sky[[f"true_{kind}" for kind in KINDS]].to_numpy().argmax(axis=1)
records = morphtools.build_records(sky[["id_str", "file_loc", "class", "redshift"]], "kinds-records", images="kinds")
show = sky.groupby("class").head(8).sort_values("class")
captions = [KINDS[number] for number in show["class"]]
morphtools.show_galaxies(show["id_str"], captions, "Some galaxies", catalog=sky, images="kinds", out="galaxies.png")

# %% [markdown]
# ## Views
#
# The galaxy is on the left, with seven views beside it. Above: made for flux (dust of the Milky Way, rotation, noise;
# views are cut out of a larger image, so the galaxy fills more of them). Below: made for colour pictures (rotation,
# zoom, brightness, grey, blur). Ask of each: *is this still the same galaxy to you?* If you want to study dust, then
# reddening is not a nuisance and must not be in the set. If you want to find shifted galaxies, do not shift them.

# %%
for preset in ("hayat2021", "rgb"):
    morphtools.show_augmentations(preset, f"views-{preset}.png", galaxies=3)
    morphtools.show(f"views-{preset}.png")

# %% [markdown]
# ## Two methods
#
# **MoCo** asks: which of many images is the other view of this one? Views of one galaxy are pulled together, and all
# others pushed apart. **BYOL** pushes nothing apart: one network predicts the output of a slowly following copy of
# itself for the other view. Why does it not simply give the same output for every galaxy? That would be a perfect
# score. Watch how many dimensions it uses.

# %%
setting = {"records": "kinds-records", "label": "class", "encoder": "resnet10_half", "momentum": 0.99}
setting |= {"epochs": EPOCHS, "batch_size": BATCH}
moco = morphtools.pretrain("moco", **setting, temperature=0.2, out="runs/moco")
byol = morphtools.pretrain("byol", **setting, hidden=512, out="runs/byol")
print(moco.summary, byol.summary, sep="\n\n")

# %% [markdown]
# ## Is it learning?
#
# The loss cannot tell: it falls when all galaxies become alike, too. So after every epoch we measure whether the five
# nearest neighbours of labelled galaxies are of their class (k-NN; the band is the range of other random draws) and
# whether planes separate the classes (linear), beside what must be beaten: a network with random weights, and the
# bare pixels.

# %%
morphtools.show(moco.out / "figures" / "learning.png", byol.out / "figures" / "learning.png")

# %% [markdown]
# A few hundred galaxies and a few minutes are far too little; papers use hundreds of thousands and days. Look at the
# direction of the curves, not at where they end. MoCo's first loss is low because its queue still holds random
# numbers; then the task gets harder, the network learns, and its k-NN accuracy exceeds that of the pixels. BYOL's loss
# falls at once, and yet its k-NN accuracy is below that of the pixels: it agrees with itself, but about little. Then
# the loss *rises*, and the accuracy with it. So never judge by the loss. (If the number of dimensions in the middle
# panel falls to a handful, nearly all galaxies look the same to the network, and it has learned nothing.)
#
# ## Which augmentations matter?
#
# Leave one out. Without rotation, the position angle on the sky is an easy way to solve the task, and tells nothing
# about the galaxy.

# %%
still = morphtools.pretrain("moco", **setting, temperature=0.2, without="RandomView.rotation", out="runs/no-rotation")
edge_on = sky.loc[sky["true_edge_on"].idxmax(), "id_str"]
where = {"catalog": sky, "images": "kinds"}
for name, run in (("with", moco), ("without", still)):
    print(f"{name} rotation, k-NN accuracy {run.metrics['test']['class']['value']:.2f} (5 neighbours)")
    store = morphtools.represent(run.out, f"{name}-rotation", records="kinds-records", orientations=1)
    morphtools.find_similar(store, like=edge_on, galaxies=16, **where, out=f"similar-{name}-rotation")
    morphtools.show(f"similar-{name}-rotation/similar.png")

# %% [markdown]
# Above: the galaxies most similar to the one in blue, for the network trained on rotated views. They are edge-on disks
# at any angle. Below: for the network trained without rotation, the same galaxy at another angle looks different, is
# farther away (compare the distances), and others come in between. `ablate_augmentations` leaves out each part in turn
# and makes a table of the results. (`orientations=1` shows each galaxy as it is; by default the mean over eight
# orientations hides part of this effect.)
#
# The result is an encoder like any other: use it to search, map and cluster (tutorial 4), rate (5) or fine-tune (1).

# %% [markdown]
# ## With galaxies of your own
#
# Build records of as many galaxies as you have (tutorial 2), start from a recipe in `configs/pretrain/`, and use a GPU.
# Look at the views of your own galaxies first. Starting from weights trained on galaxies takes far less time.
#
# ```python
# morphtools.show_augmentations("hayat2021", "views.png", records="records")
# run = morphtools.pretrain("byol", records="records", epochs=100, out="my-encoder")
# run = morphtools.finetune("rings", 200, catalog="labels.csv", images="fits/", weights="my-encoder", out="my-rings")
# ```
#
# ## Try
#
# 1. A set of your own, as a YAML file: only `RandomView: {rotation: 0.5}`. What does the network learn from it?
# 2. `morphtools.evaluate_representations("runs/moco,runs/byol", "kinds-records", label="class")` measures how well they
#    predict labels, and how far a galaxy moves when it is turned or blurred.
