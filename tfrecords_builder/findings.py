"""What may be odd about a galaxy's image: one vocabulary, from the builder to every report.

The builder examines every image and keeps the kinds of what it finds, and the details in words, in the columns
`findings` and `pixel_flag` of `index.parquet`. Pixels are never altered by it, and nothing odd is left out.
"""

from collections import Counter
from collections.abc import Iterable

from tfrecords_builder.pixels import Image

KINDS = {
    "blank": "every pixel has the same value",
    "constant_band": "a band has the same value in every pixel",
    "empty_band": "a band has no pixels that are good",
    "mostly_zero": "more than half of the pixels are exactly zero",
    "dead_pixels": "pixels that are exactly zero in a band with noise; they count as bad",
    "many_missing": "more than a tenth of the pixels are missing or bad",
    "middle_missing": "most of the middle, where the galaxy is, is missing or bad",
    "outside": "part of the cutout lies outside its mosaic",
    "padded": "surrounded by missing pixels, for it has another shape than the rest",
    "not_cropped": "no source in the middle to crop to; kept whole",
    "tiny": "fewer than 8 pixels on a side",
    "transparent": "transparent in parts, where the colours are used as they are stored",
    "fewer_bits": "16 bits per band, of which the upper 8 are used",
    "like_a_picture": "the levels of a picture (0 to 255, or 0 to 1 in steps of 1/255); used as measured values",
    "stand_in": "pixels of a value that usually stands for missing ones, such as -9999; used as measured values",
    "sky_not_zero": "the edge of the image is not near zero: the sky was not subtracted, or the galaxy fills the image",
    "other_size": "of another size in pixels than the rest; resized when it is read",
    "other_scale": "its header gives another pixel scale than that of the records",
    "other_telescope": "its header names another telescope than the rest",
}


def note(image: Image, kind: str, words: str = "") -> Image:
    """The image with a finding added.

    Args:
        image: What it is about.
        kind: Of `KINDS`.
        words: The details, for `pixel_flag`.
    """
    kinds = image.findings if kind in image.findings else (*image.findings, kind)
    return image._replace(findings=kinds, flag="; ".join(filter(None, (image.flag, words))))


def count_findings(kinds: Iterable[str]) -> dict[str, int]:
    """How many images have each kind of finding, most common first.

    Args:
        kinds: Per image its kinds with blanks between them, as in the column `findings`.
    """
    counts = Counter(kind for each in kinds if each for kind in each.split())
    return dict(counts.most_common())


def sentences(counts: dict[str, int], images: int) -> list[str]:
    """A sentence for each kind of finding, the same in every report.

    Args:
        counts: As `count_findings` gives them.
        images: How many images there are. A size that all of them share is not odd.
    """
    return [
        f"{number} of {images} images: {KINDS[kind]} ({kind})"
        for kind, number in counts.items()
        if kind in KINDS and not (kind == "other_size" and number == images)
    ]
