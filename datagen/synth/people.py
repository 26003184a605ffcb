"""Stylised people with exact alpha: with hair, under lace, or as gauze, smoke, light, glass."""

from __future__ import annotations

import cv2
import numpy as np

from datagen.synth.curves import Points, ellipse, smooth_closed, smooth_open
from datagen.synth.fabric import lace, lace_opacity
from datagen.synth.face import paint_head
from datagen.synth.figure import (
    Figure,
    dim,
    draw_figure,
    paint_arm,
    paint_torso,
    pick,
)
from datagen.synth.hair import (
    FLOWING_HAIR,
    HARD_HEADS,
    paint_back_hair,
    paint_flyaways,
    paint_front_hair,
    paint_hard_head,
    paint_ponytail,
)
from datagen.synth.paint import (
    Array,
    blank,
    clouds,
    fill,
    lay,
    pixel_grid,
    smoothstep,
    tinted,
    under,
)
from manifests.sources import Transparency


def paint_person(f: Figure, rng: np.random.Generator, style: str) -> Array:
    canvas = blank(f.height, f.width)
    flowing = style not in HARD_HEADS
    if flowing:
        if style == "ponytail":
            paint_ponytail(canvas, f, rng)
        else:
            paint_back_hair(canvas, f, rng, style)
    if f.arms != "folded":
        for side in (-1, 1):
            paint_arm(canvas, f, side, rng)
    paint_torso(canvas, f)
    if f.arms == "folded":
        for side in (-1, 1):
            paint_arm(canvas, f, side, rng)
    paint_head(canvas, f, rng)
    if flowing:
        paint_front_hair(canvas, f, rng, style)
        paint_flyaways(canvas, f, rng, 90)
    else:
        paint_hard_head(canvas, f, rng, style)
    return canvas


def veil_shape(f: Figure, rng: np.random.Generator, flare: float) -> Points:
    """The outline of a veil: from above the crown down both sides, with a scalloped hem."""
    u, x, y = f.unit, f.head_x, f.head_y
    low = f.height * rng.uniform(0.86, 0.94)
    right = [(0.5 * u, -1.16 * u), (1.12 * u, -0.5 * u), (1.45 * u, 0.8 * u)]
    spread = min(flare * f.shoulder, f.width * 0.49)
    right += [(spread * 0.86, (low - y) * 0.55), (spread, low - y)]
    body = smooth_open([(-a, b) for a, b in reversed(right)] + [(0.0, -1.28 * u), *right], 24)
    scallops = np.linspace(1, -1, 200)
    hem = np.stack(
        [scallops * spread, (low - y) + 0.10 * u * np.abs(np.sin(9 * np.pi * scallops))], axis=1
    )
    outline = np.concatenate([body, hem])
    return np.asarray(outline + np.array([x, y]))


def veiled(canvas: Array, f: Figure, rng: np.random.Generator) -> Array:
    """A lace veil around the figure: behind it on both sides, and over hair and shoulders."""
    shape = veil_shape(f, rng, rng.uniform(1.5, 1.8))
    tone = dim(
        pick(rng, ((0.97, 0.95, 0.90), (0.93, 0.88, 0.80), (0.14, 0.12, 0.15), (0.95, 0.9, 0.92))),
        1.0,
    )
    under(canvas, lace(rng, f.height, f.width, shape, tone, f.unit))
    front = lace(rng, f.height, f.width, shape, dim(tone, 1.04), f.unit)
    face = ellipse(f.head_x, f.head_y + 0.35 * f.unit, 0.82 * f.unit, 1.15 * f.unit)
    opening = blank(f.height, f.width)
    fill(opening, face, (1, 1, 1), blur=0.1 * f.unit)
    chest = smooth_closed(
        [(f.head_x, f.head_y + 0.6 * f.unit), (f.head_x + 1.0 * f.unit, f.height * 1.05),
         (f.head_x - 1.0 * f.unit, f.height * 1.05)]
    )  # fmt: skip
    fill(opening, chest, (1, 1, 1), blur=0.1 * f.unit)
    front *= 0.8 * (1 - opening[..., 3:])
    lay(canvas, front)
    return canvas


def gauzed(canvas: Array, f: Figure, rng: np.random.Generator) -> Array:
    """The figure seen as sheer cloth: fine weave, denser in its folds."""
    weave = lace_opacity(rng, f.height, f.width, f.unit)
    canvas *= (0.25 + 0.5 * weave)[..., None]
    shape = veil_shape(f, rng, 1.4)
    cover = blank(f.height, f.width)
    fill(cover, shape, (1, 1, 1))
    folds = np.clip(0.10 + 0.16 * weave, 0, 0.5) * cover[..., 3]
    tone = pick(rng, ((0.97, 0.95, 0.92), (0.80, 0.86, 0.95), (0.95, 0.82, 0.84)))
    lay(canvas, tinted(folds.astype(np.float32), tone))
    return canvas


