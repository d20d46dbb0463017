"""Converts between pixels and positions on the sky, for any frame, axis order and distortion in the header.

Positions in the catalogue are ICRS. They are transformed to the frame of the header, and the result is transformed
back to check it: a position that a distortion or projection cannot place is a failure, never a wrong pixel.
"""

import re
import warnings
from typing import Any, NamedTuple

import numpy as np

_SIP = re.compile(r"(A|B|AP|BP)_(ORDER|DMAX|\d+_\d+)")
_PERIODIC = ("CAR", "CEA", "MER", "CYP")
_AGREE = 0.01  # pixels by which a round trip may differ

NOWHERE = "has no celestial WCS"  # as of simulations, and of cutouts whose headers were left out


class Grid(NamedTuple):
    """The pixel grid of an image on the sky.

    Attributes:
        name: Name of the file, and of the extension if one was chosen.
        axes: The array axes of y and x.
        wcs: Its two celestial axes; None if it has none.
        frame: Their frame, from `astropy.coordinates`.
        pixel_scale: Arcsec per pixel, the mean of both axes.
        problem: Why it has no position on the sky.
    """

    name: str
    axes: tuple[int, int]
    wcs: Any = None
    frame: Any = None
    pixel_scale: float = float("nan")
    problem: str = ""

    def to_pixels(self, sky: np.ndarray, shape: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Converts positions on the sky to pixels.

        Args:
            sky: (N, 2) right ascension and declination, ICRS, degrees.
            shape: (H, W) of the image: if an all-sky map wraps around, pixels inside it are preferred.

        Returns:
            (N, 2) x, y, 0 at the centre of the first pixel, NaN if there is none; and (N,) the reason, "" if there is
            one.

        Raises:
            ValueError: The image has no position on the sky.
        """
        if self.wcs is None:
            raise ValueError(f"{self.name} {self.problem}; give x and y instead of ra and dec")
        world = self._from_icrs(sky)
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            warnings.simplefilter("ignore")
            pixels = np.array(self.wcs.all_world2pix(world, 0, quiet=True), float)
            if shape is not None and (turn := self._around()) is not None:
                pixels = _turned(pixels, turn, shape)
            off = self._separation(pixels, world)
        lost, wrong = ~np.isfinite(pixels).all(axis=1), ~(off <= _AGREE)
        reasons = np.full(len(sky), "", object)
        reasons[wrong] = f"the distortion of {self.name} cannot be inverted at this position"
        reasons[lost] = f"lies outside {self.name}, on a part of the sky its projection does not reach"
        pixels[wrong | lost] = np.nan
        return pixels, reasons

    def to_sky(self, pixels: np.ndarray) -> np.ndarray:
        """Converts (N, 2) pixels x, y to (N, 2) right ascension and declination (ICRS, degrees), NaN if off the sky."""
        from astropy.coordinates import ICRS, UnitSphericalRepresentation
        from astropy.units import deg

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            world = self.wcs.all_pix2world(pixels, 0)
        lon, lat = world[:, self.wcs.wcs.lng], world[:, self.wcs.wcs.lat]
        good = np.isfinite(world).all(axis=1) & (np.abs(lat) <= 90)  # a plate carrée map continues beyond its poles
        sky = np.full(world.shape, np.nan)
        place = self.frame.realize_frame(UnitSphericalRepresentation(lon[good] * deg, lat[good] * deg))
        place = place.transform_to(ICRS())
        sky[good, 0], sky[good, 1] = place.ra.deg, place.dec.deg
        return sky

    def starting_at(self, corner: np.ndarray) -> "Grid":
        """The grid of a part of the image whose first pixel is `corner` (x, y) of the whole image."""
        from astropy.wcs import Sip

        wcs = self.wcs.deepcopy()
        wcs.wcs.crpix = wcs.wcs.crpix - corner
        if wcs.sip is not None:
            wcs.sip = Sip(wcs.sip.a, wcs.sip.b, wcs.sip.ap, wcs.sip.bp, wcs.sip.crpix - corner)
        for table in (wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2):
            if table is not None:
                table.crval = tuple(np.array(table.crval) - corner)
        return self._replace(wcs=wcs)

    def _from_icrs(self, sky: np.ndarray) -> np.ndarray:
        from astropy.coordinates import ICRS
        from astropy.units import deg

        place = ICRS(sky[:, 0] * deg, sky[:, 1] * deg).transform_to(self.frame).spherical
        world = np.empty(sky.shape)
        world[:, self.wcs.wcs.lng], world[:, self.wcs.wcs.lat] = place.lon.deg, place.lat.deg
        return world

    def _around(self) -> np.ndarray | None:
        """The step x, y of 360° in longitude, for a map that wraps around."""
        wcs = self.wcs.wcs
        if wcs.ctype[wcs.lng][5:8] not in _PERIODIC or wcs.crval[wcs.lat] != 0 or self.wcs.has_distortion:
            return None
        turn = np.zeros(2)
        turn[wcs.lng] = 360.0
        return np.linalg.solve(self.wcs.pixel_scale_matrix, turn)

    def _separation(self, pixels: np.ndarray, world: np.ndarray) -> np.ndarray:
        """(N,) distance in pixels between the positions of pixels on the sky and where they should be."""
        from astropy.coordinates import angular_separation

        self.wcs.wcs.bounds_check(self._around() is None, True)  # a map that wraps around has longitudes beyond 180
        back = np.deg2rad(self.wcs.all_pix2world(pixels, 0))
        world, lon, lat = np.deg2rad(world), self.wcs.wcs.lng, self.wcs.wcs.lat
        apart = angular_separation(back[:, lon], back[:, lat], world[:, lon], world[:, lat])
        return np.rad2deg(apart) * 3600 / self.pixel_scale


def _turned(pixels: np.ndarray, turn: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Moves positions outside the image by 360° if that brings them inside."""

    def inside(pixels: np.ndarray) -> Any:
        return ((pixels > -0.5) & (pixels < np.array(shape[::-1]) - 0.5)).all(axis=1)

    for way in (turn, -turn):
        move = ~inside(pixels) & inside(pixels + way)
        pixels[move] += way
    return pixels


def read_grid(header, hdus, name: str) -> Grid:
    """Reads the grid of an image with two or more axes from its header.

    Args:
        header: Its FITS header.
        hdus: The open file, which may contain distortion tables.
        name: Its name in error messages.
    """
    from astropy.wcs import WCS

    count = header["NAXIS"]
    flat = Grid(name, (count - 2, count - 1), problem=NOWHERE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wcs = WCS(_without_leftover_sip(header), hdus)
            if not wcs.has_celestial:
                return flat
            lower, upper = sorted((wcs.wcs.lng, wcs.wcs.lat))
            if upper >= count:
                return flat
            return _celestial(flat._replace(axes=(count - 1 - upper, count - 1 - lower)), wcs.celestial)
    except Exception as error:  # astropy raises many kinds of exceptions, which all mean the same here
        text = " ".join(str(error).split())
        return flat._replace(problem=f"has a celestial WCS that cannot be used ({text})")


def _celestial(grid: Grid, wcs) -> Grid:
    from astropy.wcs.utils import proj_plane_pixel_scales

    kind = wcs.wcs.ctype[wcs.wcs.lng][:4].strip("-")
    if wcs.naxis != 2 or kind not in ("RA", "GLON", "ELON", "SLON"):
        return grid._replace(problem=f"has axes ({', '.join(wcs.wcs.ctype)}) that are not a map of the sky")
    if wcs.wcs.ctype[wcs.wcs.lng].endswith("-TAB"):  # astropy has neither their scale nor compares the tables
        return grid._replace(problem="has its positions on the sky in a table (-TAB), which is not supported")
    if kind != "RA":
        wcs.wcs.radesys = ""  # astropy would treat it as an equatorial frame
    wcs.wcs.radesys = wcs.wcs.radesys.strip().upper()
    if wcs.wcs.radesys not in ("", "ICRS", "FK5", "FK4", "FK4-NO-E"):
        raise ValueError(f"RADESYS must be ICRS, FK5, FK4 or FK4-NO-E, got {wcs.wcs.radesys}")
    if not np.isnan(wcs.wcs.equinox) and not 1800 <= wcs.wcs.equinox <= 2100:
        raise ValueError(f"EQUINOX is {wcs.wcs.equinox:g}")
    scale = float(np.mean(proj_plane_pixel_scales(wcs))) * 3600.0
    return grid._replace(wcs=wcs, frame=sky_frame(wcs), pixel_scale=scale, problem="")


def sky_frame(wcs):
    """The frame of a celestial WCS: equatorial of any equinox, galactic, supergalactic or ecliptic."""
    from astropy.coordinates import BarycentricMeanEcliptic, Supergalactic
    from astropy.time import Time
    from astropy.wcs.utils import wcs_to_celestial_frame

    kind = wcs.wcs.ctype[wcs.wcs.lng][:4]
    if kind == "SLON":
        return Supergalactic()
    if kind == "ELON":
        equinox = 2000.0 if np.isnan(wcs.wcs.equinox) else wcs.wcs.equinox
        return BarycentricMeanEcliptic(equinox=Time(equinox, format="byear" if equinox < 1984 else "jyear"))
    return wcs_to_celestial_frame(wcs)


def _without_leftover_sip(header):
    """Removes SIP coefficients from the header if CTYPE does not end in -SIP; drizzled images still carry them."""
    if any(str(header.get(f"CTYPE{axis}", "")).strip().endswith("-SIP") for axis in (1, 2)):
        return header
    leftover = [key for key in header if _SIP.fullmatch(key)]
    if leftover:
        header = header.copy()
        for key in leftover:
            del header[key]
    return header
