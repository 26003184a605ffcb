"""The head of a stylised person: a few shapes, shifted in the direction of the face."""

from __future__ import annotations

import numpy as np

from datagen.synth.curves import Points, ellipse, ribbon, smooth_closed, smooth_open
from datagen.synth.figure import Figure, dim, pick
from datagen.synth.paint import Array, Colour, fill, rounded


def head_outline(f: Figure, jaw: float) -> Points:
    half = [(0.0, -1.0), (0.50, -0.87), (0.74, -0.42), (0.75, 0.05), (0.66, 0.46 + jaw * 0.1),
            (0.42, 0.84), (0.13, 1.0)]  # fmt: skip
    points = np.array(half[1:])
    ring = np.concatenate([[half[0]], points, points[::-1] * (-1, 1)])
    return f.head(smooth_closed(ring))


def paint_head(canvas: Array, f: Figure, rng: np.random.Generator) -> None:
    u = f.unit
    for side in (-1, 1):
        near = 1 - 0.28 * max(0.0, side * f.yaw)
        ear = f.head(ellipse(side * 0.78 * near - 0.06 * f.yaw, 0.06, 0.15, 0.25, side * 0.18))
        fill(canvas, ear, rounded(dim(f.skin, 0.94), 0.12 * u))
    fill(canvas, head_outline(f, rng.uniform(-1, 1)), rounded(f.skin, 0.62 * u, contrast=0.38))
    if not f.from_behind:
        paint_face(canvas, f, rng)


def paint_face(canvas: Array, f: Figure, rng: np.random.Generator) -> None:
    """Eyes, brows, nose and mouth: a few shapes, shifted sideways by the yaw."""
    shift, u = 0.22 * f.yaw, f.unit
    line = dim(f.skin, 0.45)

    def put(shape: Points, colour: Colour, opacity: float = 1.0, blur: float = 0.0) -> None:
        fill(canvas, f.head(shape), colour, opacity, inside=True, blur=blur * u)

    cheek: Colour = (min(f.skin[0] * 1.06, 1.0), f.skin[1] * 0.74, f.skin[2] * 0.72)
    iris = pick(rng, ((0.25, 0.16, 0.1), (0.2, 0.36, 0.5), (0.24, 0.38, 0.24), (0.3, 0.2, 0.12)))
    smile, eye_height, gap = (
        rng.uniform(0.2, 1.0),
        rng.uniform(0.075, 0.105),
        rng.uniform(0.3, 0.34),
    )
    for side in (-1, 1):
        near = 1 - 0.22 * max(0.0, side * f.yaw)
        x = shift + side * gap * near
        put(ellipse(x + side * 0.1, 0.36, 0.2, 0.14), cheek, 0.5, 0.09)
        put(ellipse(x, -0.02, 0.2, 0.15), dim(f.skin, 0.72), 0.5, 0.06)
        white = smooth_closed(
            [(x - 0.165 * near, 0.02), (x, -0.02 - eye_height), (x + 0.165 * near, 0.01),
             (x, 0.01 + eye_height * 0.8)]
        )  # fmt: skip
        put(white, (0.95, 0.94, 0.92))
        gaze = x + 0.035 * f.yaw
        put(ellipse(gaze, -0.005, 0.082, 0.086), iris)
        put(ellipse(gaze, -0.005, 0.042, 0.045), (0.04, 0.03, 0.03))
        put(ellipse(gaze - 0.03, -0.04, 0.022, 0.022), (1.0, 1.0, 1.0))
        lid = smooth_open(
            [(x - 0.19 * near, 0.02), (x, -0.035 - eye_height), (x + 0.19 * near, 0.01)]
        )
        put(ribbon(lid, np.linspace(0.03, 0.045, len(lid))), dim(line, 0.5))
        brow = smooth_open(
            [
                (x - side * 0.15 * near, -0.215),
                (x + side * 0.03, -0.275),
                (x + side * 0.2 * near, -0.2),
            ]
        )
        put(ribbon(brow, np.linspace(0.075, 0.03, len(brow))), dim(f.hair, 0.75), 0.85)
    nose = smooth_open(
        [
            (shift * 1.1 + 0.03, 0.0),
            (shift * 1.45 + 0.07 * np.sign(f.yaw), 0.27),
            (shift * 1.3, 0.33),
        ]
    )
    put(ribbon(nose, np.linspace(0.02, 0.06, len(nose))), dim(f.skin, 0.7), 0.75, 0.014)
    put(ellipse(shift * 1.35 - 0.03, 0.24, 0.05, 0.06), dim(f.skin, 1.2), 0.5, 0.03)
    x, y = shift * 1.12, 0.58
    lip: Colour = (f.skin[0] * 0.84, f.skin[1] * 0.52, f.skin[2] * 0.52)
    corners = y - 0.05 * smile
    upper = [(x - 0.22, corners), (x - 0.07, y - 0.06), (x, y - 0.04), (x + 0.07, y - 0.06),
             (x + 0.22, corners), (x, y + 0.02)]  # fmt: skip
    lower = [(x - 0.2, corners + 0.01), (x, y), (x + 0.2, corners + 0.01), (x, y + 0.095)]
    put(smooth_closed(lower), dim(lip, 1.1))
    put(smooth_closed(upper), lip)
    part = smooth_open([(x - 0.22, corners), (x, y + 0.015), (x + 0.22, corners)])
    put(ribbon(part, 0.016), dim(lip, 0.5))
    put(ellipse(x, y + 0.17, 0.12, 0.03), dim(f.skin, 0.75), 0.5, 0.03)
