# %% [markdown]
# # From FITS files to a data set
#
# An observatory gives you numbers: flux in every pixel and every band. A network wants images of one size, in one
# order of bands, without surprises, and fast. Between the two, most projects lose their first week. This tutorial
# shows what goes wrong there, how it looks, and how to see it *before* training.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from astropy.io import fits

import morphtools
from morphtools.survey.stretch import stretches_for

GALAXIES = 32 if "MORPHTOOLS_SHORT" in os.environ else 300

# %% [markdown]
# ## What is in a FITS file
#
# We use the simulated sky as a survey: 96 pixels, bands g, r and z, flux in nanomaggies.

# %%
catalog = morphtools.simulate_survey("survey", galaxies=GALAXIES, image_size=96, magnitude_limit=15.5, seed=5)
one = Path("survey") / catalog["file_loc"][6]
header, pixels = fits.getheader(one), fits.getdata(one)
print(repr(header[:20]))
print(pixels.shape, pixels.dtype, "lowest", pixels.min(), "median", np.median(pixels), "highest", pixels.max())

# %% [markdown]
# (3, 96, 96): three bands, then rows and columns. And look at the numbers: the median is almost nothing, the highest
# pixel is hundreds of times brighter. Shown as it is, a galaxy is one white dot. The eye (and a network) needs a
# *stretch*.

# %%
figure, axes = plt.subplots(1, 4, figsize=(12, 3))
axes[0].imshow(pixels[1], cmap="gray")
axes[0].set_title("r band as it is")
axes[1].imshow(np.arcsinh(pixels[1] / 0.01), cmap="gray")
axes[1].set_title("arcsinh(r / 0.01)")
for band, plane in zip("grz", pixels, strict=True):
    axes[2].hist(plane.ravel(), 60, histtype="step", log=True, label=band)
    axes[3].hist(np.arcsinh(plane.ravel() / 0.01), 60, histtype="step", log=True, label=band)
axes[2].set_title("pixels as they are")
axes[3].set_title("after arcsinh")
axes[3].legend()
plt.show()

# %% [markdown]
# ## One galaxy, many pictures
#
# Published pictures differ by their stretch. Look at one galaxy in all stretches that can show these bands: where are
# the faint arms, where is the middle burned out? Nothing is lost by choosing: records keep the flux, and the stretch
# is chosen when they are read.

# %%
stretches = stretches_for(("g", "r", "z"))
flux = np.moveaxis(pixels, 0, -1)
figure, axes = plt.subplots(1, len(stretches), figsize=(13, 3))
for panel, (name, stretch) in zip(axes, stretches.items(), strict=True):
    panel.imshow(stretch(flux), origin="lower")
    panel.set_title(name)
    panel.set_axis_off()
plt.show()

# %% [markdown]
# ## Preview before you build
#
# `preview_records` reads some galaxies just as the builder would, and reports what is odd. (In a terminal: `morphtools
# build-records survey/catalog.csv records --preview look.png`.)


# %%
def preview(out, **options):
    """Looks at eight galaxies, and prints what is odd."""
    look = morphtools.preview_records("survey/catalog.csv", images="survey", galaxies=8, **options)
    look.figure.savefig(out, dpi=80)
    morphtools.show(out)
    print("\n".join([*look.facts, *(f"odd: {finding}" for finding in look.findings)]))
    print(look.ranges)


preview("look.png")

# %% [markdown]
# **The order of bands.** Here the headers tell which band is which (`BAND0`, `BAND1`, …). In many surveys they do
# not, and you name the bands. If you name them in the wrong order, nothing breaks: the galaxies only have wrong
# colours. Everything trains, with worse results, and you never notice. Does the preview?

# %%
preview("wrong-order.png", bands=("z", "r", "g"))

# %% [markdown]
# ## A broken file
#
# Among a million files, some are broken. We break three: one is truncated, one is missing, one has only NaN.

# %%
broken = [Path("survey") / name for name in catalog["file_loc"][:3]]
broken[0].write_bytes(broken[0].read_bytes()[:20_000])
broken[1].unlink(missing_ok=True)
fits.writeto(broken[2], np.full((3, 96, 96), np.nan, "f4"), overwrite=True)

table = catalog[["id_str", "file_loc", "redshift", "ring_yes", "ring_no"]]  # of the columns those that we need
records = morphtools.build_records(table, "records", images="survey")
print(records.splits, "and", records.failed, "failed")
print(pd.read_parquet("records/failures.parquet").to_string())

# %% [markdown]
# The build continues, skips what it cannot use and reports why. A single broken file never costs you a night; too many
# (one in ten) stop the build, because then something else is wrong. Kill it half-way and run the same command again:
# it resumes.
#
# ## What was built
#
# A hash of its name assigns each galaxy to training, validation or test: a galaxy stays in its split when the survey
# grows, and nobody can choose the easy ones.

# %%
look = morphtools.inspect_records("records", galaxies=6)
look.figure.savefig("records.png", dpi=80)
morphtools.show("records.png")
print("\n".join(look.facts))
print("problems:", morphtools.verify_records("records") or "none, every record is what was written")

# %% [markdown]
# ## Read it back
#
# A batch is what a network sees: images, names, and every numeric column of the table. `stretch=` makes pictures of
# flux on the way; another stretch needs no new build.

# %%
figure, axes = plt.subplots(2, 8, figsize=(13, 3.6))
for row, stretch in zip(axes, ("dr2_rgb", "gz_decals"), strict=True):
    batch = next(iter(morphtools.load_dataset("records", "train", batch_size=8, stretch=stretch)))
    for panel, image, redshift in zip(row, batch["image"].numpy(), batch["redshift"].numpy(), strict=True):
        panel.imshow(image)
        panel.set_title(f"z = {redshift:.3f}", fontsize=8)
        panel.set_axis_off()
    row[0].set_title(stretch, fontsize=8)
plt.show()
print({name: tuple(values.shape) for name, values in batch.items()})

# %% [markdown]
# ## With files of your own
#
# | your files | arguments |
# |---|---|
# | a file per galaxy, all bands in it | nothing more |
# | a file per galaxy and band | `template="{field}/{id_str}_{band}.fits", bands=("g", "r", "z")` |
# | the image is in another extension, or one per band | `hdu="SCI"`, `hdu=(1, 2, 3)` |
# | bad pixels are marked in an extension | `mask="MASK"` |
# | mosaics with a WCS, and `ra`, `dec` in the table | `cutout="30 arcsec"`, or `"4*petro_radius arcsec"` |
# | a zip archive, a `.npy` or `.h5` stack | give it as `images` |
#
# ```python
# morphtools.preview_records("galaxies.csv", images="fits/", bands=("g", "r", "z"))
# morphtools.build_records("galaxies.csv", "records", images="fits/", bands=("g", "r", "z"), image_size=128, workers=8)
# ```
#
# ## Try
#
# 1. `morphtools.simulate_survey("mosaics", products="mosaic")` writes fields; build records with `cutout=96`.
# 2. Which stretch would you choose to find faint tails of mergers? And for bars?
