"""Glassware and soap bubbles: clear in front, dense towards the rim, with highlights."""

from __future__ import annotations

import numpy as np

from datagen.synth.curves import Points, ellipse, smooth_open
from datagen.synth.figure import pick
from datagen.synth.paint import (
    Array,
    Colour,
    blank,
    clouds,
    fill,
    lay,
    pixel_grid,
    polygon_coverage,
    smoothstep,
    tinted,
)

GLASSES: dict[str, list[tuple[float, float]]] = {
    "wine glass": [
        (0.33, -0.98),
        (0.43, -0.62),
        (0.43, -0.35),
        (0.27, -0.08),
        (0.05, 0.04),
        (0.035, 0.3),
        (0.035, 0.72),
        (0.12, 0.86),
        (0.40, 0.93),
        (0.41, 0.95),
    ],
    "tumbler": [(0.50, -0.72), (0.48, -0.2), (0.45, 0.4), (0.43, 0.74), (0.41, 0.78)],
    "flask": [
        (0.15, -0.98),
        (0.13, -0.80),
        (0.13, -0.4),
        (0.22, -0.22),
        (0.56, 0.25),
        (0.64, 0.6),
        (0.50, 0.85),
        (0.44, 0.88),
    ],
    "bottle": [
        (0.12, -0.98),
        (0.11, -0.85),
        (0.11, -0.52),
        (0.16, -0.38),
        (0.33, -0.12),
        (0.34, 0.3),
        (0.34, 0.9),
        (0.32, 0.94),
    ],
    "goblet": [
        (0.50, -0.95),
        (0.46, -0.55),
        (0.30, -0.18),
        (0.07, 0.05),
        (0.10, 0.2),
        (0.05, 0.35),
        (0.06, 0.68),
        (0.34, 0.88),
        (0.36, 0.92),
    ],
    "jar": [
        (0.34, -0.82),
        (0.34, -0.70),
        (0.42, -0.56),
        (0.50, -0.38),
        (0.50, 0.6),
        (0.46, 0.78),
        (0.42, 0.8),
    ],
}


def outline_of(side: Points, sag: float) -> Points:
    """The outline of a turned body from its side (N x 2): foot and rim are shallow arcs."""
    angle = np.linspace(0, np.pi, 40)[1:-1]
    (rim, top), (foot, low) = side[0], side[-1]
    under = np.stack([foot * np.cos(angle), low + sag * foot * np.sin(angle)], 1)
    above = np.stack([-rim * np.cos(angle), top - sag * rim * np.sin(angle)], 1)
    return np.concatenate([side, under, side[::-1] * (-1, 1), above])


