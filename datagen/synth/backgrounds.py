"""Backgrounds that have the statistics of photos and look out of focus or textured.

In photos of any scene the power spectrum falls about as 1 / frequency^2, and the channels are
strongly correlated. Every background is a scene (what the eye recognises) plus a field of exactly
that spectrum (the texture). Then the radial average of its spectrum is moved towards that slope.
The phases, and so the edges, stay those of the scene.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from datagen.synth.curves import ellipse
from datagen.synth.paint import (
    Array,
    Colour,
    clouds,
    fill,
    lay,
    pixel_grid,
    rounded,
    smoothstep,
    tinted,
    vary,
)

SLOPE = -2.1  # of log power over log frequency
MARGIN = 32  # px added at the borders while a spectrum is changed
PULL = 0.75  # how far a scene's spectrum is moved towards that slope; 1 is all the way

PALETTES: tuple[tuple[Colour, ...], ...] = (
    ((0.20, 0.30, 0.16), (0.42, 0.52, 0.24), (0.70, 0.74, 0.50), (0.30, 0.24, 0.16)),  # woods
    ((0.55, 0.68, 0.82), (0.85, 0.80, 0.72), (0.48, 0.42, 0.36), (0.30, 0.40, 0.50)),  # shore
    ((0.18, 0.14, 0.12), (0.62, 0.42, 0.24), (0.90, 0.72, 0.46), (0.36, 0.20, 0.16)),  # lamplight
    ((0.62, 0.62, 0.60), (0.40, 0.41, 0.43), (0.80, 0.78, 0.74), (0.50, 0.36, 0.30)),  # town
    ((0.10, 0.12, 0.20), (0.20, 0.26, 0.42), (0.72, 0.50, 0.40), (0.35, 0.22, 0.36)),  # dusk
    ((0.86, 0.84, 0.80), (0.70, 0.64, 0.58), (0.58, 0.66, 0.66), (0.92, 0.90, 0.88)),  # indoors
)


def frequencies(height: int, width: int) -> Array:
    """Cycles per pixel of each term of a real two-dimensional transform."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    return np.asarray(np.hypot(rows, columns), np.float32)


def natural_field(rng: np.random.Generator, height: int, width: int) -> Array:
    """H x W x 3 noise with power 1 / f^2, mean 0, deviation 1; channels are correlated."""
    radius = frequencies(height, width)
    radius[0, 0] = np.inf
    planes = []
    for _ in range(3):
        noise = rng.standard_normal((height, width), dtype=np.float32)
        planes.append(np.fft.irfft2(np.fft.rfft2(noise) / radius, s=(height, width)))
    common, warm, green = (p / max(float(p.std()), 1e-9) for p in planes)
    # brightness carries most of the variance, then blue-yellow, then red-green, as in photos
    stack = np.stack(
        [common + 0.22 * warm + 0.08 * green, common - 0.10 * green, common - 0.24 * warm], 2
    )
    return np.asarray(stack / stack.std(), np.float32)


