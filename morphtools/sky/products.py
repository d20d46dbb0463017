"""Files of a mock survey: FITS images with a world coordinate system."""

import io


def tangent_header(ra, dec, scale, size, bands, camera):
    """FITS keywords of a square image in the tangent projection, north up and east to the left.

    Args:
        ra: Right ascension of the middle of the image, degrees (ICRS).
        dec: Declination of the middle, degrees.
        scale: Arcsec per pixel.
        size: Pixels on a side.
        bands: Names of the planes.
        camera: The camera.

    Returns:
        Dict of keywords for the first two axes; the third axis is the band.
    """
    middle = (size + 1) / 2  # FITS counts pixels from 1, at their centres
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": float(ra),
        "CRVAL2": float(dec),
        "CRPIX1": middle,
        "CRPIX2": middle,
        "CD1_1": -scale / 3600,
        "CD1_2": 0.0,
        "CD2_1": 0.0,
        "CD2_2": scale / 3600,
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "RADESYS": "ICRS",
        "BUNIT": "nanomaggy",
        "PIXSCALE": float(scale),
        "BANDS": bands,
        "SURVEY": f"mock {camera.survey}",
    } | {f"BAND{k}": band for k, band in enumerate(bands)}


def fits_bytes(image, header):
    """A FITS file, as bytes, of one float32 image (C, H, W)."""
    from astropy.io import fits

    cards = fits.Header()
    for name, value in header.items():
        cards[name] = value
    file = io.BytesIO()
    fits.PrimaryHDU(image.astype(">f4"), cards).writeto(file)
    return file.getvalue()
