"""Things full of holes: trees, ferns and branches, lace doilies, nets, fences, webs, feathers."""

from __future__ import annotations

import cv2
import numpy as np

from datagen.synth.curves import Points, ribbon, smooth_open
from datagen.synth.figure import CLOTHES, pick
from datagen.synth.paint import (
    STENCIL_SCALE,
    STENCIL_SHIFT,
    Array,
    Colour,
    Stencil,
    blank,
    clouds,
    fill,
    ink,
    open_stencil,
    paint_strands,
    rounded,
    stencil_layer,
    to_stencil,
    vary,
)
from datagen.synth.threads import paint_curtain, paint_doily, paint_fence, paint_net, paint_web

GREENS: tuple[Colour, ...] = (
    (0.28, 0.46, 0.16),
    (0.38, 0.54, 0.18),
    (0.20, 0.38, 0.20),
    (0.62, 0.50, 0.14),
    (0.72, 0.34, 0.12),
    (0.86, 0.62, 0.66),
)
LEAF = np.array(
    [
        (0.0, 0.0),
        (0.18, 0.17),
        (0.42, 0.25),
        (0.70, 0.18),
        (1.0, 0.0),
        (0.70, -0.18),
        (0.42, -0.25),
        (0.18, -0.17),
    ]
)


def stamp_leaves(
    stencil: Stencil,
    where: Points,
    angles: Points,
    lengths: Points,
    colours: Points,
    shape: Points = LEAF,
) -> None:
    """Leaves at N x 2 px, rotated by N angles, N px long; each has a light and a dark half."""
    half = len(shape) // 2 + 1
    halves = (shape[:half], np.concatenate([shape[half - 1 :], shape[:1]]))
    for at, angle, length, colour in zip(where, angles, lengths, colours, strict=True):
        c, s = np.cos(angle) * length, np.sin(angle) * length
        turn = np.array([[c, s], [-s, c]])
        for part, light in zip(halves, (1.0, 0.84), strict=True):
            outline = to_stencil(part @ turn + at)
            cv2.fillPoly(stencil, [outline], ink(colour * light), cv2.LINE_8, STENCIL_SHIFT)


def limbs(
    rng: np.random.Generator, start: Points, angle: float, length: float, width: float, depth: int
) -> list[tuple[Points, float, int]]:
    """A branch that forks `depth` more times: each limb's path (7 x 2), root width and depth."""
    angles = angle + rng.normal(0, 0.18) * np.linspace(0, 1, 7)
    moves = np.stack([np.cos(angles), np.sin(angles)], 1) * length / 6
    path = start + np.concatenate([[[0, 0]], np.cumsum(moves[1:], axis=0)])
    tree = [(path, width, depth)]
    if depth == 0:
        return tree
    for turn in rng.permutation([-0.55, 0.5, 0.05])[: 3 if depth > 2 else 2]:
        tree += limbs(
            rng,
            path[-1],
            float(angles[-1] + turn + rng.normal(0, 0.16)),
            length * rng.uniform(0.68, 0.86),
            width * rng.uniform(0.55, 0.72),
            depth - 1,
        )
    return tree


def draw_limb(stencil: Stencil, path: Points, width: float, shade: Points) -> None:
    """Bark, and a lighter streak where the light falls on it."""
    outline = ribbon(path, np.linspace(width, width * 0.68, len(path)))
    cv2.fillPoly(stencil, [to_stencil(outline)], ink(shade), cv2.LINE_8, STENCIL_SHIFT)
    streak = to_stencil(path - np.array([width * 0.2, 0]))
    pen, light = max(1, int(width * 0.3 * STENCIL_SCALE)), ink(np.minimum(shade * 1.25, 1))
    cv2.polylines(stencil, [streak], False, light, pen, cv2.LINE_8, STENCIL_SHIFT)


