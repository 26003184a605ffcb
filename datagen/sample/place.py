"""Place a foreground on the canvas: the affine map of a placement, and the resampling.

Coordinates are (x, y) with the origin at the top left corner of an image and 0.5 at the centre of
its first pixel. Coefficients are rounded, so that the last bit of a sine, which differs between
machines, never reaches a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from datagen.sample.resize import OPAQUE, Premultiplied, distance_threshold
from datagen.sample.working_copies import Grid, WorkingCopies
from manifests.samples import Placement
from manifests.sources import Box

Matrix = NDArray[np.float64]

# The soft part of the source counts as far if it is at least 1 pixel of the canvas away, less this
# slack, which covers the rounding of `known_distance` and of OpenCV's coordinates (1/32 pixel).
_DISTANCE_SLACK = 0.15

_STRIP = 32  # rows


def source_to_canvas(placement: Placement, box: Box) -> Matrix:
    """2 x 3: from coordinates in the source to coordinates on the canvas, both in pixels."""
    factor = placement.fit * placement.scale
    angle = math.radians(placement.rotation)
    cos, sin = round(math.cos(angle), 12), round(math.sin(angle), 12)
    mirror = -1.0 if placement.flip else 1.0
    # y points down, so the minus of a counter-clockwise rotation is in the second row
    turn = np.array([[mirror * cos, sin], [-mirror * sin, cos]]) * factor
    middle = np.array([box.left + box.width / 2, box.top + box.height / 2])
    shift = np.array([placement.centre_x, placement.centre_y]) - turn @ middle
    return np.column_stack([turn, shift])


def copy_to_source(grid: Grid) -> Matrix:
    """2 x 3: from coordinates in a working copy to coordinates in its source."""
    rows, columns = grid.rows, grid.columns
    return np.array([[columns.step, 0, columns.start], [0, rows.step, rows.start]])


def chain(first: Matrix, then: Matrix) -> Matrix:
    """The 2 x 3 map that applies `first`, then `then`."""
    linear = then[:, :2] @ first[:, :2]
    shift = then[:, :2] @ first[:, 2] + then[:, 2]
    return np.asarray(np.round(np.column_stack([linear, shift]), 9), np.float64)


def apply(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map points (x, y), an array of shape ... x 2, by a 2 x 3 map."""
    return points @ matrix[:, :2].T + matrix[:, 2]


@dataclass(frozen=True)
class Placed:
    """A foreground on the canvas: the part, h x w, of the canvas that the subject may touch."""

    colour: Premultiplied  # h x w x 4; its alpha still has the overshoots and ghosts of the kernels
    alpha: NDArray[np.int16]  # h x w, 0 to OPAQUE, without overshoots and ghosts
    rows: slice
    columns: slice


def place(copies: WorkingCopies, placement: Placement, box: Box, size: int) -> Placed:
    """Resample a foreground onto a canvas of size x size pixels.

    box: the subject's box in the source. Where the source's alpha is 0 (or 255) everywhere within
    a distance of one pixel of the canvas, alpha is exactly 0 (or OPAQUE), so that the lobes of the
    kernels leave no ghosts.
    """
    copy = copies.copy_for(placement.scale)
    to_canvas = chain(copy_to_source(copy.grid), source_to_canvas(placement, box))
    rows, columns = _region(to_canvas, copy.known.shape, size)
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    inverse = _invert(to_canvas)
    known = cv2.warpAffine(
        copy.known,
        _from(inverse, rows.start, columns.start),
        shape[::-1],
        flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR,
        borderValue=(255,),
    )
    threshold = distance_threshold(1 / placement.scale - _DISTANCE_SLACK)
    is_clear = known >= 128 + threshold
    colour = np.zeros((*shape, 4), np.int16)
    for strip in _strips(is_clear):
        cv2.warpAffine(
            copy.rgba,
            _from(inverse, rows.start + strip[0].start, columns.start + strip[1].start),
            (strip[1].stop - strip[1].start, strip[0].stop - strip[0].start),
            dst=colour[strip],
            flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR,
        )
    alpha = clip_levels(cv2.extractChannel(colour, 3))
    alpha[is_clear] = 0
    alpha[known <= 128 - threshold] = OPAQUE
    return Placed(colour, alpha, rows, columns)


