# %% [markdown]
# # Rings from a few hundred labels
#
# Some galaxies wear a ring of young stars. Nobody has told you which ones, but you are willing to look at a few
# hundred pictures. How far does that take you?
#
# You will label nothing here: the galaxies are simulated, volunteers have looked at them already, and we know the
# truth. In the end you will have a classifier, know how good it is, and know how many labels you need.

# %%
import os

import matplotlib.pyplot as plt
import pandas as pd

import morphtools

SHORT = "MORPHTOOLS_SHORT" in os.environ  # for tests
GALAXIES, LABELS, FEWER = (70, 24, ()) if SHORT else (1000, 300, (50, 100))

# %% [markdown]
# ## A sky to practise on
#
# `simulate_survey` writes what an observatory would give you: a FITS image per galaxy and a table. Half of these
# galaxies have a ring; in nature it is only a few percent.

# %%
sky = morphtools.simulate_survey(
    "ring-sky", galaxies=GALAXIES, image_size=96, field_radii=6, magnitude_limit=15.5, fractions={"ring": 0.5}, seed=1
)
votes = sky["ring_yes"] + sky["ring_no"]
sky["ring_fraction"] = sky["ring_yes"] / votes
sky[["id_str", "file_loc", "ring_fraction"]].to_csv("ring-sky/labels.csv", index=False)
sky[["id_str", "file_loc", "redshift", "ring_yes", "ring_no", "ring_fraction"]].head()

# %% [markdown]
# **Look before you train.** Each galaxy below has the fraction of volunteers who saw a ring. Would you agree with
# them?