def paint_tree(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """A tree with a trunk and a crown of single leaves through which the sky shows."""
    stencil = open_stencil(height, width)
    bark = pick(rng, ((0.36, 0.27, 0.20), (0.45, 0.40, 0.35), (0.27, 0.21, 0.18)))
    leaf = pick(rng, GREENS)
    tree = limbs(rng, np.zeros(2), -np.pi / 2, 0.26, 0.055, 5)
    points = np.concatenate([path for path, _, _ in tree])
    low, high = points.min(axis=0) - 0.06, points.max(axis=0) + np.array([0.06, 0.0])
    s = float(min(width * 0.98 / (high - low)[0], height * 0.97 / (high - low)[1]))
    shift = np.array([width / 2 - s * (low + high)[0] / 2, height * 0.985])
    for path, thick, _ in tree:
        draw_limb(stencil, path * s + shift, thick * s, vary(rng, bark, 1, 0.1)[0])
    ends = np.concatenate([path[2:] for path, _, depth in tree if depth <= 3]) * s + shift
    count = 3200
    where = ends[rng.integers(len(ends), size=count)] + rng.normal(0, 0.028 * s, (count, 2))
    where = where[np.argsort(where[:, 1] * 0.4 + rng.normal(0, 0.06 * s, count))[::-1]]
    spread = (where - where.mean(axis=0)) / (0.3 * s)
    light = np.clip(0.92 - 0.18 * spread[:, 0] - 0.24 * spread[:, 1], 0.5, 1.5)[:, None]
    colours = np.clip(vary(rng, leaf, count, 0.2) * light, 0.02, 0.97)
    angles = rng.uniform(0, 2 * np.pi, count)
    stamp_leaves(stencil, where, angles, s * rng.uniform(0.012, 0.024, count), colours)
    return stencil_layer(stencil, rng.uniform(0.4, 0.7)), "tree"


def paint_branch(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """A twig that comes in from a side, with large leaves."""
    stencil, s = open_stencil(height, width), max(height, width)
    bark, leaf = (0.36, 0.26, 0.18), pick(rng, GREENS)
    side = float(rng.choice([-1.0, 1.0]))
    base = np.array([width * (0.5 - 0.52 * side), height * rng.uniform(0.55, 0.9)])
    for k in range(3):
        lean = rng.uniform(0.1, 0.3) + 0.35 * (k - 1)
        end = base + s * np.array([side * rng.uniform(0.6, 0.8), -lean])
        bow = np.array([0, rng.uniform(-0.1, 0.06) * s])
        path = smooth_open(np.array([base, (base + end) / 2 + bow, end]), 24)
        outline = ribbon(path, np.linspace(0.012, 0.003, len(path)) * s)
        cv2.fillPoly(stencil, [to_stencil(outline)], ink(bark), cv2.LINE_8, STENCIL_SHIFT)
        count = 18
        at = np.linspace(6, len(path) - 1, count).astype(int)
        run = np.arctan2(*(path[-1] - path[0])[::-1])
        turns = run + np.where(np.arange(count) % 2 == 0, 0.8, -0.8) + rng.normal(0, 0.25, count)
        lengths = s * rng.uniform(0.095, 0.14, count) * np.linspace(1.1, 0.6, count)
        colours = np.clip(vary(rng, leaf, count, 0.16), 0.02, 0.97)
        stamp_leaves(stencil, path[at], turns, lengths, colours)
        for p, a, long, colour in zip(path[at], turns, lengths, colours, strict=True):
            rib = np.array([p, p + long * 0.92 * np.array([np.cos(a), np.sin(a)])])
            cv2.polylines(
                stencil,
                [to_stencil(rib)],
                False,
                ink(np.minimum(colour * 1.35, 1)),
                3,
                cv2.LINE_8,
                STENCIL_SHIFT,
            )
    return stencil_layer(stencil, rng.uniform(0.9, 1.9)), "leaves"


def paint_fern(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """Fronds that rise from one foot and bow outwards, with leaflets along both sides."""
    stencil, s = open_stencil(height, width), min(height, width)
    leaf = pick(rng, GREENS[:4])
    foot = np.array([width / 2, height * 0.97])
    fronds = int(rng.integers(5, 8))
    for lean in np.linspace(-1.25, 1.25, fronds)[rng.permutation(fronds)]:
        reach = s * rng.uniform(0.85, 1.0) * (0.92 - 0.3 * abs(lean) / 1.25)
        t = np.linspace(0, 1, 46)
        angle = -np.pi / 2 + lean * (0.35 + 0.95 * t)
        moves = np.stack([np.cos(angle), np.sin(angle)], 1) * reach / 46
        path = foot + np.cumsum(moves, axis=0)
        tone = vary(rng, leaf, 1, 0.14)[0]
        stem = ribbon(path, np.linspace(0.008, 0.002, len(path)) * s)
        cv2.fillPoly(
            stencil, [to_stencil(stem)], ink(np.clip(tone * 0.8, 0, 1)), cv2.LINE_8, STENCIL_SHIFT
        )
        at = np.arange(5, 46)
        for turn in (1.15, -1.15):
            lengths = s * 0.125 * np.sin(np.pi * np.linspace(0.18, 0.98, len(at))) ** 0.8
            colours = np.clip(vary(rng, (tone[0], tone[1], tone[2]), len(at), 0.1), 0.02, 0.97)
            stamp_leaves(
                stencil,
                path[at],
                angle[at] + turn * (1 - 0.3 * t[at]),
                lengths,
                colours,
                LEAF * (1, 0.4),
            )
    return stencil_layer(stencil, rng.uniform(0.4, 0.8)), "fern"


# ---- threads ------------------------------------------------------------------------------------


def paint_feathers(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """A large feather: barbs that branch off a bent shaft, with a few gaps."""
    canvas, s = blank(height, width), max(height, width)
    tone = pick(rng, (*CLOTHES[:3], (0.92, 0.90, 0.86), (0.36, 0.30, 0.26)))
    sway = rng.uniform(-0.16, 0.16)
    shaft = smooth_open(
        np.array(
            [
                (0.5 - sway, 0.99),
                (0.5 - 0.5 * sway, 0.72),
                (0.5 + 0.4 * sway, 0.4),
                (0.5 + sway, 0.04),
            ]
        )
        * (width, height),
        30,
    )
    count = 1500
    along = np.sort(rng.uniform(0.2, 1.0, count))[::-1]
    gaps = clouds(rng, 4, count, 60)[0]
    index = along * (len(shaft) - 1)
    root = np.stack([np.interp(index, np.arange(len(shaft)), shaft[:, c]) for c in (0, 1)], 1)
    side = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    long = (
        s
        * 0.17
        * np.sin(np.pi * np.clip(along, 0.2, 0.985) ** 0.8) ** 0.5
        * rng.uniform(0.86, 1.05, count)
    )
    downy = np.clip((0.36 - along) / 0.16, 0, 1)
    slant = 0.55 + 0.08 * gaps + downy * rng.normal(0, 0.5, count)
    k = np.linspace(0, 1, 9)[None, :]
    px = root[:, :1] + (side * long)[:, None] * np.cos(slant)[:, None] * np.sin(1.45 * k)
    py = (
        root[:, 1:]
        - long[:, None] * np.sin(slant)[:, None] * k**1.3
        + 0.2 * (downy * long)[:, None] * k**2
    )
    bars = 1 + 0.28 * np.sin(along * 34) * (tone[0] < 0.9)
    colours = np.clip(
        vary(rng, tone, count, 0.09) * bars[:, None] * (0.92 - 0.1 * side)[:, None], 0.02, 0.97
    )
    widths = s * 0.0021 * rng.uniform(0.5, 1.1, count)
    paint_strands(canvas, np.stack([px, py], 2), widths, colours)
    fill(
        canvas,
        ribbon(shaft, np.linspace(0.011, 0.002, len(shaft)) * s),
        rounded((0.93, 0.88, 0.78), 0.004 * s),
    )
    return canvas, "feather"


OPEN_THINGS = (
    paint_tree,
    paint_doily,
    paint_branch,
    paint_net,
    paint_fern,
    paint_fence,
    paint_tree,
    paint_web,
    paint_feathers,
    paint_curtain,
)
