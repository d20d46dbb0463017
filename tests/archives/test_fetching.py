import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import morphtools
from morphtools import cli
from morphtools.archives.polite import PoliteClient

ROOT = Path(__file__).parents[2]
HTML = b"<html><body>Service temporarily unavailable</body></html>"


@pytest.fixture
def sky(tmp_path):
    """Twelve positions, with ids that look like numbers and a column of the user's."""
    table = pd.DataFrame({"id_str": [f"{i:04d}" for i in range(12)], "ra": np.arange(12) + 150.0, "dec": 2.0})
    return table.assign(ring=np.arange(12) % 2)


@pytest.fixture
def fetch(archive, tmp_path, monkeypatch):
    """`fetch_cutouts` from the local server, without long pauses."""
    quick = {"tries": 3, "pause": 0.01, "timeout": 5.0}
    monkeypatch.setattr(PoliteClient.__init__, "__kwdefaults__", quick)

    def call(positions, **options):
        options = {"survey": "legacy-dr10", "size": 16, "per_second": 1e4} | options
        return morphtools.fetch_cutouts(positions, tmp_path / "cutouts", base_url=archive.url, **options)

    return call


def legacy(archive, wrong=lambda i, n: None):
    """A viewer of the Legacy Surveys; `wrong` may give another answer to the n-th request for galaxy i."""

    def answer(path, query, n):
        ra, dec = float(query["ra"]), float(query["dec"])
        other = wrong(round(ra) - 150, n)
        if other is not None:
            return other
        if path == "/jpeg-cutout":
            return archive.jpeg(ra, dec, int(query["size"]))
        return archive.fits(ra, dec, query["bands"], int(query["size"]))

    return answer


def failures_of(cutouts):
    return pd.read_csv(cutouts.folder / "failures.csv", dtype=str).set_index("id_str")


def test_files_are_kept_byte_by_byte_as_they_came(archive, fetch, sky):
    archive.answer = legacy(archive)
    cutouts = fetch(sky)
    catalog = pd.read_parquet(cutouts.catalog)
    assert list(catalog.id_str) == list(sky.id_str) and list(catalog.ring) == list(sky.ring)
    for row in catalog.itertuples():
        assert (cutouts.folder / row.file_loc).read_bytes() == archive.fits(row.ra, row.dec)
    assert {(path, *(q[k] for k in ("layer", "size", "pixscale", "bands"))) for path, q in archive.requests} == {
        ("/cutout.fits", "ls-dr10", "16", "0.262", "grz")
    }


def test_the_command_it_ends_with_builds_records_of_the_catalogue(archive, fetch, sky):
    archive.answer = legacy(archive)
    verb, *arguments = shlex.split(fetch(sky).command)[1:]
    done = CliRunner().invoke(cli.main, [verb, *arguments])
    assert done.exit_code == 0, done.output
    records = morphtools.Records.open(arguments[1])
    assert (records.bands, records.pixel_scale, records.shape) == (("g", "r", "z"), 0.262, (16, 16, 3))
    assert sum(records.splits.values()) == 12 and "ring" in records.label_cols


def test_pictures_become_records_as_well(archive, fetch, sky):
    archive.answer = legacy(archive)
    cutouts = fetch(sky, format="jpeg")
    assert "--bands" not in cutouts.command
    verb, *arguments = shlex.split(cutouts.command)[1:]
    assert CliRunner().invoke(cli.main, [verb, *arguments]).exit_code == 0
    assert morphtools.Records.open(arguments[1]).encoding == "encoded"


