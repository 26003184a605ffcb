"""Hair: strands that drape, curl or blow, and headgear with a hard outline."""

from __future__ import annotations

import numpy as np

from datagen.synth.curves import Points, ellipse, ribbon, smooth_closed, smooth_open
from datagen.synth.figure import CLOTHES, Figure, dim, pick
from datagen.synth.paint import Array, fill, paint_strands, rounded, vary

HARD_HEADS = ("short", "helmet", "beanie", "bun", "cap")
FLOWING_HAIR = ("straight", "wavy", "curly", "bob", "wind", "ponytail")


def bezier(corners: list[Points], steps: int) -> Points:
    """Cubic curves through N x 2 start, two controls and end: N x steps x 2."""
    k = np.linspace(0, 1, steps)[None, :, None]
    a, b, c, d = (p[:, None, :] for p in corners)
    return np.asarray(
        (1 - k) ** 3 * a + 3 * k * (1 - k) ** 2 * b + 3 * k**2 * (1 - k) * c + k**3 * d
    )


def drape(rng: np.random.Generator, count: int, reach: float, ripple: float, blow: float) -> Points:
    """Long hair in head coordinates (N x 26 x 2): over the skull, then down.

    Three strands in ten stray, the others are smooth. `blow` bends the ends sideways, like wind.
    """
    across = rng.uniform(-1, 1, count)
    side = np.sign(across)
    zeros = np.zeros(count)
    stray = np.where(
        rng.random(count) < 0.3, rng.normal(0, 0.2, count), 0.04 * rng.normal(0, 1, count)
    )
    width = np.abs(across) ** 0.8
    end = reach * (1 - 0.25 * rng.random(count) ** 2) * (1 - 0.12 * width**2)
    puff = 1.5 + np.abs(stray)
    root = np.stack([0.2 * across, -1.0 - 0.04 * rng.random(count)], 1)
    over = np.stack([side * (0.25 + puff * 0.9 * width), -1.15 + 0.35 * width - np.abs(stray)], 1)
    flank = np.stack([side * (0.2 + 1.0 * width) + stray, 0.35 * end + zeros], 1)
    tip = np.stack(
        [
            side * (0.1 + 1.05 * width)
            + 1.4 * stray
            + 1.6 * np.abs(stray) * rng.standard_normal(count),
            end,
        ],
        1,
    )
    wind = blow * rng.uniform(0.35, 1.3, count)
    tip[:, 0] += wind
    tip[:, 1] -= np.abs(wind) * rng.uniform(0.35, 1.25, count)
    flank[:, 0] += 0.3 * wind
    path = bezier([root, over, flank, tip], 26)
    k = np.linspace(0, 1, 26)
    lock = np.round(across * 6) * 1.7 + 0.5 * rng.standard_normal(count)
    path[..., 0] += ripple * k * np.sin(17 * k + lock[:, None])
    return path


def coil(
    rng: np.random.Generator,
    angles: Points,
    length: Points,
    fall: float,
    steps: int = 26,
    inner: float = 0.35,
) -> Points:
    """Curls in head coordinates (N x T x 2): outwards from the skull, winding, a little downwards.

    `angles` 0 at the crown, +-pi at the chin; `length` per strand.
    """
    count = len(angles)
    depth = rng.uniform(inner, 1.0, count)[:, None]
    rim = np.stack([0.8 * np.sin(angles), -1.02 * np.cos(angles)], axis=1)
    heading = rim / np.linalg.norm(rim, axis=1, keepdims=True)
    heading = heading + 0.22 * rng.standard_normal((count, 2)) + (0.0, 0.12)
    across = np.stack([-heading[:, 1], heading[:, 0]], axis=1)
    t = np.linspace(0, 1, steps)[None, :, None]
    turns = rng.uniform(14, 24, (count, 1, 1)) * length[:, None, None]
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    radius = rng.uniform(0.03, 0.075, (count, 1, 1)) * np.minimum(4 * t, 1)
    path = (rim * depth)[:, None, :] + heading[:, None, :] * (t * length[:, None, None])
    path = path + radius * across[:, None, :] * np.sin(turns * t + phase)
    path = path + 0.7 * radius * heading[:, None, :] * np.cos(turns * t + phase)
    path[..., 1] += (
        fall * t[..., 0] ** 2 * length[:, None] * (0.4 + np.abs(np.sin(angles)))[:, None]
    )
    return np.asarray(path)


