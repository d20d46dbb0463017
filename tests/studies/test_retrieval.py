import numpy as np
import pytest

from morphtools.inference.representations import Representations
from morphtools.studies.retrieval import evaluate_retrieval


def test_precision_is_that_of_a_slow_loop(three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    rng = np.random.default_rng(1)
    catalog["ring"] = rng.integers(0, 2, 60).astype(float)
    catalog.loc[40:, "ring"] = np.nan
    table = evaluate_retrieval({"ours": store}, catalog, ["ring"], k=4, metric="euclidean", out=tmp_path)
    values, ring = store.values()[:40], catalog["ring"][:40].to_numpy()
    shares = []
    for i in np.flatnonzero(ring == 1):
        away = np.linalg.norm(values - values[i], axis=1)
        away[i] = np.inf
        shares.append(ring[np.argsort(away)[:4]].mean())
    (row,) = table.to_dict("records")
    assert row["precision"] == pytest.approx(np.mean(shares)) and row["queries"] == len(shares)
    assert row["chance"] == pytest.approx((ring.sum() - 1) / 39) and row["low"] < row["precision"] < row["high"]


def test_a_space_that_knows_the_kinds_beats_one_that_does_not(three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    noise = Representations.create(tmp_path / "noise", 3, {})
    noise.append([*store.id_str, "unlabelled"], np.random.default_rng(0).normal(size=(61, 3)))
    table = evaluate_retrieval({"ours": store, "noise": noise}, catalog, ["kind"], out=tmp_path)
    score = table.set_index(["representations", "value"])["precision"].unstack("representations")
    assert (score["ours"] == 1).all() and (score["noise"] < 0.6).all()
    assert (tmp_path / "retrieval.png").exists()


def test_galaxies_that_are_all_alike_give_a_precision_of_one_at_most(tmp_path, three_kinds):
    _, catalog, _ = three_kinds
    same = Representations.create(tmp_path / "same", 2, {})
    same.append(catalog["id_str"], np.ones((60, 2)))
    catalog["all"] = 1
    table = evaluate_retrieval({"same": same}, catalog, ["all"], out=tmp_path)
    assert table["precision"].tolist() == [1.0] and table["chance"].tolist() == [1.0]


def test_what_cannot_be_measured_is_named(three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    with pytest.raises(ValueError, match="'smooth_fraction' must contain classes in words, or 0 and 1"):
        evaluate_retrieval({"a": store}, catalog, ["smooth_fraction"], out=tmp_path)
    with pytest.raises(ValueError, match="too few galaxies have kind"):
        evaluate_retrieval({"a": store}, catalog.assign(kind=catalog["kind"].where(catalog.index < 9)), ["kind"])
    with pytest.raises(ValueError, match="at least one store"):
        evaluate_retrieval({}, catalog, ["kind"], out=tmp_path)