def test_every_way_in_which_a_galaxy_can_fail_is_told_apart(archive, fetch, sky):
    wrong = {
        0: lambda: (404, {}, b""),
        1: lambda: HTML,
        2: lambda: archive.fits(152.0, 2.0)[:3000],
        3: lambda: archive.fits(153.0, 2.0, size=17),
        4: lambda: archive.fits(154.0, 2.0, fill=0.0),
        5: lambda: archive.fits(155.0, 2.0, fill=np.nan),
        6: lambda: archive.fits(156.0, 2.0, bands="gri"),
        7: lambda: (500, {}, b""),
        8: lambda: b"",
    }
    archive.answer = legacy(archive, lambda i, n: wrong[i]() if i in wrong else None)
    cutouts = fetch(sky)
    reasons = failures_of(cutouts)
    expected = {
        "0000": "nothing at this position",
        "0001": "HTML",
        "0002": "truncated",
        "0003": r"\(3, 17, 17\), but \(3, 16, 16\) was requested",
        "0004": "outside the footprint, or no data",
        "0005": "outside the footprint, or no data",
        "0006": "the bands g,r,i, but g,r,z were requested",
        "0007": "HTTP 500",
        "0008": "empty",
    }
    assert set(reasons.index) == set(expected) and (cutouts.galaxies, cutouts.failed) == (3, 9)
    for id, reason in expected.items():
        assert re.search(reason, reasons.reason[id]), (id, reasons.reason[id])
    assert set(reasons.index[reasons.tried_again == "yes"]) == {"0001", "0002", "0007", "0008"}


def test_the_same_call_asks_only_for_what_had_no_answer(archive, fetch, sky):
    archive.answer = legacy(archive, lambda i, n: {3: (500, {}, b""), 5: (404, {}, b"")}.get(i))
    assert fetch(sky).failed == 2
    archive.requests.clear()
    archive.answer = legacy(archive)
    assert fetch(sky).failed == 1
    assert [query["ra"] for _, query in archive.requests] == ["153.0000000"]


@pytest.mark.parametrize("first", [(429, {"Retry-After": "0"}, b""), (500, {}, b""), HTML, "truncated", "cut"])
def test_damage_that_passes_leaves_no_trace(archive, fetch, sky, first):
    def wrong(i, n):
        if n > 1:
            return None
        whole = archive.fits(150.0 + i, 2.0)
        return (
            {"truncated": whole[:-2880], "cut": ("cut", {}, whole)}.get(first, first)
            if isinstance(first, str)
            else first
        )

    archive.answer = legacy(archive, wrong)
    cutouts = fetch(sky)
    assert cutouts.failed == 0
    for row in pd.read_parquet(cutouts.catalog).itertuples():
        assert (cutouts.folder / row.file_loc).read_bytes() == archive.fits(row.ra, row.dec)


def test_never_more_requests_are_in_flight_than_allowed(archive, fetch, sky):
    archive.answer = legacy(archive, lambda i, n: time.sleep(0.03))
    fetch(sky, at_once=3)
    assert archive.most_at_once == 3


def test_a_service_that_is_down_ends_the_call_and_it_resumes(archive, fetch, sky):
    many = pd.concat([sky.assign(id_str=sky.id_str + f"-{k}", dec=2.0 + k) for k in range(10)])
    archive.answer = legacy(archive, lambda i, n: (503, {}, b""))
    with pytest.raises(ConnectionError, match=r"HTTP 503.*run the same call later to resume"):
        fetch(many)
    assert len(archive.requests) < 3 * 40
    archive.answer = legacy(archive)
    assert fetch(many).galaxies == 120


@pytest.fixture
def long_table():
    return pd.DataFrame({"id_str": [f"g{i:03d}" for i in range(300)], "ra": 150.0 + np.arange(300) / 10, "dec": 2.0})


def test_positions_at_which_a_service_fails_do_not_end_the_call(archive, fetch, long_table):
    archive.answer = legacy(archive, lambda i, n: (500, {}, b"") if i < 15 else None)  # half of it, side by side
    cutouts = fetch(long_table)
    outside = np.round(long_table.ra) - 150 < 15
    assert set(failures_of(cutouts).index) == set(long_table.id_str[outside]) and 140 < cutouts.failed < 160


