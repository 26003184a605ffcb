"""Things that are mostly translucent: smoke, flames, clouds, glassware and soap bubbles."""

from __future__ import annotations

import cv2
import numpy as np

from datagen.synth.figure import pick
from datagen.synth.glass import paint_bubbles, paint_glass
from datagen.synth.paint import (
    Array,
    clouds,
    pixel_grid,
    smoothstep,
    tinted,
)

# ---- smoke and fire -----------------------------------------------------------------------------


def warped(field: Array, shift_x: Array, shift_y: Array) -> Array:
    """field(x + shift_x, y + shift_y), mirrored at the borders; shifts H x W in px."""
    x, y = pixel_grid(*field.shape[:2])
    return np.asarray(
        cv2.remap(
            field, x - 0.5 + shift_x, y - 0.5 + shift_y, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT
        ),
        np.float32,
    )


def curled(
    rng: np.random.Generator, height: int, width: int, cell: float, strength: float
) -> Array:
    """Noise folded by noise, twice: filaments and curls instead of blobs; mean 0, deviation ~1."""
    field = clouds(rng, height, width, cell, 0.55, max(0.05 * cell, 3.0))
    for share in (1.0, 0.45):
        size = cell * share
        flow = clouds(rng, height, width, size, 0.4, 0.4 * size)
        down, right = np.gradient(flow)
        reach = np.float32(strength * size * size)
        field = warped(field, down * reach, -right * reach)
    return field