def ghost(canvas: Array, f: Figure, rng: np.random.Generator) -> Array:
    """The figure dissolves downwards into wisps of smoke."""
    h, w = f.height, f.width
    x, y = pixel_grid(h, w)
    swirl = clouds(rng, h, w, 0.5 * f.unit * 2)
    drift = clouds(rng, h, w, 2.0 * f.unit)
    down = smoothstep(f.head_y, h * 0.92, y + 0.3 * f.unit * swirl)
    shift_x = (x - 0.5 + 0.55 * f.unit * drift * down).astype(np.float32)
    shift_y = (y - 0.5 + 0.35 * f.unit * swirl * down).astype(np.float32)
    warped = cv2.remap(canvas, shift_x, shift_y, cv2.INTER_LINEAR)
    warped = (
        warped * (1 - down[..., None])
        + cv2.GaussianBlur(warped, (0, 0), 0.09 * f.unit) * down[..., None]
    )
    thin = np.clip(0.66 - 0.5 * down + 0.10 * swirl, 0.02, 0.85) * (
        1 - 0.75 * smoothstep(0.7 * h, h, y)
    )
    grey = warped[..., :3].mean(axis=2, keepdims=True)
    warped[..., :3] = 0.45 * warped[..., :3] + 0.55 * grey * np.array(
        (0.95, 1.05, 1.15), np.float32
    )
    return np.asarray(np.minimum(warped * thin[..., None], 1.0), np.float32)


def hologram(canvas: Array, f: Figure, rng: np.random.Generator) -> Array:
    """The figure as projected light: one tint, scan lines, a bright rim."""
    _, y = pixel_grid(f.height, f.width)
    tone = np.array(
        pick(rng, ((0.45, 0.85, 1.0), (0.55, 1.0, 0.75), (1.0, 0.72, 0.45))), np.float32
    )
    alpha = canvas[..., 3]
    inner = cv2.GaussianBlur(alpha, (0, 0), 0.09 * f.unit)
    rim = np.clip(alpha * (1 - inner) * 2.2, 0, 1)
    grey = (canvas[..., :3] @ np.array((0.3, 0.55, 0.15), np.float32)) / np.maximum(alpha, 1e-4)
    period = max(5.0, 0.05 * f.unit)
    lines = 0.72 + 0.28 * np.sin(2 * np.pi * y / period)
    opacity = alpha * np.clip((0.24 + 0.62 * grey) * lines + 0.5 * rim, 0, 0.88)
    light = tone * (0.22 + 1.1 * grey + 0.5 * rim)[..., None]
    return tinted(opacity.astype(np.float32), np.clip(light, 0, 1).astype(np.float32))


def figurine(canvas: Array, f: Figure, rng: np.random.Generator) -> Array:
    """The figure blown in glass: clear inside, dark and bright along its folds and rim."""
    alpha = canvas[..., 3]
    solid = (alpha > 0.5).astype(np.uint8)
    distance = cv2.distanceTransform(np.pad(solid, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    depth = 0.5 * f.unit
    facing = np.sqrt(np.clip(1 - (1 - np.clip(distance / depth, 0, 1)) ** 2, 0, 1))
    edge = (1 - cv2.GaussianBlur(facing, (0, 0), 0.03 * f.unit)) ** 2
    grey = canvas[..., :3].mean(axis=2) / np.maximum(alpha, 1e-4)
    relief = grey - cv2.GaussianBlur(grey, (0, 0), 0.14 * f.unit)
    shine = cushion_glints(alpha, f)
    tone = np.array(
        pick(rng, ((0.72, 0.88, 0.90), (0.85, 0.92, 1.0), (0.62, 0.86, 0.72))), np.float32
    )
    opacity = alpha * np.clip(0.16 + 0.5 * edge + 1.6 * np.abs(relief) + 0.8 * shine, 0, 0.96)
    light = tone * (0.62 - 0.35 * edge + 1.1 * relief)[..., None] + shine[..., None]
    return tinted(opacity.astype(np.float32), np.clip(light, 0.03, 1).astype(np.float32))


def cushion_glints(alpha: Array, f: Figure) -> Array:
    """White highlights where a rounded body faces a lamp at the upper left."""
    solid = np.pad((alpha > 0.5).astype(np.uint8), 1)
    distance = cv2.distanceTransform(solid, cv2.DIST_L2, 5)[1:-1, 1:-1]
    bulge = cv2.GaussianBlur(
        np.sqrt(np.minimum(distance, 0.6 * f.unit) + 1e-3), (0, 0), 0.06 * f.unit
    )
    slope_y, slope_x = np.gradient(bulge * np.sqrt(f.unit) * 0.9)
    facing = (1 + 0.7 * slope_x + 0.8 * slope_y) / np.sqrt(slope_x**2 + slope_y**2 + 1)
    return smoothstep(1.40, 1.45, np.asarray(facing, np.float32)) * alpha


def make_person(
    rng: np.random.Generator, height: int, width: int, transparency: Transparency
) -> tuple[Array, str]:
    """A person of one transparency class: a premultiplied canvas and the name of its kind."""
    if transparency == Transparency.LITTLE:
        style = str(rng.choice(HARD_HEADS))
        return paint_person(draw_figure(rng, height, width), rng, style), style
    if transparency == Transparency.MEDIUM:
        style = str(rng.choice(FLOWING_HAIR))
        return paint_person(draw_figure(rng, height, width, 1.1), rng, style), f"{style} hair"
    if transparency == Transparency.STRONGLY:
        f = draw_figure(rng, height, width, 1.3)
        if rng.random() < 0.35:
            return paint_person(f, rng, "frizz"), "frizzy hair"
        style = str(rng.choice(["straight", "wavy", "bob", "curly"]))
        return veiled(paint_person(f, rng, style), f, rng), "lace veil"
    f = draw_figure(rng, height, width, 1.1)
    kind = str(rng.choice(["gauze", "ghost", "hologram", "glass figure"]))
    heads = ("short", "bun", "helmet") if kind == "glass figure" else FLOWING_HAIR
    canvas = paint_person(f, rng, str(rng.choice(heads)))
    change = {"gauze": gauzed, "ghost": ghost, "hologram": hologram, "glass figure": figurine}[kind]
    return change(canvas, f, rng), kind
