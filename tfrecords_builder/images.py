"""Images and where they come from.

A *source* has a method `read(rows)`: for every row of the catalogue (a dict) it yields an `Image`, or a
`ValueError` that explains why there is none, so that the builder lists it and continues. `open_images` chooses
it; a plain function from `file_loc` to an `Image` will do as well.
"""

import logging
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tfrecords_builder.bounded import LIMITS, Limits, check_regular
from tfrecords_builder.copies import here
from tfrecords_builder.crop import crop as cut_to_source
from tfrecords_builder.image_files import Files
from tfrecords_builder.masks import is_weight_map, split_bits
from tfrecords_builder.mosaics import Mosaics
from tfrecords_builder.object_storage import is_remote
from tfrecords_builder.parquet_pictures import ParquetPictures
from tfrecords_builder.pixels import Image, from_pixels
from tfrecords_builder.resample import check_reproject
from tfrecords_builder.stacks import STACKS, Stack

__all__ = ["Image", "Source", "from_pixels", "open_images", "read_images"]

log = logging.getLogger(__name__)

Source = Callable[[str], Image]


def open_images(
    images: str | Path | Source,
    *,
    bands: tuple[str, ...] | None = None,
    template: str | None = None,
    hdu: str | int | tuple | None = None,
    mask: str | int | None = None,
    mask_bits: str | int | tuple | None = None,
    cutout: str | float | None = None,
    image_size: int | None = None,
    align: bool = False,
    crop: bool = False,
    limits: Limits = LIMITS,
):
    """Returns the source for `images`.

    Args:
        images: Folder or zip archive with one file per galaxy; a `.npy`, `.npz` or `.h5` stack in which `file_loc` is
            the row; a `.parquet` table that contains pictures (see `tfrecords_builder.parquet_pictures`); or a
            function that is a source already.
        bands: Names of the bands, in the order in which to store them.
        template: Path of a galaxy's file, if not `file_loc`, with columns of the catalogue in braces, and `{band}` if
            every band has its own file: `"{field}/{id_str}_{band}.fits"`.
        hdu: Extension of a FITS file, one per band if several; name of the array in an npz or h5 stack, or of the
            column of pictures in a parquet table.
        mask: Extension that is non-zero where a pixel is bad; a weight map (WHT, WEIGHT, IVAR) is zero there.
        mask_bits: Bits of the mask that mark bad pixels, by name or number (`"SAT,BAD"`, `"0,3"`); `"zero"`: it is a
            weight map, whatever its name (see `tfrecords_builder.masks`).
        cutout: Size to cut out around every galaxy if the files are mosaics (see `tfrecords_builder.mosaics`).
        image_size: Side in pixels to which cutouts of other sizes are resampled.
        align: Whether to resample bands that are not on the sky grid of the first; otherwise such galaxies fail.
            Needs the package reproject.
        crop: Whether to crop every image to the central source (see `tfrecords_builder.crop`).
        limits: Limits for the files: bytes, pixels, and whether `file_loc` may lead out of the folder.

    Raises:
        FileNotFoundError: `images` does not exist.
        ValueError: It is none of these.
    """
    if crop:
        kind: dict[str, Any] = {"bands": bands, "template": template, "hdu": hdu, "mask": mask, "cutout": cutout}
        kind |= {"mask_bits": mask_bits, "image_size": image_size, "align": align}
        return _Cropped(open_images(images, **kind, limits=limits))
    if callable(images):
        return images
    path = here(images, folders=False)
    far = is_remote(path)
    if not (far or path.exists()):
        raise FileNotFoundError(f"there is no folder, archive or stack of images at {path}")
    if not (far or path.is_dir()):
        check_regular(path)
    if path.is_dir() and any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup")):
        raise ValueError(f"{path} is a zarr store, which is not supported: save its array as npy or h5")
    if template is not None and "{band}" in template and not bands:
        raise ValueError(f"the template {template!r} contains {{band}}: give the names of the bands, in order")
    if isinstance(hdu, list):
        hdu = tuple(hdu)
    if isinstance(hdu, tuple) and [type(each) for each in hdu] == [str, int]:
        name, number = hdu
        raise ValueError(
            f"hdu {name},{number} may mean two extensions or version {number} of {name}: give the numbers they have in "
            "the file, counted from 0"
        )
    if mask_bits is not None:
        mask_bits = tuple(split_bits(mask_bits))
        if mask is None:
            raise ValueError(f"mask_bits {', '.join(mask_bits)} needs a mask: give its extension (--mask)")
    elif mask is not None and is_weight_map(mask):
        log.warning("%s is read as a weight map: pixels are bad where it is 0 (--mask-bits zero confirms this)", mask)
    if align:
        check_reproject()
    files = Files(path if far else path.absolute(), template, tuple(bands or ()), hdu, mask, mask_bits, align, limits)
    if cutout is not None:
        return Mosaics(files, cutout, image_size)
    if path.suffix.lower() in STACKS:
        return Stack(path.absolute(), None if hdu is None else str(hdu), len(bands) if bands else None, limits)
    if path.suffix.lower() == ".parquet":
        return ParquetPictures(path.absolute(), None if hdu is None else str(hdu), limits)
    if not (far or path.is_dir() or zipfile.is_zipfile(path)):
        raise ValueError(
            f"{path} is neither a folder, a zip archive nor a stack of images ({', '.join(STACKS)}, .parquet)"
        )
    return files


def read_images(source, rows: Iterable[dict]) -> Iterator[Image | ValueError]:
    """Reads the image of every row from a source, in order."""
    if hasattr(source, "read"):
        yield from source.read(rows)
        return
    for row in rows:
        try:
            yield source(row["file_loc"])
        except ValueError as error:
            yield error


class _Cropped(NamedTuple):
    """A source that crops the images of another source to the central galaxy."""

    source: object

    @property
    def needs(self) -> tuple[str, ...]:
        return getattr(self.source, "needs", ("id_str", "file_loc"))

    def read(self, rows: Iterable[dict]) -> Iterator[Image | ValueError]:
        for image in read_images(self.source, rows):
            yield cut_to_source(image) if isinstance(image, Image) else image
