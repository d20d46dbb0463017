"""What both readers of records, `batches.py` and `dataset.py`, make of flux: no dust in front of it, and pictures."""

from collections.abc import Callable
from functools import partial

import numpy as np

from morphtools.survey.extinction import transmission
from morphtools.survey.stretch import grey, stretches_for
from tfrecords_builder.naming import unknown
from tfrecords_builder.records import Records


def dimming(records: Records, survey: str) -> np.ndarray:
    """(C,) float32: what dust of E(B−V) = 1 lets through in each band.

    Raises:
        ValueError: The records are pictures, have no column `ebv`, or have bands that the survey does not have.
    """
    if records.encoding == "encoded" or "ebv" not in records.label_cols:
        raise ValueError(f"dereddening needs flux and a column ebv, which {records.folder} does not have")
    return transmission(1.0, bands=records.bands, survey=survey).astype(np.float32)


def stretch_of(records: Records, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """The stretch of this name, from pixels (…, H, W, C) to pictures (…, H, W, 3) in 0–1.

    A single band can also be shown in `grey`, in terms of the noise of the records.

    Raises:
        ValueError: The records are pictures already, or the stretch cannot show their bands.
    """
    if records.encoding == "encoded":
        raise ValueError(f"the images of {records.folder} are pictures already: a stretch is for pixels")
    usable = stretches_for(records.bands)
    if len(records.bands) == 1 and records.noise and records.noise[0] > 0:
        usable["grey"] = partial(grey, sky=records.sky[0] if records.sky else 0.0, noise=records.noise[0])
    if name not in usable:
        raise ValueError(f"bands {', '.join(records.bands)}: {unknown('stretch', name, usable)}")
    return usable[name]
