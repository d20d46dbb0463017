"""Images of single galaxies for the page, in the chosen stretch; the latest ones are kept in memory."""

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

_BYTES = 2**26  # size of the images kept in memory
_WHITE = 300.0  # flux (in units of the noise) that is drawn white, as in `as_picture`

# From 0–1 linear (flux from 0 to 300 times the noise) to 0–1 as drawn.
STRETCHES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "asinh": lambda value: np.arcsinh(_WHITE * value) / np.arcsinh(_WHITE),
    "linear": lambda value: value,
    "sqrt": np.sqrt,
    "log": lambda value: np.log1p(1000 * value) / np.log1p(1000),
}


class Thumbnails:
    """Small images of galaxies as JPEG.

    Args:
        records: Records of the galaxies; instead of these,
        catalog: a table with `id_str` and `file_loc`, and
        images: The folder, zip archive or stack of their images. Without either there are no images to show.
        store: Representations; if they were made from the centre of the images only, that centre is shown.
    """

    def __init__(self, records=None, catalog=None, images=None, store=None):
        self.available = records is not None or (catalog is not None and images is not None)
        self._where = records, catalog, images, store
        self._pictures: Pictures | None = None
        self._kept: collections.OrderedDict[tuple, bytes] = collections.OrderedDict()
        self._bytes, self._lock, self._reading = 0, threading.Lock(), threading.Lock()

    def open(self) -> None:
        """Opens records or images, if any were given and they are not open yet."""
        if self.available:
            self._opened()

    def _opened(self) -> Pictures:
        if not self.available:
            raise LookupError("there are no images: give records, or a catalogue and its images")
        with self._reading:
            if self._pictures is None:
                self._pictures = Pictures(*self._where)
            return self._pictures

    def jpeg(self, id_str: str, side: int, stretch: str = "asinh", brightness: float = 0, contrast: float = 1) -> bytes:
        """Draws a galaxy as JPEG.

        Args:
            id_str: The galaxy.
            side: Side of the square picture, in pixels.
            stretch: One of `STRETCHES`; a JPEG or PNG is assumed to be stretched by asinh already.
            brightness: Added to the image, −1 to 1.
            contrast: Factor by which values are spread around 0.5.

        Raises:
            LookupError: There are no images, or none of this galaxy; the message explains why.
        """
        key = (id_str, side, stretch, brightness, contrast)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        pictures = self._opened()
        with self._reading:  # the image files cannot be read by several threads
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
        """The image of a galaxy as stored.

        Raises:
            LookupError: There are no images, or none of this galaxy; the message explains why.
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
        image: An image from any source.
        noise: (C,) noise of the flux, if the records give it.
        stretch: One of `STRETCHES`.
        brightness: Added to the image, −1 to 1.
        contrast: Factor by which values are spread around 0.5.
    """
    pixels = filled(to_pixels(image))
    noise = None if isinstance(image.data, bytes) else noise or pixel_noise(pixels)
    picture = as_picture(pixels, noise)  # bands, order and range; a JPEG or PNG is assumed to show the asinh of flux
    if stretch != "asinh":
        linear = np.sinh(picture * np.arcsinh(_WHITE)) / _WHITE if noise is not None else picture
        picture = STRETCHES[stretch](linear)
    return np.clip((picture - 0.5) * contrast + 0.5 + brightness, 0, 1)


def encoded(picture: np.ndarray, side: int) -> bytes:
    """Encodes an image (H, W, 3) in 0–1 as JPEG."""
    from PIL import Image as Picture

    made = Picture.fromarray(np.round(255 * picture).astype(np.uint8))
    file = io.BytesIO()
    made.resize((side, side), Picture.Resampling.LANCZOS).save(file, "jpeg", quality=88)
    return file.getvalue()
