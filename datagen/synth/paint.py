"""A small painter for synthetic cut-outs: premultiplied layers whose alpha is exact coverage.

A canvas is H x W x 4 float32 in [0, 1]: colour multiplied by alpha, then alpha. Points are (x, y)
in pixels, with pixel (row 0, column 0) covering 0..1 x 0..1. Colours are RGB in [0, 1] and never
depend on alpha, so that soft pixels contain no colour of any former background.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from datagen.synth.curves import Points

Array = NDArray[np.float32]
Stencil = NDArray[np.uint8]
Colour = tuple[float, float, float]

STENCIL_SCALE = 4  # the thinnest line is a quarter of a pixel
STENCIL_SHIFT = 4  # fractional bits of OpenCV's coordinates


def blank(height: int, width: int) -> Array:
    return np.zeros((height, width, 4), np.float32)


# ---- coverage -----------------------------------------------------------------------------------


def _split(starts: Points, ends: Points, axis: int) -> tuple[Points, Points]:
    """Cut segments (N x 2) at the whole numbers of one axis, so that each piece is in one cell."""
    low = np.floor(np.minimum(starts[:, axis], ends[:, axis]))
    high = np.ceil(np.maximum(starts[:, axis], ends[:, axis]))
    counts = np.maximum(high - low, 1).astype(np.int64)
    which = np.repeat(np.arange(len(starts)), counts)
    step = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    start, end = starts[which], ends[which]
    span = end[:, axis] - start[:, axis]
    cuts = low[which] + step
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(span == 0, 0.0, (cuts - start[:, axis]) / span)
        last = np.where(span == 0, 1.0, (cuts + 1 - start[:, axis]) / span)
    first, last = np.clip(first, 0, 1), np.clip(last, 0, 1)
    near, far = np.minimum(first, last)[:, None], np.maximum(first, last)[:, None]
    return start + near * (end - start), start + far * (end - start)


def polygon_coverage(polygons: Sequence[Points], height: int, width: int) -> Array:
    """The exact share (H x W, 0..1) of each pixel's square that closed polygons (N x 2) cover.

    It sums signed areas: every edge adds, to all pixels on its right, the height by which it
    crosses their row. A running sum along the row gives the covered area. Overlapping polygons of
    opposite orientation cut holes; those of the same orientation are joined.
    """
    first = np.concatenate(polygons)
    last = np.concatenate([np.roll(p, -1, axis=0) for p in polygons])
    starts, ends = _split(first, last, 1)
    starts, ends = _split(starts, ends, 0)
    middle = (starts + ends) / 2
    row = np.floor(middle[:, 1]).astype(np.int64)
    middle[:, 0] = np.clip(middle[:, 0], 0, width)
    column = np.minimum(np.floor(middle[:, 0]), width).astype(np.int64)
    rise = ends[:, 1] - starts[:, 1]
    keep = (row >= 0) & (row < height) & (rise != 0)
    row, column, rise, x = row[keep], column[keep], rise[keep], middle[keep, 0]
    right = rise * (x - column)
    cells = height * (width + 2)
    at = row * (width + 2) + column
    change = np.bincount(at, rise - right, cells) + np.bincount(at + 1, right, cells)
    winding = np.cumsum(change.reshape(height, width + 2), axis=1)[:, :width]
    return np.asarray(np.minimum(np.abs(winding), 1.0), np.float32)


def open_stencil(height: int, width: int) -> Stencil:
    """An empty sheet (4H x 4W x 4, RGBA). Drawings are opaque; their area becomes alpha."""
    return np.zeros((height * STENCIL_SCALE, width * STENCIL_SCALE, 4), np.uint8)


def to_stencil(points: Points) -> NDArray[np.int32]:
    """Pixel coordinates -> OpenCV's fixed-point ones, whose whole numbers are sample centres."""
    fixed = (points * STENCIL_SCALE - 0.5) * (1 << STENCIL_SHIFT)
    return np.asarray(np.rint(fixed), np.int32)


def ink(colour: Colour | Points) -> tuple[int, int, int, int]:
    red, green, blue = (int(np.clip(round(float(c) * 255), 0, 255)) for c in colour)
    return red, green, blue, 255


def stencil_layer(stencil: Stencil, softness: float = 0.45) -> Array:
    """Area coverage of a stencil as a canvas; `softness` is the lens: a Gaussian's sigma in px."""
    height, width = stencil.shape[0] // STENCIL_SCALE, stencil.shape[1] // STENCIL_SCALE
    layer = cv2.resize(stencil, (width, height), interpolation=cv2.INTER_AREA)
    canvas = np.asarray(layer / np.float32(255), np.float32)
    if softness > 0:
        return np.asarray(cv2.GaussianBlur(canvas, (0, 0), softness), np.float32)
    return canvas


