"""Building in pieces, in parallel, in parts, and after kills gives the same bytes."""

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from tfrecords_builder import build as building
from tfrecords_builder import build_records, plan, read_pixels, verify_records
from tfrecords_builder.images import from_pixels

N = 400


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(building, "_SHARD_BYTES", 64 * 4 * 2 * 10 * 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(N):
        fits.PrimaryHDU(rng.normal(size=(2, 10, 12)).astype("f4")).writeto(path / f"{i}.fits")
    (path / "13.fits").write_bytes((path / "13.fits").read_bytes()[:3000])
    return path


@pytest.fixture
def catalog():
    rng = np.random.default_rng(1)
    ids = [f"g{i}" for i in range(N)]
    return pd.DataFrame(
        {
            "id_str": ids,
            "file_loc": [f"{i}.fits" for i in range(N)],
            "votes": rng.integers(0, 9, N),
            "name": ids,
        }
    )


def content(out: Path) -> dict[str, str]:
    """The hash of every file; nothing else may be there."""
    assert all(path.is_file() for path in out.iterdir())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}


@pytest.fixture
def reference(catalog, folder, tmp_path):
    build_records(catalog, tmp_path / "reference", images=folder)
    return content(tmp_path / "reference")


def test_pixels_come_back_bit_for_bit_and_records_verify(catalog, folder, tmp_path):
    records = build_records(catalog, tmp_path / "r", images=folder)
    assert len(records.checksums) > 5 and sum(records.splits.values()) == N - 1 and records.failed == 1
    good = [i for i in catalog["id_str"] if i != "g13"]
    for id_str, pixels in zip(good, read_pixels(records, good), strict=True):
        expected = np.moveaxis(fits.getdata(folder / f"{id_str[1:]}.fits"), 0, -1)
        assert pixels.tobytes() == expected.astype("<f4").tobytes()
    (failure,) = pd.read_parquet(tmp_path / "r" / "failures.parquet").to_dict("records")
    assert failure["id_str"] == "g13" and "truncated" in failure["reason"]
    assert records.totals["votes"] == catalog["votes"].drop(13).sum()
    assert verify_records(records) == []


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(catalog, folder, tmp_path, reference):
    build_records(catalog, tmp_path / "two", images=folder, workers=2)
    assert content(tmp_path / "two") == reference


def test_parts_in_any_order_make_the_same_records(catalog, folder, tmp_path, reference):
    for part in ("3/3", "1/3", "2/3"):
        assert build_records(catalog, tmp_path / "parts", images=folder, part=part) is None
    build_records(catalog, tmp_path / "parts", images=lambda _: pytest.fail("nothing is left to read"))
    assert content(tmp_path / "parts") == reference
    with pytest.raises(ValueError, match="'4/3'"):
        build_records(catalog, tmp_path / "other", images=folder, part="4/3")


@pytest.mark.parametrize("kind", ["csv", "parquet", "fits", "ecsv", "xml"])
def test_the_kind_of_catalogue_and_its_chunks_do_not_matter(catalog, folder, tmp_path, reference, kind, monkeypatch):
    from astropy.table import Table

    path = tmp_path / f"catalog.{kind}"
    if kind in ("csv", "parquet"):
        catalog.to_csv(path, index=False) if kind == "csv" else catalog.to_parquet(path)
    else:
        options = {"fits": "fits", "ecsv": "ascii.ecsv", "xml": "votable"}
        Table.from_pandas(catalog).write(path, format=options[kind])
    monkeypatch.setattr(plan, "_CHUNK", 37)
    build_records(path, tmp_path / "r", images=folder)
    shards = {name: sha for name, sha in content(tmp_path / "r").items() if name.endswith(".tfrecord")}
    assert shards == {name: sha for name, sha in reference.items() if name.endswith(".tfrecord")}