# %%
shown = sky.sort_values("ring_fraction").iloc[:: len(sky) // 24].head(24)
captions = [f"{fraction:.0%} see a ring" for fraction in shown["ring_fraction"]]
where = {"catalog": sky, "images": "ring-sky"}
morphtools.show_galaxies(
    shown["id_str"], captions, "From no ring to certainly a ring", **where, out="ring-sky/look.png"
)

# %% [markdown]
# A label is an opinion. If one volunteer in ten sees a ring, is it a ring? We do what Walmsley et al. (2022) did: above
# a quarter it is, below one in twenty it is not, and galaxies in between are left out. This makes the problem easier
# than in nature; keep that in mind when you quote a score.

# %%
plt.figure(figsize=(6, 2.5))
plt.hist(sky["ring_fraction"], 40, color="0.6")
plt.axvspan(0.05, 0.25, color="#d55e00", alpha=0.3, lw=0)
plt.xlabel("fraction of volunteers who see a ring (left out: orange)")
plt.ylabel("galaxies")
plt.show()

# %% [markdown]
# ## Train
#
# A network that has already looked at 31,000 galaxies turns every picture into a list of numbers, a *representation*.
# It is not changed: only a small *head* learns which numbers mean "ring". That is why a few hundred labels are
# enough, and why it takes a minute.

# %%
data = {"catalog": "ring-sky/labels.csv", "images": "ring-sky", "stretch": "dr2_rgb", "test_labels": 400}
run = morphtools.finetune("rings", LABELS, **data, out=f"rings/{LABELS}")
print(run.summary)

# %% [markdown]
# Half of the test galaxies have a ring, so guessing reaches an accuracy of 0.5. The brackets are 95% intervals,
# because test galaxies are few, too. AUC is the probability that a galaxy with a ring scores higher than one without.
#
# ## Read the run folder
#
# Everything about the run is in its folder, and the same command with the `config.yaml` in it repeats it. **The
# mistakes teach most**: is the machine wrong there, or are the volunteers?

# %%
print(*sorted(str(path.relative_to(run.out)) for path in run.out.rglob("*.*")), sep="\n")
morphtools.show(run.out / "figures" / "confident.png", run.out / "figures" / "mistakes.png")

# %% [markdown]
# Can you trust a probability? Eight in ten of the galaxies with 0.8 should have a ring, so the points should lie on
# the diagonal. The other figure shows how strongly the head is regularised: to the right it gives the same answer for
# all galaxies, to the left it memorises the labels. Blue is the loss on galaxies the head was fitted to, orange the
# loss on galaxies that were left out of the fit, which shows how strong the regularisation should be.

# %%
morphtools.show(run.out / "figures" / "calibration.png", run.out / "figures" / "training_curve.png")

# %% [markdown]
# ## Was the pretraining worth it?
#
# Compare with the same network with random weights instead of learned ones, and the same head, labels and test
# galaxies.

# %%
scratch = morphtools.finetune(
    "rings", LABELS, **data, weights="random", encoder="mobilenet_v3_small", out=f"rings/{LABELS}-scratch"
)
scores = pd.DataFrame({name: each.metrics["test"] for name, each in (("pretrained", run), ("random", scratch))})
print(scores.map(lambda score: f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]").to_string())

# %% [markdown]
# ## How many labels do you need?
#
# The honest way to find out: use fewer, and see what happens. Labels of one seed are nested (the 50 are among the
# 100), and the test galaxies are always the same. (The last one is there already; a finished run is not repeated.)

# %%
runs = {n: morphtools.finetune("rings", n, **data, out=f"rings/{n}") for n in (*FEWER, LABELS)}
curve = pd.DataFrame({n: each.metrics["test"]["accuracy"] for n, each in runs.items()}).T
plt.figure(figsize=(5, 3))
plt.errorbar(curve.index, curve["value"], [curve["value"] - curve["low"], curve["high"] - curve["value"]], fmt="o-")
plt.xlabel("labels")
plt.ylabel("accuracy on test galaxies")
plt.show()

# %% [markdown]
# While the curve is steep, an afternoon of labelling gains more than any change to the network. Once it is flat, stop
# labelling and look at the mistakes. `morphtools.learning_curve` does all this with several seeds, also from scratch,
# and reports in a sentence how many labels the pretraining saves.
#
# ## Use it
#
# New galaxies from another part of the sky, where rings are as rare as in nature: here the classifier earns its living.

# %%
new = morphtools.simulate_survey(
    "new-sky", galaxies=GALAXIES // 2, image_size=96, field_radii=6, magnitude_limit=15.5, seed=2
)
morphtools.predict(run.out, "rings/new-sky", catalog="new-sky/catalog.csv", images="new-sky")
table = pd.read_csv("rings/new-sky/predictions.csv")  # the catalogue, with the predictions beside it
seen = table["ring_yes"] / (table["ring_yes"] + table["ring_no"])
found = table.sort_values("ring", ascending=False).head(24)
captions = [f"P(ring) {found['ring'][i]:.2f}\n{seen[i]:.0%} see one" for i in found.index]
where = {"catalog": new, "images": "new-sky"}
morphtools.show_galaxies(found["id_str"], captions, "Most likely rings", **where, out="rings/new-sky/top.png")
print(f"rings: {(seen[found.index] > 0.25).mean():.0%} of these, {(seen > 0.25).mean():.0%} of the sky")

# %% [markdown]
# Trained on a sample in which half of the galaxies have rings, it expects too many: on a sky where rings are rare, its
# probabilities are too high. Rely on the *order*: how much richer in rings is the top of the list than the sky? Also
# near the top are spirals with tightly wound arms, which are far more common in nature than rings. Label some of
# these, train again, and it learns the difference.

# %% [markdown]
# ## With galaxies of your own
#
# A table with `id_str`, `file_loc` and a column `ring` (0 or 1) or `ring_fraction`; any other column by
# `column="my_column"`. Images as JPEG, PNG or FITS in a folder or zip archive; a `stretch` makes pictures of the flux
# in FITS (tutorial 2).
#
# ```python
# run = morphtools.finetune("rings", 500, catalog="galaxies.csv", images="images.zip", out="my-rings")
# ```
#
# ## Try
#
# 1. `depth=2` trains the top two blocks of the network, too. Does it help with 50 labels? With 400?
# 2. Look at the mistakes: how many would you have called differently from the volunteers?
# 3. Another question: `"bars"`, `"mergers"`, `"spirals"` (and `fractions={"bar": 0.5}` for a sky that has them).
