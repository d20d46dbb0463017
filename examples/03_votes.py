# %% [markdown]
# # What would volunteers say?
#
# Forty people look at a galaxy. Thirty say "there is a bar", ten say "no". What is the answer? Not "yes": the answer
# is *thirty of forty*, and somebody else's forty people would have said twenty-seven or thirty-three. A model of
# votes predicts such answers for every question, **and how certain they are**. This tutorial teaches you to read
# them, and to check whether the model is as sure as it should be.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import beta

import morphtools

GALAXIES = 40 if "MORPHTOOLS_SHORT" in os.environ else 800

# %% [markdown]
# ## Questions form a tree
#
# Volunteers who say "smooth" are never asked about arms. The shipped weights know 54 questions of several projects;
# we ask those of the simulated sky's own volunteers, whose names end in `-mock`.

# %%
known = next(card for card in morphtools.list_pretrained() if card.name == "efficientnet_lite0_gz2")
questions = [q for q in known.schema["questions"] if q["question"].endswith("-mock")]
schema = morphtools.Schema.from_dict({"name": "mock", "questions": questions})
print(schema)

# %% [markdown]
# ## Galaxies, and what people said
#
# A simulated sky again, in g, r and i, with as many bars and rings as the one that the weights have seen, but with
# other galaxies. Its columns tell how many volunteers gave each answer and, since it is simulated, the *true*
# fractions: what infinitely many volunteers would have said. No real survey tells you these.

# %%
options = {"bands": "gri", "image_size": 128, "fractions": {"ring": 0.3, "bar": 0.3, "merger": 0.08}}
options |= {"field_radii": 12, "magnitude_limit": 16.5}
sky = morphtools.simulate_survey("vote-sky", galaxies=GALAXIES, seed=3, **options)
names = [column.replace("ring-mock", "ring").replace("-mock", "-dr5") for column in schema.label_cols]
votes = sky[names].to_numpy()
truth = sky[[f"true_{name}" for name in names]].to_numpy()

# %% [markdown]
# ## Predict
#
# One call predicts them. Every galaxy is shown in eight orientations; a galaxy has no up, so each answer is as good
# as the others, and together they are one belief about the galaxy. Of the 54 questions that these weights answer, the
# readable table has those that our volunteers were asked, which end in `-mock`.

# %%
where = {"catalog": "vote-sky/catalog.csv", "images": "vote-sky"}
morphtools.predict("efficientnet_lite0_gz2", "predicted", **where, questions="mock")
table = pd.read_parquet("predicted/predictions.parquet").set_index("id_str").loc[sky["id_str"]]
full = pd.read_parquet("predicted/predictions-full.parquet").set_index("id_str").loc[sky["id_str"]]
bar = "bar-mock_strong_fraction"
table[["smooth-or-featured-mock_smooth_fraction", "has-spiral-arms-mock_yes_fraction", bar]].head(8).round(2)

# %% [markdown]
# See the empty places? For a smooth galaxy, what would volunteers say about the bar? **They would not be asked.**
# Where fewer than half of them would reach the question, the readable table stays empty. `predictions-full` has the
# number itself, and the probability of being asked: P(asked), the product of the fractions on the way down the tree.

