"""Placing and colouring: the affine map of a placement, and the linear map of a colour jitter.

Coordinates are (x, y) with the origin at the top left corner of an image and 0.5 at the centre of
its first pixel. Coefficients are rounded, so that the last bit of a sine, which differs between
machines, never reaches a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datagen.prepare import Cutout, source_margin
from datagen.resize import Premultiplied, distance_threshold
from manifests.pixels import Pixels
from manifests.samples import Colour, Placement
from manifests.sources import Box

Matrix = NDArray[np.float64]

# How much nearer than one pixel of the canvas the soft part of the source may be and still count
# as far: covers the rounding of `known_distance` and of OpenCV's coordinates (1/32 pixel).
_DISTANCE_SLACK = 0.07

_STRIP = 16  # rows


def source_to_canvas(placement: Placement, box: Box) -> Matrix:
    """2 x 3: from the source's coordinates to the canvas', both in pixels."""
    factor = placement.fit * placement.scale
    angle = math.radians(placement.rotation)
    cos, sin = round(math.cos(angle), 12), round(math.sin(angle), 12)
    mirror = -1.0 if placement.flip else 1.0
    # y points down, so a counter-clockwise turn has the minus below
    turn = np.array([[mirror * cos, sin], [-mirror * sin, cos]]) * factor
    middle = np.array([box.left + box.width / 2, box.top + box.height / 2])
    shift = np.array([placement.centre_x, placement.centre_y]) - turn @ middle
    return np.column_stack([turn, shift])


def working_to_source(box: Box, size: int, shape: tuple[int, int]) -> Matrix:
    """2 x 3: from a working copy's coordinates to its source's.

    Its shape (height, width) was rounded to whole pixels, so the two scales differ a little.
    """
    margin = source_margin(box, size)
    height, width = shape
    return np.array(
        [
            [(box.width + 2 * margin) / width, 0, box.left - margin],
            [0, (box.height + 2 * margin) / height, box.top - margin],
        ]
    )


def chain(first: Matrix, then: Matrix) -> Matrix:
    """The 2 x 3 map that applies `first`, then `then`."""
    linear = then[:, :2] @ first[:, :2]
    shift = then[:, :2] @ first[:, 2] + then[:, 2]
    return np.round(np.column_stack([linear, shift]), 9)


def apply(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """N x 2 points (x, y) through a 2 x 3 map."""
    return points @ matrix[:, :2].T + matrix[:, 2]


@dataclass(frozen=True)
class Subject:
    """A foreground as it lies on the canvas: the part h x w of it that the subject may touch."""

    colour: Premultiplied  # h x w x 4, premultiplied; its alpha still has the kernels' ghosts
    alpha: NDArray[np.uint16]  # h x w, 65535 is 1; without them
    rows: slice
    columns: slice


def place(cutout: Cutout, to_canvas: Matrix, scale: float, size: int) -> Subject:
    """Resample a working copy onto a canvas of size x size pixels.

    to_canvas: 2 x 3 from the working copy to the canvas; scale: its down-scale, at most 1.
    Where the source is 0 (or 255) everywhere within one pixel of the canvas, alpha is exactly 0
    (or 65535): the kernels' lobes leave no ghosts.
    """
    rows, columns = _region(to_canvas, cutout.rgba.shape[:2], size)
    inverse = _invert(to_canvas, rows.start, columns.start)
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    known = cv2.warpAffine(
        cutout.known,
        inverse,
        shape[::-1],
        flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR,
        borderValue=(255,),
    )
    threshold = distance_threshold(1 / scale - _DISTANCE_SLACK)
    is_clear = known >= 128 + threshold
    colour = np.zeros((*shape, 4), np.uint16)
    for strip in _strips(is_clear):
        colour[strip] = cv2.warpAffine(
            cutout.rgba,
            _invert(to_canvas, rows.start + strip[0].start, columns.start + strip[1].start),
            (strip[1].stop - strip[1].start, strip[0].stop - strip[0].start),
            flags=cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC,
        )
    alpha = cv2.extractChannel(colour, 3)
    alpha[is_clear] = 0
    alpha[known <= 128 - threshold] = 65535
    return Subject(colour, alpha, rows, columns)


def _invert(to_canvas: Matrix, top: int, left: int) -> Matrix:
    """OpenCV's inverse map for the part of the canvas that starts at (top, left).

    OpenCV puts 0 at the centre of the first pixel, we put it at its corner.
    """
    inverse = cv2.invertAffineTransform(to_canvas)
    inverse[:, 2] += inverse[:, :2] @ (np.array([left, top]) + 0.5) - 0.5
    return np.round(inverse, 9)


def _strips(is_clear: NDArray[np.bool_]) -> Iterator[tuple[slice, slice]]:
    """Rectangles that hold every pixel that is not clear, and little else.

    Bicubic resampling is the dearest step of a sample, and half of a subject's box is empty.
    """
    for top in range(0, is_clear.shape[0], _STRIP):
        strip = is_clear[top : top + _STRIP]
        columns = np.flatnonzero(~strip.all(axis=0))
        if columns.size:
            rows = slice(top, top + strip.shape[0])
            yield rows, slice(int(columns[0]), int(columns[-1]) + 1)


def _region(to_canvas: Matrix, shape: tuple[int, int], size: int) -> tuple[slice, slice]:
    """Rows and columns of the canvas that a working copy of `shape` (height, width) covers."""
    height, width = shape
    corners = apply(to_canvas, np.array([[0, 0], [width, 0], [0, height], [width, height]], float))
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    first = (min(max(int(top), 0), size - 1), min(max(int(left), 0), size - 1))
    last = (max(min(int(bottom), size), first[0] + 1), max(min(int(right), size), first[1] + 1))
    return slice(first[0], last[0]), slice(first[1], last[1])


def over(front: Subject, back: Subject, size: int) -> Subject:
    """One subject before another: a = a1 + (1 - a1) a2, and so for the premultiplied colours.

    Premultiplied colours add up each with the weight with which it is seen.
    """
    canvases = []
    for subject in (front, back):
        canvas = np.zeros((size, size, 4), np.float64)
        # F = P / a must survive that alpha lost its ghosts
        colour = subject.colour[..., :3].astype(np.float64)
        own_alpha = np.maximum(subject.colour[..., 3:], 1)
        alpha = subject.alpha[..., None].astype(np.float64)
        place_ = canvas[subject.rows, subject.columns]
        place_[..., :3] = colour * (alpha / own_alpha)
        place_[..., 3:] = alpha
        canvases.append(canvas)
    both = np.rint(canvases[0] + (1 - canvases[0][..., 3:] / 65535) * canvases[1])
    merged = np.minimum(both, 65535).astype(np.uint16)
    whole = slice(0, size)
    return Subject(merged, cv2.extractChannel(merged, 3), whole, whole)


# The grey of a colour (ITU-R BT.601), and its two chrominance axes (YIQ).
_GREY = np.array([0.299, 0.587, 0.114])
_TO_YIQ = np.array([_GREY, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def colour_matrix(colour: Colour) -> NDArray[np.float32]:
    """3 x 4: RGB in 0..255 and 1 -> jittered RGB; multiples of 1/1024, exact in fixed point."""
    angle = math.radians(colour.hue)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    hue = np.linalg.solve(_TO_YIQ, turn @ _TO_YIQ)
    saturation = colour.saturation * np.eye(3) + (1 - colour.saturation) * _GREY
    linear = colour.contrast * colour.brightness * saturation @ hue
    offset = np.full((3, 1), (1 - colour.contrast) * 127.5)
    matrix: NDArray[np.float32] = np.round(np.hstack([linear, offset]) * 1024) / np.float32(1024)
    return matrix.astype(np.float32)


def jitter(pixels: Pixels, matrix: NDArray[np.float32]) -> Pixels:
    """H x W x 3 -> H x W x 3, rounded and clipped to 0..255."""
    return np.asarray(cv2.transform(pixels, matrix), np.uint8)