def paint_smoke(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """A plume that widens and thins as it rises, lit from one side."""
    x, y = pixel_grid(height, width)
    s = max(height, width)
    rise = np.clip((height * 0.98 - y) / height, 0, 1)
    sway = 0.10 * s * np.sin(3.2 * rise * rng.uniform(0.8, 1.6) + rng.uniform(0, 6)) * rise
    drift = rng.uniform(-0.12, 0.12) * s * rise
    rough = curled(rng, height, width, 0.22 * s, 0.14)
    fine = curled(rng, height, width, 0.10 * s, 0.16)
    half = s * (0.035 + 0.27 * rise**0.8)
    across = (x - width / 2 - sway - drift + 0.045 * s * rough * (0.2 + rise)) / half
    body = np.exp(-(across**2) * 1.5) * (1 - 0.75 * rise**1.5) * smoothstep(1.02, 0.82, rise)
    billow = np.clip(0.62 + 0.42 * rough + 0.24 * fine, 0, None)
    density = 2.6 * np.clip(body * billow - 0.05, 0, None)
    density *= smoothstep(0.0, 0.05, rise) * border_fade(x, y, height, width)
    opacity = (1 - np.exp(-1.5 * density)) * 0.97
    soft = np.asarray(cv2.GaussianBlur(density.astype(np.float32), (0, 0), 0.02 * s), np.float32)
    lit = warped(soft, np.full_like(soft, -0.04 * s), np.full_like(soft, -0.03 * s))
    base = np.asarray(
        pick(rng, ((0.92, 0.93, 0.95), (0.62, 0.62, 0.64), (0.34, 0.32, 0.32), (0.88, 0.78, 0.66)))
    )
    glow = np.clip(1.04 - 0.30 * lit + 0.10 * fine, 0.4, 1.1)[..., None]
    return tinted(
        opacity.astype(np.float32), np.clip(base * glow, 0, 1).astype(np.float32)
    ), "smoke"


def border_fade(x: Array, y: Array, height: int, width: int) -> Array:
    """1 inside, 0 at the left, right and upper border, so that vapour is not cut off."""
    edge = 0.08 * min(height, width)
    near = np.minimum(np.minimum(x, width - x), y)
    return smoothstep(0.0, edge, near)


def paint_cloud(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """A puff of vapour: round billows, bright above and grey below."""
    x, y = pixel_grid(height, width)
    s = min(height, width)
    shape = np.full((height, width), -1.0, np.float32)
    for _ in range(11):
        cx, cy = width * rng.uniform(0.25, 0.75), height * rng.uniform(0.42, 0.64)
        r = s * rng.uniform(0.12, 0.25)
        billow = 1 - ((x - cx) ** 2 / 1.5 + (y - cy) ** 2) / np.float32(r**2)
        np.maximum(shape, billow, out=shape)
    rough = curled(rng, height, width, 0.16 * s, 0.13)
    density = np.clip(shape + 0.36 * rough - 0.12, 0, None) * smoothstep(-0.7, 0.25, shape)
    density = density * border_fade(x, y, height, width) * smoothstep(height, height * 0.9, y)
    opacity = (1 - np.exp(-1.5 * density)) * 0.95
    soft = np.asarray(cv2.GaussianBlur(density.astype(np.float32), (0, 0), 0.03 * s), np.float32)
    shade = warped(soft, np.full_like(soft, -0.05 * s), np.full_like(soft, -0.09 * s))
    glow = np.clip(1.03 - 0.28 * shade + 0.05 * rough, 0.45, 1)[..., None]
    tone = np.asarray(pick(rng, ((0.97, 0.97, 0.98), (1.0, 0.92, 0.86), (0.80, 0.82, 0.88))))
    return tinted(
        opacity.astype(np.float32), np.clip(tone * glow, 0, 1).astype(np.float32)
    ), "cloud"


def paint_flame(rng: np.random.Generator, height: int, width: int) -> tuple[Array, str]:
    """Tongues of fire: pale inside, orange and red outside, glowing at the rim."""
    x, y = pixel_grid(height, width)
    s = min(height, width)
    rise = (height * 0.95 - y) / (height * 0.9)
    lick = curled(rng, height, width, 0.24 * s, 0.16)
    fine = curled(rng, height, width, 0.09 * s, 0.18)
    heat = np.zeros((height, width), np.float32)
    for k in range(int(rng.integers(3, 6))):
        cx = width * (0.5 + (0 if k == 0 else rng.uniform(-0.24, 0.24)))
        tall = (1.0 if k == 0 else rng.uniform(0.45, 0.85)) * rng.uniform(0.85, 1.0)
        t = np.clip(rise / tall, 0, 1.2)
        wide = (
            s
            * rng.uniform(0.15, 0.21)
            * np.clip(t + 0.08, 0, 1) ** 0.35
            * np.clip(1 - t, 0, 1) ** 0.75
        )
        sway = s * (0.10 * lick + 0.03 * fine) * np.clip(t, 0, 1) * 1.1
        tongue = 1 - np.abs(x - cx + sway) / np.maximum(wide, 1)
        heat = np.maximum(heat, tongue * (1 - 0.45 * np.clip(t, 0, 1)) * (rise > -0.02))
    heat = np.clip(heat, 0, 1) * np.clip(0.85 + 0.22 * fine + 0.1 * lick, 0.1, 1.4)
    heat *= smoothstep(-0.02, 0.07, rise)
    halo = cv2.GaussianBlur(heat, (0, 0), 0.05 * s)
    hot = np.clip(heat * 1.15, 0, 1)
    opacity = np.clip(0.82 * smoothstep(0.0, 0.55, hot) + 0.22 * halo, 0, 0.95)
    opacity *= border_fade(x, y, height, width)
    stops = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    ramp = np.array(
        [
            (0.75, 0.12, 0.03),
            (0.94, 0.30, 0.05),
            (1.0, 0.56, 0.10),
            (1.0, 0.82, 0.35),
            (1.0, 0.97, 0.8),
        ]
    )
    if rng.random() < 0.2:
        ramp = ramp[:, ::-1]  # a gas flame
    value = np.clip(hot * 0.9 + 0.3 * halo, 0, 1)
    colour = np.stack([np.interp(value, stops, ramp[:, c]) for c in range(3)], 2)
    return tinted(opacity.astype(np.float32), colour.astype(np.float32)), "flame"


# ---- glass --------------------------------------------------------------------------------------


SHEER_THINGS = (paint_smoke, paint_glass, paint_flame, paint_glass, paint_bubbles, paint_cloud)
