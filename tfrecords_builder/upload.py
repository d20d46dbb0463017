"""Finished results, from a folder of this machine to object storage."""

import json
from collections.abc import Iterator
from pathlib import Path

from tfrecords_builder.checksums import file_checksum
from tfrecords_builder.locks import lock
from tfrecords_builder.object_storage import files_in, in_threads, read_object, url_of, write_object
from tfrecords_builder.progress import progress_bar

_DONE = "uploaded.json"  # checksums of the files that are there, by name
_EVERY = 64  # files, after which they are noted there


def upload(folder: str | Path, url: str) -> int:
    """Copies the finished results of a verb to object storage, where other verbs read them.

    `claim.json`, which tells whose place this is, goes first, and the JSON files that describe the others last, so that
    nobody reads half a set. If interrupted, the same call resumes: files that are there already, by their checksums in
    `uploaded.json`, stay. Records to which galaxies were added need no more than these, and parts of a job that were
    computed on separate machines can be uploaded to one place.

    Args:
        folder: What a verb has made.
        url: Where to, such as `s3://bucket/records`.

    Returns:
        Number of files that were copied.

    Raises:
        FileNotFoundError: There is no such folder, or no such bucket.
        FileExistsError: Other results are there.
        ValueError: The folder is empty, or the verb has not finished.
        OSError: A file cannot be copied; names it.
    """
    folder, url = Path(folder), url_of(url)
    if not url:
        raise ValueError("give the URL to upload to, such as s3://bucket/records")
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    with lock(folder):
        checksums = _results(folder)
        sizes = {name: entry["size"] for name, entry in files_in(url, below=True).items()}
        _check_same(folder, url, [name for name in checksums if name in sizes])
        done = json.loads(read_object(f"{url}/{_DONE}")) if _DONE in sizes else {}
        todo = [
            name for name in checksums if done.get(name) != checksums[name] or _size(folder / name) != sizes.get(name)
        ]
        done = {name: checksum for name, checksum in done.items() if name not in todo}
        with progress_bar(total=len(todo), desc=f"uploading to {url}", unit="file") as bar:
            for some_of in _in_order(todo):
                if todo:  # what is about to be replaced is not there any more
                    write_object(f"{url}/{_DONE}", json.dumps(done).encode())
                for _ in in_threads(lambda name: write_object(f"{url}/{name}", folder / name), some_of):
                    bar.update()
                done |= {name: checksums[name] for name in some_of}
        if todo:
            write_object(f"{url}/{_DONE}", json.dumps(done).encode())
    return len(todo)


def _in_order(names: list[str]) -> Iterator[list[str]]:
    """The names of files in groups, of which each is there before the next: the claim, data, what describes it."""
    tables = ("index.parquet", "failures.parquet")
    data = [name for name in names if not name.endswith((".json", *tables))]
    yield [name for name in names if name == "claim.json"]
    yield from (data[start : start + _EVERY] for start in range(0, len(data), _EVERY))
    yield [name for name in names if name.endswith(tables)]
    yield [name for name in names if name.endswith(".json") and name != "claim.json"]


def _size(path: Path) -> int:
    return path.stat().st_size


def _results(folder: Path) -> dict[str, str]:
    """The checksums of the files of a folder, by their path below it.

    Raises:
        ValueError: There are none, or not all yet.
    """
    if (folder / ".build").exists() or (folder / "state").exists():
        raise ValueError(f"the work in {folder} is not finished: run its command again before you upload it")
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    paths = [path for path in paths if not any(part.startswith(".") for part in path.parts)]
    if not paths:
        raise ValueError(f"there is nothing to upload in {folder}")
    return {path.as_posix(): file_checksum(folder / path) for path in paths}


def _check_same(folder: Path, url: str, names: list[str]) -> None:
    """Compares the JSON files that are there already with those of a folder; records may have grown.

    Raises:
        FileExistsError: They are of other results.
    """
    for name in names:
        if name.endswith(".json"):
            there, here = json.loads(read_object(f"{url}/{name}")), json.loads((folder / name).read_text())
            grown = name == "records.json" and there.get("checksums", {}).items() <= here["checksums"].items()
            if there != here and not grown:
                raise FileExistsError(f"{url} holds other results ({name} differs): upload to another place")