# ---- laying down --------------------------------------------------------------------------------


def lay(canvas: Array, layer: Array, inside: bool = False) -> None:
    """Put a premultiplied layer over the canvas, in place; `inside` keeps the canvas' alpha."""
    kept = 1 - layer[..., 3:]
    if inside:
        canvas[..., :3] *= kept
        canvas[..., :3] += layer[..., :3] * canvas[..., 3:]
    else:
        canvas *= kept
        canvas += layer


def under(canvas: Array, layer: Array) -> None:
    """Put a premultiplied layer behind the canvas, in place."""
    canvas += layer * (1 - canvas[..., 3:])


def tinted(coverage: Array, colour: Colour | Array) -> Array:
    """Coverage (H x W) and a straight colour (3 or H x W x 3) -> a premultiplied layer."""
    layer = np.empty((*coverage.shape, 4), np.float32)
    layer[..., :3] = np.asarray(colour, np.float32)
    layer[..., :3] *= coverage[..., None]
    layer[..., 3] = coverage
    return layer


def window(polygons: Sequence[Points], height: int, width: int, margin: int = 2) -> tuple[int, ...]:
    """(top, bottom, left, right) of the polygons' box within the canvas; may be empty."""
    points = np.concatenate(polygons)
    left, top = np.floor(points.min(axis=0)).astype(int) - margin
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + margin
    return max(top, 0), min(bottom, height), max(left, 0), min(right, width)


Paint = Colour | Callable[[Array, int, int], Array]


def fill(
    canvas: Array,
    polygons: Points | Sequence[Points],
    paint: Paint,
    opacity: float = 1.0,
    inside: bool = False,
    blur: float = 0.0,
) -> None:
    """Fill polygons; only the pixels of their box are touched.

    `paint` is a colour, or a function (coverage, top, left) -> colours H x W x 3 of the box.
    """
    shapes = [polygons] if isinstance(polygons, np.ndarray) else list(polygons)
    height, width = canvas.shape[:2]
    top, bottom, left, right = window(shapes, height, width, 2 + int(3 * blur))
    if top >= bottom or left >= right:
        return
    moved = [shape - (left, top) for shape in shapes]
    coverage = polygon_coverage(moved, bottom - top, right - left)
    if blur > 0:
        coverage = np.asarray(cv2.GaussianBlur(coverage, (0, 0), blur), np.float32)
    colour = paint(coverage, top, left) if callable(paint) else paint
    lay(canvas[top:bottom, left:right], tinted(coverage * np.float32(opacity), colour), inside)


def rounded(
    colour: Colour, depth: float, light: tuple[float, float] = (-0.5, -0.7), contrast: float = 0.45
) -> Callable[[Array, int, int], Array]:
    """A paint that shades a flat shape as if it were a cushion whose rim is `depth` px wide."""

    def paint(coverage: Array, _top: int, _left: int) -> Array:
        return np.asarray(colour, np.float32) * cushion(coverage, depth, light, contrast)[..., None]

    return paint


def cushion(coverage: Array, depth: float, light: tuple[float, float], contrast: float) -> Array:
    """Brightness (H x W, about 1) of an inflated shape under a light from direction (x, y)."""
    if min(coverage.shape) < 2:  # a strip of one pixel at the border has no slope
        return np.ones_like(coverage)
    # A shape that the frame cuts off is continued beyond it, so that it is not rounded there.
    solid = np.pad((coverage > 0.5).astype(np.uint8), 1, mode="edge")
    distance = cv2.distanceTransform(solid, cv2.DIST_L2, 3)[1:-1, 1:-1]
    part = np.clip(distance / depth, 0, 1)
    bulge = cv2.GaussianBlur(np.sqrt(1 - (1 - part) ** 2), (0, 0), max(depth * 0.22, 0.6)) * depth
    slope_y, slope_x = np.gradient(bulge)
    normal = np.sqrt(slope_x**2 + slope_y**2 + 1)
    facing = (0.75 - slope_x * light[0] - slope_y * light[1]) / normal
    return np.asarray(np.clip(1 + contrast * (facing - 0.75), 0.25, 1.7), np.float32)


# ---- curves -------------------------------------------------------------------------------------


# ---- strands ------------------------------------------------------------------------------------


def draw_strands(stencil: Stencil, paths: Points, widths: Points, colours: Points) -> None:
    """Tapered curves: paths N x T x 2 in px, root widths N in px, colours N x 3; last on top.

    Each strand has three pieces, each thinner than the one before. Below a quarter of a pixel,
    the smallest width of the stencil, a strand is drawn a quarter of a pixel wide.
    """
    steps = paths.shape[1]
    cuts = (0, int(steps * 0.45), int(steps * 0.75), steps - 1)
    fixed = to_stencil(paths)
    for path, width, colour in zip(fixed, widths, colours, strict=True):
        pen = ink(colour)
        for first, last, share in zip(cuts, cuts[1:], (1.0, 0.7, 0.4), strict=False):
            thickness = max(1, round(width * share * STENCIL_SCALE))
            piece = path[first : last + 1]
            cv2.polylines(stencil, [piece], False, pen, thickness, cv2.LINE_8, STENCIL_SHIFT)


