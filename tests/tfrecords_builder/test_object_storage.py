import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from tfrecords_builder.object_storage import about, in_threads, is_remote, read_object, url_of


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    return system


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("s3://bucket/a", "s3://bucket/a"),
        (Path("s3://bucket/a"), "s3://bucket/a"),  # as pathlib writes it: s3:/bucket/a
        ("S3://bucket/a/", "s3://bucket/a"),
        (Path("file:///tmp/a"), "file:///tmp/a"),
        ("a/b:/c", ""),
        ("C:/galaxies", ""),
        (r"C:\galaxies", ""),
        ("/tmp/s3:/a", ""),
        (None, ""),
        (len, ""),
    ],
)
def test_a_path_is_a_url_only_if_it_begins_as_one(path, url):
    assert url_of(path) == url
    assert is_remote(path) == url.startswith("s3://")


def test_a_request_that_fails_now_and_then_is_repeated(memory, monkeypatch):
    memory.pipe_file("/bucket/a", b"content")
    original, failures = type(memory).cat_file, iter([TimeoutError("timed out"), ConnectionError("reset")])

    def flaky(self, *args, **options):
        for error in failures:
            raise error
        return original(self, *args, **options)

    monkeypatch.setattr(type(memory), "cat_file", flaky)
    assert read_object("memory://bucket/a") == b"content"


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (FileNotFoundError("x"), FileNotFoundError, "^there is nothing at memory://bucket/a$"),
        (FileNotFoundError("The specified bucket does not exist"), FileNotFoundError, "a: the bucket does not exist$"),
        (PermissionError("Forbidden"), PermissionError, "^memory://bucket/a may not be accessed: Forbidden$"),
        (type("NoCredentialsError", (Exception,), {})("none"), PermissionError, "accessed: none .docs/object-storage"),
        (
            OSError(22, "The specified bucket is not valid."),
            ConnectionError,
            "^memory://bucket/a cannot be accessed: .*not v",
        ),
        (TimeoutError("slow"), ConnectionError, "^memory://bucket/a cannot be accessed: slow; the same call resumes$"),
        (KeyError(), ConnectionError, "^memory://bucket/a cannot be accessed: KeyError; the same call resumes$"),
    ],
)
def test_whatever_fails_is_one_sentence_that_names_the_object(memory, monkeypatch, error, kind, words):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(type(memory), "info", fail)
    with pytest.raises(kind, match=words):
        about("memory://bucket/a")


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(
        ImportError, match=r"^s3:// needs packages that are not installed: pip install 'morphtools\[s3\]"
    ):
        about("s3://bucket/a")


def test_an_unknown_kind_of_url_is_named():
    with pytest.raises(ValueError, match=r"^galaxy://a cannot be read: Protocol not known: galaxy"):
        about("galaxy://a")


def test_passwords_in_urls_are_neither_used_nor_shown():
    with pytest.raises(ValueError) as caught:
        about("ftp://me:secret@server/a")
    assert "secret" not in str(caught.value)


def test_no_more_bytes_than_allowed_are_read(memory):
    memory.pipe_file("/bucket/a", b"12345")
    memory.pipe_file("/bucket/empty", b"")
    assert read_object("memory://bucket/a", most=5) == b"12345" and read_object("memory://bucket/empty", most=5) == b""
    with pytest.raises(ValueError, match=r"^memory://bucket/a has more than the 4 bytes that max_bytes allows"):
        read_object("memory://bucket/a", most=4)


def test_threads_keep_the_order_and_do_not_run_ahead():
    taken = []

    def items():
        for i in range(50):
            taken.append(i)
            yield i

    results = in_threads(lambda i: i * i, items(), threads=4)
    assert next(results) == 0 and len(taken) == 5
    assert list(results) == [i * i for i in range(1, 50)]


def test_fsspec_is_not_imported_before_it_is_needed():
    code = "import tfrecords_builder.build, morphtools.cli, sys; print('fsspec' in sys.modules, 's3fs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False\n"
