"""What may be odd about a galaxy's image: one vocabulary for the builder and all reports.

The builder examines every image and records the kinds of findings, and details in words, in the columns `findings` and
`pixel_flag` of `index.parquet`. It never alters pixels, and never leaves out an image for being odd.
"""

from collections import Counter
from collections.abc import Iterable

from tfrecords_builder.pixels import Image

KINDS = {
    "blank": "every pixel has the same value",
    "constant_band": "a band has the same value in every pixel",
    "empty_band": "a band has no good pixels",
    "mostly_zero": "more than half of the pixels are exactly zero",
    "dead_pixels": "pixels that are exactly zero in a band with noise; treated as bad",
    "many_missing": "more than a tenth of the pixels are missing or bad",
    "middle_missing": "most of the centre, where the galaxy is, is missing or bad",
    "outside": "part of the cutout lies outside its mosaic",
    "padded": "padded with missing pixels, because its shape differs from the rest",
    "not_cropped": "no source at the centre to crop to; kept whole",
    "tiny": "fewer than 8 pixels on a side",
    "transparent": "partly transparent; the transparency is ignored",
    "fewer_bits": "16 bits per band, of which only the upper 8 are used",
    "like_a_picture": "levels like those of a picture (0 to 255, or 0 to 1 in steps of 1/255); used as measured values",
    "stand_in": "pixels with a value that usually means missing, such as -9999; used as measured values",
    "sky_not_zero": "the edge of the image is not near zero: the sky was not subtracted or the galaxy fills the image",
    "not_compared": "some bands have no usable position on the sky, so nothing shows whether they fit the others",
    "repeated": "the same image as another galaxy's: it is listed twice, or the file holds several and needs cutout",
    "other_size": "another size in pixels than the rest; resized when read",
    "other_scale": "the header gives another pixel scale than that of the records",
    "other_telescope": "the header names another telescope than the rest",
}


def note(image: Image, kind: str, words: str = "") -> Image:
    """Adds a finding to an image.

    Args:
        image: The image.
        kind: One of `KINDS`.
        words: Details, for `pixel_flag`.
    """
    kinds = image.findings if kind in image.findings else (*image.findings, kind)
    return image._replace(findings=kinds, flag="; ".join(filter(None, (image.flag, words))))


def count_findings(kinds: Iterable[str]) -> dict[str, int]:
    """Counts how many images have each kind of finding, most common first.

    Args:
        kinds: The kinds of each image, separated by blanks, as in the column `findings`.
    """
    counts = Counter(kind for each in kinds if each for kind in each.split())
    return dict(counts.most_common())


def sentences(counts: dict[str, int], images: int) -> list[str]:
    """One sentence for each kind of finding, the same in all reports.

    Args:
        counts: As returned by `count_findings`.
        images: Number of images. A size that all of them share is not odd.
    """
    return [
        f"{number} of {images} images: {KINDS[kind]} ({kind})"
        for kind, number in counts.items()
        if kind in KINDS and not (kind == "other_size" and number == images)
    ]
