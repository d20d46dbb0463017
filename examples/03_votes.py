# %% [markdown]
# # What would volunteers say?
#
# Forty people look at a galaxy. Thirty say "there is a bar", ten say "no". What is the answer? Not "yes": the answer
# is *thirty of forty*, and somebody else's forty people would have said twenty-seven or thirty-three. A model of
# votes predicts such answers, for every question, **with how sure it is**. This tutorial teaches you to read them,
# and to check whether the model is as sure as it should be.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import beta

import morphtools

GALAXIES = 120 if "MORPHTOOLS_SHORT" in os.environ else 1500

# %% [markdown]
# ## Questions form a tree
#
# Whoever says "smooth" is never asked about spiral arms. The shipped weights know 54 questions of several projects;
# we ask those of the simulated sky's own volunteers, whose names end in `-mock`.

# %%
known = next(card for card in morphtools.list_pretrained() if card.name == "mobilenet_v3_small_gz2")
questions = [q for q in known.schema["questions"] if q["question"].endswith("-mock")]
schema = morphtools.Schema.from_dict({"name": "mock", "questions": questions})
print(schema)

# %% [markdown]
# ## Galaxies, and what people said
#
# A simulated sky again, in g, r and i. Its columns have how many volunteers gave each answer. And, since it is
# simulated, the *true* fractions: what infinitely many volunteers would have said. No real survey tells you these.

# %%
sky = morphtools.simulate_survey(
    "vote-sky", galaxies=GALAXIES, bands="gri", image_size=96, field_radii=12, artifact_rate=0, seed=3
)
names = [column.replace("ring-mock", "ring").replace("-mock", "-dr5") for column in schema.label_cols]
votes = sky[names].to_numpy()
truth = sky[[f"true_{name}" for name in names]].to_numpy()

# %% [markdown]
# ## Predict
#
# One call. Every galaxy is shown in eight orientations; a galaxy has no up, so each answer is as good as the others,
# and together they are one belief about the galaxy.

# %%
morphtools.predict("mobilenet_v3_small_gz2", "predicted", catalog="vote-sky/catalog.csv", images="vote-sky")
table = pd.read_parquet("predicted/predictions.parquet").set_index("id_str").loc[sky["id_str"]]
full = pd.read_parquet("predicted/predictions-full.parquet").set_index("id_str").loc[sky["id_str"]]
bar = "bar-mock_strong_fraction"
table[["smooth-or-featured-mock_smooth_fraction", "has-spiral-arms-mock_yes_fraction", bar]].head(8).round(2)

# %% [markdown]
# See the empty places? For a smooth galaxy, what would volunteers say about the bar? **They would not be asked.**
# Where fewer than half of them would reach the question, the readable table stays empty. `predictions-full` has the
# number itself, and the chance of being asked: P(asked), the product of the fractions on the way down the tree.

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
# For every answer the model gives *concentrations*: small ones mean "I hardly know", large ones "I am sure", like
# votes it has seen in its mind. They make a curve over the fraction. Each orientation gives one (grey), and their
# mean is the belief (blue). The truth is the dashed line.

