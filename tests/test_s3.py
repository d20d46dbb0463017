"""S3 from the catalogue to similar galaxies, against a server on this machine (moto)."""

import contextlib
import filecmp
import os
import socket
import subprocess
import sys
import time

import fsspec
import pytest

import morphtools
from tfrecords_builder.object_storage import read_object


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """The URL of an empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while server.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        monkeypatch.setenv("MORPHTOOLS_CACHE", str(tmp_path / "cache"))
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        fsspec.filesystem("s3").mkdir("survey")
        yield "s3://survey"
    finally:
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        server.kill()
        server.wait()


def same(one, other):
    """Whether two folders hold the same files, byte by byte."""
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    return filecmp.cmpfiles(one, other, names, shallow=False)[0] == names


@pytest.mark.slow
def test_from_a_catalogue_to_similar_galaxies_s3_gives_the_bytes_of_a_folder(bucket, galaxies, tmp_path):
    _, images = galaxies
    fsspec.filesystem("s3").put(f"{images}/", "survey/images/", recursive=True)
    fsspec.filesystem("s3").put(str(tmp_path / "catalog.csv"), "survey/catalog.csv")
    morphtools.build_records(tmp_path / "catalog.csv", tmp_path / "near", images=images)
    morphtools.build_records(f"{bucket}/catalog.csv", tmp_path / "far", images=f"{bucket}/images", workers=2)
    assert same(tmp_path / "near", tmp_path / "far")
    assert morphtools.upload(tmp_path / "far", f"{bucket}/records") > 0
    assert morphtools.upload(tmp_path / "far", f"{bucket}/records") == 0
    assert morphtools.verify_records(f"{bucket}/records") == []

    name = "mobilenet_v3_small_gz2"
    for place, records in (("store", tmp_path / "near"), ("other", f"{bucket}/records")):
        morphtools.represent(name, tmp_path / place, records=records, orientations=1)
    assert same(tmp_path / "store", tmp_path / "other")
    morphtools.upload(tmp_path / "other", f"{bucket}/store")
    tables = []
    for place, store, records in (
        ("a", tmp_path / "store", tmp_path / "near"),
        ("b", f"{bucket}/store", f"{bucket}/records"),
    ):
        tables.append(morphtools.find_similar(store, like=["g03"], records=records, out=tmp_path / place))
    assert tables[0].equals(tables[1]) and same(tmp_path / "a", tmp_path / "b")


@pytest.mark.slow
def test_errors_of_s3_are_reported_in_one_sentence(bucket, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"^there is nothing at s3://nowhere/a: the bucket does not exist"):
        read_object("s3://nowhere/a")
    fsspec.filesystem("s3").pipe_file("survey/empty", b"")
    assert read_object(f"{bucket}/empty", most=9) == b""
    with pytest.raises(FileNotFoundError, match=r"^there is nothing at s3://survey/a$"):
        read_object("s3://survey/a")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(PermissionError, match=r"^s3://survey/a may not be accessed: .*credentials"):
        read_object("s3://survey/a")
