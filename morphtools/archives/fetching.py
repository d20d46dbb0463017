"""Fetches cutouts at a table of positions, and writes a catalogue for `build_records`."""

import hashlib
import logging
import random
import shlex
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.archives.cutout_services import Order, Service, place_order
from morphtools.archives.ebv import map_identity, with_ebv
from morphtools.archives.failures import Failures
from morphtools.archives.galaxy_positions import digest_of, file_names, pixel_scales, read_positions
from morphtools.archives.polite import PoliteClient
from tfrecords_builder.claims import claim
from tfrecords_builder.files import write_whole
from tfrecords_builder.json_files import write_json
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.tables_out import write_csv

log = logging.getLogger(__name__)

MOST = 100_000  # positions that can be requested one by one without overloading a service
# After so many galaxies in a row without an answer, the service is assumed to be down. HTTP 500 may also mean that it
# fails at these positions, for example outside its footprint.
_IN_A_ROW, _IN_A_ROW_500 = 20, 200


@dataclass(frozen=True)
class Cutouts:
    """Fetched cutouts: a folder with `catalog.parquet`, `images/`, `failures.csv` and `cutouts.json`.

    Attributes:
        folder: The folder.
        survey: The survey, as named by the user.
        bands: Names of the bands.
        size: Side in pixels.
        pixel_scale: Arcsec per pixel, or the rule for each galaxy.
        format: `fits` or `jpeg`.
        galaxies: Number of galaxies with an image.
        failed: Number of galaxies without one.
    """

    folder: Path
    survey: str
    bands: tuple[str, ...]
    size: int
    pixel_scale: float | str
    format: str
    galaxies: int
    failed: int

    @property
    def catalog(self) -> Path:
        """The catalogue: the columns of the positions with `id_str`, `file_loc`, `ra`, `dec` and `survey`."""
        return self.folder / "catalog.parquet"

    @property
    def command(self) -> str:
        """The command that builds records of them."""
        bands = f" --bands {','.join(self.bands)}" if self.format == "fits" else ""
        paths = shlex.join([str(self.catalog), f"{self.folder}-records"])
        scale = "" if isinstance(self.pixel_scale, str) else f" --pixel-scale {self.pixel_scale:g}"
        return f"morphtools build-records {paths}{bands} --image-size {self.size}{scale}"


