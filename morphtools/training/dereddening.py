"""By which survey's bands images are dereddened."""

import logging

from morphtools.survey.extinction import COEFFICIENTS
from morphtools.survey.instruments import camera_for
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)


def survey_of(chosen: Records, survey: str | None, by_default: bool) -> str | None:
    """The survey by whose bands to deredden.

    Args:
        chosen: The galaxies.
        survey: The one named, or `none`.
        by_default: Whether, where none is named, that of the camera that takes these bands is meant.

    Raises:
        ValueError: It is not known whose bands they are.
    """
    if survey is not None or not by_default:
        return None if survey == "none" else survey
    if chosen.encoding == "encoded":
        log.info("pictures cannot be dereddened: the dust of the Galaxy stays in their colours")
        return None
    try:
        found = camera_for(chosen.bands).survey
    except ValueError:
        if "ebv" not in chosen.label_cols:
            log.warning("without a column ebv images cannot be dereddened: their colours stay those behind the dust")
            return None
        raise ValueError(
            f"it is not known whose bands {', '.join(chosen.bands)} are, so images cannot be dereddened: give survey, "
            f"one of {', '.join(COEFFICIENTS)} (build-records names bands), or none to leave them as they are"
        ) from None
    log.info("the bands %s are taken for those of %s; survey says otherwise", ", ".join(chosen.bands), found)
    return found
