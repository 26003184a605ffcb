"""Solid things with a hard edge, and animals with fur."""

from __future__ import annotations

import numpy as np

from datagen.synth.curves import Points, ellipse, ribbon, smooth_closed, smooth_open
from datagen.synth.figure import CLOTHES, dim, pick
from datagen.synth.paint import (
    Array,
    Colour,
    Paint,
    blank,
    clouds,
    cushion,
    fill,
    pixel_grid,
    rounded,
    smoothstep,
)

# ---- vessels ------------------------------------------------------------------------------------

PROFILES: dict[str, list[tuple[float, float]]] = {
    # (half width, height) from the rim at -1 to the foot at 1
    "vase": [(0.26, -1.0), (0.20, -0.8), (0.24, -0.5), (0.58, 0.0), (0.62, 0.4), (0.34, 1.0)],
    "mug": [(0.56, -0.8), (0.56, -0.4), (0.56, 0.1), (0.54, 0.6), (0.46, 0.8)],
    "bottle": [(0.13, -1.0), (0.13, -0.62), (0.16, -0.42), (0.37, -0.15), (0.38, 0.5), (0.36, 1.0)],
    "bowl": [(0.92, -0.35), (0.86, 0.0), (0.62, 0.4), (0.30, 0.56), (0.32, 0.64)],
    "jug": [(0.34, -1.0), (0.30, -0.75), (0.42, -0.35), (0.62, 0.2), (0.55, 0.7), (0.38, 0.95)],
}


def turned_outline(profile: list[tuple[float, float]], sag: float = 0.16) -> Points:
    """The outline of a vessel seen from a little above: its foot and its rim are ellipses."""
    side = smooth_open(profile, 14)
    angle = np.linspace(0, np.pi, 40)[1:-1]
    foot, rim = side[-1], side[0]
    low = np.stack([foot[0] * np.cos(angle), foot[1] + sag * foot[0] * np.sin(angle)], 1)
    top = np.stack([-rim[0] * np.cos(angle), rim[1] - sag * rim[0] * np.sin(angle)], 1)
    return np.concatenate([side, low, side[::-1] * (-1, 1), top])


def turned_paint(
    rng: np.random.Generator, colour: Colour, centre: tuple[float, float], scale: float,
    profile: list[tuple[float, float]],
) -> Paint:  # fmt: skip
    """Shades a vessel as a body of revolution, with stripes, glaze runs or grain on it."""
    side = smooth_open(profile, 14)
    accent = pick(rng, CLOTHES)
    pattern = str(rng.choice(["plain", "stripes", "glaze", "zigzag", "grain"]))
    phase, period = rng.uniform(0, 6), rng.uniform(0.16, 0.34)

    def paint(coverage: Array, top: int, left: int) -> Array:
        height, width = coverage.shape
        x, y = pixel_grid(height, width)
        y = (y + top - centre[1]) / scale
        half = np.interp(y[:, 0], side[:, 1], side[:, 0])[:, None]
        u = np.clip((x + left - centre[0]) / scale / half, -1, 1)
        bend = y - 0.16 * half * np.sqrt(1 - u**2)
        turn = np.arcsin(u)
        marks = {
            "plain": np.zeros_like(y),
            "stripes": smoothstep(0.1, 0.2, np.sin(bend * 2 * np.pi / period + phase)),
            "glaze": smoothstep(-0.04, 0.0, 0.1 * np.sin(5 * turn + phase) - 0.1 - bend),
            "zigzag": smoothstep(
                0.35, 0.45, np.sin(25 * (bend + 0.1 * np.abs((turn * 2.2) % 2 - 1)))
            ),
            "grain": 0.5 + 0.2 * clouds(rng, height, width, scale * 0.2),
        }[pattern][..., None]
        base = np.asarray(colour) * (1 - marks) + np.asarray(accent) * marks
        glow = (
            0.28
            + 0.85 * np.clip(0.82 * np.sqrt(1 - u**2) - 0.5 * u, 0, 1)
            + 0.12 * u.clip(0.6) ** 8
        )
        shine = (
            0.55
            * np.exp(-(((u + 0.45) / 0.11) ** 2))
            * smoothstep(-1.1, -0.4, y.astype(np.float32))
        )
        return np.asarray(
            np.clip(base * glow[..., None] + 0.6 * shine[..., None], 0, 1), np.float32
        )

    return paint


