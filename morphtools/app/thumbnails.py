"""Pictures of single galaxies for the page, in the chosen stretch; the latest ones are kept in memory."""

import collections
import io
import threading
from collections.abc import Callable

import numpy as np

from morphtools.answers.class_figures import as_picture
from morphtools.explore.pictures import Pictures, pixel_noise
from tfrecords_builder.gaps import filled
from tfrecords_builder.images import Image
from tfrecords_builder.pixels import to_pixels

_BYTES = 2**26  # of pictures in memory
_WHITE = 300.0  # flux over noise that is drawn white, as in `as_picture`

# From 0–1 linear (flux from 0 to 300 times the noise) to 0–1 as shown.
STRETCHES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "asinh": lambda value: np.arcsinh(_WHITE * value) / np.arcsinh(_WHITE),
    "linear": lambda value: value,
    "sqrt": np.sqrt,
    "log": lambda value: np.log1p(1000 * value) / np.log1p(1000),
}


class Thumbnails:
    """Small pictures of galaxies, as JPEG.

    Args:
        records: Records of the galaxies, or
        catalog: table with `id_str` and `file_loc`, and
        images: folder, zip archive or stack of their images. Without either there are no pictures.
        store: Representations: if they are of the middle of the images only, pictures show that middle.
    """

    def __init__(self, records=None, catalog=None, images=None, store=None):
        self.there = records is not None or (catalog is not None and images is not None)
        self._where = records, catalog, images, store
        self._pictures: Pictures | None = None
        self._kept: collections.OrderedDict[tuple, bytes] = collections.OrderedDict()
        self._bytes, self._lock, self._reading = 0, threading.Lock(), threading.Lock()

    def open(self) -> None:
        """Opens records or images, if there are any and they are not open yet."""
        if self.there:
            self._opened()

    def _opened(self) -> Pictures:
        if not self.there:
            raise LookupError("there are no pictures: give records, or a catalogue and its images")
        with self._reading:
            if self._pictures is None:
                self._pictures = Pictures(*self._where)
            return self._pictures

    def jpeg(self, id_str: str, side: int, stretch: str = "asinh", brightness: float = 0, contrast: float = 1) -> bytes:
        """Draws the picture of a galaxy as JPEG.

        Args:
            id_str: Its name.
            side: Side of the square picture, in pixels.
            stretch: One of `STRETCHES`; a JPEG or PNG is taken to be `asinh`.
            brightness: Added to the picture, −1 to 1.
            contrast: Factor around the middle.

        Raises:
            LookupError: There are no pictures, or none of this galaxy; says why.
        """
        key = (id_str, side, stretch, brightness, contrast)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        pictures = self._opened()
        with self._reading:  # the files behind are not made for several threads
            image = _read(pictures, id_str)
        picture = pictures.middle(shown(image, pictures.noise, stretch, brightness, contrast))
        data = encoded(picture, side)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = data
                self._bytes += len(data)
            while self._bytes > _BYTES:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return data

    def image(self, id_str: str) -> Image:
        """The image of a galaxy as it is stored.

        Raises:
            LookupError: There are no pictures, or none of this galaxy; says why.
        """
        pictures = self._opened()
        with self._reading:
            return _read(pictures, id_str)


def _read(pictures: Pictures, id_str: str) -> Image:
    try:
        (image,) = pictures.images([id_str])
    except (ValueError, OSError) as error:
        raise LookupError(f"{id_str}: {error}") from None
    if not isinstance(image, Image):
        raise LookupError(f"{id_str}: {image}")
    return image


def shown(image: Image, noise, stretch: str = "asinh", brightness: float = 0, contrast: float = 1) -> np.ndarray:
    """Draws an image: (H, W, 3) in 0–1.

    Args:
        image: From any source.
        noise: (C,) of flux, where records tell it.
        stretch: Of `STRETCHES`.
        brightness: Added.
        contrast: Multiplied around the middle.
    """
    pixels = filled(to_pixels(image))
    noise = None if isinstance(image.data, bytes) else noise or pixel_noise(pixels)
    picture = as_picture(pixels, noise)  # bands, order and range; a picture is taken to be an asinh of flux
    if stretch != "asinh":
        linear = np.sinh(picture * np.arcsinh(_WHITE)) / _WHITE if noise is not None else picture
        picture = STRETCHES[stretch](linear)
    return np.clip((picture - 0.5) * contrast + 0.5 + brightness, 0, 1)


def encoded(picture: np.ndarray, side: int) -> bytes:
    """Encodes a picture (H, W, 3) in 0–1 as JPEG."""
    from PIL import Image as Picture

    made = Picture.fromarray(np.round(255 * picture).astype(np.uint8))
    file = io.BytesIO()
    made.resize((side, side), Picture.Resampling.LANCZOS).save(file, "jpeg", quality=88)
    return file.getvalue()
