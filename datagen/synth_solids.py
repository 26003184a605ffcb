"""Solid things with a hard edge, and animals with fur."""

from __future__ import annotations

import numpy as np

from datagen.synth_figure import CLOTHES, dim, pick
from datagen.synth_paint import (
    Array,
    Colour,
    Paint,
    Points,
    blank,
    clouds,
    cushion,
    ellipse,
    fill,
    paint_strands,
    pixel_grid,
    ribbon,
    rounded,
    smooth_closed,
    smooth_open,
    smoothstep,
    vary,
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
        return np.clip(base * glow[..., None] + 0.6 * shine[..., None], 0, 1).astype(np.float32)

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
        return np.clip(np.asarray(metal) * (part * edge)[..., None], 0, 1).astype(np.float32)

    fill(canvas, [rim + middle, hole, *spokes], paint)
    return canvas, "gear"


def paint_car(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    canvas, s = blank(height, width), width * 0.46
    centre, colour = (width / 2, height * 0.52), pick(rng, CLOTHES)

    def at(points: list[tuple[float, float]]) -> Points:
        return np.asarray(points) * s + centre

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
    fill(canvas, ellipse(*at([(0.9, 0.03)])[0], 0.06 * s, 0.05 * s), (1.0, 0.96, 0.8))
    fill(canvas, ellipse(*at([(-0.94, 0.03)])[0], 0.04 * s, 0.06 * s), (0.8, 0.1, 0.08))
    for x in (-0.56, 0.58):
        hub = at([(x, 0.27)])[0]
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
        return picture[top : top + coverage.shape[0], left : left + coverage.shape[1]]

    fill(canvas, ellipse(width / 2, height / 2, s, s, count=360), paint)
    return canvas, "ball"


# ---- fur ----------------------------------------------------------------------------------------

FURS: tuple[Colour, ...] = (
    (0.62, 0.42, 0.24), (0.86, 0.72, 0.50), (0.34, 0.30, 0.28), (0.92, 0.88, 0.82),
    (0.74, 0.46, 0.22), (0.50, 0.50, 0.52), (0.95, 0.80, 0.35),
)  # fmt: skip


def furred(
    canvas: Array, rng: np.random.Generator, x: float, y: float, radius_x: float, radius_y: float,
    colour: Colour, length: float, turn: float = 0.0, density: float = 1.0, belly: float = 0.0,
) -> None:  # fmt: skip
    """An ellipse covered in fur that points outwards and hangs down; lengths in px."""
    fill(canvas, ellipse(x, y, radius_x * 0.97, radius_y * 0.97, turn),
         rounded(dim(colour, 0.72), 0.6 * min(radius_x, radius_y), contrast=0.7))  # fmt: skip
    count = int(density * (700 + 2600 * min(1.0, radius_x * radius_y / (210.0 * 210.0))))
    angle = rng.uniform(0, 2 * np.pi, count)
    reach = np.sqrt(rng.uniform(0.02, 1.0, count))
    reach[: count // 3] = rng.uniform(0.9, 1.0, count // 3)
    order = np.argsort(-reach)  # the rim first, the middle over it: each tuft covers the next root
    angle, reach = angle[order], reach[order]
    flat = np.stack([reach * np.cos(angle), reach * np.sin(angle)], 1)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    root = flat * (radius_x, radius_y) @ spin + (x, y)
    outward = flat / (radius_x, radius_y) @ spin
    outward = outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    outward = outward * reach[:, None] ** 1.5 + 0.30 * rng.standard_normal((count, 2))
    long = length * rng.uniform(0.45, 1.2, (count, 1))
    long[rng.random(count) < 0.06] *= 1.5
    k = np.linspace(0, 1, 7)[None, :, None]
    hang = np.array([0.0, 0.75])
    path = root[:, None, :] + long[:, None, :] * (outward[:, None, :] * k + hang * k**1.8)
    light = 0.92 - 0.26 * flat[:, 0] - 0.34 * flat[:, 1]
    colours = vary(rng, colour, count, 0.13) * light[:, None]
    if belly > 0:
        pale = np.clip(1.3 - np.hypot(flat[:, 0] * 1.7, (flat[:, 1] - 0.3) * 1.3), 0, 1)[:, None]
        colours = colours + belly * pale * (np.array((0.95, 0.9, 0.82)) - colours)
    widths = np.clip(length * 0.05, 0.4, 3.0) * rng.uniform(0.35, 1.3, count)
    paint_strands(canvas, path, widths, np.clip(colours, 0.02, 0.98))


def paint_animal(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """A sitting animal from furry ellipses, with ears, a face, and a tail for some."""
    kind = str(rng.choice(["bear", "cat", "rabbit", "chick", "puff", "lion"]))
    canvas, s = blank(height, width), min(height * 0.42, width * 0.5)
    x, y = width / 2, height * (0.55 if kind != "rabbit" else 0.62)
    colour = (0.96, 0.82, 0.32) if kind == "chick" else pick(rng, FURS)
    fur = s * rng.uniform(0.12, 0.17)
    head_y = y - 0.42 * s
    if kind == "puff":
        furred(
            canvas,
            rng,
            x,
            y - 0.05 * s,
            0.72 * s,
            0.72 * s,
            colour,
            fur * 1.7,
            density=1.3,
            belly=0.2,
        )
        paint_animal_face(canvas, rng, x, y - 0.12 * s, 0.62 * s, colour, "bear")
        for side in (-1, 1):
            furred(
                canvas,
                rng,
                x + side * 0.32 * s,
                y + 0.66 * s,
                0.2 * s,
                0.11 * s,
                dim(colour, 0.85),
                0.4 * fur,
            )
        return canvas, "furry ball"
    if kind == "cat":
        tail = smooth_open([(0.5, 0.75), (0.85, 0.6), (0.86, 0.2), (0.7, 0.0)]) * s + (x, y)
        for p in tail[::4]:
            furred(canvas, rng, p[0], p[1], 0.09 * s, 0.09 * s, colour, 0.7 * fur, density=0.5)
    furred(
        canvas,
        rng,
        x,
        y + 0.35 * s,
        0.56 * s,
        0.56 * s,
        colour,
        fur,
        belly=0.0 if kind == "chick" else 0.5,
    )
    for side in (-1, 1):
        furred(
            canvas,
            rng,
            x + side * 0.33 * s,
            y + 0.84 * s,
            0.24 * s,
            0.13 * s,
            dim(colour, 0.92),
            0.5 * fur,
        )
        if kind in ("bear", "lion", "chick"):
            furred(canvas, rng, x + side * 0.54 * s, y + 0.30 * s, 0.14 * s, 0.27 * s, dim(colour, 0.9), 0.6 * fur,
                   turn=-side * 0.4)  # fmt: skip
    if kind == "lion":
        furred(
            canvas, rng, x, head_y, 0.56 * s, 0.54 * s, dim(colour, 0.62), fur * 2.0, density=1.4
        )
    for side in (-1, 1):
        paint_ear(canvas, rng, kind, side, (x, head_y), s, colour, fur)
    furred(canvas, rng, x, head_y, 0.46 * s, 0.41 * s, colour, 0.6 * fur, belly=0.15)
    paint_animal_face(canvas, rng, x, head_y, 0.46 * s, colour, kind)
    return canvas, f"furry {kind}"


def paint_ear(
    canvas: Array, rng: np.random.Generator, kind: str, side: int, head: tuple[float, float],
    s: float, colour: Colour, fur: float,
) -> None:  # fmt: skip
    x, y = head
    inner: Colour = (0.88, 0.62, 0.58)
    if kind in ("bear", "lion"):
        furred(
            canvas, rng, x + side * 0.33 * s, y - 0.32 * s, 0.15 * s, 0.15 * s, colour, 0.5 * fur
        )
        fill(
            canvas,
            ellipse(x + side * 0.33 * s, y - 0.31 * s, 0.07 * s, 0.08 * s),
            inner,
            0.7,
            True,
            0.02 * s,
        )
    elif kind == "rabbit":
        furred(
            canvas,
            rng,
            x + side * 0.22 * s,
            y - 0.72 * s,
            0.12 * s,
            0.42 * s,
            colour,
            0.4 * fur,
            side * 0.18,
        )
        fill(canvas, ellipse(x + side * 0.22 * s, y - 0.70 * s, 0.05 * s, 0.3 * s, side * 0.18), inner, 0.75, True,
             0.015 * s)  # fmt: skip
    elif kind == "cat":
        tip = np.array([(0.12, -0.3), (0.34, -0.62), (0.44, -0.16)]) * (side * s, s) + (x, y)
        fill(canvas, tip, dim(colour, 0.8))
        for p in (
            np.linspace(tip[0], tip[1], 5)[1:-1].tolist() + np.linspace(tip[1], tip[2], 6).tolist()
        ):
            furred(canvas, rng, p[0], p[1], 0.035 * s, 0.05 * s, colour, 0.4 * fur, density=0.12)
        small = (tip - tip.mean(axis=0)) * 0.5 + tip.mean(axis=0)
        fill(canvas, small, inner, 0.7, True, 0.01 * s)


def paint_animal_face(
    canvas: Array, rng: np.random.Generator, x: float, y: float, r: float, colour: Colour, kind: str
) -> None:
    iris = pick(rng, ((0.30, 0.18, 0.08), (0.45, 0.5, 0.15), (0.2, 0.35, 0.5)))
    for side in (-1, 1):
        eye = (x + side * 0.4 * r, y - 0.05 * r)
        fill(canvas, ellipse(*eye, 0.155 * r, 0.17 * r), (0.08, 0.06, 0.05), inside=True)
        fill(canvas, ellipse(*eye, 0.125 * r, 0.14 * r), rounded(iris, 0.1 * r), inside=True)
        pupil = (0.04, 0.12) if kind == "cat" else (0.085, 0.095)
        fill(canvas, ellipse(*eye, pupil[0] * r, pupil[1] * r), (0.02, 0.02, 0.02), inside=True)
        fill(
            canvas,
            ellipse(eye[0] - 0.05 * r, eye[1] - 0.06 * r, 0.035 * r, 0.035 * r),
            (1, 1, 1),
            1,
            True,
        )
    if kind == "chick":
        beak = np.array([(-0.17, 0.16), (0, 0.1), (0.17, 0.16), (0, 0.42)]) * r + (x, y)
        fill(canvas, beak, rounded((0.95, 0.52, 0.12), 0.1 * r), inside=True)
        return
    muzzle = tuple(min(c * 0.6 + 0.38, 1.0) for c in colour)
    fill(
        canvas,
        ellipse(x, y + 0.40 * r, 0.36 * r, 0.27 * r),
        (muzzle[0], muzzle[1], muzzle[2]),
        0.75,
        True,
        0.05 * r,
    )
    nose = smooth_closed(
        [(-0.15, 0.22), (0, 0.19), (0.15, 0.22), (0.05, 0.36), (-0.05, 0.36)]
    ) * r + (x, y)
    fill(canvas, nose, rounded((0.20, 0.12, 0.12), 0.08 * r, contrast=0.9), inside=True)
    for side in (-1, 1):
        mouth = smooth_open([(0, 0.36), (side * 0.08, 0.52), (side * 0.24, 0.48)]) * r + (x, y)
        fill(canvas, ribbon(mouth, 0.035 * r), (0.15, 0.09, 0.08), 0.9, True)
    if kind in ("cat", "rabbit", "lion"):
        count = 10
        way = np.repeat([-1.0, 1.0], count // 2)
        k = np.linspace(0, 1, 8)[None, :]
        long, lift = rng.uniform(0.7, 1.0, (count, 1)), rng.uniform(-0.25, 0.2, (count, 1))
        px = x + r * way[:, None] * (0.22 + long * k)
        py = y + r * (0.38 + lift * k + 0.2 * k**2)
        paint_strands(
            canvas, np.stack([px, py], 2), np.full(count, 0.02 * r), np.full((count, 3), 0.93)
        )


SOLIDS = (
    paint_vessel,
    paint_vessel,
    paint_fruit,
    paint_gear,
    paint_car,
    paint_mushroom,
    paint_ball,
)
