"""A chunk of the mock sky from its settings: truth, images and catalogue, chunk by chunk."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from morphtools.sky.defects import add_artifacts, draw_artifacts
from morphtools.sky.galaxies import PLACES, check_fractions, draw_galaxies, uniforms
from morphtools.sky.light import component_shares
from morphtools.sky.observe import add_noise, draw_conditions, expose
from morphtools.sky.spectra import component_fluxes
from morphtools.sky.volunteers import answer_probabilities, draw_votes
from morphtools.survey.instruments import camera_for
from morphtools.survey.schemas import SCHEMAS
from tfrecords_builder.naming import check_known

_CHUNK_PIXELS = 2**18  # pixels rendered together: planes of a chunk then stay in the processor's cache


@dataclass(frozen=True)
class Sky:
    """The settings of a mock survey, checked."""

    bands: str
    image_size: int
    seed: int
    schema: str
    fractions: dict = field(default_factory=dict)
    magnitude_limit: float = 17.0
    pixel_scale: float | None = None
    field_radii: float | None = None
    artifact_rate: float = 0.0
    crowding: float = 1.0
    depth: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "fractions", check_fractions(self.fractions))
        camera_for(self.bands)
        check_known("schema", self.schema, ("gz_decals_dr5", "gz2"))
        if self.image_size < 16:
            raise ValueError(f"image_size must be at least 16 pixels, got {self.image_size}")
        if self.pixel_scale and self.field_radii:
            raise ValueError("give pixel_scale (arcsec) or field_radii (half-light radii a side), not both")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
        for name in ("depth", "magnitude_limit"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    @property
    def camera(self):
        """The camera with these bands."""
        return camera_for(self.bands)

    @property
    def chunk(self):
        """How many galaxies are rendered together."""
        return max(1, _CHUNK_PIXELS // self.image_size**2)

    def scales(self, g):
        """(N,) arcsec per pixel."""
        if self.field_radii:
            return np.maximum(self.field_radii * g["radius"] / self.image_size, 0.1)
        return np.full(len(g["radius"]), self.pixel_scale or self.camera.pixel_scale)


def chunks(sky, start, galaxies):
    """Numbers of the galaxies, one integer array per chunk."""
    if galaxies < 1 or start < 0:
        raise ValueError(f"galaxies must be at least 1 and start at least 0, got {galaxies} and {start}")
    end = start + galaxies
    return [np.arange(first, min(first + sky.chunk, end)) for first in range(start, end, sky.chunk)]


def draw(sky, ids):
    """Truth of some galaxies: latents, pixel scales, observing conditions and artefacts."""
    g = draw_galaxies(sky.seed, ids, fractions=sky.fractions, magnitude_limit=sky.magnitude_limit)
    scale = sky.scales(g)
    bands = sky.camera.indices(sky.bands)
    conditions = draw_conditions(sky.seed, ids, camera=sky.camera, bands=bands, scale=scale, depth=sky.depth)
    return g, scale, conditions, draw_artifacts(sky.seed, ids, sky.artifact_rate)


def render(sky, ids, g, scale, conditions, artifacts):
    """(N, C, size, size) images in nanomaggies per pixel."""
    camera, bands = sky.camera, sky.camera.indices(sky.bands)
    where = {"camera": camera, "bands": bands, "scale": scale}
    images = expose(g, sky.seed, ids, size=sky.image_size, fwhm=conditions.fwhm, crowding=sky.crowding, **where)
    add_noise(images, sky.seed, ids, conditions=conditions, **where)
    return add_artifacts(
        images, sky.seed, ids, artifacts, noise=conditions.noise, fwhm=conditions.fwhm / scale[:, None]
    )


def describe(sky, ids, g, scale, conditions, artifacts):
    """One row per galaxy."""
    place = uniforms(sky.seed, ids, PLACES, 2)
    # The northern sky away from the Milky Way, evenly: uniform in sin(dec).
    table = {
        "id_str": [f"mock{sky.seed}_{i:08d}" for i in ids],
        "ra": 120 + 120 * place[:, 0],
        "dec": np.degrees(np.arcsin(0.85 * place[:, 1])),
        "redshift": g["redshift"],
        "ebv": g["ebv"],
        "pixel_scale": scale,
    }
    seeing, noise = _in_r(sky, ids, scale)
    truth = {f"true_{name}": values for name, values in g.items() if name not in table}
    truth["true_artifact"] = np.where(artifacts == "", "none", artifacts)
    for k, band in enumerate(sky.bands):
        truth[f"true_fwhm_{band}"] = conditions.fwhm[:, k]
        truth[f"true_noise_{band}"] = conditions.noise[:, k]
    truth |= {f"true_flux_{b}": flux for b, flux in zip(sky.bands, _total_fluxes(sky, g).T, strict=True)}
    for schema in (sky.schema, "rings"):
        p = answer_probabilities(schema, g, seeing, noise, artifact=artifacts != "")
        columns = SCHEMAS[schema].label_cols
        table |= dict(zip(columns, draw_votes(schema, p, sky.seed, ids).T, strict=True))
        truth |= {f"true_{name}": values for name, values in zip(columns, p.T, strict=True)}
    return pd.DataFrame(table | truth)


def _in_r(sky, ids, scale):
    """Seeing (arcsec) and noise (nanomaggies per square arcsec) in r, for any requested bands."""
    band = sky.camera.indices("r")
    c = draw_conditions(sky.seed, ids, camera=sky.camera, bands=band, scale=scale, depth=sky.depth)
    # The noise per square arcsec is that of 1 / scale^2 pixels, as a standard deviation.
    return c.fwhm[:, 0], c.noise[:, 0] / scale


def _total_fluxes(sky, g):
    """(N, C) total flux in nanomaggies before the galaxy's own dust and the Milky Way's."""
    shares, ages = component_shares(g)
    camera = sky.camera
    wavelengths = np.array(camera.wavelengths)
    red = wavelengths[camera.bands.index("r")]
    bands = camera.indices(sky.bands)
    return component_fluxes(ages, shares, g["redshift"], wavelengths[bands], red, g["magnitude"]).sum(axis=2)
