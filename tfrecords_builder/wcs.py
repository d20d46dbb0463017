"""Positions of pixels on the sky, whatever frame, axis order and distortion the header uses.

Positions of the catalogue are ICRS; they are transformed to the frame of the header, and the answer is transformed
back to check it: a position that a distortion or a projection cannot place is a failure, never another place.
"""

import re
import warnings
from typing import Any, NamedTuple

import numpy as np

_SIP = re.compile(r"(A|B|AP|BP)_(ORDER|DMAX|\d+_\d+)")
_PERIODIC = ("CAR", "CEA", "MER", "CYP")
_AGREE = 0.01  # pixels by which there and back may differ


class Grid(NamedTuple):
    """The pixels of an image on the sky.

    Attributes:
        name: Of the file, and of the extension where one was chosen.
        axes: The axes of the array along which y and x run.
        wcs: Its two celestial axes; None where there are none.
        frame: Their frame, of `astropy.coordinates`.
        pixel_scale: Arcsec, the mean of both axes.
        problem: Why there is no place on the sky.
    """

    name: str
    axes: tuple[int, int]
    wcs: Any = None
    frame: Any = None
    pixel_scale: float = float("nan")
    problem: str = ""

    def to_pixels(self, sky: np.ndarray, shape: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of positions on the sky.

        Args:
            sky: (N, 2) right ascension and declination, ICRS, degrees.
            shape: (H, W) of the image: where a map of the whole sky goes around more than once, the pixel inside.

        Returns:
            (N, 2) x, y, 0 at the centre of the first pixel, NaN where there is none; and (N,) the reasons, "" where
            there is one.

        Raises:
            ValueError: The image has no place on the sky.
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
        reasons[lost] = f"lies outside of {self.name}, on a part of the sky its projection does not reach"
        pixels[wrong | lost] = np.nan
        return pixels, reasons

    def to_sky(self, pixels: np.ndarray) -> np.ndarray:
        """(N, 2) right ascension and declination, ICRS, degrees, of (N, 2) x, y; NaN where there is none."""
        from astropy.coordinates import ICRS, UnitSphericalRepresentation
        from astropy.units import deg

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            world = self.wcs.all_pix2world(pixels, 0)
        lon, lat = world[:, self.wcs.wcs.lng], world[:, self.wcs.wcs.lat]
        good = np.isfinite(world).all(axis=1) & (np.abs(lat) <= 90)  # a map in plate carrée continues beyond its poles
        sky = np.full(world.shape, np.nan)
        place = self.frame.realize_frame(UnitSphericalRepresentation(lon[good] * deg, lat[good] * deg))
        place = place.transform_to(ICRS())
        sky[good, 0], sky[good, 1] = place.ra.deg, place.dec.deg
        return sky

    def starting_at(self, corner: np.ndarray) -> "Grid":
        """The grid of a part of the image whose first pixel is `corner` (x, y) of the whole."""
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
        """The step x, y of a whole turn in longitude, of a map that repeats after one."""
        wcs = self.wcs.wcs
        if wcs.ctype[wcs.lng][5:8] not in _PERIODIC or wcs.crval[wcs.lat] != 0 or self.wcs.has_distortion:
            return None
        turn = np.zeros(2)
        turn[wcs.lng] = 360.0
        return np.linalg.solve(self.wcs.pixel_scale_matrix, turn)

    def _separation(self, pixels: np.ndarray, world: np.ndarray) -> np.ndarray:
        """(N,) distance in pixels between where pixels are on the sky and where they should be."""
        from astropy.coordinates import angular_separation

        self.wcs.wcs.bounds_check(self._around() is None, True)  # a map that goes around has longitudes beyond 180
        back = np.deg2rad(self.wcs.all_pix2world(pixels, 0))
        world, lon, lat = np.deg2rad(world), self.wcs.wcs.lng, self.wcs.wcs.lat
        apart = angular_separation(back[:, lon], back[:, lat], world[:, lon], world[:, lat])
        return np.rad2deg(apart) * 3600 / self.pixel_scale


def _turned(pixels: np.ndarray, turn: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Positions outside the image moved by a whole turn where that brings them inside."""

    def inside(pixels: np.ndarray) -> Any:
        return ((pixels > -0.5) & (pixels < np.array(shape[::-1]) - 0.5)).all(axis=1)

    for way in (turn, -turn):
        move = ~inside(pixels) & inside(pixels + way)
        pixels[move] += way
    return pixels


def read_grid(header, hdus, name: str) -> Grid:
    """The grid of an image of two or more axes from its header.

    Args:
        header: Its FITS header.
        hdus: The open file, in which tables of distortions are looked up.
        name: What errors call it.
    """
    from astropy.wcs import WCS

    count = header["NAXIS"]
    flat = Grid(name, (count - 2, count - 1), problem="has no celestial WCS")
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
    except Exception as error:  # astropy raises many kinds, which all mean the same here
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
        wcs.wcs.radesys = ""  # astropy would take it for an equatorial frame
    wcs.wcs.radesys = wcs.wcs.radesys.strip().upper()
    if wcs.wcs.radesys not in ("", "ICRS", "FK5", "FK4", "FK4-NO-E"):
        raise ValueError(f"RADESYS is {wcs.wcs.radesys}; known are ICRS, FK5, FK4 and FK4-NO-E")
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
    """The header without SIP coefficients where CTYPE does not end in -SIP: drizzled images still have them."""
    if any(str(header.get(f"CTYPE{axis}", "")).strip().endswith("-SIP") for axis in (1, 2)):
        return header
    leftover = [key for key in header if _SIP.fullmatch(key)]
    if leftover:
        header = header.copy()
        for key in leftover:
            del header[key]
    return header