def hair_colours(rng: np.random.Generator, f: Figure, where: Points, gloss: float = 1.0) -> Points:
    """Colours N x 3 for strands at `where` (-1.5..1.5 across the head): locks, and a soft gloss."""
    lock = np.sin(9 * where + rng.uniform(0, 6)) * 0.12 + np.sin(23 * where) * 0.08
    shine = 0.45 * gloss * np.exp(-(((where + 0.55) / 0.35) ** 2))
    base = vary(rng, f.hair, len(where), 0.16) * (0.9 + lock + shine)[:, None]
    return np.asarray(np.clip(base + 0.1 * shine[:, None], 0.02, 0.97))


def scalp_cap(f: Figure, lift: float, hairline: float) -> Points:
    """The mass of hair on the skull, down to the hairline; in px."""
    return f.head(
        smooth_closed(
            [
                (-0.80 - lift, 0.0),
                (-0.76 - lift, -0.55),
                (-0.45, -0.98 - lift),
                (0.0, -1.10 - lift),
                (0.45, -0.98 - lift),
                (0.76 + lift, -0.55),
                (0.80 + lift, 0.0),
                (0.70, -0.16),
                (0.56, hairline - 0.1),
                (0.2, hairline - 0.22),
                (-0.2, hairline - 0.18),
                (-0.52, hairline - 0.06),
                (-0.70, -0.16),
            ]
        )
    )


def paint_back_hair(canvas: Array, f: Figure, rng: np.random.Generator, style: str) -> None:
    """The hair behind head and shoulders: a wide dark core below, then loose strands."""
    if style in ("curly", "frizz"):
        count = 2600
        angles = np.clip(rng.normal(0, 1.0, count), -2.3, 2.3)
        reach = 1.45 if style == "frizz" else 0.8
        length = reach * rng.uniform(0.35, 1.0, count) ** 0.6
        path = coil(rng, angles, length, 0.5 if style == "curly" else 0.15)
        width = 0.010 if style == "frizz" else 0.016
        wide = 0
    else:
        count = 1900
        reach = {"bob": 1.05, "wind": 1.9}.get(style, rng.uniform(1.9, 2.9))
        ripple = {"wavy": 0.13, "wind": 0.08}.get(style, 0.015)
        blow = 1.9 * np.sign(f.yaw + 1e-3) if style == "wind" else 0.0
        path = drape(rng, count, reach, ripple, float(blow))
        angles = np.clip(path[:, 8, 0], -1.5, 1.5)
        width, wide = 0.02, count // 3
    widths = f.unit * width * rng.uniform(0.3, 1.3, count)
    colours = hair_colours(rng, f, angles, 0.5) * 0.82
    widths[:wide] *= 3
    colours[:wide] *= 0.72
    if wide:  # wide strands end early, so that the outline has only fine strands
        early = 0.9 * path[:wide] + 0.1 * path[:wide, :1]
        path = np.concatenate([early, path[wide:]])
    paint_strands(canvas, f.head(path), widths, np.clip(colours, 0.02, 0.97))


def paint_front_hair(canvas: Array, f: Figure, rng: np.random.Generator, style: str) -> None:
    """A cap of hair, then strands: curls all over it, or a parting that falls to both sides."""
    u = f.unit
    curls = style in ("curly", "frizz")
    lift = 0.14 if curls else 0.03
    fill(canvas, scalp_cap(f, lift, -0.42), rounded(dim(f.hair, 0.8), 0.5 * u, contrast=0.5))
    count = 1500
    if curls:
        angles = rng.uniform(-1.3, 1.3, count)
        paths = coil(rng, angles, rng.uniform(0.25, 0.6, count), 0.0, 18, 0.68)
        colours = hair_colours(rng, f, angles)
        paths = paths[np.argsort(-np.abs(angles))]
    else:
        paths, colours = parted(rng, f, style, count)
    paint_strands(canvas, f.head(paths), u * 0.026 * rng.uniform(0.3, 1.2, count), colours)