def fetch_cutouts(
    positions: pd.DataFrame | str | Path,
    out: str | Path,
    *,
    survey: str,
    size: str | int,
    bands: tuple[str, ...] | None = None,
    format: str | None = None,
    pixel_scale: float | str | None = None,
    base_url: str | None = None,
    ebv_map: str | Path | None = None,
    ebv_scale: str = "sfd98",
    contact: str | None = None,
    per_second: float | None = None,
    at_once: int | None = None,
    max_positions: int = MOST,
) -> Cutouts:
    """Fetches an image at every position from the cutout service of a survey.

    The same call resumes after an interruption at any moment: every file is written whole or not at all. Galaxies
    without a usable image are listed in `failures.csv` with the reason; those that got no answer are tried again by the
    same call, after all others. Requests are spaced in time, pause when the service asks for it, and end when it stops
    answering.

    Args:
        positions: Table with `ra` and `dec` (ICRS: degrees or sexagesimal text) and `id_str`; without `id_str`,
            galaxies are named by position, as J100027.80+021221.6. Other columns go into the catalogue.
        out: Folder.
        survey: `legacy-dr10`, `legacy-dr9`, `sdss`, `panstarrs`, `euclid-q1`, or `hips:NAME` for any HiPS of the CDS,
            where `{band}` in the name stands for each band.
        size: Side of the images: 152, `"152px"` or `"20arcsec"`.
        bands: Names of the bands.
        format: `fits` or `jpeg`.
        pixel_scale: Arcsec per pixel; by default that of the survey. `gz_decals`: for each galaxy the scale that shows
            the field of Galaxy Zoo DECaLS, which follows from Petrosian radii (`tfrecords_builder.fields`); it is kept
            as a column `pixel_scale`.
        base_url: Another address of the service, such as a mirror.
        ebv_map: Map of Galactic dust for a column of E(B−V); see `ebv_at`.
        ebv_scale: As for `ebv_at`.
        contact: How the operators of the service can reach you, for example an e-mail address.
        per_second: Maximum requests per second (by survey, 2 to 4).
        at_once: Maximum requests at a time (by survey, 2 to 4).
        max_positions: More positions are refused: download the survey's tiles instead.

    Returns:
        The cutouts, with the command that builds records of them.

    Raises:
        ValueError: The positions cannot be used, the service does not offer what was requested, or no galaxy has an
            image.
        ConnectionError: The service stopped answering; the same call resumes.
        FileExistsError: `out` contains something else.
    """
    service, order = place_order(survey, size, bands=bands, format=format, pixel_scale=pixel_scale, base_url=base_url)
    galaxies, reasons = read_positions(positions)
    _check_number(len(galaxies), max_positions, order)
    if order.field is not None:
        galaxies["pixel_scale"] = pixel_scales(galaxies, order.field, order.size, reasons)
    inputs = {"positions": digest_of(galaxies)}
    if ebv_map is not None:
        galaxies = with_ebv(galaxies, ebv_map, ebv_scale)
        inputs["ebv_map"] = map_identity(ebv_map)
    client = PoliteClient(_at_least("per_second", per_second, service.per_second), contact)
    workers = int(_at_least("at_once", at_once, service.at_once))
    settings = {"survey": survey, "ebv_scale": ebv_scale if ebv_map is not None else None} | _facts(order)
    out = Path(out)
    with claim(out, "fetch-cutouts", settings, inputs) as claimed:
        files = file_names(galaxies["id_str"], order.format)
        (out / "images").mkdir(exist_ok=True)
        (out / "state").mkdir(exist_ok=True)
        claimed.keep()
        failures = Failures(out / "state" / "failures.jsonl", galaxies["id_str"])
        for place in np.flatnonzero(reasons != ""):
            failures.reasons[place] = (reasons[place], False)
        missing = [i for i, file in enumerate(files) if i not in failures.reasons and not (out / file).exists()]
        missing.sort(key=lambda i: hashlib.sha256(files[i].encode()).digest())  # neighbours on the sky fail together
        missing.sort(
            key=lambda i: random.random() if i in failures.before else -1
        )  # these last, each time in new order
        if missing:
            _announce(survey, service, len(missing), client.per_second)
            _fetch(service, order, client, workers, galaxies, missing, out, files, failures)
        _write(out, survey, order, galaxies, files, failures)
    failed = len(failures.reasons)
    if failed == len(galaxies):
        raise ValueError(f"no galaxy has an image: {failures.summary()}; see {out / 'failures.csv'}")
    if failed:
        log.warning("%d of %d galaxies have no image: %s", failed, len(galaxies), failures.summary())
    if any(passing for _, passing in failures.reasons.values()):
        log.warning("some of them got no answer: run the same call again to retry these")
    return Cutouts(
        out,
        survey,
        order.bands,
        order.size,
        order.field or order.pixel_scale,
        order.format,
        len(galaxies) - failed,
        failed,
    )


def _facts(order: Order) -> dict:
    """The order as it is kept: if there is a rule, in place of the pixel scale."""
    facts = asdict(order) | {"pixel_scale": order.field or order.pixel_scale}
    del facts["field"]
    return facts


def _check_number(number: int, most: int, order: Order) -> None:
    if number > most:
        bands = f" --bands {','.join(order.bands)}" if order.format == "fits" else ""
        cutout = order.field or f"'{order.size * order.pixel_scale:g} arcsec'"
        raise ValueError(
            f"{number} positions are too many for a cutout service (at most {most}): download the survey's tiles, and "
            f"cut the galaxies out of them with `morphtools build-records POSITIONS RECORDS --images TILES --cutout "
            f"{cutout} --image-size {order.size}{bands}`; a larger "
            "max_positions requests them one by one nevertheless"
        )


