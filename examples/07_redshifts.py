# %% [markdown]
# # How far away is it?
#
# A spectrum gives the redshift of a galaxy, and so its distance, but spectra are slow: a survey has an image of every
# galaxy and a spectrum of one in a hundred. Colours, size and shape give it roughly. Learn it from those with a
# spectrum, and estimate it for the others. An estimate without its uncertainty is worth little, so predict **how
# probable every redshift is**, and check whether that can be believed.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import morphtools

GALAXIES, SPECTRA, EPOCHS = (90, 50, 2) if "MORPHTOOLS_SHORT" in os.environ else (1000, 700, 60)

# %% [markdown]
# ## Near and far
#
# A simulated sky with a spectroscopic redshift for every galaxy, in g, r and i, all with the same pixel scale. Look
# from the nearest to the farthest: what would *you* guess from?

# %%
options = {"bands": "gri", "image_size": 64, "artifact_rate": 0}
sky = morphtools.simulate_survey("deep", galaxies=GALAXIES, seed=8, **options)
where = {"catalog": sky, "images": "deep"}
shown = sky.sort_values("redshift").iloc[:: len(sky) // 24].head(24)
captions = [f"z = {z:.3f}" for z in shown["redshift"]]
morphtools.show_galaxies(shown["id_str"], captions, "From near to far", **where, out="near-to-far.png")

# %% [markdown]
# The far ones are small, faint and red, but so are some of the near ones. That is why a single number is not enough.
#
# ## Learn it
#
# The verb of tutorial 1, with the redshift as label. The head predicts how probable every redshift is: here by a
# mixture of five Gaussians, which is smooth and suits few spectra; with tens of thousands, independent bins
# (`pdf="softmax"`) can take any shape. The dust of the Milky Way reddens galaxies, too; the table has its `ebv`, and
# the images are corrected for it.

# %%
data = {"catalog": "deep/catalog.csv", "images": "deep", "redshift_range": (0.0, 0.25), "pdf": "mixture"}
run = morphtools.finetune("photoz", SPECTRA, **data, epochs=EPOCHS, out="redshifts")
print(run.summary)

# %% [markdown]
# Errors are in units of 1 + z. **Bias** is their mean. **σ_MAD** is their scatter, measured so that a few failures do
# not matter; **η** counts these: the fraction that is wrong by more than 0.05. The CRPS (smaller is better) judges
# the whole PDF.

# %%
morphtools.show(run.out / "figures" / "redshifts.png", run.out / "figures" / "gallery.png")

# %% [markdown]
# ## A whole PDF for each galaxy
#
# The single best redshift is the mean of the PDF, and intervals are its quantiles. Where the PDF has two peaks, the
# mean lies between them, where the galaxy hardly is: look at the PDF before you use the number. Below, one of the
# surest, one in the middle and one of the least sure; the number in the title is half the width of the middle 68%.

# %%
redshifts = morphtools.Redshifts.open(run.out / "predictions.parquet")
middle = (redshifts.edges[:-1] + redshifts.edges[1:]) / 2
width = redshifts.quantile(0.84) - redshifts.quantile(0.16)
rows = np.argsort(width)[[len(width) // 20, len(width) // 2, -len(width) // 20]]
figure, axes = plt.subplots(1, 3, figsize=(12, 3))
for panel, row in zip(axes, rows, strict=True):
    panel.fill_between(middle, redshifts.pdf[row], color="#0072b2", alpha=0.4, step="mid")
    panel.axvline(redshifts.z()[row], color="#0072b2", ls="--")
    panel.axvline(redshifts.redshift[row], color="#d55e00")
    panel.set_title(f"{redshifts.id_str[row]}: ± {width[row] / 2:.3f}", fontsize=9)
axes[0].set_ylabel("probability of a bin")
axes[1].set_xlabel("redshift (dashed: the mean of the PDF; orange: the spectrum)")
plt.show()
redshifts.table().drop(columns="pdf").head().round(4)

# %% [markdown]
# ## Are the PDFs as wide as they should be?
#
# Ask each PDF: how probable was a redshift below the true one? If the PDFs are right, the answers are spread evenly
# from 0 to 1 (the *PIT*). A bowl: too narrow, the truth lies in the tails too often. A hump: too wide. A slope:
# biased. Bars inside the grey band may be chance; p says how often chance alone is as uneven. With a few hundred
# validation galaxies `recalibrate=True` corrects it.
#
# And was a network needed at all? `baselines` adds methods without one: the same answer for all, the distribution of
# redshifts (`mean`); neighbours and boosted trees in colours and magnitudes measured on the same images, as has been
# done for decades; and neighbours in the representations of the frozen network. (ln p(z) is the logarithm of the PDF
# at the true redshift: larger is better.)

# %%
table = morphtools.evaluate_photoz({"network": run.out}, baselines=True, out="redshifts-compared")
morphtools.show("redshifts-compared/scores.png", "redshifts-compared/pit.png")
print(table[["method", "galaxies", "bias", "sigma_mad", "outlier_fraction", "crps"]].round(4).to_string(index=False))

# %% [markdown]
# Be honest with yourself here. These weights were trained on shapes, they are frozen, and spectra are few: the network
# hardly beats the same answer for all, while aperture magnitudes do better and cost nothing. A network wins when it
# learns colours itself: from many more spectra, trained as a whole, ideally after pretraining on unlabelled images in
# the same bands (tutorial 6). `learning_curve` shows how many spectra each way needs for your galaxies.
#
# ## Galaxies without a spectrum

# %%
morphtools.simulate_survey("far-sky", galaxies=max(30, GALAXIES // 10), seed=9, **options)
morphtools.predict(run.out, "far", catalog="far-sky/catalog.csv", images="far-sky")
pd.read_csv("far/predictions.csv")[["id_str", "redshift", "z", "z_16", "z_84", "familiarity"]].head()

# %% [markdown]
# ## With galaxies of your own
#
# A column `redshift` (or any, with `column=`), empty where there is no spectrum, and `ebv`, the reddening by the
# Milky Way (from a dust map, at their `ra` and `dec`). Choose `redshift_range` so that all of them lie inside. With
# *ugriz* images of many galaxies, pretrain on them and train everything, as `configs/finetune/` and
# `configs/learning_curve/` do.
#
# ```python
# run = morphtools.finetune("photoz", 5000, catalog="galaxies.csv", images="fits/", redshift_range=(0, 0.4), out="mine")
# morphtools.predict("mine", "predicted", catalog="all-galaxies.csv", images="fits/")
# ```
#
# ## Try
#
# 1. `depth=2` trains the top of the network, too. What does it win in σ_MAD, and what does it cost?
# 2. Which galaxies are the outliers? Look at them: `redshifts.z()` and `redshifts.redshift` tell which they are.
