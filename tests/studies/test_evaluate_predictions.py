import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from morphtools.answers.classes import Classes
from morphtools.answers.fractions import Fractions
from morphtools.answers.kinds import answer_metadata
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.several import Several
from morphtools.answers.votes import Votes
from morphtools.studies.evaluate_predictions import evaluate_predictions

N = 60
IDS = [f"{i:03d}" for i in range(N)]
RING, TYPES = Classes(("no ring", "ring")), Classes(("E", "S", "Irr"))
TREE = {"name": "mine", "questions": [{"question": "bar", "answers": ["strong", "weak", "no"]}]}


def predicted(folder, answer, outputs):
    """The folder that `predict` leaves, in an order that is not that of the names."""
    folder.mkdir(exist_ok=True)
    order = np.random.default_rng(5).permutation(N)
    table = answer.tables([IDS[i] for i in order], outputs[:, order], 0.9)[1]
    metadata = answer_metadata(answer, {"weights": "w"})
    table = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(metadata)
    pq.write_table(table, folder / "predictions-full.parquet")
    return folder


def catalog_of(folder, **columns):
    """A catalogue of the first 50 of the galaxies, in another order, and of two others."""
    table = pd.DataFrame({"id_str": IDS} | columns)[:50].sample(frac=1, random_state=1)
    others = table[:2].assign(id_str=["x1", "x2"])
    pd.concat([table, others]).to_csv(folder / "known.csv", index=False)
    return folder / "known.csv"


def values(scores):
    return scores.set_index("score")["value"]


@pytest.fixture
def rings(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, N)
    p = np.clip(0.5 + 0.3 * (2 * truth - 1) + rng.normal(0, 0.3, N), 0.01, 0.99)
    return predicted(tmp_path / "predictions", RING, np.stack([1 - p, p], axis=1)[np.newaxis]), truth, p


@pytest.mark.parametrize(
    "written", [lambda y: y, lambda y: np.where(y, "yes", "no"), lambda y: np.where(y, "Ring", "")]
)
def test_two_classes_are_scored_as_scikit_learn_does(rings, tmp_path, written):
    folder, truth, p = rings
    labels = written(truth)
    kept = np.arange(50)[pd.Series(labels[:50]) != ""]
    catalog = catalog_of(tmp_path, ring=labels)
    scores = values(evaluate_predictions(folder, catalog, column="ring", out=tmp_path / "out"))
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth[kept], p[kept] >= 0.5))
    if len(kept) == 50:
        assert scores["auc"] == pytest.approx(roc_auc_score(truth[:50], p[:50]))
        assert (tmp_path / "out/figures/roc.png").exists()
        assert scores["log_loss"] == pytest.approx(log_loss(truth[:50], p[:50]))
    assert {"confusion.png", "calibration.png"} <= {f.name for f in (tmp_path / "out/figures").iterdir()}
    assert len(pd.read_parquet(tmp_path / "out/predictions.parquet")) == len(kept)


def test_several_questions_are_scored_each_where_its_answer_is_known(tmp_path):
    rng = np.random.default_rng(2)
    answer = Several(("bar", "type", "odd"), (Classes(("no", "yes")), TYPES, Classes(("no", "yes"))))
    p = np.concatenate([rng.dirichlet(np.ones(k), N) for k in (2, 3, 2)], axis=1)
    bar, kind = rng.integers(0, 2, N), rng.integers(0, 3, N)
    columns = {"bar": np.where(np.arange(N) % 3, bar, np.nan), "type": np.array(TYPES.names)[kind]}
    folder = predicted(tmp_path / "predictions", answer, p[np.newaxis])
    scores = values(evaluate_predictions(folder, catalog_of(tmp_path, **columns), out=tmp_path / "out"))
    known = np.flatnonzero(np.isfinite(columns["bar"][:50]))
    assert scores["auc of bar"] == pytest.approx(roc_auc_score(bar[known], p[known, 1]))
    assert scores["accuracy of type"] == pytest.approx(accuracy_score(kind[:50], p[:50, 2:5].argmax(axis=1)))
    assert not any(name.endswith("of odd") for name in scores.index)  # the catalogue has no such column
    assert (tmp_path / "out/figures/type/confusion.png").exists() and not (tmp_path / "out/figures/odd").exists()


def test_the_column_of_a_built_in_task_is_found_and_its_rule_cuts_fractions(rings, tmp_path):
    folder, truth, p = rings
    catalog = catalog_of(tmp_path, ring_fraction=np.where(truth, 0.4, 0.01))
    scores = evaluate_predictions(folder, catalog, out=tmp_path / "out")
    assert values(scores)["accuracy"] == pytest.approx(accuracy_score(truth[:50], p[:50] >= 0.5))
    assert (scores["low"] <= scores["value"]).all() and (scores["value"] <= scores["high"]).all()


def test_classes_are_matched_by_name_whatever_their_order_and_others_are_left_out(tmp_path, caplog):
    rng = np.random.default_rng(1)
    truth, p = rng.integers(0, 3, N), rng.dirichlet([1, 1, 1], N)
    folder = predicted(tmp_path / "p", TYPES, p[np.newaxis])
    words = np.array(["e", "s", "irr"], object)[truth]
    words[:5] = "merger"
    scores = values(evaluate_predictions(folder, catalog_of(tmp_path, kind=words), column="kind", out=tmp_path / "o"))
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth[5:50], p[5:50].argmax(axis=1)))
    assert "left out, because the predictions have no such classes: merger (5 galaxies)" in caplog.text