def _at_least(name: str, given: float | None, default: float) -> float:
    if given is not None and not 0 < given < float("inf"):
        raise ValueError(f"{name} must be more than 0, got {given}")
    return default if given is None else max(1, given) if name == "at_once" else given


def _announce(survey: str, service: Service, number: int, per_second: float) -> None:
    hours = number / per_second / 3600
    log.info(
        "%d cutouts from %s, at most %g requests per second: %s at least",
        number,
        survey,
        per_second,
        f"{hours:.1f} hours" if hours > 1 else f"{60 * hours:.0f} minutes",
    )
    if service.note:
        log.info("%s", service.note)


def _fetch(service, order, client, workers, galaxies, missing, out, files, failures) -> None:
    """Fetches the missing images, several at a time."""
    orders, in_a_row = _orders(galaxies, order), 0
    with progress_bar(total=len(missing), desc="fetching cutouts", unit="galaxy") as progress:
        for place, result in _answers(service, orders, client, workers, missing):
            progress.update()
            if isinstance(result, bytes):
                write_whole(out / files[place], result)
                in_a_row = 0
                continue
            failures.add(place, result)
            in_a_row = in_a_row + 1 if isinstance(result, OSError) else 0
            failed_500 = getattr(result, "status", None) == 500
            if not client.stopped and in_a_row < (_IN_A_ROW_500 if failed_500 else _IN_A_ROW):
                continue
            if failed_500 and place in failures.before and not client.stopped:
                log.warning("HTTP 500 for %d galaxies in a row, as before: the others were not tried", in_a_row)
                for i in missing:
                    if not (out / files[i]).exists():
                        failures.reasons.setdefault(i, failures.before.get(i, (str(result), True)))
                return
            where = "; if the positions are outside its footprint, leave them out" if failed_500 else ""
            raise ConnectionError(
                f"{order.base_url} sends no cutouts at the moment ({result}): run the same call later to resume{where}"
            )


def _orders(galaxies: pd.DataFrame, order: Order) -> list[tuple[Order, float, float]]:
    """The order and the position of each galaxy; with a rule, the order has its pixel scale."""
    sky = galaxies[["ra", "dec"]].to_numpy(float).tolist()
    if order.field is None:
        return [(order, *place) for place in sky]
    scales = galaxies["pixel_scale"].tolist()
    return [(replace(order, pixel_scale=scale), *place) for scale, place in zip(scales, sky, strict=True)]


def _answers(service, orders, client, workers, missing) -> Iterator[tuple[int, bytes | Exception]]:
    """Yields the bytes of every image, or why there is none, as they arrive."""

    def ask(place: int) -> bytes | Exception:
        try:
            order, ra, dec = orders[place]
            return service.get(order, client, ra, dec)
        except (ValueError, ConnectionError) as error:
            return error

    todo, running = iter(missing), {}
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                while len(running) < 2 * workers and (place := next(todo, None)) is not None:
                    running[pool.submit(ask, place)] = place
                if not running:
                    return
                done: set[Future] = wait(running, return_when=FIRST_COMPLETED).done
                for future in sorted(done, key=lambda future: running[future]):
                    yield running.pop(future), future.result()
        finally:
            client.stop()
            pool.shutdown(cancel_futures=True)


def _write(out, survey, order, galaxies, files, failures) -> None:
    """Writes the catalogue, the failures and, last, `cutouts.json`."""
    write_csv(failures.table(), out / "failures.csv")
    catalog = galaxies.drop(columns="file_loc", errors="ignore")
    catalog.insert(1, "file_loc", files)
    if "survey" not in catalog:
        catalog["survey"] = survey
    catalog = catalog.drop(index=list(failures.reasons)).reset_index(drop=True)
    write_whole(out / "catalog.parquet", lambda path: catalog.to_parquet(path, index=False))
    facts = {"survey": survey} | _facts(order)
    write_json(out / "cutouts.json", facts | {"galaxies": len(catalog), "failed": len(failures.reasons)})
