"""Images that are their own catalogue: a folder, zip archive or stack, with what folders or other arrays tell."""

import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd

from tfrecords_builder.image_files import KNOWN
from tfrecords_builder.naming import some
from tfrecords_builder.object_storage import files_in, is_folder, is_remote, url_of
from tfrecords_builder.splits import SPLITS
from tfrecords_builder.stacks import STACKS, tables_of

_LOOKED_AT = 1000  # files checked for galaxies with several files


def is_listing(path: str | Path) -> bool:
    """Whether there are images at a path, in a folder, zip archive or stack, and not a table."""
    archive = Path(path).suffix.lower() in (".zip", *STACKS)
    if is_remote(path):
        return archive or is_folder(path)
    path = Path(path).expanduser()
    return path.is_dir() or (path.is_file() and archive)


def catalog_of(catalog, images):
    """The catalogue; if only images are given, they are their own (see `list_images`)."""
    own = catalog is None and isinstance(images, str | Path) and is_listing(images)
    return images if own else catalog


def images_of(catalog, images):
    """Where images are: by default in the catalogue's folder, or in what is given as catalogue (see `list_images`).

    Raises:
        ValueError: The catalogue is a table in memory, and nothing tells where its images are.
    """
    if images is not None:
        return images
    if not isinstance(catalog, str | Path):
        raise ValueError("a table in memory needs images: the folder, archive or stack that file_loc refers to")
    path = Path(catalog).expanduser()
    return path if is_listing(path) else path.parent


def list_images(place: Path, rows: int) -> Iterator[pd.DataFrame]:
    """Lists the images in a folder or zip archive, and in the folders inside, or in a stack, at most `rows` at a time.

    For a stack see `tables_of`. Otherwise the name of a galaxy is that of its file, with the folders inside and without
    the ending: `ring/0001`. Where there are folders inside, the column `folder` has their names, such as classes; if
    the outermost are called `train`, `val` or `test`, they are the column `split` instead. Files of other kinds and
    hidden ones are passed over.

    Yields:
        A row per image with `id_str`, `file_loc`, and `folder`, `split` or other columns where there are such.

    Raises:
        ValueError: There are no images, or galaxies seem to have several files each.
    """
    if (place / "records.json").exists():
        raise ValueError(f"{place} contains records, not images: give it as records")
    if place.suffix.lower() in STACKS:
        yield from tables_of(place, rows)
        return
    names, top = _in_archive(place) if place.is_file() else _in_folder(place)
    splits, begun = bool(top) and top <= set(SPLITS), False
    while chunk := list(islice(names, rows)):
        if not begun:
            _check_single(place, chunk)
        begun = True
        yield _table(chunk, bool(top), splits)
    if not begun:
        raise ValueError(f"there are no images in {place}; known endings: {', '.join(KNOWN)}")


def _table(chunk: list[tuple[str, str]], folders: bool, splits: bool) -> pd.DataFrame:
    """The catalogue of files, with the informative part of each name."""
    ids = [_without_ending(name) for _, name in chunk]
    table = pd.DataFrame({"id_str": ids, "file_loc": [file_loc for file_loc, _ in chunk]}, dtype=object)
    inside = [name.rpartition("/")[0] for _, name in chunk]
    if splits:
        table["split"] = [folder.partition("/")[0] for folder in inside]
        inside = [folder.partition("/")[2] for folder in inside]
    if folders and any(inside):
        table["folder"] = [folder or None for folder in inside]
    return table


def _in_folder(place: Path) -> tuple[Iterator[tuple[str, str]], set[str]]:
    """Names of the images in a folder, and its immediate subfolders."""
    if is_remote(place):
        names = sorted(files_in(url_of(place), below=True))
        names = [n for n in names if n.lower().endswith(KNOWN) and not any(map(_hidden, n.split("/")))]
        return ((name, name) for name in names), {name.partition("/")[0] for name in names if "/" in name}

    def walk() -> Iterator[tuple[str, str]]:
        for folder, inside, files in os.walk(place):
            inside[:] = sorted(name for name in inside if not _hidden(name))
            for file in sorted(files):
                if file.lower().endswith(KNOWN) and not _hidden(file):
                    name = (Path(folder) / file).relative_to(place).as_posix()
                    yield name, name

    return walk(), {path.name for path in place.iterdir() if path.is_dir() and not _hidden(path.name)}


def _in_archive(place: Path) -> tuple[Iterator[tuple[str, str]], set[str]]:
    """Names of the images in a zip archive, and the outermost folders, ignoring a single one that contains them all."""
    with zipfile.ZipFile(place) as archive:
        names = [n for n in archive.namelist() if n.lower().endswith(KNOWN) and not any(map(_hidden, n.split("/")))]
    parts = sorted(name.split("/") for name in names)
    while parts and len({part[0] for part in parts}) == 1 and all(len(part) > 1 for part in parts):
        parts = [part[1:] for part in parts]
    return zip(sorted(names), map("/".join, parts), strict=True), {part[0] for part in parts if len(part) > 1}


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _without_ending(name: str) -> str:
    ending = max((ending for ending in KNOWN if name.lower().endswith(ending)), key=len)
    return name[: -len(ending)]


def _check_single(place: Path, chunk: list[tuple[str, str]]) -> None:
    """Raises ValueError if every galaxy seems to have several files, such as one per band: G1_g.fits, G1_r.fits."""
    kinds = defaultdict(set)
    for _, name in chunk[:_LOOKED_AT]:
        parts = re.fullmatch(r"(.*)[_.-]([A-Za-z]\w*)", _without_ending(name))
        kinds[parts[1] if parts else name].add(parts[2] if parts else "")
    several = next(iter(kinds.values()))
    if len(several) > 1 and len(kinds) > 1 and all(each == several for each in kinds.values()):
        first = [name for _, name in chunk[: len(several)]]
        raise ValueError(
            f"the galaxies in {place} seem to have {len(several)} files each, such as {some(first, 6)}: give a catalog "
            "with their names and, if these are bands, the template of the file names"
        )
