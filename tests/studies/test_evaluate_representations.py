import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morphtools.models.cards import Card, write_card
from morphtools.models.encoders import build_encoder
from morphtools.studies import evaluate_representations as evaluate_module
from morphtools.studies import stationarity
from morphtools.studies.evaluate_representations import evaluate_representations
from tfrecords_builder.build import build_records


@pytest.mark.slow
def test_weights_are_compared_with_a_random_encoder_and_pixels(tmp_path, monkeypatch):
    for module in (evaluate_module, stationarity):  # UMAP takes long to import and to fit
        monkeypatch.setattr(module, "umap_of", lambda values, **settings: values[:, :2])
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

    options = {"labels": "20,60", "repeats": 2, "orientations": 1, "controls": True, "out": tmp_path / "out"}
    run = evaluate_representations(str(tmp_path / "run"), records.folder, **options)
    scores = pd.read_csv(run.out / "scores.csv")
    bare = {"run", "random encoder", "pixels + PCA", "pixels / maximum + PCA"}
    assert set(scores["representation"]) == bare | {f"UMAP of {name}" for name in bare}
    assert set(scores["labels"]) == {20, 60}
    assert scores[scores["probe"] == "linear"]["score"].max() > 0.9
    moved = pd.read_csv(run.out / "stationarity.csv")
    assert list(moved["representation"].unique()) == ["run", "pixels", "random encoder"]
    pixels = moved[(moved["representation"] == "pixels") & (moved["change"] == "noised")]["displacement"]
    assert pixels.is_monotonic_increasing and pixels.iloc[-1] == pytest.approx(6 * pixels.iloc[0], rel=1e-3)
    assert {p.name for p in run.out.iterdir()} == {
        "claim.json", "config.yaml", "log.txt", "scores.csv", "stationarity.csv", "figures", "metrics.json"
    }  # fmt: skip
    assert evaluate_representations(str(tmp_path / "run"), records.folder, **options).metrics == run.metrics
    unlabelled = build_records(pd.DataFrame(rows).drop(columns="kind"), tmp_path / "unlabelled", images=tmp_path)
    run = evaluate_representations(str(tmp_path / "run"), unlabelled.folder, **options | {"out": tmp_path / "other"})
    assert not (run.out / "scores.csv").exists() and "rotated: run" in run.metrics["test"]
    with pytest.raises(ValueError, match="labels must be numbers such as"):
        evaluate_representations("x", records.folder, labels="many")
