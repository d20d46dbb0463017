# %% [markdown]
# # One band: radio galaxies
#
# Everything so far had three bands and looked like a photograph. A radio survey has one, its sky is noise around zero,
# and its galaxies are two jets that end in lobes. Can weights that only ever saw optical galaxies help there? And
# what do you have to tell the tools?
#
# The galaxies here are toys, drawn in a few lines below. At the end stands what was measured on real ones.

# %%
import os
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from scipy.ndimage import gaussian_filter

import morphtools

GALAXIES, LABELS = (80, 40) if "MORPHTOOLS_SHORT" in os.environ else (600, 200)

# %% [markdown]
# ## Two kinds
#
# Fanaroff and Riley (1974) saw two kinds: jets that are brightest near the galaxy and fade (FR I), and jets that end in
# bright spots (FR II). We draw both along bent jets of random length and angle, smear them with the beam of the
# telescope and add noise. One FITS file per galaxy, one plane, in Jy/beam.


# %%
def radio_galaxy(rng, kind, side=128):
    """An image (side, side) in Jy/beam of a toy galaxy, 10 to 60 times brighter than the noise."""
    along = rng.uniform(0, 1, 4000)
    bright = np.exp(-2 * along) if kind == "FR I" else 0.15 + np.exp(-(((along - 0.95) / 0.06) ** 2))
    length, angle, bend = rng.uniform(25, 50), rng.uniform(0, 2 * np.pi), rng.normal(0, 0.35)
    sky = np.zeros((side, side))
    for jet in (0, np.pi):
        turn = angle + jet + bend * along + rng.normal(0, 0.05 + 0.2 * along * (kind == "FR I"), len(along))
        x, y = (np.round(side / 2 + length * along * f(turn)).astype(int) for f in (np.cos, np.sin))
        np.add.at(sky, (y.clip(0, side - 1), x.clip(0, side - 1)), bright * rng.uniform(0.6, 1))
    sky = gaussian_filter(sky, 2.2)
    noise = gaussian_filter(rng.normal(size=sky.shape), 2.2)
    return 1e-4 * (noise / noise.std() + sky / sky.max() * rng.uniform(10, 60))


rng = np.random.default_rng(10)
folder = Path("radio")
folder.mkdir(exist_ok=True)
catalog = pd.DataFrame({"id_str": [f"radio{i:04}" for i in range(GALAXIES)]})
catalog["file_loc"] = catalog["id_str"] + ".fits"
catalog["type"] = np.where(rng.random(GALAXIES) < 0.5, "FR I", "FR II")
for row in catalog.itertuples():
    image = radio_galaxy(rng, row.type).astype("f4")
    fits.PrimaryHDU(image, fits.Header({"BUNIT": "Jy/beam"})).writeto(folder / row.file_loc, overwrite=True)
catalog.to_csv("radio/catalog.csv", index=False)
where = {"catalog": "radio/catalog.csv", "images": "radio"}

# %% [markdown]
# **Look first.** One band is shown in grey, as an arcsinh in units of its noise, so the faint parts of the jets are
# seen whatever the unit. Which would you call FR II?

# %%
shown = catalog.head(24)
morphtools.show_galaxies(shown["id_str"], list(shown["type"]), "Radio galaxies", **where, out="radio-look.png")

# %% [markdown]
# ## Train
#
# A column of your own, `type`, is the question. The files do not name their band, so you do; any name will do. The
# weights were trained on colour pictures; a single band is shown to them three times, which is exact: nothing is
# invented.

# %%
options = {"column": "type", "bands": "radio", **where}
run = morphtools.finetune(labels=LABELS, **options, out="radio-run")
print(run.summary)
morphtools.show("radio-run/figures/confident.png", "radio-run/figures/mistakes.png")

# %% [markdown]
# Toys are easy. Of 1,419 real radio galaxies of FIRST, the five nearest neighbours under these weights told the class
# of 83%, as did those under weights from ImageNet; always FR II is right for 65%, and neighbours in pixels for 66% (see
# the studies in the documentation). What was learned on optical galaxies helps as much as what was learned on
# photographs, not more. It mattered more to cut out the middle: most of a radio image is empty, and other sources lie
# in its corners. That is `crop`.
#
# ## More like this
#
# No labels at all: the surest FR II of the test, and the galaxies nearest to it, by the middle 112 of 128 pixels.

# %%
morphtools.represent("efficientnet_lite0_gz2", "radio-as-numbers", **where, bands="radio", crop=112)
example = pd.read_csv("radio-run/predictions.csv").sort_values("FR II")["id_str"].iloc[-1]
similar = morphtools.find_similar("radio-as-numbers", like=example, galaxies=16, **where, out="radio-similar")
morphtools.show("radio-similar/similar.png")
print("of the 16 nearest:", similar["type"].value_counts().to_dict())

# %% [markdown]
# ## With radio images of your own
#
# Cutouts in FITS, with NaN where there is no data; axes of frequency and polarisation of length one are dropped. Choose
# a size that holds the largest sources, and `crop` if most are much smaller. Do not clip at three times the noise, as
# is often done: what is faint is shown faint, and the choice stays open.
#
# ```python
# run = morphtools.finetune(column="type", labels=500, catalog="sources.csv", images="cutouts/", bands="radio")
# ```
#
# ## Try
#
# 1. Halve the range of brightness in `radio_galaxy`. From which signal-to-noise on do the mistakes pile up?
# 2. Are bent sources called FR I more often? Keep `bend` as a column, and compare.
