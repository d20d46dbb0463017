"""Files of one galaxy, one per band: checks whether their pixels coincide on the sky."""

import gzip
import io
import re
import warnings

import numpy as np

from tfrecords_builder.alignment import TOLERANCE, difference, follow, misfit, not_compared
from tfrecords_builder.findings import note
from tfrecords_builder.hdus import image_hdu
from tfrecords_builder.pixels import Image
from tfrecords_builder.resample import MARGIN, reprojected
from tfrecords_builder.wcs import Grid, read_grid

# keywords that place pixels on the sky
_PLACING = re.compile(
    r"NAXIS\d*|WCSAXES|(?:CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)\d|(?:CD|PC|PV|PS)\d+_\d+|LONPOLE|LATPOLE|RADE\w*|EQUINOX|"
    r"EPOCH|[AB]P?_\w+|CPDIS\d|DP\d|D2IM\w*|WAT\d_\d+"
)


def on_one_grid(parts: list[Image], layers: list[tuple], align: bool) -> list[Image]:
    """Returns images of one galaxy in several bands, which must coincide to a tenth of a pixel.

    They are compared if their headers have a celestial WCS; if only some have one, that is a finding.

    Args:
        parts: The images: one per band, or one of all bands.
        layers: For each band the name and bytes of its file, and the extension.
        align: Whether to resample bands on another grid to the pixels of the first; otherwise they are refused.

    Returns:
        The images.

    Raises:
        ValueError: They are on different grids; the message names them and the difference.
    """
    cards = [_plain_cards(file) if hdu is None else None for _, file, hdu in layers]
    if cards[0] is not None and all(other == cards[0] for other in cards[1:]):
        return parts
    images = [_grid(*layer) for layer in layers]
    (first, shape), parts = images[0], list(parts)
    if words := not_compared([grid for grid, _ in images]):
        parts[0] = note(parts[0], "not_compared", words)
    if first.wcs is None:
        return parts
    box = np.array([[0.0, 0.0, shape[1], shape[0]]])
    for band, (grid, there) in enumerate(images[1:], 1):
        if grid.wcs is None:
            continue
        expected = np.array([[0.0, 0.0, there[1], there[0]]])
        _, points = follow(first, grid, box)
        fits = misfit(expected, points, np.array([max(there)]))[0] <= TOLERANCE
        if not fits and not align:
            raise ValueError(difference(first, grid, box[0], expected[0]))
        if align and not (fits and shape == there):
            parts[band] = _aligned(parts[band], grid, first, shape)
    return parts


def _aligned(image: Image, grid: Grid, target: Grid, shape: tuple[int, int]) -> Image:
    edges = ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    pixels = np.pad(image.data, edges, constant_values=np.nan)
    mask = None if image.mask is None else np.pad(image.mask, edges)
    grid = grid.starting_at(np.array([-MARGIN, -MARGIN]))
    pixels, mask = reprojected(pixels, mask, grid, target, shape)
    if not np.isfinite(pixels).any():
        raise ValueError(f"{grid.name} and {target.name} show different parts of the sky")
    return image._replace(data=pixels, mask=mask, shape=pixels.shape)


def _plain_cards(file: bytes) -> dict | None:
    """Reads, without astropy, the keywords that place the pixels of a file with just one image; None if it has more."""
    end = file.find(b"END" + b" " * 77)
    if not file.startswith(b"SIMPLE  =") or end % 80 or file.find(b"XTENSION", end) >= 0:
        return None
    cards = (file[at : at + 80].decode("latin-1") for at in range(0, end, 80))
    return {card[:8]: card[9:].split("/")[0] for card in cards if _PLACING.fullmatch(card[:8].strip())}


def _grid(name: str, file: bytes, hdu) -> tuple[Grid, tuple[int, int]]:
    """The grid and shape (H, W) of a file's image."""
    from astropy.io import fits

    if file[:2] == b"\x1f\x8b":
        file = gzip.decompress(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(io.BytesIO(file), memmap=False, do_not_scale_image_data=True) as hdus:
            image = hdus[image_hdu(hdus) if hdu is None else hdu]
            grid = read_grid(image.header, hdus, name if hdu is None else f"{name}[{hdu}]")
            return grid, tuple(image.shape[axis] for axis in grid.axes)
