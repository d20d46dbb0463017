"""Which survey's bands are used to deredden images."""

import logging

from morphtools.survey.extinction import COEFFICIENTS
from morphtools.survey.instruments import camera_for
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)


def survey_of(chosen: Records, survey: str | None, by_default: bool) -> str | None:
    """Returns the survey whose bands are used to deredden.

    Args:
        chosen: The galaxies.
        survey: The survey the user named, or `none`.
        by_default: If no survey is named, whether to use that of the camera with these bands.

    Raises:
        ValueError: The survey is not named and cannot be derived from the bands.
    """
    if survey is not None or not by_default:
        return None if survey == "none" else survey
    if chosen.encoding == "encoded":
        log.info("pictures cannot be dereddened: their colours stay reddened by Galactic dust")
        return None
    try:
        likely = camera_for(chosen.bands).survey
    except ValueError:
        if "ebv" not in chosen.label_cols:
            log.warning("images cannot be dereddened without a column ebv: they stay reddened by Galactic dust")
            return None
        raise ValueError(
            f"it is not known whose bands {', '.join(chosen.bands)} are, so images cannot be dereddened: give survey, "
            f"one of {', '.join(COEFFICIENTS)} (build-records names bands), or none to leave them as they are"
        ) from None
    log.info("assuming that the bands %s are those of %s; give survey if they are not", ", ".join(chosen.bands), likely)
    return likely
