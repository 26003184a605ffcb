"""The resampler that shrinks pictures: antialiased Lanczos on premultiplied colour.

The kernel is stretched by the down-scale, so that thin hair becomes faint and not jagged (OpenCV's
INTER_LANCZOS4 is not stretched). Colour is premultiplied before it is resampled, because the colour
under alpha = 0 must not bleed into the edge. Overshoots are kept: a second resampling follows, and
clipping before it would blur every edge. The result is sharpened to compensate for the blur of the
second resampling. The lobes of the kernel also leave faint rings, called ghosts, around a hard
edge; `known_distance` is used to remove them.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manifests.pixels import Pixels

# H x W x 4: colour times alpha, and alpha, in 1/64 of a level. The kernel overshoots by 12 % at an
# edge, and by up to 69 % on a checkerboard of its own pitch. 16 bits can hold twice the range.
Premultiplied = NDArray[np.int16]
PER_LEVEL = 64
OPAQUE = 255 * PER_LEVEL

DISTANCE_UNIT = 32  # steps of `known_distance` in one pixel of the fitted subject
KNOWN_ZERO = 128

_LOBES = 3
_BLOCK_BYTES = 1 << 18  # size of the blocks of rows that are processed at a time; fits the cache
_STRIP_ROWS = 64  # rows of the output at a time; only their part of the source is held as floats


class Axis(NamedTuple):
    """One axis of a resampling: pixel i has its centre at `start` + (i + 0.5) `step` in the source.

    `band`, at most 1, is the scale for which the kernel is stretched. The kernel passes the
    frequencies that an image reduced by this factor can hold, for any density of the samples.
    """

    start: float
    step: float
    band: float
    length: int


def resize_cutout(cutout: Pixels, rows: Axis, columns: Axis) -> Premultiplied:
    """H x W x 4 straight RGBA -> rows.length x columns.length x 4; alpha beyond the frame is 0."""
    first, weights = lanczos_taps(rows)
    half = np.empty((cutout.shape[1], rows.length, 4), np.float32)  # columns x rows
    for top in range(0, rows.length, _STRIP_ROWS):
        strip = slice(top, top + _STRIP_ROWS)
        used = first[strip] + np.array([[0], [weights.shape[1]]])
        start, stop = (int(edge.clip(0, cutout.shape[0])) for edge in (used.min(), used.max()))
        if start < stop:
            source = _premultiplied(cutout[start:stop])
            half[:, strip] = _weighted(source, first[strip] - start, weights[strip]).swapaxes(0, 1)
        else:
            half[:, strip] = 0  # beyond the frame
    whole = np.rint(_weighted(half, *lanczos_taps(columns))).astype(np.int16)
    return np.ascontiguousarray(whole.swapaxes(0, 1))


def _premultiplied(cutout: Pixels) -> NDArray[np.float32]:
    premultiplied = cutout.astype(np.float32) * np.float32(PER_LEVEL)
    premultiplied[..., :3] *= cutout[..., 3:].astype(np.float32) / np.float32(255)
    return premultiplied


def _weighted(
    planes: NDArray[np.float32], first: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float32]:
    """N x M x 4 -> L x M x 4: each output is the weighted sum of the rows from its first one on.

    first: L; weights: L x taps; rows outside of 0..N - 1 count as 0. The sums are written out, so
    that their order is the same on every machine, which a matrix product does not promise.
    """
    last_row = planes.shape[0] - 1
    rows = planes.reshape(planes.shape[0], -1)
    result = np.zeros((len(first), rows.shape[1]), np.float32)
    block = max(1, _BLOCK_BYTES // (4 * rows.shape[1]))
    for top in range(0, len(first), block):
        part = slice(top, top + block)
        for tap in range(weights.shape[1]):
            taken = first[part] + tap
            weight = np.where((taken >= 0) & (taken <= last_row), weights[part, tap], 0)
            if weight.any():
                result[part] += weight[:, None].astype(np.float32) * rows[taken.clip(0, last_row)]
    return result.reshape(len(first), *planes.shape[1:])


def lanczos_taps(axis: Axis) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The first source pixel of each output, and the weights from that pixel on, with sum 1.

    Weights are rounded, so that the last bit of a sine never reaches a pixel.
    """
    centre = axis.start + (np.arange(axis.length) + 0.5) * axis.step
    reach = _LOBES / axis.band
    first = np.ceil(centre - reach - 0.5).astype(np.int64)
    taps = first[:, None] + np.arange(int(np.ceil(2 * reach)) + 1)
    distance = (taps + 0.5 - centre[:, None]) * axis.band
    near = np.abs(distance) < _LOBES
    weights = np.where(near, np.sinc(distance) * np.sinc(distance / _LOBES), 0)
    return first, np.round(weights / weights.sum(axis=1, keepdims=True), 9)


def sharpened(pixels: Premultiplied) -> Premultiplied:
    """h x w x 4, sharpened by (-1, 12, -1) / 10 on both axes against the blur of a bilinear warp.

    A bilinear kernel passes sinc(f)^2 of a frequency of f cycles per sample, averaged over all
    positions between two samples: 0.93 at 1/7, and 0.76 at 2/7, which is the highest frequency in a
    copy with 1.75 times the density of the output. With the sharpening it passes 1.0 and 0.94.
    """
    wide = pixels.astype(np.int32)
    for axis in (0, 1):
        lines = np.moveaxis(wide, axis, 0)
        both = np.concatenate([lines[:1], lines[:-1]]) + np.concatenate([lines[1:], lines[-1:]])
        wide = np.moveaxis((12 * lines - both + 5) // 10, 0, axis)
    limits = np.iinfo(np.int16)
    return np.ascontiguousarray(wide.clip(limits.min, limits.max), np.int16)


def resize_photo(photo: Pixels, height: int, width: int) -> Pixels:
    """H x W x 3 -> height x width x 3 by Pillow's Lanczos, which stretches its kernel too."""
    if photo.shape[:2] == (height, width):
        return photo
    return np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS))


def known_distance(alpha: Pixels, rows: Axis, columns: Axis, fit: float) -> Pixels:
    """How far each output pixel is from where the source's alpha changes.

    alpha: H x W of the source; fit: pixels of the fitted subject per pixel of the source. Returns
    uint8: 128 where the source is soft, 128 + 32 d where everything within d pixels of the fitted
    subject has alpha 0, and 128 - 32 d where everything has alpha 255; d is at most 3.9. Distances
    are measured in the source, so that details that the resampling loses count, too.
    """
    distance = distance_to_other(alpha == 0) - distance_to_other(alpha == 255)
    to_source = np.array(
        [
            [columns.step, 0, columns.start + columns.step / 2 - 0.5],
            [0, rows.step, rows.start + rows.step / 2 - 0.5],
        ]
    )
    sampled = cv2.warpAffine(
        distance,
        to_source,
        (columns.length, rows.length),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    steps = np.clip(sampled * (fit * DISTANCE_UNIT), -125, 125)
    return np.asarray(np.rint(steps + KNOWN_ZERO), np.uint8)


def distance_threshold(pixels: float) -> int:
    """A distance in pixels of the fitted subject as a difference from 128 in `known_distance`."""
    return max(1, int(np.floor(pixels * DISTANCE_UNIT)))


def distance_to_other(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance of each pixel inside to the nearest pixel outside; 0 outside."""
    if inside.all():
        return np.full(inside.shape, 1e6, np.float32)
    marked = inside.view(np.uint8)
    precise = cv2.distanceTransform(marked, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(precise, np.float32)
