"""A small simulated sky with known truth: Sérsic galaxies with rings, bars, arms and companions."""

import numpy as np
import pandas as pd

FEATURES = ("ring", "bar", "spiral", "edge_on", "merger", "smooth")


def simulate_galaxies(
    galaxies: int, *, image_size: int = 64, seed: int = 0, start: int = 0, fractions: dict | None = None
) -> tuple[pd.DataFrame, np.ndarray]:
    """Renders galaxies in g, r, z with noise; galaxy i of a seed is the same however many are drawn.

    Args:
        galaxies: How many.
        image_size: Side in pixels.
        seed: Seed of the sky.
        start: Number of the first galaxy.
        fractions: Share of galaxies with each of `FEATURES`.

    Returns:
        Catalogue with `id_str`, `file_loc` and a 0/1 column per feature, and images (N, H, W, 3) float32 in
        units of the noise.
    """
    shares = {"ring": 0.3, "bar": 0.3, "spiral": 0.4, "edge_on": 0.2, "merger": 0.1, "smooth": 0.3} | (fractions or {})
    rows, images = [], np.empty((galaxies, image_size, image_size, 3), np.float32)
    for i in range(galaxies):
        rng = np.random.default_rng([seed, start + i])
        truth = {name: int(rng.random() < shares[name]) for name in FEATURES}
        images[i] = _render(rng, truth, image_size)
        rows.append({"id_str": f"sky{seed}-{start + i:07d}", "file_loc": str(i), **truth})
    return pd.DataFrame(rows), images


def _render(rng, truth, size):
    y, x = (np.mgrid[:size, :size] - (size - 1) / 2) / size
    angle, q = rng.uniform(0, np.pi), rng.uniform(0.5, 1.0)
    if truth["edge_on"]:
        q = rng.uniform(0.12, 0.25)
    u, v = x * np.cos(angle) + y * np.sin(angle), (y * np.cos(angle) - x * np.sin(angle)) / q
    r, phi = np.hypot(u, v), np.arctan2(v, u)
    scale = rng.uniform(0.06, 0.11)
    disk = np.exp(-r / scale)
    if not truth["smooth"]:
        if truth["spiral"]:
            wave = np.cos(2 * (phi - np.log(r / scale + 0.1) * rng.uniform(1.5, 3)) + rng.uniform(0, 6))
            disk = disk * (1 + 0.7 * wave * (r > 0.5 * scale))
        if truth["bar"]:
            disk = disk + 0.8 * np.exp(-((u / (1.3 * scale)) ** 4) - (v / (0.35 * scale)) ** 2)
    radius = rng.uniform(1.6, 2.6) * scale
    if truth["ring"]:
        disk = disk + rng.uniform(0.15, 0.35) * np.exp(-(((r - radius) / (0.3 * scale)) ** 2))
    bulge = rng.uniform(0.3, 3) * np.exp(-4 * (r / scale) ** 0.5)
    if truth["merger"]:
        dx, dy = rng.uniform(1.5, 2.5) * scale * np.array([np.cos(phi0 := rng.uniform(0, 6)), np.sin(phi0)])
        bulge = bulge + np.exp(-np.hypot(x - dx, y - dy) / (0.5 * scale))
    flux = 10 ** rng.uniform(1.3, 2.2)
    image = flux * (disk[..., None] * (0.6, 0.9, 1.1) + bulge[..., None] * (0.3, 1.0, 1.5))
    return image + rng.normal(size=image.shape)
