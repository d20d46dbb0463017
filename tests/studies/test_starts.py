import dataclasses

import pandas as pd
import pytest

from morphtools.studies import starts


@dataclasses.dataclass
class Run:
    metrics: dict
    out: object


@pytest.fixture
def pretrained(monkeypatch):
    """Replaces `pretrain` by reports in which the neighbours' score grows by .1 per epoch; returns its calls."""
    calls, before = [], {"random": 0.3, "efficientnet_lite0_gz2": 0.7, "efficientnet_lite0_byol_sdss": 0.8}

    def pretrain(*, epochs, weights=None, out, **others):
        calls.append({"epochs": epochs, "weights": weights, "out": out, **others})
        score = before[weights or "random"]
        out.mkdir(parents=True)
        rows = [score + 0.1 * (i + 1) for i in range(epochs)]
        history = {"knn kind": rows, "knn kind low": rows, "knn kind high": rows, "loss": 0.0}
        pd.DataFrame({"epoch": range(1, epochs + 1), **history}).to_csv(out / "history.csv", index=False)
        row = {"knn kind": score, "knn kind low": score, "knn kind high": score}
        name = "starting weights" if weights else "random encoder"
        random = {"random encoder": dict.fromkeys(row, 0.3)}
        return Run({"baselines": random | {name: row, "pixels + PCA": dict.fromkeys(row, 0.4)}}, out)

    monkeypatch.setattr(starts, "pretrain", pretrain)
    return calls


def test_every_start_is_the_same_encoder_and_its_epoch_0_is_the_start_itself(tmp_path, pretrained):
    chosen = "random, efficientnet_lite0_gz2,efficientnet_lite0_byol_sdss"
    table = starts.compare_starts({"epochs": 2, "method": "byol"}, "records", starts=chosen, out=tmp_path)
    assert [(call["encoder"], call["weights"], call["image_size"]) for call in pretrained] == [
        ("efficientnet_lite0", None, 128),
        (None, "efficientnet_lite0_gz2", 128),
        (None, "efficientnet_lite0_byol_sdss", 128),
    ]
    assert [call["out"].name for call in pretrained] == chosen.replace(" ", "").split(",")
    assert table.groupby("start", sort=False)["knn kind"].apply(list).to_dict() == {
        "random": pytest.approx([0.3, 0.4, 0.5]),
        "efficientnet_lite0_gz2": pytest.approx([0.7, 0.8, 0.9]),
        "efficientnet_lite0_byol_sdss": pytest.approx([0.8, 0.9, 1.0]),
    }
    assert list(table["epoch"]) == [0, 1, 2] * 3
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "starts.csv"), table)
    assert (tmp_path / "starts.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("pretraining", "chosen", "message"),
    [
        ({"weights": "efficientnet_lite0_gz2"}, "random", "decides weights: remove it"),
        ({}, "random", "at least one start must be weights"),
        ({}, "efficientnet_lite0_gz2,mobilenet_v3_small_gz2", "mobilenet_v3_small_gz2 is mobilenet_v3_small"),
        ({}, "random,random", "every start needs its own name"),
        ({}, "random,efficientnet_lite0_gz3", "did you mean 'efficientnet_lite0_gz2'"),
    ],
)
def test_starts_that_cannot_be_compared_are_refused_before_anything_is_trained(
    tmp_path, pretrained, pretraining, chosen, message
):
    with pytest.raises(ValueError, match=message):
        starts.compare_starts(pretraining, "records", starts=chosen, out=tmp_path / "out")
    assert pretrained == [] and not (tmp_path / "out").exists()
