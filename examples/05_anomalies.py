# %% [markdown]
# # The needle in the haystack
#
# "Show me something interesting." Interesting to whom? A statistician's outlier is a satellite trail; yours may be a
# merger, a ring, or something without a name. So do not define it: **rate a few dozen galaxies, from 0 (dull) to 5
# (that!), and let the machine learn your taste.** It asks about the galaxies from which it can learn most, and ranks
# the whole survey by your interest.

# %%
import os

import matplotlib.pyplot as plt

import morphtools

GALAXIES, RATINGS, REPEATS, OWN = (48, 12, 1, 2) if "MORPHTOOLS_SHORT" in os.environ else (1000, 80, 3, 10)

# %% [markdown]
# ## The haystack
#
# Four galaxies in a hundred are mergers, and our rater loves mergers.

# %%
options = {"bands": "gri", "image_size": 128, "field_radii": 12, "magnitude_limit": 15.5}
sky = morphtools.simulate_survey("haystack", galaxies=GALAXIES, fractions={"merger": 0.04}, seed=9, **options)
votes = sky.filter(regex="^merging")
sky["taste"] = (sky["merging-dr5_merger"] + sky["merging-dr5_major-disturbance"]) / votes.sum(axis=1)
sky.to_csv("haystack/known.csv", index=False)
where = {"catalog": "haystack/known.csv", "images": "haystack"}
print((sky["taste"] > 0.5).sum(), "of", len(sky), "are interesting")
morphtools.represent("efficientnet_lite0_gz2", "haystack-as-numbers", **where)
needles = sky[sky["taste"] > 0.5].head(16)
morphtools.show_galaxies(needles["id_str"], title="What we are looking for", **where, out="needles.png")

# %% [markdown]
# ## A simulated rater
#
# To see how well it works, our rater knows the answer: each rating is five times the fraction of volunteers who see a
# merger. The first ten galaxies are drawn at random; then the machine chooses.

# %%
how = {"ratings": RATINGS, "threshold": 0.5}
loop = morphtools.find_anomalies("haystack-as-numbers", oracle="taste", **how, **where, out="session")
asked = loop.history()["rating"]
plt.figure(figsize=(7, 2.2))
plt.bar(range(1, len(asked) + 1), asked, color=["0.6"] * 10 + ["#0072b2"] * (len(asked) - 10))
plt.xlabel("galaxies in the order in which they were shown (grey: at random)")
plt.ylabel("rating")
plt.show()

# %% [markdown]
# It finds a few by luck, learns, and then shows one after the other. Here is its ranking of *all* galaxies, most of
# which nobody has rated: the rating it expects from you, and how sure it is.

# %%
morphtools.show("session/top.png")
loop.scores().head(8)

# %% [markdown]
# ## Was it worth the trouble?
#
# Go down the ranking: how many of the needles have you seen after looking at so many galaxies? Compare with looking at
# random, with an *isolation forest*, which knows what is unusual but not what you like, and with an earlier method
# (`neighbour_score`, which also asks you, but starts from what is unusual). `rational_quadratic` is what
# `find_anomalies` did above, named after the kernel of its Gaussian process.

# %%
ways = ("rational_quadratic", "neighbour_score", "isolation_forest", "random")
options = {"column": "taste", "catalog": "haystack/known.csv", "repeats": REPEATS}
table = morphtools.benchmark_anomalies("haystack-as-numbers", methods=ways, **how, **options, out="compared")
morphtools.show("compared/recall.png")
print(table[["method", "found"]].round(2).to_string(index=False))

# %% [markdown]
# Unusual is not the same as interesting: mergers are unusual, but so are satellite trails and bright stars. Your
# ratings tell which of them you mean.
#
# ## A real rater: you
#
# Look at each picture and type a number from 0 to 5; `s` skips, `u` takes the last one back, `q` stops. Decide first
# what you like: rings? Blue things? Be consistent, and use the whole scale. Every rating is on disk before the next
# question, so stop when you are tired; the same call continues tomorrow.

# %%
mine = morphtools.find_anomalies("haystack-as-numbers", **where, ratings=OWN, rater="me", out="my-session")

# %% [markdown]
# What does the machine think you like? With ten ratings it has hardly begun; give it fifty, by calling again with a
# larger number of `ratings`.

# %%
if (mine.out / "top.png").exists():
    morphtools.show(mine.out / "top.png")

# %% [markdown]
# ## With galaxies of your own
#
# Representations as in tutorial 4, then rate. Start from known examples, if you have some: `examples=("1237",
# "5812")`. Several people can rate in one session with their own `rater=`, or merge sessions later
# (`AnomalyLoop(…).merge(…)`).
#
# ```python
# morphtools.represent("efficientnet_lite0_gz2", "mine", catalog="galaxies.csv", images="images.zip")
# morphtools.find_anomalies("mine", catalog="galaxies.csv", images="images.zip", ratings=100, out="my-session")
# ```
#
# ## Try
#
# 1. Make the haystack larger or the needles rarer. How many ratings does it take?
# 2. Another taste: `sky["ring_yes"] / (sky["ring_yes"] + sky["ring_no"])`.
