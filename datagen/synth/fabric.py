"""Open weaves: lace, tulle and nets, as opacity from the distance to the nearest thread."""

from __future__ import annotations

import numpy as np

from datagen.synth.curves import Points
from datagen.synth.paint import Array, Colour, blank, clouds, fill, pixel_grid, smoothstep, tinted


def thread(distance: Array, width: float) -> Array:
    """Coverage of a pixel by a thread of `width` px whose middle is `distance` px away."""
    return np.asarray(np.clip(width / 2 - distance + 0.5, 0, min(width, 1.0)), np.float32)


def mesh(u: Array, v: Array, cell: float, width: float) -> Array:
    """Two families of threads, `cell` px apart along the coordinates u and v (px)."""
    lines = [thread(np.abs((c / cell) % 1 - 0.5) * cell, width) for c in (u, v)]
    return np.asarray(1 - (1 - lines[0]) * (1 - lines[1]), np.float32)


def lace_opacity(rng: np.random.Generator, height: int, width: int, unit: float) -> Array:
    """Folded sheer cloth (H x W, 0..1): a weave too fine to resolve, denser where it folds."""
    x, y = pixel_grid(height, width)
    bend = clouds(rng, height, width, 3.0 * unit, 0.4, unit) * 0.35
    folds = np.sin((x / unit * 2.6 + bend * 2.2 + 0.2 * y / unit) * 2.2)
    folds = 0.5 + 0.5 * folds * smoothstep(-0.5 * unit, 2.5 * unit, y)
    return np.asarray(np.clip(0.25 + 0.6 * folds**2 + 0.05 * clouds(rng, height, width, 6), 0, 1))


def flowers(u: Array, v: Array, cell: float) -> Array:
    """Petalled motifs on a staggered grid with `cell` px between them; coverage H x W."""
    row = np.floor(v / cell)
    along = u / cell + 0.5 * (row % 2)
    x, y = (along % 1 - 0.5) * cell, (v / cell % 1 - 0.5) * cell
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    petal = 0.34 * cell * (0.62 + 0.38 * np.cos(6 * angle))
    solid = np.clip(petal - radius + 0.5, 0, 1)
    rings = [thread(np.abs(radius - r * cell), 0.02 * cell + 0.8) for r in (0.09, 0.40)]
    hole = np.clip(0.05 * cell - radius + 0.5, 0, 1)
    return np.asarray(np.maximum(solid * (1 - hole), np.maximum(*rings)), np.float32)


def lace(
    rng: np.random.Generator, height: int, width: int, shape: Points, tone: Colour, unit: float
) -> Array:
    """A lace cloth cut to a shape: mesh, flower motifs and a close border; premultiplied."""
    x, y = pixel_grid(height, width)
    bend = clouds(rng, height, width, 2.5 * unit, 0.4, unit) * 0.12 * unit
    u, v = x + y * 0.5 + bend, y - x * 0.5 + bend * 0.6
    cell = max(0.075 * unit, 6.0)
    net = mesh(u, v, cell, max(0.18 * cell, 1.1))
    motif = flowers(x + bend, y + 0.5 * bend, 0.62 * unit)
    cover = blank(height, width)
    fill(cover, shape, (1, 1, 1))
    folds = lace_opacity(rng, height, width, unit)
    opacity = np.maximum(net * (0.55 + 0.35 * folds), motif * 0.85)
    opacity = np.maximum(opacity, 0.10 + 0.14 * folds) * cover[..., 3]
    shade = (0.86 + 0.16 * folds + 0.06 * motif)[..., None]
    return tinted(
        np.asarray(opacity, np.float32),
        np.clip(np.asarray(tone, np.float32) * shade, 0, 1).astype(np.float32),
    )
