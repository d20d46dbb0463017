import sys
import types
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest

from morphtools.explore import figures
from morphtools.explore.maps import make_map
from morphtools.inference.representations import Representations


@pytest.fixture
def flat_umap(monkeypatch):
    """Instead of UMAP, which takes a quarter of a minute to compile: the first two components are the map."""

    class UMAP:
        def __init__(self, **options):
            assert options == {"n_neighbors": 15, "min_dist": 0.01, "random_state": 0, "n_jobs": 1}

        def fit_transform(self, values):
            return values[:, :2].astype("f8")

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=UMAP))


@pytest.mark.slow
def test_kinds_are_apart_on_a_real_map_and_the_same_seed_draws_it_again(three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    table = make_map(store, neighbours=8, out=tmp_path / "a")
    xy, kind = table[["x", "y"]].to_numpy(), catalog["kind"].to_numpy()
    away = np.linalg.norm(xy[:, None] - xy, axis=-1) + 1e9 * np.eye(60)
    assert (kind[away.argmin(axis=1)] == kind).mean() > 0.95
    again = make_map(store, neighbours=8, out=tmp_path / "b")
    pd.testing.assert_frame_equal(again, table)


def test_a_new_galaxy_is_placed_by_itself_alone(flat_umap, three_kinds, tmp_path):
    store, _, _ = three_kinds
    first = make_map(store, sample=40, out=tmp_path / "map")
    assert first["fitted"].sum() == 40 and first["id_str"].tolist() == list(store.id_str)
    placed = first[~first["fitted"]].iloc[:2]
    row = [list(store.id_str).index(name) for name in placed["id_str"]]
    new = Representations.create(tmp_path / "new", 5, {"weights": "w", "records": "b"})
    new.append(["h", "g00"], store.values()[row])
    for company in (new, store):
        again = make_map(company, onto=tmp_path / "map", out=tmp_path / "onto")
        at = again.iloc[:2] if company is new else again.iloc[row]
        np.testing.assert_allclose(at[["x", "y"]], placed[["x", "y"]], rtol=1e-6)


class _Dies:
    """An executor whose cluster is lost after two parts."""

    left = 2

    def submit(self, work, name):
        if self.left == 0:
            raise CancelledError
        self.left -= 1
        future = Future()
        future.set_result(work(name))
        return future


@pytest.mark.parametrize("how", ["parts", "parts again", "executor", "killed"])
def test_parts_of_a_job_and_workers_write_the_bytes_of_one_process(flat_umap, three_kinds, tmp_path, how):
    store, catalog, images = three_kinds
    for name in ("more", "yet more"):
        copies = catalog[:30].assign(id_str=[f"{name} {i}" for i in range(30)])
        store.append(copies["id_str"], store.values()[:30] + np.float32(0.1))
        catalog = pd.concat([catalog, copies], ignore_index=True)
    options = {"catalog": catalog, "colour": ("kind",), "images": images, "exclude": catalog[40:50], "cells": 4}
    table = make_map(store, sample=50, **options, out=tmp_path / "whole")
    out = tmp_path / "out"
    if how == "executor":
        with ProcessPoolExecutor(2, get_context("spawn")) as executor:
            make_map(store, sample=50, **options, out=out, executor=executor)
    elif how == "killed":
        with pytest.raises(ChildProcessError):
            make_map(store, sample=50, **options, out=out, executor=_Dies())
        assert not (out / "map.parquet").exists()
        make_map(store, sample=50, **options, out=out)
    else:
        for part in ("2/4", "1/4", "4/4", "3/4"):
            assert not (out / "map.parquet").exists()
            assert make_map(store, sample=50, **options, out=out, part=part).empty
        if how == "parts again":
            (out / "map.parquet").unlink()
            make_map(store, sample=50, **options, out=out, part="1/1")
    assert not (out / "state").exists()
    for name in ("map.parquet", "panels.png", "galaxies.png"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert set(table["id_str"]) == set(store.id_str) - set(catalog["id_str"][40:50])


def test_the_same_call_uses_the_fit_and_another_is_refused(flat_umap, three_kinds, tmp_path, monkeypatch):
    store, _, _ = three_kinds
    before = make_map(store, out=tmp_path)
    monkeypatch.setitem(sys.modules, "umap", None)
    pd.testing.assert_frame_equal(make_map(store, out=tmp_path), before)
    with pytest.raises(FileExistsError, match=r"other settings \(min_dist: 0.01 → 0.5\)"):
        make_map(store, min_dist=0.5, out=tmp_path)
    other = Representations.create(tmp_path / "other", 5, {"weights": "v"})
    with pytest.raises(ValueError, match="was made of other weights"):
        make_map(other, onto=tmp_path, out=tmp_path / "onto")
    with pytest.raises(FileNotFoundError, match="there is no map at"):
        make_map(store, onto=tmp_path / "nowhere", out=tmp_path / "onto")


def test_excluded_galaxies_are_not_on_the_map(flat_umap, three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    table = make_map(store, exclude=catalog.iloc[10:20], out=tmp_path)
    assert set(table["id_str"]) == set(store.id_str) - set(catalog["id_str"][10:20])


def test_pictures_panels_and_stationarity_are_drawn(flat_umap, three_kinds, tmp_path):
    store, catalog, images = three_kinds
    views = Representations.create(tmp_path / "views", 5, {"weights": "w", "records": "views"})
    for name, value in zip(store.id_str[:9], store.values()[:9], strict=True):
        views.append([f"{name}/{i}" for i in range(4)], value + 0.1 * np.arange(4)[:, np.newaxis])
    options = {"catalog": catalog, "images": images, "colour": ("kind", "smooth_fraction", "ra", "dec")}
    make_map(store, **options, views=views, cells=6, out=tmp_path / "map")
    for name in ("panels", "galaxies", "stationarity", "sky"):
        assert (tmp_path / f"map/{name}.png").stat().st_size > 5000, name
    make_map(store, catalog=catalog.assign(dec=999.0), out=tmp_path / "nowhere")
    assert not (tmp_path / "nowhere/sky.png").exists()


def test_views_of_other_galaxies_are_refused(flat_umap, three_kinds, tmp_path):
    store, _, _ = three_kinds
    views = Representations.create(tmp_path / "views", 5, {"weights": "w"})
    views.append(["elsewhere/1"], np.ones((1, 5)))
    with pytest.raises(ValueError, match="holds no views of these galaxies: name them id_str/anything"):
        make_map(store, views=views, out=tmp_path / "map")


@pytest.mark.parametrize("rows", [100, 2])
def test_a_cell_shows_the_galaxy_nearest_to_its_middle(rows, monkeypatch):
    monkeypatch.setattr(figures, "_ROWS", rows)
    x = np.array([0.0, 1.2, 1.4, 4.0, 3.1])
    y = np.array([0.0, 1.1, 1.4, 4.0, 1.0])
    grid = figures.map_gallery(x, y, 2)  # cells of 2×2, the middles at 1 and 3, the upper row first
    assert grid.tolist() == [[-1, 3], [1, 4]]


def test_too_few_galaxies_for_a_map_are_named(three_kinds, tmp_path):
    with pytest.raises(ValueError, match="with 60 neighbours needs more than 60 galaxies"):
        make_map(three_kinds[0], neighbours=60, out=tmp_path)


def test_clusters_have_as_many_colours_as_there_are_clusters_and_all_differ():
    rng = np.random.default_rng(0)
    known = pd.DataFrame({"cluster": np.arange(300) % 30, "kind": [f"kind {i % 30}" for i in range(300)]})
    clusters, kinds = figures.map_panels(*rng.normal(size=(2, 300)), known).axes
    colours = {tuple(dots.get_facecolor()[0]) for dots in clusters.collections if len(dots.get_offsets())}
    assert len(colours) == 30
    assert len([dots for dots in kinds.collections if len(dots.get_offsets())]) == 8
    assert kinds.get_legend().get_texts()[-1].get_text() == "22 others, not drawn"