def paint_vessel(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    kind = str(rng.choice(list(PROFILES)))
    wide = max(x for x, _ in PROFILES[kind]) + (0.3 if kind in ("mug", "jug") else 0)
    profile = [(x * rng.uniform(0.94, 1.06), y) for x, y in PROFILES[kind]]
    scale = min(height * 0.44, width * 0.46 / wide)
    centre = (width * 0.5 - (0.12 * scale if kind in ("mug", "jug") else 0), height * 0.5)
    colour, canvas = pick(rng, CLOTHES), blank(height, width)
    if kind in ("mug", "jug"):
        loop = smooth_open(
            [(0.45, -0.45), (0.8, -0.45), (0.92, 0.0), (0.75, 0.4), (0.42, 0.45)], 16
        )
        fill(canvas, ribbon(loop * scale + centre, 0.13 * scale), rounded(colour, 0.06 * scale))
    paint = turned_paint(rng, colour, centre, scale, profile)
    fill(canvas, turned_outline(profile) * scale + centre, paint)
    rim, lip = profile[0]
    mouth = ellipse(centre[0], centre[1] + lip * scale, rim * scale * 0.95, 0.145 * rim * scale)
    fill(canvas, mouth, dim(colour, 0.32), inside=True)
    return canvas, kind


# ---- other solids -------------------------------------------------------------------------------


def paint_fruit(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    canvas, s = blank(height, width), min(height, width) * 0.43
    centre = (width / 2, height / 2 + 0.06 * s)
    kind = str(rng.choice(["apple", "pear", "orange"]))
    half = {
        "apple": [(0.2, -0.78), (0.7, -0.82), (0.98, -0.2), (0.78, 0.6), (0.3, 0.92), (0.08, 0.84)],
        "pear": [
            (0.12, -0.98),
            (0.36, -0.75),
            (0.44, -0.3),
            (0.8, 0.25),
            (0.72, 0.75),
            (0.2, 0.95),
        ],
        "orange": [(0.25, -0.88), (0.75, -0.55), (0.92, 0.0), (0.75, 0.55), (0.25, 0.88)],
    }[kind]
    base: Colour = {
        "apple": (0.80, 0.16, 0.13), "pear": (0.72, 0.74, 0.25), "orange": (0.95, 0.55, 0.10),
    }[kind]  # fmt: skip
    blush: Colour = {
        "apple": (0.88, 0.70, 0.25), "pear": (0.80, 0.45, 0.22), "orange": (0.98, 0.66, 0.2),
    }[kind]  # fmt: skip
    grain = clouds(rng, height, width, 0.5 * s if kind != "orange" else 0.03 * s)

    def paint(coverage: Array, top: int, left: int) -> Array:
        rows, columns = coverage.shape
        mix = np.clip(0.3 + 0.3 * grain[top : top + rows, left : left + columns], 0, 1)[..., None]
        colour = np.asarray(base) * (1 - mix) + np.asarray(blush) * mix
        return np.asarray(colour * cushion(coverage, 0.85 * s, (-0.5, -0.6), 0.7)[..., None])

    right = np.array(half)
    shape = smooth_closed(np.concatenate([right, right[::-1] * (-1, 1)])) * s + centre
    stem = smooth_open([(0.0, -0.66), (0.03, -0.9), (0.12, -1.1)]) * s + centre
    fill(canvas, shape, paint)
    fill(canvas, ellipse(centre[0], centre[1] - 0.74 * s, 0.22 * s, 0.07 * s), dim(base, 0.45), 0.7,
         inside=True, blur=0.03 * s)  # fmt: skip
    fill(canvas, ribbon(stem, np.linspace(0.06, 0.09, len(stem)) * s), (0.32, 0.22, 0.12))
    leaf = [(0.08, -0.98), (0.3, -1.16), (0.62, -1.12), (0.42, -0.94)]
    fill(canvas, smooth_closed(leaf) * s + centre, rounded((0.30, 0.52, 0.18), 0.1 * s))
    fill(canvas, ellipse(centre[0] - 0.4 * s, centre[1] - 0.38 * s, 0.14 * s, 0.09 * s, -0.6),
         (1, 1, 1), 0.6, inside=True, blur=0.05 * s)  # fmt: skip
    return canvas, kind


def paint_gear(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    canvas, s = blank(height, width), min(height, width) * 0.46
    teeth, turn = int(rng.integers(8, 14)), rng.uniform(0, 1)
    angle = np.linspace(0, 2 * np.pi, teeth * 40, endpoint=False)
    wave = np.clip(2.6 * np.sin(teeth * angle), -1, 1)
    radius = s * (0.88 + 0.11 * wave)
    rim = np.stack([np.cos(angle + turn), np.sin(angle + turn)], 1) * radius[:, None]
    middle = (width / 2, height / 2)
    hole = ellipse(*middle, 0.2 * s, 0.2 * s)[::-1]
    spokes = [
        ellipse(
            middle[0] + 0.5 * s * np.cos(a), middle[1] + 0.5 * s * np.sin(a), 0.14 * s, 0.14 * s
        )[::-1]
        for a in turn + np.arange(5) * 2 * np.pi / 5
    ]
    metal: Colour = ((0.72, 0.73, 0.76), (0.78, 0.62, 0.30), (0.66, 0.42, 0.30))[rng.integers(3)]
    x, y = pixel_grid(height, width)
    sweep = 0.84 + 0.2 * np.cos(2 * np.arctan2(y - middle[1], x - middle[0]) + 1.2)
    brushed = sweep + 0.03 * np.sin(np.hypot(x - middle[0], y - middle[1]) * 400 / s)

    def paint(coverage: Array, top: int, left: int) -> Array:
        rows, columns = coverage.shape
        part = brushed[top : top + rows, left : left + columns]
        edge = cushion(coverage, 0.06 * s, (-0.5, -0.7), 0.7)
        return np.asarray(np.clip(np.asarray(metal) * (part * edge)[..., None], 0, 1), np.float32)

    fill(canvas, [rim + middle, hole, *spokes], paint)
    return canvas, "gear"


def paint_car(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    canvas, s = blank(height, width), width * 0.46
    centre, colour = (width / 2, height * 0.52), pick(rng, CLOTHES)

    def at(points: list[tuple[float, float]]) -> Points:
        return np.asarray(points) * s + centre

    def spot(x: float, y: float) -> tuple[float, float]:
        return x * s + centre[0], y * s + centre[1]

    roof = rng.uniform(0.46, 0.56)
    body = [(-0.98, 0.1), (-0.9, -0.12), (-0.55, -0.17), (-0.33, -roof), (0.0, -roof - 0.05),
            (0.30, -roof + 0.02), (0.56, -0.16), (0.92, -0.08), (0.99, 0.12), (0.95, 0.27),
            (0.4, 0.29), (-0.4, 0.29), (-0.95, 0.27)]  # fmt: skip
    fill(canvas, smooth_closed(at(body)), rounded(colour, 0.2 * s, contrast=0.75))
    glass: Colour = (0.22, 0.30, 0.36)
    for pane in (
        [(-0.44, -0.17), (-0.28, -roof + 0.07), (-0.03, -roof + 0.03), (-0.03, -0.17)],
        [(0.04, -0.17), (0.04, -roof + 0.03), (0.25, -roof + 0.09), (0.43, -0.17)],
    ):
        fill(canvas, at(pane), rounded(glass, 0.1 * s), inside=True)
        shine = [(pane[0][0] + 0.1, -0.17), (pane[0][0] + 0.22, -0.45), (pane[0][0] + 0.29, -0.45),
                 (pane[0][0] + 0.17, -0.17)]  # fmt: skip
        fill(canvas, at(shine), (0.8, 0.9, 1.0), 0.25, inside=True)
    fill(canvas, ribbon(at([(0.0, -0.14), (0.02, 0.22)]), 0.012 * s), dim(colour, 0.5), 0.9, True)
    fill(canvas, ribbon(at([(-0.9, 0.1), (0.93, 0.12)]), 0.02 * s), dim(colour, 1.5), 0.7, True)
    fill(
        canvas,
        at([(-0.12, -0.06), (-0.04, -0.06), (-0.04, -0.035), (-0.12, -0.035)]),
        (0.9, 0.9, 0.9),
    )
    fill(canvas, ellipse(*spot(0.9, 0.03), 0.06 * s, 0.05 * s), (1.0, 0.96, 0.8))
    fill(canvas, ellipse(*spot(-0.94, 0.03), 0.04 * s, 0.06 * s), (0.8, 0.1, 0.08))
    for x in (-0.56, 0.58):
        hub = spot(x, 0.27)
        fill(canvas, ellipse(*hub, 0.22 * s, 0.22 * s), rounded((0.13, 0.13, 0.14), 0.08 * s))
        fill(canvas, ellipse(*hub, 0.125 * s, 0.125 * s), rounded((0.78, 0.78, 0.8), 0.05 * s))
        for a in np.arange(5) * 2 * np.pi / 5:
            bolt = ellipse(
                hub[0] + 0.07 * s * np.cos(a), hub[1] + 0.07 * s * np.sin(a), 0.022 * s, 0.022 * s
            )
            fill(canvas, bolt, (0.25, 0.25, 0.27))
    return canvas, "car"


def paint_mushroom(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    canvas, s = blank(height, width), min(height, width) * 0.46
    centre, cap = (
        (width / 2, height / 2),
        pick(rng, ((0.80, 0.16, 0.12), (0.62, 0.38, 0.2), (0.85, 0.6, 0.25))),
    )
    stem = np.array([(0.20, -0.1), (0.21, 0.4), (0.33, 0.85), (0.22, 0.96)])
    trunk = smooth_closed(np.concatenate([stem, stem[::-1] * (-1, 1)])) * s + centre
    fill(canvas, trunk, rounded((0.93, 0.89, 0.80), 0.25 * s, contrast=0.6))
    skirt = smooth_closed(
        [(-0.3, 0.12), (0, 0.06), (0.3, 0.12), (0.33, 0.3), (0, 0.36), (-0.33, 0.3)]
    )
    fill(canvas, skirt * s + centre, rounded((0.97, 0.94, 0.86), 0.1 * s))
    dome = [
        (-0.96, 0.02),
        (-0.8, -0.5),
        (-0.3, -0.9),
        (0.3, -0.9),
        (0.8, -0.5),
        (0.96, 0.02),
        (0.5, 0.12),
        (-0.5, 0.12),
    ]
    shape = smooth_closed(dome) * s + centre
    fill(canvas, shape, rounded(cap, 0.6 * s, contrast=0.75))
    for _ in range(16):
        x, y = rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.0)
        r = rng.uniform(0.05, 0.11) * s
        if (x / 0.85) ** 2 + ((y - 0.05) / 0.85) ** 2 < 1:
            spot = ellipse(centre[0] + x * s, centre[1] + y * s, r * (1 - 0.5 * abs(x)), r * 0.85)
            fill(canvas, spot, rounded((0.97, 0.95, 0.90), 0.5 * r), inside=True)
    return canvas, "mushroom"


def paint_ball(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """A beach ball: gores around a tilted pole."""
    canvas, s = blank(height, width), min(height, width) * 0.46
    x, y = pixel_grid(height, width)
    u, v = (x - width / 2) / s, (y - height / 2) / s
    depth = np.sqrt(np.clip(1 - u**2 - v**2, 0, 1))
    pole = rng.normal(size=3)
    pole /= np.linalg.norm(pole)
    side = np.cross(pole, (0.3, 0.9, 0.2))
    side /= np.linalg.norm(side)
    other = np.cross(pole, side)
    along = [u * a[0] + v * a[1] + depth * a[2] for a in (pole, side, other)]
    gore = np.floor((np.arctan2(along[1], along[2]) / (2 * np.pi) + 0.5) * 8).astype(int) % 4
    colours = np.array(
        [(0.95, 0.93, 0.88), pick(rng, CLOTHES), (0.95, 0.93, 0.88), pick(rng, CLOTHES)]
    )
    base = np.where((np.abs(along[0]) > 0.95)[..., None], 0.9, colours[gore])
    glow = 0.35 + 0.8 * np.clip(-0.45 * u - 0.55 * v + 0.7 * depth, 0, 1)
    shine = np.exp(-((u + 0.38) ** 2 + (v + 0.42) ** 2) / 0.012)
    picture = np.clip(base * glow[..., None] + 0.7 * shine[..., None], 0, 1).astype(np.float32)

    def paint(coverage: Array, top: int, left: int) -> Array:
        part = picture[top : top + coverage.shape[0], left : left + coverage.shape[1]]
        return np.asarray(part, np.float32)

    fill(canvas, ellipse(width / 2, height / 2, s, s, count=360), paint)
    return canvas, "ball"


# ---- fur ----------------------------------------------------------------------------------------


SOLIDS = (
    paint_vessel,
    paint_vessel,
    paint_fruit,
    paint_gear,
    paint_car,
    paint_mushroom,
    paint_ball,
)
