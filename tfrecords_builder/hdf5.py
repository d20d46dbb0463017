"""Reads untrusted HDF5 files: only what is in the file itself, whatever version of HDF5 or Keras reads it.

Links and datasets can refer to other files on the machine, whose content would then be read.
"""

from pathlib import Path


def dataset_names(group) -> list[str]:
    """The names of the arrays directly in a group, except links."""
    import h5py

    return [name for name in group if _is_own(group, name) and isinstance(group[name], h5py.Dataset)]


def own_dataset(file, name: str):
    """Finds an array of the file by its path.

    Args:
        file: An open `h5py.File`.
        name: `images`, or `group/images`.

    Raises:
        ValueError: It does not exist, or its values are stored in another file.
    """
    import h5py

    place = file
    for part in [part for part in name.split("/") if part]:
        if not isinstance(place, h5py.Group) or place.get(part, getlink=True) is None:
            raise ValueError(f"it has no array {name!r}; the arrays are {', '.join(file) or 'none'}")
        if not _is_own(place, part):
            raise ValueError(f"{name!r} is a link; only arrays in the file itself are read")
        place = place[part]
    if not isinstance(place, h5py.Dataset):
        raise ValueError(f"{name!r} is not an array but a group with {', '.join(place) or 'nothing'}")
    if place.external or place.is_virtual:
        raise ValueError(f"the values of {name!r} are stored in another file, which is not read")
    return place


def _is_own(group, name: str) -> bool:
    import h5py

    return isinstance(group.get(name, getlink=True), h5py.HardLink)


def check_weights(path: str | Path) -> None:
    """Refuses weights or a `.keras` model that would read other files on this machine.

    Args:
        path: `.h5`, `.weights.h5` or `.keras`.

    Raises:
        ValueError: A link leads out of it, its values are stored elsewhere, or it is not readable.
    """
    import io
    import zipfile

    import h5py

    path = Path(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = [name for name in archive.namelist() if name.endswith(".h5")]
                files = [io.BytesIO(archive.read(name)) for name in members]
        else:
            files = [path]
        for file in files:
            with h5py.File(file, "r") as opened:
                _check_group(opened, path.name, set())
    except ValueError:
        raise
    except Exception as error:  # h5py and zipfile raise many kinds of exceptions, which all mean the same here
        raise ValueError(f"cannot read the weights {path.name}: {error or type(error).__name__}") from error


def _check_group(group, file: str, seen: set) -> None:
    import h5py

    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(f"{file} is refused: {group.name}/{name} is a link to the file {link.filename}")
        if isinstance(link, h5py.SoftLink):
            continue  # its target is checked where it is stored
        item = group[name]
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            raise ValueError(f"{file} is refused: the values of {item.name} are stored in another file")
        address = h5py.h5o.get_info(item.id).addr
        if isinstance(item, h5py.Group) and address not in seen:  # hard links may form loops
            seen.add(address)
            _check_group(item, file, seen)