def parted(rng: np.random.Generator, f: Figure, style: str, count: int) -> tuple[Points, Points]:
    """Strands from a parting over the skull to both sides of the face, and their colours."""
    side = rng.choice([-1.0, 1.0], count)
    inner = np.sort(rng.random(count))  # 0 at the crown, 1 at the hairline; the drawing order
    parting = 0.18 * np.sign(f.yaw + 1e-3)
    low = {"bob": 0.95, "ponytail": -0.05, "wind": 0.6}.get(style, 1.35)
    out = 0.92 if style != "ponytail" else 0.84
    jitter = 0.05 * rng.standard_normal(count)
    root = np.stack([parting + 0.02 * side, -1.07 + 0.42 * inner**1.4], 1)
    swoop = np.stack([side * (0.72 - 0.1 * inner) + jitter, -1.2 + 0.56 * inner], 1)
    flank = np.stack([side * (out + 0.1 - 0.16 * inner) + jitter, np.full(count, -0.3)], 1)
    tip = np.stack(
        [side * (out + 0.02 - 0.14 * rng.random(count)), low * rng.uniform(0.55, 1.1, count)], 1
    )
    path = bezier([root, swoop, flank, tip], 18)
    ripple = {"wavy": 0.06, "wind": 0.04}.get(style, 0.008)
    k = np.linspace(0, 1, 18)
    path[..., 0] += ripple * k * np.sin(13 * k + (5 * inner + side)[:, None])
    return path, hair_colours(rng, f, 1.6 * inner - 1.35)


def paint_ponytail(canvas: Array, f: Figure, rng: np.random.Generator) -> None:
    count = 1100
    side = 1.0 if f.yaw < 0 else -1.0  # where the back of the head is
    root = np.array([side * 0.62, -0.72]) + 0.05 * rng.standard_normal((count, 2))
    t = np.linspace(0, 1, 24)[None, :]
    spread = rng.normal(0, 1, (count, 1))
    length = rng.uniform(1.7, 2.5, (count, 1))
    x = root[:, :1] + side * (0.75 * np.sin(2.0 * t) + 0.3 * t) + 0.22 * spread * np.sin(2.6 * t)
    y = root[:, 1:] - 0.35 * np.sin(3.0 * t) + length * t**1.5 + 0.06 * spread * np.sin(7 * t)
    path = f.head(np.stack([x, y], axis=2))
    widths = f.unit * 0.022 * rng.uniform(0.3, 1.3, count)
    paint_strands(canvas, path, widths, hair_colours(rng, f, spread[:, 0]), behind=True)
    tie = f.head(ellipse(side * 0.64, -0.76, 0.13, 0.11, side * 0.6))
    fill(canvas, tie, rounded(f.cloth, 0.08 * f.unit))


def paint_flyaways(canvas: Array, f: Figure, rng: np.random.Generator, count: int) -> None:
    """A few fine hairs that stand off the outline of the skull."""
    angles = rng.uniform(-1.5, 1.5, count)
    root = np.stack([0.8 * np.sin(angles), -1.05 * np.cos(angles)], 1)
    way = np.where(rng.random(count) < 0.5, -1.0, 1.0)[:, None]
    along = way * np.stack([np.cos(angles), np.sin(angles)], 1)
    reach = rng.uniform(0.15, 0.5, count)[:, None]
    path = bezier(
        [
            root,
            root * 1.1 + 0.3 * reach * along,
            root * 1.17 + 0.7 * reach * along,
            root * (1 + 0.4 * rng.random((count, 1))) + reach * along,
        ],
        14,
    )
    paint_strands(
        canvas,
        f.head(path),
        f.unit * 0.008 * rng.uniform(0.6, 1.5, count),
        hair_colours(rng, f, angles),
    )


