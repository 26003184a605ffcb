"""Threads, wires and cords with gaps between them: lace, a net, a fence, a web."""

from __future__ import annotations

import cv2
import numpy as np

from datagen.synth.curves import Points, ellipse, ribbon, smooth_open
from datagen.synth.fabric import flowers, mesh, thread
from datagen.synth.figure import pick
from datagen.synth.paint import (
    STENCIL_SCALE,
    STENCIL_SHIFT,
    Array,
    blank,
    clouds,
    fill,
    ink,
    lay,
    open_stencil,
    pixel_grid,
    rounded,
    smoothstep,
    stencil_layer,
    tinted,
    to_stencil,
)


def paint_doily(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """Round lace: rings of different stitches around a flower, with a scalloped border."""
    x, y = pixel_grid(height, width)
    s = min(height, width) * 0.485
    u, v = (x - width / 2) / s, (y - height / 2) / s
    radius, angle = np.hypot(u, v), np.arctan2(v, u) + rng.uniform(0, 1)
    petals = int(rng.choice([8, 10, 12]))
    border = 0.93 + 0.06 * np.abs(np.cos(angle * petals))
    px = np.asarray(radius * s, np.float32)
    cord = max(0.0165 * s, 2.6)

    def ring(at: Array | float) -> Array:
        return thread(np.abs(px - np.asarray(at) * s), cord)

    def spokes(count: int, sway: float) -> Array:
        turned = (angle + sway * radius) * count / (2 * np.pi)
        return thread(np.abs(turned % 1 - 0.5) * 2 * np.pi / count * px, cord * 0.8)

    parts = [ring(r) for r in (0.10, 0.34, 0.38, 0.60, 0.64, 0.80)]
    parts.append(ring(border - 0.015))
    parts.append(ring(border - 0.06))
    flower = np.clip((0.13 + 0.19 * np.abs(np.cos(angle * petals / 2)) - radius) * s + 0.5, 0, 1)
    hollow = np.clip(
        (0.07 + 0.16 * np.abs(np.cos(angle * petals / 2)) ** 3 - radius) * s + 0.5, 0, 1
    )
    parts.append(flower * (1 - 0.85 * hollow))
    near, far = (radius > 0.38) & (radius < 0.6), (radius > 0.64) & (radius < 0.8)
    lattice = np.maximum(spokes(petals * 4, 1.6), spokes(petals * 4, -1.6))
    parts.append(lattice * near)
    parts.append(spokes(petals * 6, 0.0) * far)
    eyes = np.abs((angle * petals / np.pi) % 1 - 0.5) * np.pi / petals
    motif = np.hypot(eyes * radius, radius - 0.72) * s
    parts.append(
        np.clip(0.045 * s - motif + 0.5, 0, 1) * (1 - np.clip(0.02 * s - motif + 0.5, 0, 1))
    )
    outer = (radius > 0.8) & (radius < border)
    parts.append(np.maximum(spokes(petals * 8, 2.5), spokes(petals * 8, -2.5)) * outer)
    opacity = np.max(np.stack(parts), axis=0) * (radius < 1.0)
    yarn = 0.86 + 0.14 * np.sin(px * 1.9 + angle * 160) * np.sin(angle * 220 - px)
    tone = np.asarray(
        pick(rng, ((0.97, 0.95, 0.90), (0.92, 0.86, 0.74), (0.80, 0.2, 0.25), (0.2, 0.3, 0.5)))
    )
    soft = cv2.GaussianBlur(opacity.astype(np.float32), (0, 0), 0.5)
    return tinted(soft, (tone * yarn[..., None]).clip(0, 1).astype(np.float32)), "lace"


def paint_net(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """A knotted net hanging in folds from a rope along the top."""
    x, y = pixel_grid(height, width)
    s = max(height, width)
    bend = clouds(rng, height, width, 0.5 * s, 0.4, 0.2 * s)
    sag = 0.06 * s * np.sin(np.pi * x / width * rng.integers(1, 3)) * (1 - 0.4 * y / height)
    pinch = 1 + 0.18 * np.sin(2 * np.pi * x / width * rng.uniform(1.5, 3) + 1.5 * bend)
    u = (x * pinch + 0.03 * s * bend).astype(np.float32)
    v = (y - sag + 0.025 * s * bend).astype(np.float32)
    cell = s * rng.uniform(0.032, 0.05)
    cord = max(cell * rng.uniform(0.12, 0.17), 2.4)
    a, b = (u + v) / np.sqrt(2), (v - u) / np.sqrt(2)
    opacity = mesh(a, b, cell, cord)
    da, db = ((c / cell) % 1 - 0.5 for c in (a, b))
    knots = np.clip(cord * 1.15 - np.hypot(da, db) * cell + 0.5, 0, 1)
    opacity = np.maximum(opacity, knots)
    top = 0.06 * height + 0.03 * s
    opacity *= smoothstep(top - 1, top, v) * (v < height * 0.90 + 0.02 * s * np.sin(u / cell))
    edge = 0.035 * width
    opacity *= (x > edge + 0.15 * cell * np.sin(y / cell)) & (x < width - edge)
    tone = np.asarray(
        pick(rng, ((0.78, 0.70, 0.55), (0.20, 0.42, 0.44), (0.86, 0.86, 0.84), (0.75, 0.32, 0.2)))
    )
    twist = 0.8 + 0.2 * np.sin((a + b * 0.4) * 2.4 / cord) + 0.12 * bend - 0.1 * (da > 0)
    canvas = tinted(
        opacity.astype(np.float32), (tone * twist[..., None]).clip(0.02, 1).astype(np.float32)
    )
    columns = np.linspace(0, width - 1, 60)
    rows = top + np.array(
        [sag[int(top), int(c)] - 0.025 * s * bend[int(top), int(c)] for c in columns]
    )
    rope = ribbon(np.stack([columns, rows], 1), cord * 2.6)
    fill(canvas, rope, rounded((0.62, 0.50, 0.33), cord, contrast=0.8))
    return canvas, "net"


def paint_fence(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """Chain link between two posts and a rail: zigzag wires that hook into each other."""
    stencil, s = open_stencil(height, width), max(height, width)
    cell, wire = s * rng.uniform(0.045, 0.065), max(s * rng.uniform(0.0065, 0.009), 2.2)
    steel = pick(rng, ((0.66, 0.68, 0.70), (0.30, 0.42, 0.32), (0.50, 0.44, 0.40)))
    top, bottom = height * 0.09, height * 0.97
    rows = np.arange(top, bottom, cell / 2)
    for k in range(int(width / cell) + 2):
        x = (k - 0.5) * cell + np.where(np.arange(len(rows)) % 2 == 0, 0.0, cell) * 0.56
        path = np.stack([x + rng.normal(0, 0.02 * cell, len(rows)), rows], 1)
        for shade, share, shift in ((0.55, 1.0, 0.0), (1.0, 0.62, -0.15), (1.35, 0.25, -0.25)):
            pen = ink(np.clip(np.asarray(steel) * shade, 0, 1))
            line = to_stencil(path + wire * shift)
            cv2.polylines(
                stencil,
                [line],
                False,
                pen,
                max(1, round(wire * share * 4)),
                cv2.LINE_8,
                STENCIL_SHIFT,
            )
    canvas = stencil_layer(stencil, rng.uniform(0.5, 1.4))
    thick = 0.045 * s
    for at in (0.06 * width, 0.94 * width):
        post = ribbon(np.array([[at, height * 0.04], [at, height * 1.02]]), thick)
        fill(canvas, post, rounded(steel, thick / 2, contrast=0.8))
    rail = ribbon(np.array([[0.0, top], [width * 1.0, top]]), thick * 0.7)
    fill(canvas, rail, rounded(steel, thick * 0.35, contrast=0.8))
    return canvas, "fence"


def paint_web(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """A spider's web with dew, hung in a forked twig."""
    stencil, s = open_stencil(height, width), min(height, width) * 0.5
    hub = np.array([width * rng.uniform(0.46, 0.54), height * rng.uniform(0.46, 0.54)])
    spokes = int(rng.integers(18, 25))
    angle = np.sort(np.linspace(0, 2 * np.pi, spokes, endpoint=False) + rng.normal(0, 0.05, spokes))
    way = np.stack([np.cos(angle), np.sin(angle)], 1)
    reach = s * rng.uniform(0.86, 0.99, spokes)
    silk = ink((0.90, 0.93, 0.96))
    pen = max(3, round(s * 0.0062 * STENCIL_SCALE))
    for w, r in zip(way, reach, strict=True):
        cv2.polylines(
            stencil,
            [to_stencil(np.array([hub, hub + w * r]))],
            False,
            silk,
            pen,
            cv2.LINE_8,
            STENCIL_SHIFT,
        )
    drops: list[Points] = []
    for share in (0.07 + 0.041 * turn for turn in range(22)):
        corner = hub + way * (reach * share)[:, None]
        for k in range(spokes):
            a, b = corner[k], corner[(k + 1) % spokes]
            middle = (a + b) / 2 + (hub - (a + b) / 2) * 0.07
            path = smooth_open(np.array([a, middle, b]), 6)
            cv2.polylines(
                stencil, [to_stencil(path)], False, silk, max(1, pen - 1), cv2.LINE_8, STENCIL_SHIFT
            )
            if rng.random() < 0.75:
                drops.append(path[rng.integers(1, 12, 3)])
    beads = np.concatenate(drops)
    for p, size_px in zip(beads, s * rng.uniform(0.003, 0.0085, len(beads)), strict=True):
        fixed = to_stencil(np.array([p]))[0]
        size = int(size_px * STENCIL_SCALE * (1 << STENCIL_SHIFT))
        centre = (int(fixed[0]), int(fixed[1]))
        cv2.circle(stencil, centre, size, ink((0.80, 0.87, 0.92)), -1, cv2.LINE_8, STENCIL_SHIFT)
        lit = (centre[0] - size // 3, centre[1] - size // 3)
        cv2.circle(stencil, lit, size // 3, ink((1, 1, 1)), -1, cv2.LINE_8, STENCIL_SHIFT)
    canvas = stencil_layer(stencil, 0.45)
    for side in (-1, 1):
        path = smooth_open(
            [(hub[0] + side * 0.1 * s, height * 1.05), (hub[0] + side * 0.7 * s, hub[1] + 0.75 * s),
             (hub[0] + side * 0.93 * s, hub[1]), (hub[0] + side * 0.55 * s, hub[1] - 1.02 * s)]
        )  # fmt: skip
        twig = ribbon(path, np.linspace(0.07, 0.028, len(path)) * s)
        fill(canvas, twig, rounded((0.36, 0.27, 0.2), 0.03 * s, contrast=0.8))
    return canvas, "web"


def paint_curtain(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """A lace curtain on a rod: mesh with flowers, folds, a scalloped hem."""
    x, y = pixel_grid(height, width)
    s = max(height, width)
    fold = np.sin(
        2 * np.pi * x / width * rng.integers(4, 7)
        + 0.6 * clouds(rng, height, width, 0.6 * s, 0.4, 0.2 * s)
    )
    u = (x + 0.012 * s * fold).astype(np.float32)
    cell = 0.0135 * s
    net = mesh((u + y).astype(np.float32), (y - u).astype(np.float32), cell, max(0.27 * cell, 1.7))
    motif = flowers(u, y, 0.115 * s)
    hem = height * 0.93 - 0.025 * s * np.abs(np.sin(np.pi * u / (0.1 * s)))
    border = (y > hem - 0.035 * s) & (y < hem)
    opacity = np.maximum(net, motif) * (0.95 + 0.05 * fold)
    opacity = np.where(border, np.maximum(opacity, 0.96), opacity)
    opacity = (
        opacity
        * np.clip(hem - y, 0, 1)
        * (y > 0.05 * height)
        * (x > 0.03 * width)
        * (x < 0.97 * width)
    )
    shade = (0.9 + 0.1 * fold)[..., None] * np.asarray(
        pick(rng, ((0.98, 0.97, 0.94), (0.95, 0.90, 0.80)))
    )
    canvas = tinted(
        np.clip(opacity, 0, 1).astype(np.float32), np.clip(shade, 0, 1).astype(np.float32)
    )
    lay(canvas, cut_rod(height, width, s))
    return canvas, "lace curtain"


def cut_rod(height: int, width: int, s: float) -> Array:
    rod = blank(height, width)
    y = 0.045 * height + 0.01 * s
    fill(
        rod,
        ribbon(np.array([[0.015 * width, y], [0.985 * width, y]]), 0.026 * s),
        rounded((0.55, 0.36, 0.2), 0.013 * s),
    )
    for x in (0.02, 0.98):
        fill(rod, ellipse(x * width, y, 0.02 * s, 0.02 * s), rounded((0.55, 0.36, 0.2), 0.015 * s))
    return rod
