"""Small colour pictures of single galaxies, from records or from a catalogue and its images."""

import base64
import io
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.answers.class_figures import as_picture
from morphtools.explore.tables import open_catalog
from morphtools.inference.representations import Representations
from tfrecords_builder.catalog import check_catalog
from tfrecords_builder.claims import claim
from tfrecords_builder.gaps import filled
from tfrecords_builder.images import Image, open_images, read_images
from tfrecords_builder.listing import catalog_of
from tfrecords_builder.naming import some
from tfrecords_builder.pixels import to_pixels
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)

_BATCH = 1024


class Pictures:
    """A source of pictures of galaxies.

    Args:
        records: Records or their folder.
        catalog: Table with `id_str` and `file_loc`, or its path, instead of records.
        images: Folder, zip archive or stack that `file_loc` refers to.
        store: Representations of these galaxies: if only the middle of the images was represented (`represent` with
            `crop`), pictures show that middle.
        crop: Side in pixels of the middle to show; by default as the store, or the whole image.

    Attributes:
        noise: (C,) per pixel and band, where records tell it.
        bands: Names of the bands, where records tell them.
    """

    def __init__(
        self, records=None, catalog=None, images=None, store: Representations | None = None, crop: int | None = None
    ):
        if crop is not None and crop < 1:
            raise ValueError(f"crop must be at least 1 pixel, got {crop}")
        self.noise, self.bands, self._crop = None, None, crop
        self._galaxies: Records | pd.DataFrame
        self._shares = (1.0, 1.0) if store is None else _shares_represented(store)
        if records is not None:
            self._galaxies = records = Records.open(records)
            self._source, self.noise, self.bands = records.source(), records.noise, records.bands
        elif images is not None and (given := catalog_of(catalog, images)) is not None:
            catalog = check_catalog(open_catalog(given))
            self._source = open_images(images)
            self._galaxies = catalog.set_index("id_str", drop=False)
        else:
            raise ValueError("pictures need records, or a catalog with its images")

    @property
    def id_str(self) -> pd.Index:
        """All galaxies of the records or the catalogue."""
        galaxies = self._galaxies
        return pd.Index(galaxies.index(["id_str"])["id_str"]) if isinstance(galaxies, Records) else galaxies.index

    def read(self, ids: Iterable[str], side: int) -> Iterator[np.ndarray | ValueError]:
        """Yields the picture (side, side, 3) uint8 of every galaxy, or the reason why there is none."""
        for id_str, image in zip(ids, self.images(ids), strict=True):
            if not isinstance(image, Image):
                yield ValueError(f"{id_str}: {image}")
                continue
            yield self._picture(image, side)

    def images(self, ids: Iterable[str]) -> Iterator[Image | ValueError]:
        """Yields the image of every galaxy, or the reason why there is none."""
        if isinstance(self._galaxies, Records):
            return read_images(self._source, ({"file_loc": id_str} for id_str in ids))
        unlisted = [id_str for id_str in ids if id_str not in self._galaxies.index]
        if unlisted:
            raise ValueError(f"the catalogue does not contain {some(unlisted)}")
        return read_images(self._source, self._galaxies.loc[list(ids)].to_dict("records"))

    def _picture(self, image: Image, side: int) -> np.ndarray:
        from PIL import Image as Picture

        pixels = filled(to_pixels(image))
        noise = None
        if not isinstance(image.data, bytes):
            noise = self.noise or pixel_noise(pixels)
        shown = self.middle(as_picture(pixels, noise))
        picture = Picture.fromarray(np.round(255 * shown).astype(np.uint8))
        return np.asarray(picture.resize((side, side), Picture.Resampling.LANCZOS))

    def middle(self, picture: np.ndarray) -> np.ndarray:
        """The part of an image (H, W, …) to show: `crop` pixels of its middle, or what was represented."""
        kept = [max(1, round(share * side)) for share, side in zip(self._shares, picture.shape, strict=False)]
        if self._crop is not None:
            kept = [min(self._crop, side) for side in picture.shape[:2]]
        y, x = ((side - size) // 2 for side, size in zip(picture.shape, kept, strict=False))
        return picture[y : y + kept[0], x : x + kept[1]]


def _shares_represented(store: Representations) -> tuple[float, float]:
    """Shares of the height and width of the images that were represented, from the store's provenance."""
    size, crop = (_numbers(store.provenance.get(name, "")) for name in ("image_size", "crop"))
    if len(size) != 2 or len(crop) != 2:
        return 1.0, 1.0
    return min(1.0, crop[0] / size[0]), min(1.0, crop[1] / size[1])


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"[1-9]\d*", text)]


def pixel_noise(pixels: np.ndarray) -> np.ndarray:
    """(C,) 1.4826 × the median absolute deviation of every band, for images whose noise is unknown."""
    with np.errstate(all="ignore"):
        middle = np.nanmedian(pixels, axis=(0, 1))
        noise = 1.4826 * np.nanmedian(np.abs(pixels - middle), axis=(0, 1))
    return np.where(noise > 0, noise, 1.0)


def thumbnails(pictures: Pictures, ids: Iterable[str], side: int = 64) -> list[np.ndarray]:
    """A picture (side, side, 3) uint8 of every galaxy; grey where there is none."""
    images = list(pictures.read(ids, side))
    missing = [str(picture) for picture in images if isinstance(picture, ValueError)]
    if missing:
        log.warning("%d of %d pictures cannot be read: %s", len(missing), len(images), some(missing, 2))
    grey = np.full((side, side, 3), 128, np.uint8)
    return [grey if isinstance(picture, ValueError) else picture for picture in images]


def data_url(picture: np.ndarray) -> str:
    """Encodes a picture (H, W, 3) uint8 as a data URL for HTML."""
    from PIL import Image as Picture

    file = io.BytesIO()
    Picture.fromarray(picture).save(file, "jpeg", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def represent_pixels(
    out: str | Path,
    *,
    catalog: str | Path | pd.DataFrame | None = None,
    images: str | Path | None = None,
    records: str | Path | Records | None = None,
    image_size: int = 32,
) -> Representations:
    """Represents galaxies by the pixels of their pictures: the baseline every encoder should beat.

    Galaxies already in `out` are skipped, so an interrupted call resumes, and several catalogues add up.

    Args:
        out: Folder of the store.
        catalog: Table with `id_str` and `file_loc`.
        images: Folder, zip archive or stack of their images.
        records: Folder of records, instead of catalogue and images.
        image_size: Side in pixels to which the pictures are shrunk.

    Returns:
        The store, in 3 × `image_size`² dimensions; usually reduced next.
    """
    pictures = Pictures(records, catalog, images)
    ids = pictures.id_str
    with claim(out, "represent-pixels", {}, {}, old="representations.json", others=True) as claimed:
        claimed.keep()
        store = Representations.create(out, 3 * image_size**2, {"weights": f"pixels of {image_size}×{image_size}"})
        ids = pd.Index(ids).difference(store.id_str, sort=False)
        failed = []
        bar = progress_bar(total=len(ids), desc="representing pixels", unit="galaxy")
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            read = list(pictures.read(batch, image_size))
            bar.update(len(batch))
            failed += [str(picture) for picture in read if isinstance(picture, ValueError)]
            good = [i for i, picture in enumerate(read) if not isinstance(picture, ValueError)]
            if good:
                store.append(
                    batch[good], np.stack([np.asarray(read[i]) for i in good]).reshape(len(good), -1) / np.float32(255)
                )
        bar.close()
        if failed:
            log.warning("%d of %d galaxies cannot be read and are left out: %s", len(failed), len(ids), some(failed, 2))
    return store
