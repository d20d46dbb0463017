"""Rings from a few hundred labels, step by step. Run it as a script, or cell by cell."""

# %% A classifier from 200 labelled galaxies of the simulated sky, tested on galaxies it never saw
import sys

import morphtools

out = sys.argv[1] if len(sys.argv) > 1 else "morphtools-runs/example-rings"
run = morphtools.finetune("rings", labels=200, out=out)
print(run.summary)

# %% Every test galaxy with its probability, the most likely rings first
predictions = morphtools.Predictions.open(run.out / "predictions.parquet").table()
print(predictions.sort_values("probability", ascending=False).head(10).to_string(index=False))

# %% Look at the galaxies behind the numbers
print("open", run.out / "figures" / "mistakes.png")

# %% The classifier is a plain Keras model, from images to probabilities
import keras  # noqa: E402

model = keras.saving.load_model(run.out / "model.keras")
model.summary()

# %% With your own galaxies: a table with id_str, file_loc and a column `ring` (0/1) or `ring_fraction`
# run = morphtools.finetune("rings", 500, catalog="galaxies.csv", images="images.zip", out="my-rings")
