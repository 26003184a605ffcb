"""Outlines and fills of annotators -> masks: what Label Studio keeps as points, made pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.pixels import Pixels

Masks = NDArray[np.bool_]


def draw_polygon(points: object, height: int, width: int) -> Pixels:
    """The pixels whose middle is inside a polygon, H x W, 0 or 255.

    points: (x, y) in percent of the photo's sides. Where the outline crosses itself, what is twice
    inside is outside. Raises ValueError if the points are no polygon.
    """
    if not isinstance(points, list) or len(points) < 3:
        raise ValueError(f"a polygon has three points or more, not {str(points)[:40]}")
    corners = [(_number(point, 0), _number(point, 1)) for point in points]
    x, y = (np.array(corners) * (width / 100, height / 100)).T
    to_x, to_y = np.roll(x, -1), np.roll(y, -1)
    drawn = np.zeros((height, width), np.uint8)
    for row in range(max(0, math.floor(y.min())), min(height, math.ceil(y.max()))):
        middle = row + 0.5
        crosses = (y <= middle) != (to_y <= middle)
        part = (middle - y[crosses]) / (to_y - y)[crosses]
        at = np.sort(x[crosses] + part * (to_x - x)[crosses])
        for begin, end in np.ceil(at - 0.5).clip(0, width).astype(int).reshape(-1, 2):
            drawn[row, begin:end] = 255
    return drawn


def read_point(value: Mapping[str, Any], height: int, width: int) -> tuple[int, int]:
    """(row, column) of a key point. Raises ValueError if it has no place on the photo."""
    x, y = (_number([value.get(name)], 0) for name in ("x", "y"))
    row, column = int(y * height / 100), int(x * width / 100)
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"its point ({x}, {y}) is not on the photo")
    return row, column


def fill(is_painted: Masks, points: Sequence[tuple[int, int]]) -> Masks:
    """The unpainted areas that hold the points (row, column), each up to what is painted.

    A point on a painted pixel fills nothing. Raises ValueError if nothing unpainted would be left:
    then what surrounds a point is not closed.
    """
    _, areas = cv2.connectedComponents((~is_painted).astype(np.uint8), connectivity=4)
    filled = np.zeros(is_painted.shape, bool)
    for row, column in points:
        if not is_painted[row, column]:
            filled |= areas == areas[row, column]
    if filled.any() and (filled | is_painted).all():
        raise ValueError("it runs out: what is painted around it is not closed; close it")
    return filled


def _number(point: object, index: int) -> float:
    found = point[index] if isinstance(point, list | tuple) and len(point) > index else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError(f"{str(point)[:40]} is no point")
    if not abs(found) <= 1000:  # percent; the browser lets a point lie a little outside
        raise ValueError(f"{str(point)[:40]} is not on the photo")
    return float(found)