def paint_strands(
    canvas: Array,
    paths: Points,
    widths: Points,
    colours: Points,
    softness: float = 0.45,
    behind: bool = False,
) -> None:
    """Strands over (or behind) the canvas; only the pixels of their box are touched."""
    if len(paths) == 0:
        return
    height, width = canvas.shape[:2]
    top, bottom, left, right = window([paths.reshape(-1, 2)], height, width, 4)
    if top >= bottom or left >= right:
        return
    stencil = open_stencil(bottom - top, right - left)
    draw_strands(stencil, paths - (left, top), widths, colours)
    layer = stencil_layer(stencil, softness)
    (under if behind else lay)(canvas[top:bottom, left:right], layer)


def vary(rng: np.random.Generator, colour: Colour, count: int, spread: float) -> Points:
    """`count` colours around one: brightness varies by `spread`, hue a little."""
    light = 1 + spread * rng.standard_normal((count, 1))
    hue = 1 + 0.25 * spread * rng.standard_normal((count, 3))
    return np.clip(np.asarray(colour) * light * hue, 0.01, 0.99)


# ---- noise --------------------------------------------------------------------------------------


def clouds(
    rng: np.random.Generator,
    height: int,
    width: int,
    cell: float,
    gain: float = 0.5,
    finest: float = 3.0,
) -> Array:
    """Smooth noise (H x W, mean 0, standard deviation 1): octaves from `cell` to `finest` px."""
    total = np.zeros((height, width), np.float32)
    strength = 1.0
    cell, finest = max(cell, 3.0), min(finest, max(cell, 3.0))
    while cell >= finest:
        rows, columns = int(height / cell) + 4, int(width / cell) + 4
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        size = (int(columns * cell) + 1, int(rows * cell) + 1)
        top, left = (int(v * cell) for v in rng.uniform(0.5, 1.5, 2))
        if size[0] * size[1] > 4 * height * width:  # one cell is much larger than the canvas
            shift = np.array([[1 / cell, 0, 1.5], [0, 1 / cell, 1.5]])
            flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            octave = cv2.warpAffine(grid, shift, (width, height), flags=flags)
        else:
            octave = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
            octave = octave[top : top + height, left : left + width]
        total += np.float32(strength) * octave
        strength *= gain
        cell /= 2
    total -= total.mean()
    return np.asarray(total / max(float(total.std()), 1e-6), np.float32)


def pixel_grid(height: int, width: int) -> tuple[Array, Array]:
    """Coordinates (x, y) of the pixel centres, H x W each."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return x.astype(np.float32), y.astype(np.float32)


def smoothstep(low: float, high: float, value: Points) -> Array:
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


# ---- finishing ----------------------------------------------------------------------------------


def straight(canvas: Array) -> NDArray[np.uint8]:
    """A premultiplied canvas -> straight RGBA (H x W x 4, 0..255).

    Where alpha is 0 the colour is that of the nearest paint. So a resampler that does not
    premultiply, or a codec that smooths, makes no dark rim.
    """
    alpha = np.rint(np.clip(canvas[..., 3], 0, 1) * 255)
    seen = canvas * (alpha[..., None] > 0)
    colour = seen[..., :3] / np.maximum(seen[..., 3:], 1e-6)
    trust = np.minimum(seen[..., 3:] * 32, 1)  # faint paint counts, too, because it is the nearest
    spread = continue_colours(np.concatenate([colour * trust, trust], axis=2))
    colour = np.where(alpha[..., None] > 0, colour, spread)
    colour = np.rint(np.clip(colour, 0, 1) * 255)
    return np.asarray(np.concatenate([colour, alpha[..., None]], axis=2), np.uint8)


def continue_colours(canvas: Array) -> Array:
    """Colours (H x W x 3) that continue the paint smoothly, by averages of growing squares."""
    height, width = canvas.shape[:2]
    if min(height, width) <= 2:
        weight = canvas[..., 3].sum()
        mean = canvas[..., :3].sum(axis=(0, 1)) / max(float(weight), 1e-9)
        return np.broadcast_to(mean, (height, width, 3)).astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    smaller = cv2.resize(canvas, half, interpolation=cv2.INTER_AREA)
    coarse = continue_colours(np.asarray(smaller, np.float32))
    wide = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    known = canvas[..., 3:]
    return np.asarray(canvas[..., :3] + (1 - known) * wide, np.float32)