def paint_glass(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """Glassware: clear in front, dark and bright towards its rims, with windows reflected in it."""
    kind = str(rng.choice(list(GLASSES)))
    profile = np.array(GLASSES[kind]) * (rng.uniform(0.92, 1.1), 1)
    scale = min(height * 0.47, width * 0.47 / profile[:, 0].max())
    centre = np.array([width / 2, height * 0.5])
    side = smooth_open(profile, 14)
    tint = pick(
        rng, ((0.86, 0.93, 0.93), (0.86, 0.93, 0.93), (0.62, 0.82, 0.66), (0.62, 0.76, 0.92))
    )
    x, y = pixel_grid(height, width)
    v = (y - centre[1]) / scale
    half = np.interp(v[:, 0], side[:, 1], side[:, 0])[:, None].astype(np.float32)
    u = np.clip((x - centre[0]) / scale / half, -1, 1)
    body = polygon_coverage([outline_of(side, 0.14) * scale + centre], height, width)
    wall = np.abs(u)
    thick = 0.02 / half  # thickness of the wall, as a share of the radius
    rim = smoothstep(0.60, 1.0, wall) ** 2
    line = smoothstep(1 - 2.4 * float(thick.mean()), 1.0, wall)
    wobble = 0.10 * clouds(rng, height, width, 0.3 * scale)
    bands = 0.5 + 0.5 * np.sin(7.5 * np.arcsin(u) + 2.5 * wobble)
    dark = np.clip(0.85 * line + 0.45 * rim * bands, 0, 1)
    stem = smoothstep(0.12, 0.06, np.broadcast_to(half, u.shape))
    opacity = 0.09 + 0.34 * rim + 0.38 * line + 0.30 * stem * bands
    colour = np.asarray(tint) * (0.96 - 0.62 * dark - 0.3 * stem * (1 - bands))[..., None]
    canvas = tinted(
        (np.clip(opacity, 0, 0.85) * body).astype(np.float32),
        np.clip(colour, 0, 1).astype(np.float32),
    )
    if rng.random() < 0.7:
        pour(canvas, rng, kind, side, centre, scale, u)
    rim_lines(canvas, side, centre, scale, tint)
    shine = reflections(u.astype(np.float32), v.astype(np.float32), side, rng) * body
    lay(canvas, tinted(shine.astype(np.float32), (1.0, 1.0, 1.0)))
    return canvas, kind


def pour(
    canvas: Array,
    rng: np.random.Generator,
    kind: str,
    side: Points,
    centre: Points,
    scale: float,
    u: Array,
) -> None:
    """Fill the vessel up to some level with a tinted, translucent drink."""
    bottom = {"wine glass": 0.0, "goblet": 0.0}.get(kind, float(side[-1, 1]) - 0.06)
    top = side[0, 1] + (bottom - side[0, 1]) * rng.uniform(0.3, 0.6)
    inner = side[(side[:, 1] > top) & (side[:, 1] < bottom)] * (0.93, 1)
    if len(inner) < 4:
        return
    drink: Colour = pick(
        rng,
        (
            (0.55, 0.06, 0.12),
            (0.90, 0.62, 0.16),
            (0.86, 0.80, 0.45),
            (0.95, 0.45, 0.15),
            (0.75, 0.88, 0.92),
            (0.45, 0.75, 0.40),
        ),
    )
    strength = 0.34 if drink[2] > 0.7 else rng.uniform(0.45, 0.72)

    def paint(coverage: Array, row: int, column: int) -> Array:
        rows, columns = coverage.shape
        part = u[row : row + rows, column : column + columns]
        light = (
            0.78
            + 0.34 * np.exp(-(((part - 0.35) / 0.3) ** 2))
            - 0.35 * smoothstep(0.7, 1.0, np.abs(part))
        )
        return np.asarray(np.clip(np.asarray(drink) * light[..., None], 0, 1), np.float32)

    fill(canvas, outline_of(inner, 0.14) * scale + centre, paint, opacity=strength)
    face = ellipse(
        centre[0], centre[1] + top * scale, inner[0, 0] * scale, 0.14 * inner[0, 0] * scale
    )
    bright = (
        min(drink[0] * 1.3 + 0.1, 1),
        min(drink[1] * 1.3 + 0.1, 1),
        min(drink[2] * 1.3 + 0.1, 1),
    )
    fill(canvas, face, bright, opacity=0.35)


def rim_lines(canvas: Array, side: Points, centre: Points, scale: float, tint: Colour) -> None:
    """The lip of the vessel and its foot: two thin elliptic rings, half bright, half dark."""
    for (radius, level), opacity in ((side[0], 0.75), (side[-1], 0.5)):
        outer = ellipse(centre[0], centre[1] + level * scale, radius * scale, 0.14 * radius * scale)
        inner = ellipse(
            centre[0],
            centre[1] + level * scale,
            radius * scale * 0.965,
            max(0.14 * radius * scale - 0.012 * scale, 0.5),
        )
        fill(canvas, [outer, inner[::-1]], (tint[0] * 0.9, tint[1] * 0.95, tint[2]), opacity)
        dark = ellipse(
            centre[0],
            centre[1] + level * scale + 0.006 * scale,
            radius * scale * 0.99,
            0.14 * radius * scale,
        )
        fill(canvas, [dark, outer[::-1]], (0.25, 0.3, 0.3), 0.5)


def reflections(u: Array, v: Array, side: Points, rng: np.random.Generator) -> Array:
    """Coverage of highlights: a tall window at the left, a slim one at the right."""
    low, high = float(side[0, 1]), float(side[-1, 1])
    reach = min(high, low + 0.75 * (high - low))
    at = rng.uniform(-0.66, -0.5)
    tall = smoothstep(0.09, 0.06, np.abs(u - at)) * smoothstep(low + 0.07, low + 0.12, v)
    tall *= smoothstep(reach, reach - 0.05, v)
    bar = 1 - smoothstep(0.025, 0.015, np.abs(v - (low + reach) / 2))
    slim = smoothstep(0.035, 0.02, np.abs(u - 0.72)) * smoothstep(low + 0.15, low + 0.3, v)
    slim *= smoothstep(reach, reach - 0.2, v)
    return np.asarray(np.clip(0.88 * tall * bar + 0.6 * slim, 0, 1), np.float32)


def paint_bubbles(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """Soap bubbles: a film that is densest at the rim, in the colours of thin layers."""
    canvas, s = blank(height, width), min(height, width)
    placed: list[tuple[float, float, float]] = []
    for _ in range(400):
        r = s * (rng.uniform(0.15, 0.24) if len(placed) < 3 else rng.uniform(0.025, 0.12))
        cx, cy = rng.uniform(r + 2, width - r - 2), rng.uniform(r + 2, height - r - 2)
        if all(np.hypot(cx - a, cy - b) > r + c + 2 for a, b, c in placed):
            placed.append((cx, cy, r))
        if len(placed) >= 14:
            break
    for cx, cy, r in placed:
        paint_bubble(canvas, rng, cx, cy, r)
    return canvas, "bubbles"


def paint_bubble(canvas: Array, rng: np.random.Generator, cx: float, cy: float, r: float) -> None:
    top, left = max(int(cy - r) - 2, 0), max(int(cx - r) - 2, 0)
    part = canvas[top : int(cy + r) + 3, left : int(cx + r) + 3]
    height, width = part.shape[:2]
    x, y = pixel_grid(height, width)
    u, v = (x + left - cx) / r, (y + top - cy) / r
    radius = np.hypot(u, v)
    disc = polygon_coverage([ellipse(cx - left, cy - top, r, r, count=200)], height, width)
    film = smoothstep(0.55, 1.0, radius.astype(np.float32))
    phase = (
        3.2 * radius**2 + 0.8 * v + 0.5 * clouds(rng, height, width, 0.7 * r) + rng.uniform(0, 6)
    )
    hues = 0.62 + 0.38 * np.sin(phase[..., None] * 1.7 + np.array((0.0, 2.1, 4.2)))
    opacity = np.clip(
        0.07 + 0.62 * film**2 + 0.12 * smoothstep(0.9, 1.0, radius.astype(np.float32)), 0, 1
    )
    lay(part, tinted((opacity * disc).astype(np.float32), hues.astype(np.float32)))
    bend = np.hypot(u * 0.9, v * 0.9)
    window = smoothstep(0.17, 0.12, np.abs(np.arctan2(v, u) + 2.25).astype(np.float32) * 0.5)
    window *= smoothstep(0.52, 0.56, bend.astype(np.float32)) * smoothstep(
        0.76, 0.72, bend.astype(np.float32)
    )
    small = smoothstep(0.10, 0.07, np.hypot(u - 0.5, v - 0.52).astype(np.float32))
    shine = np.clip(0.9 * window + 0.65 * small, 0, 1) * disc
    lay(part, tinted(shine.astype(np.float32), (1.0, 1.0, 1.0)))
