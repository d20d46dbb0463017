import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from morphtools import cli
from morphtools.inference.representations import Representations
from morphtools.studies import compare_weights as verb
from morphtools.studies.compare_weights import compare_weights, interval


def test_the_interval_of_scores_that_share_galaxies_is_that_of_nadeau_and_bengio():
    scores = np.array([0.70, 0.72, 0.74, 0.76, 0.78])
    # by hand: s² = .001, variance .001 (1/5 + 1/3) with a quarter of the galaxies to test on; t(.975, 4) = 2.776445
    half = 2.776445 * np.sqrt(0.001 * (1 / 5 + 1 / 3))
    assert interval(scores) == pytest.approx((0.74, 0.74 - half, 0.74 + half))


@pytest.fixture
def galaxies(tmp_path, monkeypatch):
    """A catalogue of two kinds; `good` and `same` tell them apart alike, `random` and `pixels` know nothing."""
    rng = np.random.default_rng(0)
    names, kinds = [f"g{i:03d}" for i in range(120)], np.arange(120) % 2
    good = kinds[:, np.newaxis] * 2.5 + rng.normal(size=(120, 3))
    values = {"good": good, "same": good + 0.01 * rng.normal(size=(120, 3))}
    values |= {name: rng.normal(size=(120, 3)) for name in ("random", "pixels")}
    table = pd.DataFrame({"id_str": names, "file_loc": "x.png", "kind": np.where(kinds, "FRII", "FRI")})
    table.loc[0, "kind"] = None
    table.loc[2, "kind"] = "Bent"
    table.to_csv(tmp_path / "catalog.csv", index=False)

    def represented(records, weights, arguments, out):
        stores = {}
        for name, x in values.items():
            stores[name] = Representations.create(out / name, 3, {"weights": name})
            stores[name].append(names[2:] if name == "same" else names, x[2:] if name == "same" else x)
        return stores

    monkeypatch.setattr(verb, "_represented", represented)
    monkeypatch.setattr(verb, "_galaxies", lambda arguments, out: (None, table))
    monkeypatch.setattr("morphtools.training.runs._inputs", lambda arguments: {})
    return tmp_path / "catalog.csv"


def test_weights_are_ranked_and_indistinguishable_ones_are_reported_as_such(galaxies, tmp_path):
    run = compare_weights("good,same", label="kind", classes="FRI,FRII", catalog=galaxies, out=tmp_path / "out")
    table = pd.read_csv(run.out / "weights.csv")
    assert set(table["weights"][:2]) == {"good", "same"} and (table["accuracy"][:2] > 0.8).all()
    assert table["lead_low"][0] <= 0 < table["lead_low"][1]  # alike; then better than chance
    first, second = run.metrics["title"].splitlines()
    assert "59 FRII, 58 FRI" in first  # those that all stores have, of these classes
    signs = [word for word in second.split() if word in ">≈"]
    assert signs[:2] == ["≈", ">"] and (run.out / "figures/weights.png").stat().st_size > 5000
    assert run.metrics["test"]["good"]["low"] < run.metrics["test"]["good"]["value"]


def test_heads_on_frozen_encoders_are_compared_by_number_of_labels(galaxies, tmp_path):
    how = {"label": "kind", "classes": "FRI,FRII", "catalog": galaxies, "labels": [8, 40], "repeats": 2}
    run = compare_weights("good,same", **how, out=tmp_path / "out")
    table = pd.read_csv(run.out / "heads_table.csv").set_index(["way", "labels"])
    assert set(table.index) == {(way, n) for way in ("good", "same", "random", "pixels") for n in (8, 40)}
    assert table["accuracy"]["good", 40] > 0.8 > table["accuracy"]["random", 40] and set(table["seeds"]) == {2}
    assert (run.out / "figures/heads.png").stat().st_size > 5000
    assert len(pd.read_csv(run.out / "heads.csv")) == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": None}, "which column holds the classes"),
        ({"label": "kin"}, "kind"),
        ({"label": "kind", "classes": "FRI,FR2"}, "no galaxy is of the class FR2; there are Bent, FRI, FRII"),
        ({"label": "kind", "classes": "FRI"}, "at least two classes"),
    ],
)
def test_what_cannot_be_compared_is_reported(galaxies, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        compare_weights("good", catalog=galaxies, out=tmp_path / "out", **options)


def test_weights_of_the_same_name_are_refused_before_anything_is_represented(tmp_path):
    for names in (["a/run", "b/run"], ["random"], ["pixels", "x"]):
        with pytest.raises(ValueError, match="must have different names"):
            verb._represented(None, names, {}, tmp_path)


@pytest.mark.slow
def test_the_command_compares_shipped_weights_on_the_simulated_sky_and_resumes(tmp_path):
    arguments = [
        "compare-weights",
        "mobilenet_v3_small_gz2",
        "--galaxies",
        "40",
        "--splits",
        "5",
        "--orientations",
        "1",
    ]
    for _ in range(2):
        done = CliRunner().invoke(cli.main, [*arguments, "--out", str(tmp_path / "out")])
        assert done.exit_code == 0, done.output
        assert "mobilenet_v3_small_gz2" in done.output and "random" in done.output and "pixels" in done.output
    assert len(pd.read_csv(tmp_path / "out/scores.csv")) == 5