def clip_levels(levels: NDArray[np.integer[Any] | np.floating[Any]]) -> NDArray[np.int16]:
    """Clip 16-bit levels to 0..OPAQUE; ten times as fast as numpy.clip."""
    not_above = cv2.threshold(levels, OPAQUE, 0, cv2.THRESH_TRUNC)[1]
    return np.asarray(cv2.threshold(not_above, 0, 0, cv2.THRESH_TOZERO)[1], np.int16)


def _invert(to_canvas: Matrix) -> Matrix:
    """OpenCV's inverse map. Its origin is the centre of the first pixel; ours is its corner."""
    inverse = np.asarray(cv2.invertAffineTransform(to_canvas), np.float64)
    inverse[:, 2] += inverse[:, :2].sum(axis=1) / 2 - 0.5
    return inverse


def _from(inverse: Matrix, top: int, left: int) -> Matrix:
    """The inverse map for the part of the canvas that starts at (top, left), rounded."""
    (a, b, c), (d, e, f) = inverse.tolist()
    x, y = round(a * left + b * top + c, 9), round(d * left + e * top + f, 9)
    return np.array([[round(a, 9), round(b, 9), x], [round(d, 9), round(e, 9), y]])


def _strips(is_clear: NDArray[np.bool_]) -> Iterator[tuple[slice, slice]]:
    """Rectangles that contain every pixel that is not clear, and few others.

    Resampling is the slowest step of a sample, and half of a subject's box is empty.
    """
    starts = np.arange(0, is_clear.shape[0], _STRIP)
    is_seen = ~np.logical_and.reduceat(is_clear, starts, axis=0)
    first, beyond = is_seen.argmax(axis=1), is_clear.shape[1] - is_seen[:, ::-1].argmax(axis=1)
    for number in np.flatnonzero(is_seen.any(axis=1)).tolist():
        top = number * _STRIP
        rows = slice(top, min(top + _STRIP, is_clear.shape[0]))
        yield rows, slice(int(first[number]), int(beyond[number]))


def _region(to_canvas: Matrix, shape: tuple[int, ...], size: int) -> tuple[slice, slice]:
    """Rows and columns of the canvas that a working copy of `shape` (height, width) covers."""
    height, width = shape
    corners = apply(to_canvas, np.array([[0, 0], [width, 0], [0, height], [width, height]], float))
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    first = (min(max(int(top), 0), size - 1), min(max(int(left), 0), size - 1))
    last = (max(min(int(bottom), size), first[0] + 1), max(min(int(right), size), first[1] + 1))
    return slice(first[0], last[0]), slice(first[1], last[1])


def over(front: Placed, back: Placed, size: int) -> Placed:
    """One subject in front of another: a = a1 + (1 - a1) a2, size x size.

    The premultiplied colours are added with the same weights.
    """
    (front_colour, front_alpha), (back_colour, back_alpha) = (
        _on_canvas(placed, size) for placed in (front, back)
    )
    seen = 1 - front_alpha / OPAQUE
    alpha = np.rint(front_alpha + seen * back_alpha).astype(np.int16)
    colour = np.rint(front_colour + seen * back_colour).astype(np.int16)
    whole = slice(0, size)
    merged = np.concatenate([colour, alpha], axis=2)
    return Placed(merged, alpha[..., 0], whole, whole)


def _on_canvas(placed: Placed, size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Premultiplied colour (size x size x 3) and alpha (x 1), so that colour / alpha is still F."""
    colour, alpha = np.zeros((size, size, 3)), np.zeros((size, size, 1))
    part = (placed.rows, placed.columns)
    alpha[part] = placed.alpha[..., None]
    weight = alpha[part] / np.maximum(placed.colour[..., 3:], 1)
    colour[part] = np.clip(placed.colour[..., :3] * weight, 0, alpha[part])
    return colour, alpha
