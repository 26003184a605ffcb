"""The trimap that a mask leads to: unknown in a band around its edge."""

from __future__ import annotations

import math

import cv2
import numpy as np

from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels

INNER, OUTER = 0.03, 0.04  # usual widths of the band, over the square root of the mask's area
FINE_RAMP = 100  # levels of the distance ramp up to the wider end of the unknown band


def mask_trimap(mask: Pixels, inner: float, outer: float) -> Pixels:
    """H x W uint8 of 0 and 1 -> H x W uint8 of codes 0, 1, 2: unknown around the mask's edge.

    The band reaches `inner` into the mask and `outer` out of it, over the square root of the mask's
    area, but at least 2 pixels each. The frame is not an edge.
    """
    trimap = mask * np.uint8(FOREGROUND)
    side = math.sqrt(cv2.countNonZero(mask))
    for part, width in ((mask, inner), (1 - mask, outer)):
        to_edge = cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        # The edge is half a pixel nearer than the next pixel behind it.
        trimap[(part > 0) & (to_edge < max(2.0, width * side) + 0.5)] = UNKNOWN
    return trimap


def band_trimap(mask: Pixels, inner: float, outer: float) -> Pixels:
    """Nearly what `mask_trimap` gives, many times as fast, for the crude trimaps of samples.

    Distances are computed at half the resolution, in the box around the edge that is `outer` wider,
    and enlarged. Lines of one pixel may be lost, and a band has at most 250 pixels.
    """
    trimap = mask * np.uint8(FOREGROUND)
    half = mask[::2, ::2].copy()
    edge = cv2.morphologyEx(half, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    box = cv2.boundingRect(edge)
    if box[2] == 0:
        return trimap
    side = math.sqrt(cv2.countNonZero(mask)) / 2
    inner, outer = max(1.0, inner * side), max(1.0, outer * side)
    margin = math.ceil(outer) + 2
    top, bottom = max(0, box[1] - margin), min(half.shape[0], box[1] + box[3] + margin)
    left, right = max(0, box[0] - margin), min(half.shape[1], box[0] + box[2] + margin)
    banded = _banded(half[top:bottom, left:right], inner, outer)
    part = trimap[2 * top : 2 * bottom, 2 * left : 2 * right]
    inside = part >> 1  # so a pixel of the mask is never background, and no other is foreground
    part[:] = np.minimum(np.maximum(banded[: part.shape[0], : part.shape[1]], inside), inside + 1)
    return trimap


def _banded(mask: Pixels, inner: float, outer: float) -> Pixels:
    """H x W uint8 of 0 and 1 -> 2H x 2W codes; the widths in pixels of `mask`, at least 1.

    A square step followed by the city-block distance makes octagons, which differ from a circle by
    8 % at most, and needs only whole numbers. Distances are cut off at 127, which is wider than any
    band in an image of up to 5,000 pixels.
    """
    square_in, square_out = (max(1, int(width * (math.sqrt(2) - 1))) for width in (inner, outer))
    core = np.asarray(cv2.erode(mask, np.ones((2 * square_in + 1,) * 2, np.uint8)), np.uint8)
    grown = np.asarray(cv2.dilate(mask, np.ones((2 * square_out + 1,) * 2, np.uint8)), np.uint8)
    is_outside_band = core | (1 - grown)
    city = cv2.distanceTransform(
        is_outside_band, cv2.DIST_L1, cv2.DIST_MASK_3, dstType=cv2.CV_8U
    ).astype(np.uint8, copy=False)
    # A pixel's centre is half a pixel nearer to the edge than its number of steps.
    last_in, last_out = inner - square_in + 0.5, outer - square_out + 0.5
    scale = FINE_RAMP / max(last_in, last_out)
    levels = np.minimum(np.arange(128) * round(256 * scale) >> 8, 127)
    signed = np.concatenate((128 - levels, 128 + levels)).astype(np.uint8)
    codes = np.full(256, UNKNOWN, np.uint8)
    codes[128 + max(1, int(scale * last_in)) :] = FOREGROUND
    codes[: 129 - max(1, int(scale * last_out))] = BACKGROUND
    index = np.minimum(city, 127) | (mask << 7)
    distances = cv2.LUT(index, signed)
    enlarged = cv2.resize(distances, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.LUT(enlarged, codes), np.uint8)