def test_numbers_fractions_redshifts_and_votes(tmp_path):
    rng = np.random.default_rng(2)
    size = rng.uniform(1, 9, N)
    folder = predicted(tmp_path / "n", Numbers(("size",)), np.stack([size + 0.5, np.full(N, -1.0)], axis=1)[np.newaxis])
    scores = values(evaluate_predictions(folder, catalog_of(tmp_path, size=size), out=tmp_path / "n-out"))
    assert scores["bias"] == pytest.approx(0.5) and scores["rmse"] == pytest.approx(0.5)

    votes, p = rng.integers(5, 20, (N, 2)), rng.dirichlet([2, 2], N)
    folder = predicted(tmp_path / "f", Fractions(("smooth", "disk")), p[np.newaxis])
    catalog = catalog_of(tmp_path, smooth=votes[:, 0], disk=votes[:, 1])
    scores = values(evaluate_predictions(folder, catalog, out=tmp_path / "f-out"))
    share = votes / votes.sum(axis=1, keepdims=True)
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean((share - p)[:50] ** 2)))

    folder = predicted(tmp_path / "z", Photoz(4, (0.0, 0.4)), np.tile([0.0, 1.0, 0.0, 0.0], (1, N, 1)))
    scores = values(evaluate_predictions(folder, catalog_of(tmp_path, redshift=[0.1] * N), out=tmp_path / "z-out"))
    assert scores["bias"] == pytest.approx(0.05 / 1.1, abs=1e-3)


def test_votes_are_scored_over_the_questions_that_were_asked(tmp_path):
    from morphtools.answers.calibration import vote_metrics
    from morphtools.survey.schemas import Schema

    rng, schema = np.random.default_rng(3), Schema.from_dict(TREE)
    alpha, votes = rng.uniform(1, 9, (2, N, 3)), rng.integers(0, 9, (N, 3))
    votes[:7] = 0
    folder = predicted(tmp_path / "p", Votes(schema), alpha)
    catalog = catalog_of(tmp_path, **dict(zip(schema.label_cols, votes.T, strict=True)))
    scores = values(evaluate_predictions(folder, catalog, out=tmp_path / "out"))
    order = [int(name) for name in pd.read_csv(catalog, dtype=str)["id_str"] if name.isdigit() and int(name) >= 7]
    (expected,) = vote_metrics(votes[order], alpha[:, order].astype("float32"), schema).to_dict("records")
    for name in ("loss", "baseline_loss", "gain", "rmse", "coverage_90"):
        assert scores[name] == pytest.approx(expected[name], rel=1e-5), name
    assert (tmp_path / "out/questions.csv").exists() and (tmp_path / "out/figures/reliability.png").exists()


def test_galaxies_that_the_run_was_trained_on_are_left_out(rings, tmp_path, caplog):
    folder, truth, p = rings
    run = tmp_path / "run"
    run.mkdir()
    splits = ["train"] * 20 + ["val"] * 5 + ["test"] * 35
    pd.DataFrame({"id_str": IDS, "split": splits}).to_parquet(run / "galaxies.parquet")
    (folder / "predict.json").write_text(json.dumps({"models": [str(run / "card.json")]}))
    scores = values(evaluate_predictions(folder, catalog_of(tmp_path, ring=truth), out=tmp_path / "out"))
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth[25:50], p[25:50] >= 0.5))


def test_galleries_show_galaxies_where_there_are_images(rings, tmp_path):
    folder, truth, _ = rings
    for name in IDS:
        Image.fromarray(np.full((8, 8, 3), int(name), np.uint8)).save(tmp_path / f"{name}.png")
    catalog = catalog_of(tmp_path, ring=truth, file_loc=[f"{name}.png" for name in IDS])
    evaluate_predictions(folder, catalog, images=tmp_path, out=tmp_path / "out")
    assert {"mistakes.png", "confident.png", "uncertain.png"} <= {f.name for f in (tmp_path / "out/figures").iterdir()}


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"kind": ["E", "S"] * 30}, {"column": "kind"}, r"must contain 0/1 or .*got .*words may be yes/no"),
        ({"ring": [1, 0] * 30}, {"column": "rnig"}, "unknown column 'rnig'.*did you mean 'ring'"),
        (
            {"ring": [None] * 60},
            {"column": "ring"},
            "none of the 50 galaxies that are in both tables has a known answer|holds no",
        ),
        ({"bar": [1, 0] * 30}, {}, "no labels|no votes|none of"),
        ({"a": [1] * 60, "b": [0] * 60}, {"column": "a,b"}, "the predictions are classes: give one `column`"),
    ],
)
def test_truths_of_another_kind_and_missing_ones_end_in_a_sentence(rings, tmp_path, columns, options, message):
    with pytest.raises(ValueError, match=message) as error:
        evaluate_predictions(rings[0], catalog_of(tmp_path, **columns), **options, out=tmp_path / "out")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_without_common_galaxies_both_kinds_of_names_are_shown(rings, tmp_path):
    pd.DataFrame({"id_str": ["J1", "J2"], "ring": [0, 1]}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(ValueError, match=r"no galaxy of the catalogue is in .*like J1, J2, and like \d{3}, \d{3}"):
        evaluate_predictions(rings[0], tmp_path / "other.csv", out=tmp_path / "out")


def test_a_run_and_a_table_of_an_earlier_version_are_told_apart_from_predictions(rings, tmp_path):
    catalog = catalog_of(tmp_path, ring=rings[1])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="is a run, whose scores are in its"):
        evaluate_predictions(tmp_path / "run", catalog, out=tmp_path / "out")
    path = rings[0] / "predictions-full.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    with pytest.raises(ValueError, match=r"do not tell what was predicted.*run predict again"):
        evaluate_predictions(rings[0], catalog, out=tmp_path / "out")