def test_a_service_that_fails_at_every_position_ends_the_call(archive, fetch, long_table):
    archive.answer = legacy(archive, lambda i, n: (500, {}, b""))
    with pytest.raises(ConnectionError, match=r"HTTP 500.*run the same call later to resume"):
        fetch(long_table)
    assert 3 * 200 <= len(archive.requests) < 3 * 220


def test_a_finished_folder_is_finished_again_where_many_positions_fail(archive, fetch, long_table, monkeypatch):
    monkeypatch.setattr("morphtools.archives.fetching._IN_A_ROW_500", 20)
    table = long_table.head(80)
    fails = {round(float(ra), 1) for ra in table.ra[::2]}

    def answer(path, query, n):
        ra = round(float(query["ra"]), 1)
        return (500, {}, b"") if ra in fails else archive.fits(ra, 2.0)

    archive.answer = answer
    cutouts = fetch(table)
    expected = (cutouts.folder / "failures.csv").read_bytes()
    assert set(failures_of(cutouts).index) == set(table.id_str[::2])
    archive.requests.clear()
    assert fetch(table) == cutouts and (cutouts.folder / "failures.csv").read_bytes() == expected
    # not all of them, because the service may be down
    assert 20 <= len({query["ra"] for _, query in archive.requests}) < 40
    fails.clear()
    assert fetch(table).failed == 0


def test_new_positions_in_a_row_without_an_answer_still_end_the_call(archive, fetch, long_table, monkeypatch):
    monkeypatch.setattr("morphtools.archives.fetching._IN_A_ROW_500", 20)
    archive.answer = legacy(archive, lambda i, n: (500, {}, b""))
    for _ in range(2):
        with pytest.raises(
            ConnectionError, match=r"HTTP 500.*run the same call later to resume; .*outside its footprint"
        ):
            fetch(long_table.head(60))


def test_a_table_wholly_outside_the_footprint_is_an_error_that_says_so(archive, fetch, sky):
    archive.answer = legacy(archive, lambda i, n: archive.fits(150.0, 2.0, fill=0.0))
    with pytest.raises(ValueError, match=r"no galaxy has an image: outside the footprint.*\(12\); see .*failures.csv"):
        fetch(sky)


def test_positions_are_read_as_catalogues_write_them(archive, fetch, tmp_path):
    path = tmp_path / "positions.csv"
    path.write_text("RA,Dec,name\n10:00:27.80,+02:12:21.6,a\n150d06m57s,-2.5,b\n,,c\n")
    archive.answer = lambda path, query, n: archive.fits(float(query["ra"]), float(query["dec"]))
    cutouts = fetch(path)
    catalog = pd.read_parquet(cutouts.catalog)
    assert list(catalog.id_str) == ["J100027.80+021221.6", "J100027.80-023000.0"]
    # 10h 0m 27.8s = 15 × (10 + 27.8 / 3600) degrees
    assert np.allclose(catalog.ra, [150 + 27.8 / 240, 150 + 417 / 3600]) and np.allclose(catalog.dec, [2.206, -2.5])
    assert list(failures_of(cutouts).reason) == ["no position"]


def test_ids_that_no_file_may_be_called_have_files_all_the_same(archive, fetch, sky):
    ids = ["a/b", "../up", "A", "a", "NGC 1300", "é", ".hidden", "x" * 300, "%41", "con:1", "b\\c", "*?"]
    archive.answer = legacy(archive)
    cutouts = fetch(sky.assign(id_str=ids))
    catalog = pd.read_parquet(cutouts.catalog)
    assert list(catalog.id_str) == ids
    assert catalog.file_loc.str.casefold().nunique() == 12
    assert sorted(f"images/{path.name}" for path in (cutouts.folder / "images").iterdir()) == sorted(catalog.file_loc)


