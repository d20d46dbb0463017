import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morphtools.models.cards import Card, write_card
from morphtools.models.encoders import build_encoder
from morphtools.studies.evaluate_representations import evaluate_representations
from tfrecords_builder.build import build_records


@pytest.mark.slow
def test_weights_are_compared_with_a_random_encoder_and_pixels(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(150):
        level = 60 + 90 * (i % 2)
        Image.fromarray(rng.integers(level, level + 60, (16, 16, 3)).astype("uint8")).save(tmp_path / f"{i}.png")
        rows.append({"id_str": f"g{i}", "file_loc": f"{i}.png", "kind": ["faint", "bright"][i % 2]})
    records = build_records(pd.DataFrame(rows), tmp_path / "records", images=tmp_path)
    keras.utils.set_random_seed(1)
    encoder = build_encoder("resnet10_half", (16, 16, 3))
    (tmp_path / "run").mkdir()
    encoder.save(tmp_path / "run" / "model.keras")
    fields = {"bands": records.bands, "range": "picture", "image_size": (16, 16)}
    write_card(
        Card(name="mine", kind="encoder", encoder={"name": "resnet10_half"}, **fields), tmp_path / "run/model.keras"
    )

    options = {"labels": "20,60", "repeats": 2, "orientations": 1, "out": tmp_path / "out"}
    run = evaluate_representations(str(tmp_path / "run"), records.folder, **options)
    scores = pd.read_csv(run.out / "scores.csv")
    assert set(scores["representation"]) == {"run", "random encoder", "pixels + PCA"}
    assert set(scores["labels"]) == {20, 60} and scores[scores["probe"] == "linear"]["score"].max() > 0.9
    moved = pd.read_csv(run.out / "stationarity.csv")
    assert list(moved["representation"]) == ["run", "pixels", "random encoder"] and (moved["noised"] > 0).all()
    assert {p.name for p in run.out.iterdir()} == {
        "claim.json", "config.yaml", "log.txt", "scores.csv", "stationarity.csv", "figures", "metrics.json"
    }  # fmt: skip
    assert evaluate_representations(str(tmp_path / "run"), records.folder, **options).metrics == run.metrics
    with pytest.raises(ValueError, match="labels must be numbers such as"):
        evaluate_representations("x", records.folder, labels="many")
