"""Animals from furry ellipses: strands that point outwards and hang down."""

from __future__ import annotations

import numpy as np

from datagen.synth.curves import ellipse, ribbon, smooth_closed, smooth_open
from datagen.synth.figure import dim, pick
from datagen.synth.paint import (
    Array,
    Colour,
    blank,
    fill,
    paint_strands,
    rounded,
    vary,
)

FURS: tuple[Colour, ...] = (
    (0.62, 0.42, 0.24),
    (0.86, 0.72, 0.50),
    (0.34, 0.30, 0.28),
    (0.92, 0.88, 0.82),
    (0.74, 0.46, 0.22),
    (0.50, 0.50, 0.52),
    (0.95, 0.80, 0.35),
)


def furred(
    canvas: Array,
    rng: np.random.Generator,
    x: float,
    y: float,
    radius_x: float,
    radius_y: float,
    colour: Colour,
    length: float,
    turn: float = 0.0,
    density: float = 1.0,
    belly: float = 0.0,
) -> None:
    """An ellipse covered in fur that points outwards and hangs down; lengths in px."""
    fill(
        canvas,
        ellipse(x, y, radius_x * 0.97, radius_y * 0.97, turn),
        rounded(dim(colour, 0.72), 0.6 * min(radius_x, radius_y), contrast=0.7),
    )
    count = int(density * (900 + 3200 * min(1.0, radius_x * radius_y / (210.0 * 210.0))))
    angle = rng.uniform(0, 2 * np.pi, count)
    reach = np.sqrt(rng.uniform(0.0, 1.0, count))
    reach[: count // 3] = rng.uniform(0.93, 1.0, count // 3)
    order = np.argsort(
        -reach * np.sin(angle)
    )  # from the bottom up: each tuft covers the roots of those below
    angle, reach = angle[order], reach[order]
    flat = np.stack([reach * np.cos(angle), reach * np.sin(angle)], 1)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    root = flat * (radius_x, radius_y) @ spin + (x, y)
    outward = flat / (radius_x, radius_y) @ spin
    outward = outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    outward = outward * reach[:, None] ** 1.5 + (
        0.30 + 0.4 * (1 - reach[:, None]) ** 2
    ) * rng.standard_normal((count, 2))
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
    widths = np.clip(length * 0.085, 0.7, 3.5) * rng.uniform(0.35, 1.3, count)
    paint_strands(canvas, path, widths, np.clip(colours, 0.02, 0.98))


def paint_animal(
    rng: np.random.Generator, height: int, width: int, shag: float = 1.0
) -> tuple[Array, str]:
    """A sitting animal from furry ellipses, with ears, a face, and a tail for some.

    `shag` scales the length of the fur.
    """
    kind = str(rng.choice(["bear", "cat", "rabbit", "chick", "puff", "lion"]))
    canvas, s = (
        blank(height, width),
        min(height * (0.36 if kind == "rabbit" else 0.43), width * 0.5),
    )
    x, y = width / 2, height * (0.55 if kind != "rabbit" else 0.64)
    colour = (0.96, 0.82, 0.32) if kind == "chick" else pick(rng, FURS)
    # Fine hairs are thinner, and so softer, in a small picture, so they are shorter there.
    fur = s * rng.uniform(0.065, 0.1) * shag * min(1.0, max(height, width) / 800)
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
            furred(
                canvas,
                rng,
                x + side * 0.54 * s,
                y + 0.30 * s,
                0.14 * s,
                0.27 * s,
                dim(colour, 0.9),
                0.6 * fur,
                turn=-side * 0.4,
            )
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
    canvas: Array,
    rng: np.random.Generator,
    kind: str,
    side: int,
    head: tuple[float, float],
    s: float,
    colour: Colour,
    fur: float,
) -> None:
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
        fill(
            canvas,
            ellipse(x + side * 0.22 * s, y - 0.70 * s, 0.05 * s, 0.3 * s, side * 0.18),
            inner,
            0.75,
            True,
            0.015 * s,
        )
    elif kind == "cat":
        tip = np.array([(0.12, -0.3), (0.34, -0.62), (0.44, -0.16)]) * (side * s, s) + (x, y)
        fill(canvas, tip, dim(colour, 0.8))
        edge = np.concatenate(
            [np.linspace(a, b, 90) for a, b in ((tip[0], tip[1]), (tip[1], tip[2]))]
        )
        away = (edge - tip.mean(axis=0)) / s + 0.08 * rng.standard_normal(edge.shape)
        k = np.linspace(0, 1, 6)[None, :, None]
        root = edge - 0.06 * s * away
        hairs = root[:, None, :] + (away[:, None, :] * 0.32 * s + (0, -0.03 * s)) * k
        paint_strands(
            canvas, hairs, np.full(len(edge), 0.012 * s), vary(rng, colour, len(edge), 0.12)
        )
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