def test_an_interrupted_build_resumes(catalog, folder, tmp_path, reference, monkeypatch):
    built, build_shard = [], building.build_shard

    def interrupted(job, name):
        if len(built) == 3:
            raise KeyboardInterrupt
        built.append(name)
        return build_shard(job, name)

    monkeypatch.setattr(building, "build_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_records(catalog, tmp_path / "r", images=folder)
    times = {name: (tmp_path / "r" / name).stat().st_mtime_ns for name in built}
    monkeypatch.setattr(building, "build_shard", build_shard)
    build_records(catalog, tmp_path / "r", images=folder)
    assert {name: (tmp_path / "r" / name).stat().st_mtime_ns for name in built} == times
    assert content(tmp_path / "r") == reference


@pytest.mark.slow
def test_a_build_killed_at_random_moments_ends_the_same(catalog, folder, tmp_path, reference):
    catalog.to_parquet(tmp_path / "catalog.parquet")
    rng, killed, longest = np.random.default_rng(int(time.time())), 0, 60.0
    for trial in itertools.count():
        out = tmp_path / f"killed{trial}"
        command = [sys.executable, __file__, str(tmp_path / "catalog.parquet"), str(folder), str(out)]
        while True:
            started = time.monotonic()
            process = subprocess.Popen(command, env=os.environ, start_new_session=True)
            try:
                assert process.wait(longest if trial == 0 else rng.uniform(0, longest)) == 0
                longest = min(longest, time.monotonic() - started)
                break
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                killed, longest = killed + 1, 1.2 * longest  # the machine may have become slower
                for path in out.glob("*.tfrecord"):  # never a part of one
                    assert hashlib.sha256(path.read_bytes()).hexdigest() == reference[path.name]
        assert content(out) == reference
        if killed >= int(os.environ.get("KILLS", 5)):
            break


def test_the_same_call_again_does_nothing_and_another_is_refused(catalog, folder, tmp_path):
    records = build_records(catalog, tmp_path / "r", images=folder)
    assert build_records(catalog, tmp_path / "r", images=folder) == records
    for other in ({"seed": 1}, {"dtype": "float16"}):
        with pytest.raises(FileExistsError, match="another catalogue or other settings"):
            build_records(catalog, tmp_path / "r", images=folder, **other)


def test_appended_galaxies_join_and_the_old_stay_where_they_are(catalog, folder, tmp_path):
    out = tmp_path / "r"
    first = build_records(catalog[:250], out, images=folder)
    before, index = content(out), first.index().set_index("id_str")
    grown = build_records(catalog, out, images=folder, append=True)
    again = content(out)
    assert all(again[name] == sha for name, sha in before.items() if name.endswith(".tfrecord"))
    after = grown.index().set_index("id_str")
    pd.testing.assert_frame_equal(after.loc[index.index], index)
    whole = build_records(catalog, tmp_path / "whole", images=folder).index().set_index("id_str")
    assert (after["split"] == whole["split"].reindex(after.index)).all()
    assert set(after.index) == set(whole.index) and grown.noise == first.noise
    assert grown.totals["votes"] == catalog["votes"].drop(13).sum()
    assert verify_records(grown) == []
    assert build_records(catalog, out, images=folder, append=True) == grown
    with pytest.raises(ValueError, match=r"seed 3 where they have 0"):
        build_records(catalog, out, images=folder, append=True, seed=3)


def test_a_killed_append_does_not_add_twice(catalog, folder, tmp_path, monkeypatch):
    out = tmp_path / "r"
    build_records(catalog[:250], out, images=folder)
    save = building.Records.save
    monkeypatch.setattr(building.Records, "save", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build_records(catalog, out, images=folder, append=True)
    monkeypatch.setattr(building.Records, "save", save)
    records = build_records(catalog, out, images=folder, append=True)
    assert records.index()["id_str"].is_unique and verify_records(records) == []


def test_systematically_wrong_images_stop_the_build_early_and_leave_nothing(catalog, tmp_path):
    asked = []

    def broken(file_loc):
        asked.append(file_loc)
        if len(asked) > 1:
            raise ValueError("no such band")
        return from_pixels(np.ones((4, 4)))

    big = pd.concat([catalog.assign(id_str=catalog["id_str"] + f"_{k}") for k in range(5)])
    with pytest.raises(ValueError, match=r"no such band.*and \d+ more"):
        build_records(big, tmp_path / "r", images=broken)
    assert len(asked) < 200 and not list((tmp_path / "r").iterdir())


def test_a_repeated_id_is_found_across_chunks(catalog, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_CHUNK", 50)
    with pytest.raises(ValueError, match=r"1 id_str more than once \(g3\)"):
        build_records(pd.concat([catalog, catalog.iloc[[3]]]), tmp_path / "r", images=folder)
    assert not list((tmp_path / "r").iterdir())


def test_strange_files_in_the_folder_survive(catalog, folder, tmp_path):
    (tmp_path / "r").mkdir()
    for name in ("train-99999.tfrecord", "notes.txt", ".g3.partial.npy"):
        (tmp_path / "r" / name).write_text("mine")
    build_records(catalog, tmp_path / "r", images=folder)
    for name in ("train-99999.tfrecord", "notes.txt", ".g3.partial.npy"):
        assert (tmp_path / "r" / name).read_text() == "mine"
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "train-00000.tfrecord").write_text("mine")
    with pytest.raises(FileExistsError, match=r"train-00000\.tfrecord"):
        build_records(catalog, tmp_path / "s", images=folder)
    assert (tmp_path / "s" / "train-00000.tfrecord").read_text() == "mine" and len(
        list((tmp_path / "s").iterdir())
    ) == 1


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "swap"])
def test_verify_finds_every_kind_of_damage(catalog, folder, tmp_path, damage):
    records = build_records(catalog, tmp_path / "r", images=folder)
    one, two = records.shards("train")[:2]
    data = bytearray(one.read_bytes())
    if damage == "flip":
        data[1000] ^= 1
        one.write_bytes(data)
    elif damage == "cut":
        one.write_bytes(data[:-7])
    elif damage == "remove":
        one.unlink()
    else:
        one.rename(tmp_path / "x"), two.rename(one), (tmp_path / "x").rename(two)
    problems = verify_records(records)
    assert problems and all(one.name in p or two.name in p for p in problems)


def test_records_json_is_plain_and_complete(catalog, folder, tmp_path):
    records = build_records(catalog, tmp_path / "r", images=folder, pixel_scale=0.4)
    fields = json.loads((tmp_path / "r" / "records.json").read_text())
    train = records.index().query("split == 'train'")["id_str"]
    pixels = np.stack(list(read_pixels(records, train)))
    np.testing.assert_allclose(fields["sky"], np.median(np.median(pixels, axis=(1, 2)), axis=0), atol=0.02)
    deviation = np.abs(pixels - np.median(pixels, axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(
        fields["noise"], np.median(1.4826 * np.median(deviation, axis=(1, 2)), axis=0), rtol=0.02
    )
    assert fields["pixel_scale"] == 0.4 and fields["shape"] == [10, 12, 2] and fields["uniform"]


if __name__ == "__main__":  # the build that is killed
    building._SHARD_BYTES = 64 * 4 * 2 * 10 * 12
    build_records(sys.argv[1], sys.argv[3], images=sys.argv[2])
