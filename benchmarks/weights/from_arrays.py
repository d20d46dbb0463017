"""Turns weights that were trained outside `morphtools train`, as plain arrays, into a run folder for `pack.py`.

    python benchmarks/weights/from_arrays.py ARRAYS.npz GATHERED RUN --encoder efficientnet_lite0 --image-size 128

ARRAYS holds `e0000`, `e0001`, … (the encoder's weights in the order of its layers) and, for a model of votes, `h0` and
`h1` (kernel and bias of the head, columns as in the schema). GATHERED is what `gather_labels.py` made. A vote model is
calibrated on the validation galaxies, as `train` does.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
import pandas as pd

import morphtools
from morphtools.models.cards import Card, write_card
from morphtools.models.encoders import any_way_up
from tfrecords_builder.files import write_whole


def assign(variables, arrays):
    """Sets variables to arrays of the same shapes, one by one."""
    for variable, values in zip(variables, arrays, strict=True):
        if tuple(variable.shape) != values.shape:
            raise ValueError(f"{variable.path} has shape {tuple(variable.shape)}, the array has {values.shape}")
        variable.assign(values.astype("float32"))


def save(model, card, run):
    """Writes the model and its card."""
    write_whole(run / "model.keras", model.save)
    write_card(card, run / "model.keras")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arrays", type=Path)
    parser.add_argument("gathered", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--image-size", type=int, required=True)
    args = parser.parse_args()
    args.run.mkdir(parents=True)
    shape = (args.image_size, args.image_size, 3)
    encoder = morphtools.build_encoder(args.encoder, shape)
    with np.load(args.arrays) as arrays:
        names = sorted(name for name in arrays.files if name.startswith("e"))
        assign([w for layer in encoder.layers for w in layer.weights], [arrays[name] for name in names])
        head_weights = [arrays[name] for name in ("h0", "h1") if name in arrays]
    about = {"name": args.run.name, "encoder": {"name": args.encoder}, "bands": ("r", "g", "b"), "range": "picture"}
    about |= {"image_size": shape[:2]}
    if not head_weights:
        save(encoder, Card(kind="encoder", **about), args.run)
        return
    schema = morphtools.get_schema(args.gathered / "schema.yaml")
    head = morphtools.DirichletHead(len(schema.label_cols))
    model = keras.Sequential([keras.Input(shape), *any_way_up(encoder), head])
    assign(head.dense.weights, head_weights)
    card = Card(kind="votes", schema=schema.to_dict(), **about)
    save(model, card, args.run)
    catalog = pd.read_parquet(args.gathered / "catalog.parquet")
    kept_back = catalog[catalog["split"] == "val"].set_index("id_str", drop=False)
    kept_back[["id_str", "file_loc"]].to_csv(args.run / "validation.csv", index=False)
    morphtools.predict(
        args.run, args.run / "validation", catalog=args.run / "validation.csv", images=args.gathered / "images"
    )
    table = pd.read_parquet(args.run / "validation" / "predictions-full.parquet")
    votes = kept_back.loc[table["id_str"], list(schema.label_cols)].to_numpy()
    numbers = morphtools.fit_recalibration(votes, morphtools.read_concentrations(table, schema), schema)
    head.recalibrate(*(numbers.T @ schema.membership))
    save(model, card, args.run)


if __name__ == "__main__":
    main()
