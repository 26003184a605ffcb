"""Place a foreground on the canvas: the affine map of a placement, and the resampling.

Coordinates are (x, y) with the origin at the top left corner of an image and 0.5 at the centre of
its first pixel. Coefficients are rounded, so that the last bit of a sine, which differs between
machines, never reaches a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datagen.sample.resize import KNOWN_ZERO, distance_threshold
from datagen.sample.sampling import gather
from datagen.sample.working_copies import DISTANCE_SLACK, Grid, WorkingCopy
from manifests.pixels import Pixels
from manifests.samples import Placement
from manifests.sources import Box

Matrix = NDArray[np.float64]
Whole = NDArray[np.int64]


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

    colour: Pixels  # h x w x 3, straight; black where alpha is 0
    alpha: Pixels  # h x w
    rows: slice
    columns: slice


def place(copy: WorkingCopy, placement: Placement, box: Box, size: int) -> Placed:
    """Resample a foreground onto a canvas of size x size pixels.

    box: the subject's box in the source. Where the source's alpha is 0 (or 255) everywhere within
    a distance of one pixel of the canvas, alpha is exactly 0 (or 255), so that the lobes of the
    kernels leave no ghosts.
    """
    to_canvas = chain(copy_to_source(copy.grid), source_to_canvas(placement, box))
    rows, columns = _region(to_canvas, copy.grid, size)
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    colour, alpha = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
    to_copy = _from(_invert(to_canvas), rows.start, columns.start)
    threshold = distance_threshold(1 / placement.scale - DISTANCE_SLACK)
    limits = (KNOWN_ZERO + threshold, KNOWN_ZERO - threshold)
    gather(copy.tiles, *copy.grid.mixture(placement.scale), to_copy, limits, colour, alpha)
    return Placed(colour, alpha, rows, columns)


def _invert(to_canvas: Matrix) -> Matrix:
    """The inverse map, from and to pixels whose centres are whole numbers, not halves."""
    inverse = np.asarray(cv2.invertAffineTransform(to_canvas), np.float64)
    inverse[:, 2] += inverse[:, :2].sum(axis=1) / 2 - 0.5
    return inverse


def _from(inverse: Matrix, top: int, left: int) -> Matrix:
    """The inverse map for the part of the canvas that starts at (top, left), rounded."""
    (a, b, c), (d, e, f) = inverse.tolist()
    x, y = round(a * left + b * top + c, 9), round(d * left + e * top + f, 9)
    return np.array([[round(a, 9), round(b, 9), x], [round(d, 9), round(e, 9), y]])


def _region(to_canvas: Matrix, grid: Grid, size: int) -> tuple[slice, slice]:
    """Rows and columns of the canvas that a working copy covers."""
    height, width = grid.rows.length, grid.columns.length
    corners = apply(to_canvas, np.array([[0, 0], [width, 0], [0, height], [width, height]], float))
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    first = (min(max(int(top), 0), size - 1), min(max(int(left), 0), size - 1))
    last = (max(min(int(bottom), size), first[0] + 1), max(min(int(right), size), first[1] + 1))
    return slice(first[0], last[0]), slice(first[1], last[1])


def over(front: Placed, back: Placed, size: int) -> Placed:
    """One subject in front of another: a = a1 + (1 - a1) a2, size x size.

    The colours are mixed with the weights a1 and (1 - a1) a2.
    """
    (front_colour, front_alpha), (back_colour, back_alpha) = (
        _on_canvas(placed, size) for placed in (front, back)
    )
    of_front, of_back = 255 * front_alpha, (255 - front_alpha) * back_alpha  # of 255 * 255
    both = of_front + of_back
    mixed = of_front[..., None] * front_colour + of_back[..., None] * back_colour
    colour = _rounded(mixed, np.maximum(both, 1)[..., None])
    whole = slice(0, size)
    return Placed(colour, _rounded(both, 255), whole, whole)


def _rounded(value: Whole, over: Whole | int) -> Pixels:
    return np.asarray((value + over // 2) // over, np.uint8)


def _on_canvas(placed: Placed, size: int) -> tuple[Whole, Whole]:
    """The colour (size x size x 3) and alpha (size x size) of a whole canvas."""
    colour, alpha = np.zeros((size, size, 3), np.int64), np.zeros((size, size), np.int64)
    part = (placed.rows, placed.columns)
    colour[part], alpha[part] = placed.colour, placed.alpha
    return colour, alpha