# %%
answer = "smooth-or-featured-mock_featured"
others = [f"smooth-or-featured-mock_{name}" for name in ("smooth", "featured", "artifact")]
width = full[f"{answer}_high"] - full[f"{answer}_low"]
chosen = width.sort_values().index[[len(width) // 20, len(width) // 2, -len(width) // 20]]
x = np.linspace(0.001, 0.999, 400)
figure, axes = plt.subplots(1, 3, figsize=(12, 3))
for panel, name in zip(axes, chosen, strict=True):
    row = full.loc[name]
    a = np.array([row[f"{answer}_concentration_{view}"] for view in range(8)])
    total = np.array([sum(row[f"{each}_concentration_{view}"] for each in others) for view in range(8)])
    curves = beta.pdf(x[:, None], a, total - a)
    panel.plot(x, curves, color="0.75", lw=0.8)
    panel.plot(x, curves.mean(axis=1), color="#2b6cb0")
    panel.axvline(truth[sky["id_str"] == name, schema.label_cols.index(answer)], color="black", ls="--")
    panel.axvspan(row[f"{answer}_low"], row[f"{answer}_high"], color="#2b6cb0", alpha=0.1)
    panel.set_title(f"{name}: featured {row[f'{answer}_fraction']:.2f}", fontsize=9)
    panel.set_xlabel("fraction of volunteers who say featured")
plt.show()
captions = [f"featured {full[f'{answer}_fraction'][name]:.2f}" for name in chosen]
morphtools.show_galaxies(chosen, captions, "These three", **where, columns=3, out="predicted/three.png")

# %% [markdown]
# ## Is it right? Is it as sure as it should be?
#
# Two different questions. `evaluate_votes` answers both, question by question. First the error of the fractions. It
# lies between two marks: always saying the mean (a model that has learned nothing), and the noise of finite votes,
# below which nobody can come, since the votes themselves are a draw.

# %%
concentrations = np.stack([full[[f"{c}_concentration_{view}" for c in schema.label_cols]] for view in range(8)])
scores = morphtools.evaluate_votes(votes, concentrations, schema, truth=truth, out="evaluated")
morphtools.show("evaluated/figures/skill.png")

# %% [markdown]
# **Calibration.** A 90% interval should hold the votes for nine galaxies in ten; not more, then it is too cautious,
# and not fewer, then it is too certain. Diamonds: the same for the true fractions, which only a simulated sky can
# tell. Grey: what is good enough.

# %%
morphtools.show("evaluated/figures/coverage.png", "evaluated/figures/reliability.png")

# %% [markdown]
# ## Make it as sure as it should be
#
# Two numbers per question, fitted on galaxies with votes that you can spare, mend most of it. Half of our galaxies
# fit, the other half judges.

# %%
half = len(sky) // 2
fitted = morphtools.fit_recalibration(votes[:half], concentrations[:, :half], schema)
mended = morphtools.recalibrate(concentrations, fitted, schema)
judge = {"schema": schema, "truth": truth[half:]}
before = morphtools.evaluate_votes(votes[half:], concentrations[:, half:], **judge)
after = morphtools.evaluate_votes(votes[half:], mended[:, half:], **judge)
both = pd.concat({"before": before.set_index("question"), "after": after.set_index("question")}, axis=1).swaplevel(
    axis=1
)
both[["loss", "coverage_90", "truth_90"]].round(3)

# %% [markdown]
# ## Another sky
#
# Now galaxies half as large on the picture, and three times as noisy. The model has hardly seen such: this is *domain
# shift*, and it is what happens when you take weights from one survey to another. Its errors grow, and worse, its
# intervals do not grow as much: it does not know that it does not know.

# %%
shifted = morphtools.simulate_survey(
    "other-sky", galaxies=GALAXIES // 2, bands="gri", image_size=96, field_radii=24, depth=0.33, artifact_rate=0, seed=4
)
morphtools.predict("mobilenet_v3_small_gz2", "shifted", catalog="other-sky/catalog.csv", images="other-sky")
there = pd.read_parquet("shifted/predictions-full.parquet").set_index("id_str").loc[shifted["id_str"]]
alpha = np.stack([there[[f"{c}_concentration_{view}" for c in schema.label_cols]] for view in range(8)])
shifted_truth = shifted[[f"true_{name}" for name in names]].to_numpy()
worse = morphtools.evaluate_votes(shifted[names].to_numpy(), alpha, schema, truth=shifted_truth)
both = pd.concat({"this sky": scores.set_index("question"), "other": worse.set_index("question")}, axis=1)
both.swaplevel(axis=1)[["rmse", "truth_90"]].round(3)

# %% [markdown]
# ## With votes of your own
#
# Columns `question_answer` with counts; `morphtools list-schemas` shows the trees of Galaxy Zoo, and how to write
# yours. With a few thousand galaxies, train an encoder on all questions at once:
#
# ```python
# run = morphtools.train("gz2", catalog="votes.csv", images="images.zip", weights="mobilenet_v3_small_gz2", out="my-votes")
# morphtools.predict("my-votes", "predicted", catalog="galaxies.csv", images="images.zip")
# ```
#
# ## Try
#
# 1. Which question is hardest? Look at `evaluated/questions.csv`, and at galaxies where the error is largest.
# 2. Set `orientations=1` in `predict`. What happens to the coverage, and why?
