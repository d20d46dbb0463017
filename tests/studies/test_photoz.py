import inspect
import logging

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from scipy.stats import norm

import morphtools
from morphtools import cli
from morphtools.answers.redshift_metrics import bias, delta_z, sigma_mad
from morphtools.answers.redshifts import Redshifts
from morphtools.inference.representations import Representations
from morphtools.studies import photoz, photoz_figures
from morphtools.studies.photoz import evaluate_photoz
from morphtools.studies.photoz_scores import take

EDGES = np.linspace(0, 0.4, 81)


def redshifts(names, truth, *, width=0.02, seed=0):
    said = truth + np.random.default_rng(seed).normal(0, 0.02, len(truth))
    pdf = np.diff(norm.cdf(EDGES, said[:, np.newaxis], width), axis=1)
    return Redshifts(np.array(names, object), pdf / pdf.sum(axis=1, keepdims=True), EDGES, "mean", truth, {})


@pytest.fixture
def unpainted(monkeypatch):
    """Figures are made, but not painted, which takes seconds."""
    monkeypatch.setattr(photoz, "write_figure", lambda path, figure: path.touch())


@pytest.fixture
def run(tmp_path):
    """A run of `finetune` on 800 galaxies in `tmp_path / "run"`, too certain of everything, and its catalogue."""
    rng = np.random.default_rng(0)
    z = rng.uniform(0.1, 0.3, 800)
    catalog = pd.DataFrame(
        {"id_str": [f"g{i}" for i in range(800)], "redshift": z, "mag_r": 18 + z + rng.normal(size=800)}
    )
    split = np.repeat(["train", "val", "test"], [200, 300, 300])
    (tmp_path / "run").mkdir()
    table = catalog.assign(split=split, label=z)[["id_str", "split", "label"]]
    table.to_parquet(tmp_path / "run/galaxies.parquet")
    for name, which in {"predictions": "test", "validation": "val"}.items():
        chosen = split == which
        found = redshifts(catalog["id_str"][chosen], z[chosen], width=0.008)
        found.save(tmp_path / f"run/{name}.parquet")
    (tmp_path / "run/config.yaml").write_text(yaml.safe_dump({"weights": "random", "catalog": None, "records": None}))
    return tmp_path / "run", catalog


