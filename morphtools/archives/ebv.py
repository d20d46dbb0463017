"""Galactic reddening E(B−V) at positions, from maps on disk.

The convention: `ebv` is E(B−V) on the scale of Schlegel, Finkbeiner & Davis (1998), like their map and CSFD (Chiang
2023). The coefficients of `morphtools.survey.extinction` (Schlafly & Finkbeiner 2011, table 6) belong to this
scale: they include the recalibration by 0.86. For E(B−V) itself, as an extinction law needs it, use `scale="sf11"`.
"""

import logging
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from tfrecords_builder.catalog import read_catalog
from tfrecords_builder.claims import identity
from tfrecords_builder.coordinates import sky_positions
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import check_known, some, unknown

log = logging.getLogger(__name__)

# E(B−V) = factor × value of the maps (Schlafly & Finkbeiner 2011, ApJ 737, 103, section 5.2)
SCALES = {"sfd98": 1.0, "sf11": 0.86}
_COLUMNS = {"sfd98": "ebv", "sf11": "ebv_sf11"}  # another name, so that it is not multiplied by 0.86 twice
_POLES = ("ngp", "sgp")
_UNSEEN = -1e30  # HEALPix writes -1.6375e30 for no data


def ebv_at(ra, dec, map: str | Path, *, scale: str = "sfd98") -> np.ndarray:
    """Looks up E(B−V) at positions on the sky.

    Args:
        ra: (N,) right ascension in degrees, ICRS.
        dec: (N,) declination in degrees.
        map: Folder with `SFD_dust_4096_ngp.fits` and `SFD_dust_4096_sgp.fits`, or one of these files: they are
            interpolated linearly between pixels. Or a HEALPix map in FITS, such as `csfd_ebv.fits`, of which the
            nearest pixel is taken (needs astropy-healpix). Or `"sfd"`, `"csfd"`: the map fetched by dustmaps.
        scale: `sfd98`: as in the maps, and as `survey.extinction` and the dereddening of models expect it; `sf11`:
            times 0.86, the recalibration by Schlafly & Finkbeiner (2011).

    Returns:
        (N,) magnitudes; NaN without a position or a value in the map.

    Raises:
        FileNotFoundError: The map does not exist.
        ImportError: The package to read it is not installed.
        ValueError: The file is not a map of this kind.

    Reference:
        Schlegel, Finkbeiner & Davis 1998, ApJ 500, 525; Schlafly & Finkbeiner 2011, ApJ 737, 103; Chiang 2023,
        ApJ 958, 118.
    """
    from astropy.coordinates import SkyCoord

    check_known("scale", scale, SCALES)
    ra, dec = np.broadcast_arrays(np.asarray(ra, float), np.asarray(dec, float))
    good = np.isfinite(ra) & np.isfinite(dec)
    coords = SkyCoord(ra[good], dec[good], unit="deg")
    values = np.full(ra.shape, np.nan)
    if str(map).lower() in ("sfd", "csfd"):
        values[good] = _from_dustmaps(str(map).lower(), coords)
    else:
        galactic = coords.galactic
        pair = _pair(Path(map))
        values[good] = _from_pair(pair, galactic.l.deg, galactic.b.deg) if pair else _from_healpix(Path(map), coords)
    return SCALES[scale] * values


def _pair(path: Path) -> dict[str, Path] | None:
    """The files of the two hemispheres, in a folder or by the name of one; None for a single map."""
    if path.is_dir():
        maps = {pole: sorted(path.glob(f"*_{pole}.fits")) for pole in _POLES}
        if any(len(files) != 1 for files in maps.values()):
            raise FileNotFoundError(
                f"{path} does not hold one map *_ngp.fits and one *_sgp.fits, as SFD_dust_4096_ngp.fits"
            )
        return {pole: files[0] for pole, files in maps.items()}
    if not path.is_file():
        raise FileNotFoundError(f"no dust map exists at {path}")
    for pole in _POLES:
        if path.name.endswith(f"_{pole}.fits"):
            pair = {p: path.with_name(f"{path.name.removesuffix(f'{pole}.fits')}{p}.fits") for p in _POLES}
            missing = [str(file) for file in pair.values() if not file.is_file()]
            if missing:
                raise FileNotFoundError(f"the other hemisphere of {path.name} is missing: {missing[0]}")
            return pair
    return None