# %%
arms, asked = "has-spiral-arms-mock_yes_fraction", "has-spiral-arms-mock_asked"
rows = full.sort_values(asked).iloc[:: len(full) // 16].head(16)
captions = [f"asked {row[asked]:.0%}\narms {row[arms]:.0%}" for _, row in rows.iterrows()]
where = {"catalog": sky, "images": "vote-sky"}
title = "Are there spiral arms? How many would be asked, and of those, how many would say yes"
morphtools.show_galaxies(rows.index, captions, title, **where, out="predicted/asked.png")

# %% [markdown]
# ## A belief is a curve, not a number
#
# For every answer the model gives *concentrations*: small ones mean "I hardly know", large ones "I am sure", as if it
# had seen so many votes. They define a curve over the fraction. Each orientation gives one (grey), and their mean is
# the belief (blue). The truth is the dashed line.

# %%
concentrations = morphtools.read_concentrations(full, schema)  # (orientations, galaxies, answers)
answer = "smooth-or-featured-mock_featured-or-disk"
width = full[f"{answer}_high"] - full[f"{answer}_low"]
chosen = width.argsort().iloc[[len(width) // 20, len(width) // 2, -len(width) // 20]]
x = np.linspace(0.001, 0.999, 400)
figure, axes = plt.subplots(1, 3, figsize=(12, 3))
for panel, row in zip(axes, chosen, strict=True):
    featured, all_three = concentrations[:, row, 1], concentrations[:, row, :3].sum(axis=1)
    curves = beta.pdf(x[:, None], featured, all_three - featured)
    panel.plot(x, curves, color="0.75", lw=0.8)
    panel.plot(x, curves.mean(axis=1), color="#0072b2")
    panel.axvline(truth[row, 1], color="black", ls="--")
    panel.axvspan(full[f"{answer}_low"].iloc[row], full[f"{answer}_high"].iloc[row], color="#0072b2", alpha=0.1)
    panel.set_title(full.index[row], fontsize=9)
    panel.set_xlabel("fraction of volunteers who say featured")
plt.show()
captions = [f"featured {fraction:.2f}" for fraction in full[f"{answer}_fraction"].iloc[chosen]]
morphtools.show_galaxies(full.index[chosen], captions, "These three", **where, columns=3, out="predicted/three.png")

# %% [markdown]
# ## Is it right? Is it as sure as it should be?
#
# These are two different questions. `evaluate_votes` answers both, question by question. First the error of the
# fractions. It should lie between two marks: always predicting the mean (a model that has learned nothing), and the
# noise of finite votes, which nobody can beat, because the votes themselves are random. If it lies at the orange mark,
# as for bars and the number of arms, the model is of no use: these galaxies are too small in their images for that.

# %%
scores = morphtools.evaluate_votes(votes, concentrations, schema, truth=truth, out="evaluated")
morphtools.show("evaluated/figures/skill.png")

# %% [markdown]
# **Calibration.** A 90% interval should contain the votes of nine galaxies in ten: if more, the model is too
# cautious; if fewer, it is too certain. Diamonds show the same for the true fractions, which only a simulated sky
# provides. Grey means good enough.

# %%
morphtools.show("evaluated/figures/coverage.png", "evaluated/figures/reliability.png")

# %% [markdown]
# ## Make it as sure as it should be
#
# Two numbers per question, fitted on galaxies with votes that you can spare, correct most of it. Half of our galaxies
# fit, the other half judges: the loss should fall, and `truth_90`, the fraction of true fractions inside the 90%
# intervals, should come near 0.9.

# %%
half = len(sky) // 2
fitted = morphtools.fit_recalibration(votes[:half], concentrations[:, :half], schema)
recalibrated = morphtools.recalibrate(concentrations, fitted, schema)
judge = {"schema": schema, "truth": truth[half:]}
before = morphtools.evaluate_votes(votes[half:], concentrations[:, half:], **judge)
after = morphtools.evaluate_votes(votes[half:], recalibrated[:, half:], **judge)
table = pd.DataFrame({"question": before["question"], "loss": before["loss"], "loss recalibrated": after["loss"]})
table = table.assign(**{"truth_90": before["truth_90"], "truth_90 recalibrated": after["truth_90"]})
print(table.round(2).to_string(index=False))

# %% [markdown]
# ## Another sky
#
# Now galaxies half as large on the picture, three times as noisy, and with bars and rings as rare as in nature. The
# model has hardly seen such galaxies. This is *domain shift*, and it happens whenever you take weights from one
# survey to another. Where its errors grow, its intervals do not grow as much: it does not know that it does not know.
# (Bars and rings are rarer there, and what is rare is easy to predict: their errors fall.)

# %%
options = {"bands": "gri", "image_size": 128, "field_radii": 24, "magnitude_limit": 17, "depth": 0.33}
other = morphtools.simulate_survey("other-sky", galaxies=GALAXIES // 2, seed=4, **options)
morphtools.predict("efficientnet_lite0_gz2", "predicted-other", catalog="other-sky/catalog.csv", images="other-sky")
said = pd.read_parquet("predicted-other/predictions-full.parquet").set_index("id_str").loc[other["id_str"]]
there = morphtools.read_concentrations(said, schema)
true = other[[f"true_{name}" for name in names]].to_numpy()
worse = morphtools.evaluate_votes(other[names].to_numpy(), there, schema, truth=true)
table = pd.DataFrame({"question": scores["question"], "rmse": scores["rmse"], "rmse there": worse["rmse"]})
table = table.assign(**{"truth_90": scores["truth_90"], "truth_90 there": worse["truth_90"]})
print(table.round(2).to_string(index=False))

# %% [markdown]
# ## With votes of your own
#
# Columns `question_answer` with counts; `morphtools list-schemas` shows the trees of Galaxy Zoo, and how to write
# yours. With a few thousand galaxies, train an encoder on all questions at once:
#
# ```python
# run = morphtools.train("gz2", catalog="votes.csv", images="images.zip", weights="efficientnet_lite0_gz2", out="mine")
# morphtools.predict("mine", "predicted", catalog="galaxies.csv", images="images.zip")
# ```
#
# ## Try
#
# 1. Which question is hardest? Look at `evaluated/questions.csv`, and at galaxies where the error is largest.
# 2. Set `orientations=1` in `predict`. What happens to the coverage, and why?