def paint_hard_head(canvas: Array, f: Figure, rng: np.random.Generator, style: str) -> None:
    """Hair or headgear with a clean outline, for subjects without soft edges."""
    u = f.unit
    if style == "bun":
        fill(canvas, f.head(ellipse(0.1 * f.yaw, -1.22, 0.36, 0.32)), rounded(f.hair, 0.3 * u))
    if style in ("short", "bun"):
        fill(canvas, scalp_cap(f, 0.05, -0.4), rounded(f.hair, 0.4 * u, contrast=0.6))
        for t in np.linspace(0.06, 0.94, 54):  # lines end inside: the edge stays
            fringe = -0.60 + 0.1 * np.sin(9 * t)
            curve = smooth_open(
                [(-0.3 + 0.6 * t, -1.06), (-0.6 + 1.2 * t, -0.84), (-0.68 + 1.36 * t, fringe)]
            )
            shade = dim(f.hair, rng.uniform(0.7, 1.5))
            fill(canvas, f.head(ribbon(curve, 0.012)), shade, opacity=0.4, inside=True)
        return
    gear = dim(pick(rng, CLOTHES), 1.1)
    dome = f.head(
        smooth_closed(
            [
                (-0.88, -0.3),
                (-0.84, -0.72),
                (-0.5, -1.12),
                (0, -1.24),
                (0.5, -1.12),
                (0.84, -0.72),
                (0.88, -0.3),
                (0.4, -0.38),
                (-0.4, -0.38),
            ]
        )
    )
    if style == "helmet":
        dome = f.head(
            smooth_closed(
                [
                    (-0.98, 0.1),
                    (-1.0, -0.6),
                    (-0.6, -1.22),
                    (0, -1.38),
                    (0.6, -1.22),
                    (1.0, -0.6),
                    (0.98, 0.1),
                    (0.82, 0.12),
                    (0.72, -0.34),
                    (0.3, -0.5),
                    (-0.3, -0.5),
                    (-0.72, -0.34),
                    (-0.82, 0.12),
                ]
            )
        )
        fill(canvas, dome, rounded(gear, 0.55 * u, contrast=0.8))
        stripe = smooth_open([(-0.1, -1.36), (-0.06, -0.9), (-0.05, -0.52)])
        fill(canvas, f.head(ribbon(stripe, 0.2)), dim(gear, 1.5), 0.8, inside=True)
        fill(canvas, f.head(ellipse(-0.45, -0.95, 0.2, 0.1, -0.7)), (1, 1, 1), 0.5, True, 0.06 * u)
        for side in (-1, 1):
            strap = smooth_open([(side * 0.84, 0.05), (side * 0.72, 0.6), (side * 0.3, 1.0)])
            fill(canvas, f.head(ribbon(strap, 0.06)), (0.15, 0.15, 0.16))
        return
    fill(canvas, dome, rounded(gear, 0.5 * u, contrast=0.7))
    if style == "beanie":
        band = smooth_open([(-0.86, -0.38), (-0.4, -0.5), (0, -0.53), (0.4, -0.5), (0.86, -0.38)])
        fill(canvas, f.head(ribbon(band, 0.26)), rounded(dim(gear, 0.85), 0.12 * u, contrast=0.8))
        for k in range(25):
            x = -0.82 + 1.64 * k / 24
            rib = np.array([[x, -0.62 + 0.14 * x * x], [x * 1.01, -0.36 + 0.14 * x * x]])
            fill(canvas, f.head(ribbon(rib, 0.018)), dim(gear, 0.6), 0.7, inside=True)
        fill(canvas, f.head(ellipse(0, -1.3, 0.22, 0.2)), rounded(dim(gear, 1.15), 0.15 * u))
    else:
        brim = [
            (-0.75, -0.48),
            (0, -0.6),
            (0.75, -0.48),
            (0.8 + 0.3 * f.yaw, -0.3),
            (0.3 * f.yaw, -0.2),
            (-0.8 + 0.3 * f.yaw, -0.3),
        ]
        fill(canvas, f.head(smooth_closed(brim)), rounded(dim(gear, 0.75), 0.12 * u))
        fill(canvas, f.head(ellipse(0.12 * f.yaw, -0.85, 0.2, 0.2)), dim(gear, 1.7), 0.9, True)