def test_one_run_is_scored_drawn_recalibrated_and_compared_with_what_needs_no_network(run, tmp_path, unpainted):
    folder, catalog = run
    store = Representations.create(tmp_path / "store", 1, {})
    store.append(catalog["id_str"], catalog["redshift"].to_numpy()[:, np.newaxis] ** 2)
    options = {"catalog": catalog, "magnitude": "mag_r", "baselines": True, "representations": {"mine": store}}
    table = evaluate_photoz(folder, recalibrate=True, bins=4, resamples=50, out=tmp_path / "out", **options)
    found = table.set_index("method")
    assert list(found.index) == ["run", "mean", "neighbours of mine", "run, recalibrated"]
    said = Redshifts.open(folder / "predictions.parquet")
    dz = delta_z(said.z(), said.redshift)
    assert found.loc["run", "sigma_mad"] == pytest.approx(sigma_mad(dz))
    assert found.loc["run", "bias"] == pytest.approx(bias(dz))
    assert (found["galaxies"] == 300).all()
    assert (found["sigma_mad low"] <= found["sigma_mad"]).all() and (found["crps"] <= found["crps high"]).all()
    assert found.loc["run", "ks_p"] < 1e-3 < 0.01 < found.loc["run, recalibrated", "ks_p"]
    assert found["sigma_mad"].idxmin() == "neighbours of mine"
    by = pd.read_csv(tmp_path / "out/scores_by.csv")
    assert set(by["variable"]) == {"redshift", "estimate", "mag_r"}
    one = by[(by["method"] == "run") & (by["variable"] == "mag_r")]
    assert one["galaxies"].sum() == 300 and len(one) == 4
    expected = {"scores.csv", "scores_by.csv", "scores.png", "density.png", "pit.png", "against.png"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == expected


def test_what_cannot_be_recalibrated_is_reported_and_left_out(run, tmp_path, caplog, unpainted):
    said = Redshifts.open(run[0] / "predictions.parquet")
    with caplog.at_level(logging.WARNING):
        table = evaluate_photoz({"alone": said}, recalibrate=True, bins=1, resamples=5, out=tmp_path / "out")
    assert list(table["method"]) == ["alone"] and "alone is shown as it is, not recalibrated" in caplog.text
    assert "there is no validation.parquet" in caplog.text


def test_too_few_galaxies_to_recalibrate_are_reported_before_any_work_is_done(run, tmp_path, caplog):
    said = Redshifts.open(run[0] / "validation.parquet")
    take(said, np.arange(150)).save(run[0] / "validation.parquet")
    with caplog.at_level(logging.WARNING), pytest.raises(ValueError, match="magnitude"):
        evaluate_photoz(run[0], recalibrate=True, magnitude="mag_r", out=tmp_path / "out")  # of no catalogue
    assert "150 validation galaxies" in caplog.text and "those of 1600 labels" in caplog.text


def test_methods_are_compared_on_the_galaxies_that_all_have(tmp_path, caplog, unpainted):
    truth = np.linspace(0.1, 0.3, 100)
    names = [f"g{i}" for i in range(100)]
    one, two = redshifts(names, truth), redshifts(names[::-1], truth[::-1].copy(), seed=3)
    two.redshift[:20] = np.nan
    with caplog.at_level(logging.WARNING):
        table = evaluate_photoz({"one": one, "two": two}, resamples=50, out=tmp_path / "out")
    assert list(table["galaxies"]) == [80, 80] and "80 of 100 galaxies are compared" in caplog.text
    alone = evaluate_photoz({"one": redshifts(names, truth)}, resamples=50, out=tmp_path / "out")
    assert alone["galaxies"].item() == 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predictions": {}}, "which predictions"),
        ({"predictions": "nowhere"}, "no predictions at nowhere|no redshifts at nowhere"),
        ({"baselines": True}, "there is no .*galaxies.parquet"),
        ({"magnitude": "mag_r"}, "needs a catalog or records"),
        ({"magnitude": "mag_i", "catalog": pd.DataFrame({"id_str": ["a"], "mag_r": [1.0]})}, "did you mean 'mag_r'"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error(tmp_path, changes, message):
    predictions = {"one": redshifts(list("abc"), np.array([0.1, 0.2, 0.3]))}
    with pytest.raises((ValueError, OSError), match=message):
        evaluate_photoz(**{"predictions": predictions, "out": tmp_path / "out"} | changes)


def test_its_figures_can_be_drawn(tmp_path):
    one = redshifts([f"g{i}" for i in range(40)], np.linspace(0.1, 0.3, 40))
    evaluate_photoz({"one": one}, bins=1, resamples=50, out=tmp_path)
    assert min(path.stat().st_size for path in tmp_path.glob("*.png")) > 5000


def published_lines(edges, threshold):
    row = {f"{s}{e}": 0.01 for s in ("sigma_mad", "outlier_fraction", "bias", "crps", "log_likelihood")
           for e in ("", " low", " high")}  # fmt: skip
    figure = photoz_figures.score_table(pd.DataFrame([{"method": "ours"} | row]), threshold, edges)
    legend = figure.legends[0].get_texts() if figure.legends else []
    dotted = [sum(line.get_linestyle() == ":" for line in axes.lines) for axes in figure.axes]
    return [text.get_text() for text in legend], dotted


def test_published_numbers_are_drawn_with_their_conditions_and_only_where_these_can_be_met():
    names, dotted = published_lines(EDGES, 0.05)
    assert len(names) == 3 and all("SDSS main sample, z < 0.4" in name for name in names)
    assert dotted == [3, 3, 0, 0, 0]
    assert published_lines(EDGES, 0.15)[1] == [3, 0, 0, 0, 0]  # their η is for 0.05
    assert published_lines(np.linspace(0, 5, 11), 0.05) == ([], [0] * 5)


def test_the_command_takes_the_arguments_of_the_function(run, tmp_path, unpainted):
    parameters = inspect.signature(morphtools.evaluate_photoz).parameters
    options = {option.name: option for option in cli.main.commands["evaluate-photoz"].params}
    assert set(options) == set(parameters) | {"config"}
    for name in ("threshold", "bins", "resamples", "seed", "out"):
        assert f"({parameters[name].default})" in options[name].help
    arguments = [
        "evaluate-photoz",
        f"mine={run[0]}",
        str(run[0]),
        "--out",
        str(tmp_path / "out"),
        "--bins",
        "2",
        "--resamples",
        "20",
    ]
    result = CliRunner().invoke(cli.main, arguments, catch_exceptions=False)
    assert result.exit_code == 0 and list(pd.read_csv(tmp_path / "out/scores.csv")["method"]) == ["mine", "run"]