def _from_pair(pair: dict[str, Path], longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """Interpolates linearly in two maps, one per hemisphere, in Lambert's zenithal equal-area projection."""
    from astropy.io import fits
    from astropy.wcs import WCS
    from scipy.ndimage import map_coordinates

    values = np.full(longitude.shape, np.nan)
    for pole, here in (("ngp", latitude >= 0), ("sgp", latitude < 0)):
        if not here.any():
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with fits.open(pair[pole]) as hdus:
                    wcs, pixels = WCS(hdus[0].header), np.asarray(hdus[0].data, np.float32)
            if not str(wcs.wcs.ctype[0]).startswith("GLON-ZEA") or pixels.ndim != 2:
                raise ValueError("it is not a map in galactic coordinates and zenithal equal-area projection")
        except Exception as error:  # astropy raises many kinds of exceptions, which all mean the same here
            raise ValueError(f"cannot read the map {pair[pole]}: {error}") from error
        x, y = wcs.wcs_world2pix(longitude[here], latitude[here], 0)
        values[here] = map_coordinates(pixels, [y, x], order=1, mode="nearest")
    return values


def _from_healpix(path: Path, coords) -> np.ndarray:
    """Looks up the pixels of a HEALPix map at positions."""
    try:
        from astropy_healpix import HEALPix
    except ImportError:
        raise ImportError('HEALPix maps need astropy-healpix: pip install "morphtools[dust]"') from None
    from astropy.io import fits

    try:
        with fits.open(path) as hdus:
            table = next(hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU))
            name = next((n for n in table.columns.names if n.upper() in ("T", "EBV")), table.columns.names[0])
            header, pixels = table.header, np.asarray(table.data[name], float).ravel()
        order = str(header["ORDERING"]).strip().lower()
        frame = {"G": "galactic", "C": "icrs"}.get(str(header.get("COORDSYS", "G")).strip().upper()[:1])
        if frame is None or not order.startswith(("ring", "nest")):
            raise ValueError(f"ORDERING {order}, COORDSYS {header.get('COORDSYS')} are not supported")
        grid = HEALPix(int(np.sqrt(len(pixels) // 12)), "ring" if order.startswith("ring") else "nested")
        if grid.npix != len(pixels):
            raise ValueError(f"{len(pixels)} pixels do not cover the sky")
    except StopIteration:
        raise ValueError(f"{path} is neither a HEALPix map nor one of a pair *_ngp.fits, *_sgp.fits") from None
    except Exception as error:  # astropy raises many kinds of exceptions, which all mean the same here
        raise ValueError(f"cannot read the HEALPix map {path}: {error}") from error
    place = coords.galactic if frame == "galactic" else coords.icrs
    values = pixels[grid.lonlat_to_healpix(place.spherical.lon, place.spherical.lat)]
    return np.where(values > _UNSEEN, values, np.nan)


def _from_dustmaps(name: str, coords) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if name == "sfd":
                from dustmaps.sfd import SFDQuery as Query
            else:
                from dustmaps.csfd import CSFDQuery as Query
            return np.asarray(Query()(coords), float)
    except ImportError:
        raise ImportError('the map "sfd" or "csfd" needs dustmaps: pip install "morphtools[dust]"') from None
    except OSError as error:
        raise FileNotFoundError(
            f"dustmaps has not fetched {name} yet: python -c 'import dustmaps.{name}; dustmaps.{name}.fetch()'"
        ) from error


def map_identity(map: str | Path) -> str:
    """The identity of a map, as `claim` needs it."""
    if str(map).lower() in ("sfd", "csfd"):
        return str(map).lower()
    pair = _pair(Path(map))
    return " ".join(identity(path) for path in (pair.values() if pair else [map]))


def with_ebv(table: pd.DataFrame, map: str | Path, scale: str = "sfd98") -> pd.DataFrame:
    """Adds a column of E(B−V) to a table of positions in degrees: `ebv`, or `ebv_sf11` on that scale.

    Raises:
        ValueError: It has such a column already, or as for `ebv_at`.
    """
    check_known("scale", scale, SCALES)
    if _COLUMNS[scale] in table:
        raise ValueError(f"the table already has a column {_COLUMNS[scale]}: rename it, or leave the map out")
    return table.assign(**{_COLUMNS[scale]: ebv_at(table["ra"], table["dec"], map, scale=scale)})


def add_ebv(
    catalog: pd.DataFrame | str | Path, out: str | Path, *, map: str | Path, scale: str = "sfd98"
) -> pd.DataFrame:
    """Adds the Galactic reddening E(B−V) to a catalogue.

    Args:
        catalog: Table with `ra` and `dec`.
        out: File to write, `.parquet` or `.csv`.
        map: As for `ebv_at`.
        scale: As for `ebv_at`.

    Returns:
        The catalogue with a column `ebv` (`ebv_sf11` on that scale), NaN for rows without a position.

    Raises:
        FileExistsError: `out` exists.
        ValueError: The catalogue has no positions, or a column of that name; or as for `ebv_at`.
    """
    out = Path(out)
    if out.suffix.lower() not in (".parquet", ".csv"):
        raise ValueError(unknown("table format", out.suffix, (".csv", ".parquet")))
    if out.exists():
        raise FileExistsError(f"{out} already exists: choose another name")
    table = catalog if isinstance(catalog, pd.DataFrame) else read_catalog(catalog)
    names = {str(name).lower(): name for name in table.columns}
    missing = [name for name in ("ra", "dec") if name not in names]
    if missing:
        raise ValueError(f"the catalogue has no column {' and '.join(missing)} (columns: {some(table.columns, 12)})")
    sky, reasons = sky_positions(
        [{"ra": ra, "dec": dec} for ra, dec in zip(table[names["ra"]], table[names["dec"]], strict=True)]
    )
    if (reasons != "").any():
        log.warning("%d rows without E(B-V): %s", (reasons != "").sum(), some(reasons[reasons != ""]))
    degrees = with_ebv(pd.DataFrame({"ra": sky[:, 0], "dec": sky[:, 1]}), map, scale)
    name = _COLUMNS[scale]
    if name in table:
        raise ValueError(f"the catalogue already has a column {name}: rename it")
    table = table.assign(**{name: degrees[name].to_numpy()})
    write = table.to_parquet if out.suffix.lower() == ".parquet" else table.to_csv
    write_whole(out, lambda path: write(path, index=False))
    return table