def radial_power(plane: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The power spectrum of H x W, averaged over rings: (cycles per pixel, mean power)."""
    height, width = plane.shape
    taper = np.hanning(height)[:, None] * np.hanning(width)[None, :]
    power = np.abs(np.fft.rfft2((plane - plane.mean()) * taper)) ** 2
    rings = np.rint(frequencies(height, width) * min(height, width)).astype(np.int64)
    count = np.bincount(rings.reshape(-1))
    total = np.bincount(rings.reshape(-1), power.reshape(-1))
    return np.arange(len(count)) / min(height, width), total / np.maximum(count, 1)


def spectrum_slope(plane: Array) -> float:
    """The exponent of a fit power = c f^slope from 1/64 to 1/3 cycle per pixel."""
    frequency, power = radial_power(plane)
    used = (frequency > 1 / 64) & (frequency < 1 / 3)
    return float(np.polyfit(np.log(frequency[used]), np.log(power[used] + 1e-12), 1)[0])


def naturalised(picture: Array, pull: float = PULL) -> Array:
    """Move the radial spectrum of H x W x 3 towards f^-2 by a gain per ring; phases stay.

    The gain depends on the picture's own slope. It is at most a factor of 6, and 1 at the lowest
    frequencies, which carry the scene.
    """
    slope = spectrum_slope(picture.mean(axis=2))
    # Mirrored at the borders, because the transform treats opposite borders as neighbours.
    picture = np.pad(picture, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="symmetric")
    height, width = picture.shape[:2]
    radius = frequencies(height, width)
    start = 1 / 64
    octave = np.maximum(radius / start, 1)
    gain = np.clip(octave ** (pull * (SLOPE - slope) / 2), 1 / 6, 6).astype(np.float32)
    planes = [
        np.fft.irfft2(np.fft.rfft2(picture[..., c]) * gain, s=(height, width)) for c in range(3)
    ]
    inner = np.stack(planes, axis=2)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return np.asarray(inner, np.float32)


# ---- scenes -------------------------------------------------------------------------------------


def shade(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    red, green, blue = vary(rng, colours[rng.integers(len(colours))], 1, 0.15)[0]
    return float(red), float(green), float(blue)


def ramp(height: int, width: int, top: Colour, bottom: Colour) -> Array:
    t = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    row = np.asarray(top, np.float32) * (1 - t) + np.asarray(bottom, np.float32) * t
    return np.broadcast_to(row, (height, width, 3)).copy()


def opaque(picture: Array) -> Array:
    return np.concatenate([picture, np.ones_like(picture[..., :1])], axis=2)


def discs(
    picture: Array,
    rng: np.random.Generator,
    count: int,
    sizes: tuple[float, float],
    colours: list[Colour],
    opacity: tuple[float, float],
    rim: float = 0.3,
) -> Array:
    """Lights blurred by a lens: flat discs, a little brighter at the rim."""
    canvas = opaque(picture)
    height, width = picture.shape[:2]
    for _ in range(count):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(*sizes)
        colour, strength = colours[rng.integers(len(colours))], rng.uniform(*opacity)
        fill(canvas, ellipse(x, y, r, r, count=40), colour, strength, blur=max(0.04 * r, 0.5))
        outer, inner = (
            ellipse(x, y, r, r, count=40),
            ellipse(x, y, r * 0.9, r * 0.9, count=40)[::-1],
        )
        fill(canvas, [outer, inner], colour, strength * rim, blur=max(0.03 * r, 0.5))
    return canvas[..., :3]


def bokeh(rng: np.random.Generator, height: int, width: int) -> Array:
    palette = PALETTES[rng.integers(len(PALETTES))]
    base = ramp(height, width, shade(rng, palette), shade(rng, palette)) * 0.55
    s = max(height, width)
    base *= 1 + 0.25 * clouds(rng, height, width, 0.4 * s, 0.5, 0.05 * s)[..., None]
    lights = [shade(rng, palette) for _ in range(4)] + [(1.0, 0.86, 0.6), (1.0, 0.95, 0.85)]
    lights = [(min(a * 1.4, 1.0), min(b * 1.4, 1.0), min(c * 1.4, 1.0)) for a, b, c in lights]
    far = discs(base, rng, 50, (0.012 * s, 0.03 * s), lights, (0.2, 0.6))
    return discs(far, rng, 22, (0.03 * s, 0.075 * s), lights, (0.15, 0.5))


def landscape(rng: np.random.Generator, height: int, width: int) -> Array:
    """Sky, ridges that fade with distance, and a ground whose texture grows towards the viewer."""
    s = max(height, width)
    x, y = pixel_grid(height, width)
    horizon = height * rng.uniform(0.38, 0.62)
    skies: tuple[tuple[Colour, Colour], ...] = (
        ((0.36, 0.56, 0.82), (0.84, 0.90, 0.94)),
        ((0.52, 0.58, 0.66), (0.86, 0.86, 0.84)),
        ((0.26, 0.28, 0.48), (0.98, 0.70, 0.48)),
        ((0.62, 0.74, 0.84), (0.95, 0.94, 0.90)),
    )
    top, low = skies[rng.integers(len(skies))]
    picture = ramp(height, width, top, low)
    cover = smoothstep(0.2, 1.4, clouds(rng, height, width, 0.45 * s, 0.55)) * 0.75
    cover *= np.clip((horizon - y) / horizon, 0, 1)
    picture = picture * (1 - cover[..., None]) + 0.96 * cover[..., None]
    land = PALETTES[rng.integers(2)]
    haze = np.asarray(low, np.float32)
    for k in range(3):
        near = (k + 1) / 3
        ridge = clouds(rng, 8, width, s * (0.3 - 0.06 * k), 0.5)[4]
        crest = horizon - height * (0.11 - 0.045 * k) + 0.022 * s * ridge * (1.1 - 0.4 * near)
        part = smoothstep(-1.5, 1.5, y - crest[None, :])[..., None]
        tone = np.asarray(shade(rng, land), np.float32) * 0.8 * near + haze * (1 - near) * 0.8
        grain = 1 + 0.16 * near * clouds(rng, height, width, 0.05 * s)[..., None]
        picture = picture * (1 - part) + tone * grain * part
    depth = np.clip((y - horizon) / (height - horizon), 0.02, 1)
    rough = clouds(rng, height, width, 0.14 * s, 0.7)
    flat = cv2.remap(
        rough,
        ((x - width / 2) / (0.25 + depth) * 0.4 + width / 2).astype(np.float32),
        (height * 0.35 / (0.15 + depth)).astype(np.float32),
        cv2.INTER_LINEAR,
        None,
        cv2.BORDER_REFLECT,
    )
    ground = np.asarray(shade(rng, land), np.float32) * (0.85 + 0.22 * flat)[..., None]
    mix = smoothstep(0.0, 0.05 * height, y - horizon - 0.02 * height)[..., None]
    return np.asarray(picture * (1 - mix) + ground * mix, np.float32)


def dead_leaves(rng: np.random.Generator, height: int, width: int) -> Array:
    """Discs that hide one another, with sizes by a power law: a common model of clutter."""
    s = max(height, width)
    palette = PALETTES[rng.integers(len(PALETTES))]
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = shade(rng, palette)
    count = 1400
    radius = 1 / np.sqrt(rng.uniform((1 / 0.22) ** 2, (1 / 0.008) ** 2, count)) * s
    order = np.argsort(-radius[: count // 2]).tolist() + list(range(count // 2, count))
    light = 1 + 0.25 * clouds(rng, 16, 16, 8)
    for k in order:
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        tone = np.asarray(shade(rng, palette)) * light[int(y * 15 / height), int(x * 15 / width)]
        axes = (max(int(radius[k] * rng.uniform(0.5, 1) * 16), 16), max(int(radius[k] * 16), 16))
        box = ((x * 16, y * 16), (axes[0] * 2.0, axes[1] * 2.0), float(rng.uniform(0, 180)))
        points = cv2.ellipse2Poly((int(x * 16), int(y * 16)), axes, int(box[2]), 0, 360, 15)
        cv2.fillPoly(picture, [np.asarray(points)], tone.tolist(), cv2.LINE_AA, 4)
    return picture


def texture(rng: np.random.Generator, height: int, width: int) -> Array:
    """A surface seen from close up: plaster, stone, wood or cloth, lit from one side."""
    s = max(height, width)
    palette = PALETTES[rng.integers(len(PALETTES))]
    x, y = pixel_grid(height, width)
    kind = rng.integers(4)
    relief = clouds(rng, height, width, 0.25 * s, 0.72)
    if kind == 0:  # boards
        board = np.floor(x / (0.14 * s) + 0.02 * relief)
        grain = np.sin(
            60 * (x / s + 0.018 * clouds(rng, height, width, 0.5 * s)) + 2.5 * np.sin(9 * board)
        )
        relief = (
            0.5 * relief
            + 0.5 * grain
            + 0.9 * np.sin(board * 12.9898)
            - 2.5 * (np.abs(x / (0.14 * s) % 1) < 0.02)
        )
    elif kind == 1:  # bricks
        row = np.floor(y / (0.06 * s))
        u = x / (0.16 * s) + 0.5 * (row % 2)
        edge = np.minimum(
            (0.5 - np.abs(u % 1 - 0.5)) * 0.16, (0.5 - np.abs(y / (0.06 * s) % 1 - 0.5)) * 0.06
        )
        relief = 0.6 * relief + 1.2 * np.sin(np.floor(u) * 7.3 + row * 3.7) - 2.2 * (edge < 0.0035)
    elif kind == 2:  # cloth
        relief = relief + 0.9 * np.sin(2 * np.pi * x / 9) * np.sin(2 * np.pi * y / 9) * 0.6
    low, high = np.asarray(shade(rng, palette[:2])) * 0.7, np.asarray(shade(rng, palette[2:])) * 1.1
    mix = (0.5 + 0.22 * relief)[..., None]
    light = 1.15 - 0.5 * np.hypot(x / width - rng.random(), y / height - rng.random())
    return np.asarray(((low * (1 - mix) + high * mix) * light[..., None]), np.float32)


def room(rng: np.random.Generator, height: int, width: int) -> Array:
    """Indoors, out of focus: wall and floor, a window, shelves or pictures, a lamp."""
    s = max(height, width)
    palette = PALETTES[(0, 2, 3, 5)[rng.integers(4)]]
    wall = np.asarray(shade(rng, PALETTES[5]), np.float32)
    canvas = opaque(ramp(height, width, tuple(wall * 0.95), tuple(wall * 0.78)))
    floor = height * rng.uniform(0.70, 0.85)

    def box(
        x0: float, y0: float, x1: float, y1: float, colour: Colour, opacity: float = 1.0
    ) -> None:
        corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)
        fill(canvas, corners, rounded(colour, 0.01 * s, contrast=0.3), opacity)

    box(-9, floor, width + 9, height + 9, shade(rng, PALETTES[2]))
    left = rng.uniform(0.03, 0.55) * width
    glow: Colour = (0.96, 0.97, 0.98)
    box(left, 0.08 * height, left + 0.34 * width, 0.55 * height, (0.93, 0.91, 0.88))
    for k in range(2):
        x = left + (0.02 + 0.16 * k) * width
        box(x, 0.10 * height, x + 0.14 * width, 0.53 * height, glow)
    side = 0.62 * width if left < 0.25 * width else 0.03 * width
    for level in (height * share for share in (0.12, 0.26, 0.40, 0.54)):
        box(
            side,
            level + 0.11 * height,
            side + 0.33 * width,
            level + 0.125 * height,
            (0.36, 0.25, 0.17),
        )
        x = side
        while x < side + 0.31 * width:
            thick, tall = rng.uniform(0.008, 0.03) * s, rng.uniform(0.05, 0.105) * height
            if rng.random() < 0.85:
                box(
                    x,
                    level + 0.11 * height - tall,
                    x + thick,
                    level + 0.11 * height,
                    shade(rng, palette),
                )
            x += thick
    for _ in range(3):
        x, wide = rng.uniform(0, 0.8) * width, rng.uniform(0.12, 0.35) * width
        box(
            x,
            floor - rng.uniform(0.05, 0.25) * height,
            x + wide,
            floor + 0.06 * height,
            shade(rng, palette),
        )
    lamp = (rng.uniform(0.2, 0.8) * width, rng.uniform(0.15, 0.4) * height)
    fill(canvas, ellipse(*lamp, 0.05 * s, 0.04 * s), (1.0, 0.93, 0.75), 0.95)
    halo = np.exp(
        -np.hypot(*(g - c for g, c in zip(pixel_grid(height, width), lamp, strict=True)))
        / (0.14 * s)
    )
    lay(canvas, tinted((0.35 * halo).astype(np.float32), (1.0, 0.86, 0.62)))
    return canvas[..., :3]


def foliage(rng: np.random.Generator, height: int, width: int) -> Array:
    """Leaves far out of focus with light between them."""
    s = max(height, width)
    greens = [
        shade(rng, ((0.22, 0.36, 0.12), (0.36, 0.50, 0.18), (0.14, 0.24, 0.10), (0.55, 0.62, 0.28)))
        for _ in range(7)
    ]
    base = ramp(height, width, (0.50, 0.58, 0.36), (0.20, 0.28, 0.14))
    base *= 1 + 0.3 * clouds(rng, height, width, 0.3 * s)[..., None]
    canvas = opaque(base)
    for _ in range(170):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.015, 0.07) * s
        leaf = ellipse(x, y, r, r * rng.uniform(0.3, 0.6), rng.uniform(0, np.pi), 24)
        fill(
            canvas,
            leaf,
            greens[rng.integers(len(greens))],
            rng.uniform(0.5, 0.95),
            blur=max(0.05 * r, 0.5),
        )
    gaps: list[Colour] = [(0.95, 0.97, 0.80), (0.86, 0.92, 0.70)]
    return discs(canvas[..., :3], rng, 40, (0.008 * s, 0.028 * s), gaps, (0.2, 0.6))


SCENES = {
    "bokeh": bokeh,
    "landscape": landscape,
    "dead-leaves": dead_leaves,
    "texture": texture,
    "room": room,
    "foliage": foliage,
}


def paint_background(
    rng: np.random.Generator, height: int, width: int, kind: str
) -> NDArray[np.uint8]:
    """One background (H x W x 3, RGB, 0..255) of a kind in `SCENES`."""
    picture = np.clip(SCENES[kind](rng, height, width), 0, 1.2)
    defocus = float(rng.choice([0.0, 0.6, 1.5, 3.0])) * max(height, width) / 800
    if defocus > 0:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), defocus), np.float32)
    picture = picture * (1 + 0.05 * natural_field(rng, height, width))
    picture = naturalised(np.asarray(picture, np.float32))
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
