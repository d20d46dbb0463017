"""Measures what `predict` costs in addition to the forward pass of its model.

    python benchmarks/predict.py --galaxies 400 --image-size 96

Pictures of noise become records of JPEG files; the model is EfficientNetB0 with a head for the questions of Galaxy Zoo
2 (random weights are as fast as any). "bare" is that model alone, compiled, shown one batch from memory again and
again. "stream" reads, decodes, computes and writes; "predict" is the whole verb with fractions, credible intervals and
tables. Both times are the difference between many galaxies and few, so that loading and compiling do not count. The
turns alternate, in case the speed of the machine changes; processor seconds are those of all threads, and are valid
even if others use the machine.
"""

import argparse
import io
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image
from rows import report

import morphtools.inference.predict as verb
from morphtools.inference import stream
from morphtools.inference.filling import compiled
from morphtools.models.cards import Card, write_card
from morphtools.models.dirichlet import DirichletHead
from morphtools.models.encoders import any_way_up, build_encoder, settle_batch_norm
from morphtools.models.pretrained import load_pretrained
from morphtools.survey.schemas import get_schema
from tfrecords_builder.build import build_records
from tfrecords_builder.images import Image as Stored


def make_records(folder: Path, galaxies: int, size: int):
    def source(file_loc: str) -> Stored:
        small = np.random.default_rng(int(file_loc)).integers(0, 255, (size // 4, size // 4, 3)).astype("uint8")
        buffer = io.BytesIO()
        Image.fromarray(small).resize((size, size)).save(buffer, "JPEG", quality=90)
        return Stored(buffer.getvalue(), (size, size, 3))

    names = [str(i) for i in range(galaxies)]
    catalog = pd.DataFrame({"id_str": names, "file_loc": names, "split": "test"})
    return build_records(catalog, folder / f"records-{galaxies}", images=source)


def make_weights(folder: Path, encoder: str, size: int) -> Path:
    schema = get_schema("gz2")
    shape = (size, size, 3)
    body = build_encoder(encoder, shape)
    settle_batch_norm(body, np.random.default_rng(0).uniform(size=(64, *shape)).astype("float32"))
    model = keras.Sequential([keras.Input(shape), *any_way_up(body), DirichletHead(len(schema.label_cols))])
    path = folder / "bench.weights.h5"
    model.save_weights(path)
    card = Card("bench", "votes", {"name": encoder}, ("r", "g", "b"), "picture", shape[:2], schema=schema.to_dict())
    write_card(card, path)
    return path


def seconds(work) -> np.ndarray:
    """Of the clock and of the processor."""
    start = np.array([time.perf_counter(), time.process_time()])
    work()
    return np.array([time.perf_counter(), time.process_time()]) - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--galaxies", type=int, default=400)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--encoder", default="efficientnet_b0")
    parser.add_argument("--orientations", type=int, default=8)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    few, many = options.galaxies // 4, options.galaxies
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = {n: make_records(folder, n, options.image_size) for n in (few, many)}
        weights = make_weights(folder, options.encoder, options.image_size)
        loaded = load_pretrained(weights, include_top=True, orientations=options.orientations)
        model = verb.ask_every_way([loaded], every_view=True)
        shape = model.input_shape[1:]
        batch_size = options.batch_size or stream.galaxies_per_batch(model, options.orientations)
        step = compiled(model, batch_size)
        batch = np.random.default_rng(0).uniform(size=(batch_size, *shape)).astype("float32")
        np.asarray(step(batch))
        rows = []
        for turn in range(options.turns):
            chunks = {n: folder / f"chunks-{turn}-{n}" for n in records}

            def bare():
                for _ in range(-(-(many - few) // batch_size)):
                    np.asarray(step(batch))

            def table(names, values):
                return pa.table({"id_str": names, "values": list(values.reshape(len(names), -1))})

            def streamed(n, chunks=chunks):
                chunks[n].mkdir()
                stream.stream(model, records[n], chunks[n], table, splits=["test"], batch_size=batch_size)

            def predicted(n, turn=turn):
                out = folder / f"out-{turn}-{n}"
                arguments = {"orientations": options.orientations, "batch_size": batch_size}
                verb.predict(weights, out, records=records[n], **arguments)

            row = {"bare": seconds(bare)}
            for what, work in (("stream", streamed), ("predict", predicted)):
                took = {n: seconds(lambda n=n, work=work: work(n)) for n in (few, many)}
                row[what] = took[many] - took[few]
            rows.append({what: (many - few) / each for what, each in row.items()})
            print({what: each.round(1).tolist() for what, each in rows[-1].items()}, flush=True)
    print(f"\n{options.encoder}, {options.image_size} px, {options.orientations} orientations, batches of {batch_size}")
    for i, clock in enumerate(("second", "processor second")):
        table = pd.DataFrame([{what: each[i] for what, each in row.items()} for row in rows])
        share = table[["stream", "predict"]].div(table["bare"], axis=0).median().round(3)
        print(f"\ngalaxies a {clock}\n{table.round(1).to_string(index=False)}")
        print(f"median share of the bare model's: {share.to_dict()}")
    ours, bare = ([each[what][0] for each in rows] for what in ("predict", "bare"))
    what = f"predict, {options.encoder}, {options.image_size} px, {options.orientations} orientations, {many} galaxies"
    report(what, "the bare model", ours, bare, "galaxies/s", "1 is the most possible")


if __name__ == "__main__":
    main()
