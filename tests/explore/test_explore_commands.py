"""The commands of `morphtools.commands.explore`, on the three kinds of galaxies."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from astropy.table import Table
from click.testing import CliRunner

import morphtools
from morphtools import cli
from morphtools.explore.pca import reduce_representations
from morphtools.inference.representations import Representations

VERBS = (
    "reduce_representations",
    "represent_pixels",
    "find_similar",
    "find_outliers",
    "make_map",
    "cluster",
    "find_artifacts",
    "evaluate_retrieval",
)
ONLY_IN_PYTHON, ONLY_TYPED = {"query", "executor"}, {"config", "weights", "table", "samp", "scheduler"}


def invoke(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def places(three_kinds, tmp_path):
    """Paths of the representations, the catalogue and the images."""
    store, catalog, images = three_kinds
    catalog.to_csv(tmp_path / "catalog.csv", index=False)
    return store.folder, tmp_path / "catalog.csv", images


@pytest.mark.parametrize("verb", VERBS)
def test_the_command_takes_the_arguments_of_the_function_and_repeats_its_defaults(verb):
    parameters = inspect.signature(getattr(morphtools, verb)).parameters
    options = {option.name: option for option in cli.main.commands[verb.replace("_", "-")].params}
    assert set(options) - ONLY_TYPED == set(parameters) - ONLY_IN_PYTHON
    for name, parameter in parameters.items():
        if isinstance(parameter.default, int | float):
            assert float(re.search(r"\(([\d.e-]+)\)", options[name].help)[1]) == parameter.default, name
        elif isinstance(parameter.default, str):
            assert parameter.default in options[name].help, name


def test_exploring_does_not_import_tensorflow():
    rooms = ("answers", "explore", "anomalies")
    package = Path(morphtools.__file__).parent
    modules = [f"morphtools.{room}.{p.stem}" for room in rooms for p in (package / room).glob("[a-z]*.py")]
    code = f"import sys\nfor name in {modules}: __import__(name)\n"
    code += "print(*({'tensorflow', 'keras', 'umap'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_similar_galaxies_are_found_by_name_and_place(places, tmp_path):
    store, catalog, images = places
    options = ("--catalog", catalog, "--galaxies", 5, "--out", tmp_path / "out")
    result = invoke("find-similar", store, "--like", "g01,g04", "--unlike", "g00", "--images", images, *options)
    assert result.exit_code == 0 and (tmp_path / "out/similar.html").exists(), result.output
    result = invoke("find-similar", store, "--ra", 10, "--dec", -1, "--within", "10,-1,1", *options)
    assert result.exit_code == 0 and len(pd.read_csv(tmp_path / "out/similar.csv")) == 5, result.output
    result = invoke("find-similar", store, "--ra", 50, "--dec", -1, *options)
    assert result.exit_code == 2 and "the nearest, g59, is" in result.output
    result = invoke("find-similar", store, "--image", images / "g00.png", *options)
    assert result.exit_code == 2 and "--image needs --weights" in result.output
    result = invoke("find-similar", store, "--like", "g01", "--within", "here", *options)
    assert result.exit_code == 2 and "--within must be a list such as 1,2,3" in result.output


def test_clusters_are_found_named_and_thrown_out(places, tmp_path):
    store, catalog, _ = places
    options = ("--clusters", 3, "--estimator", "kmeans", "--catalog", catalog, "--labels", "kind")
    result = invoke("cluster", store, *options, "--out", tmp_path / "c", "--fractions", "smooth_fraction")
    assert result.exit_code == 0 and "purity: 1" in result.output, result.output
    result = invoke(
        "find-artifacts", "--clusters", tmp_path / "c", "--numbers", "0,2", "--ids", "g00", "--out", tmp_path / "a"
    )
    assert result.exit_code == 0 and re.search(r"4[01] listed", result.output), result.output
    result = invoke("find-artifacts", "--map", tmp_path, "--regions", "0,0 1", "--out", tmp_path / "a")
    assert result.exit_code == 2 and "--regions must be a polygon such as" in result.output
    artifacts = tmp_path / "a/artifacts.csv"
    result = invoke("find-similar", store, "--like", "g00", "--exclude", artifacts, "--out", tmp_path / "s")
    found = set(pd.read_csv(tmp_path / "s/similar.csv")["id_str"])
    assert result.exit_code == 0 and not found & set(pd.read_csv(artifacts)["id_str"])


def test_representations_are_reduced_and_compared_with_pixels(places, tmp_path):
    store, catalog, images = places
    options = ("--catalog", catalog, "--images", images, "--image-size", 4)
    assert invoke("represent-pixels", tmp_path / "pixels", *options).exit_code == 0
    result = invoke("reduce-representations", tmp_path / "pixels", tmp_path / "few", "--components", 4)
    assert result.exit_code == 0 and "60 galaxies in 4 dimensions" in result.output, result.output
    options = ("--catalog", catalog, "--labels", "kind", "--out", tmp_path / "retrieval")
    result = invoke("evaluate-retrieval", store, tmp_path / "few", *options)
    assert result.exit_code == 0 and "elliptical" in result.output and " few " in result.output, result.output


def test_an_image_file_is_an_example_in_the_space_of_the_store(places, tmp_path, monkeypatch):
    store, _, images = places
    reduced = reduce_representations(store, tmp_path / "few", components=3)

    def represent(weights, out, *, catalog, images, orientations):
        assert weights == "w" and orientations == 8
        (row,) = pd.read_csv(catalog).to_dict("records")
        made = Representations.create(out, 5, {"weights": "w", "records": "of the image"})
        made.append([row["id_str"]], [[9.0, 0, 0, 0, 0] if row["file_loc"].endswith("g00.png") else [0.0] * 5])
        return made

    monkeypatch.setattr("morphtools.inference.represent.represent", represent)
    options = ("--weights", "w", "--galaxies", 9, "--out", tmp_path / "out")
    result = invoke("find-similar", reduced.folder, "--image", images / "g00.png", *options)
    assert result.exit_code == 0, result.output
    kinds = [int(name[1:]) % 3 for name in pd.read_csv(tmp_path / "out/similar.csv")["id_str"]]
    assert kinds == [0] * 9
    result = invoke("find-similar", store, "--image", images / "none.png", *options)
    assert result.exit_code == 2 and "no image at" in result.output


def test_the_table_of_a_verb_goes_to_a_file_in_any_format_and_to_topcat_with_positions(places, tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr("morphtools.archives.samp.send_to_topcat", lambda table, name: sent.append(table) or ["TOPCAT"])
    store, catalog, _ = places
    verbs = {
        "find-similar": ("--like", "g01", "--galaxies", 5),
        "find-outliers": ("--galaxies", 5),
        "cluster": ("--estimator", "kmeans", "--clusters", 3),
    }
    for verb, options in verbs.items():
        path = tmp_path / f"{verb}.vot"
        options = (*options, "--catalog", catalog, "--out", tmp_path / verb, "--table", path, "--samp")
        result = invoke(verb, store, *options)
        assert result.exit_code == 0 and "loaded by TOPCAT" in result.output, result.output
        table = Table.read(path)
        assert list(table["id_str"]) == list(sent[-1]["id_str"]) and table["ra"].unit == "deg"
    result = invoke("find-outliers", store, "--out", tmp_path / "not-made", "--table", "outliers.doc")
    assert result.exit_code == 2 and "unknown table format '.doc'" in result.output
    assert not (tmp_path / "not-made").exists()