def test_another_survey_does_not_go_into_the_same_folder(archive, fetch, sky):
    archive.answer = legacy(archive)
    fetch(sky)
    with pytest.raises(FileExistsError, match="size: 16 → 20"):
        fetch(sky, size=20)
    with pytest.raises(FileExistsError, match="positions"):
        fetch(sky.assign(ra=sky.ra + 1))


def test_with_the_field_of_galaxy_zoo_decals_every_galaxy_has_a_pixel_scale_of_its_own(archive, fetch, sky):
    archive.answer = legacy(archive)
    radii = {"petroth50": [10.0, 1.0, 10.0, None], "petro_th90": [30.0, 3.0, 15.0, 9.0]}
    cutouts = fetch(sky.head(4).assign(**radii), pixel_scale="gz_decals", size=212)
    # by hand: 424 pixels of min(.4, .6), of at least .1, and of min(.4, .3) arcsec, shown on 212 pixels
    assert sorted((q["ra"][:3], q["pixscale"]) for _, q in archive.requests) == [
        ("150", "0.8"),
        ("151", "0.2"),
        ("152", "0.6"),
    ]
    assert pd.read_parquet(cutouts.catalog)["pixel_scale"].round(9).tolist() == [0.8, 0.2, 0.6]
    assert "petroth50 must be above 0 arcsec, got nan" in failures_of(cutouts).reason["0003"]
    assert cutouts.pixel_scale == "gz_decals"
    assert "--pixel-scale" not in cutouts.command
    with pytest.raises(FileExistsError, match="pixel_scale: gz_decals"):
        fetch(sky.head(4).assign(**radii), size=212)


@pytest.mark.parametrize(
    ("survey", "options", "message"),
    [
        ("legacy-dr10", {"pixel_scale": "gz_decal"}, "gz_decals"),
        ("legacy-dr10", {"pixel_scale": "gz_decals", "size": "20arcsec"}, "must be in pixels"),
        ("panstarrs", {"pixel_scale": "gz_decals"}, "pixels of 0.25 arcsec only, so the field gz_decals is impossible"),
    ],
)
def test_a_field_that_cannot_be_is_refused_before_anything_is_sent(archive, fetch, sky, survey, options, message):
    with pytest.raises(ValueError, match=message):
        fetch(sky, survey=survey, **options)
    assert not archive.requests


def test_too_many_positions_are_told_how_they_are_cut_out_of_tiles(archive, fetch, sky):
    with pytest.raises(ValueError, match=r"12 positions are too many.*build-records .*--cutout '4\.192 arcsec'.*g,r,z"):
        fetch(sky, max_positions=11)
    assert not archive.requests


def test_the_command_prints_what_to_type_next(archive, sky, tmp_path):
    archive.answer = legacy(archive)
    sky.to_csv(tmp_path / "sky.csv", index=False)
    command = ["fetch-cutouts", str(tmp_path / "sky.csv"), str(tmp_path / "out"), "--survey", "legacy-dr9"]
    command += ["--size", "4.2arcsec", "--bands", "g,z", "--base-url", archive.url, "--per-second", "1000"]
    done = CliRunner().invoke(cli.main, command)
    assert done.exit_code == 0, done.output
    assert "12 cutouts in" in done.output and "next: morphtools build-records" in done.output
    assert {(q["layer"], q["bands"], q["size"]) for _, q in archive.requests} == {("ls-dr9", "gz", "16")}


@pytest.mark.slow
def test_killed_calls_end_in_the_files_of_an_undisturbed_one():
    command = [sys.executable, str(ROOT / "benchmarks/fetch_cutouts.py"), "--galaxies", "300", "--kills", "4"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(
        r"kills (\d+), other files (\d+), most at once (\d+) of (\d+), most in a second (\d+) of (\d+)", output
    )
    kills, other, at_once, allowed, rate, limit = map(int, found.groups())
    assert kills == 4 and other == 0 and at_once <= allowed and rate <= limit, output
