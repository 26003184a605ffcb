"""Crops, scales, flips and colours: drawn first, then applied to each stream alike.

Arrays as in `manifests.pixels`: colours H x W x 3, alpha and trimaps H x W, uint8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from manifests.pixels import Pixels
from training.order import TrimapChoice

Mask = NDArray[np.bool_]
ColourMap = NDArray[np.float32]  # 3 x 4: RGB' = map[:, :3] RGB + map[:, 3], in 0..1

# Bilinear interpolation alone serves to shrink by less: a Gaussian would add a weight below 0.04
_SHRINK_AS_IT_IS = 1.2


_STRETCH = 8192
_KEPT = 0.2  # share of the samples whose colours stay


@dataclass(frozen=True)
class Scales:
    """How windows are scaled: with a probability, by a factor whose logarithm is uniform.

    The others keep the pixels as they are stored: unblurred, and I = aF + (1-a)B to the rounding.
    No window is larger than its image, so a `high` beyond image over crop means: often all of it.
    """

    low: float = 1 / 1.5  # the window's side over the crop's
    high: float = 2.5
    probability: float = 0.8


@dataclass(frozen=True)
class Crop:
    """A square window of an image, in its pixels; it may reach beyond an image that is smaller."""

    top: int
    left: int
    side: int
    flip: bool  # mirrored left to right, after the cut


def draw_trimap(rng: Generator, choice: TrimapChoice) -> TrimapChoice:
    """`crude` or `exact`; one number is drawn in any case, so that crops are the same for all."""
    is_crude = rng.random() < 0.5
    if choice is not TrimapChoice.MIXED:
        return choice
    return TrimapChoice.CRUDE if is_crude else TrimapChoice.EXACT


def draw_crop(rng: Generator, is_unknown: Mask, size: int, scales: Scales) -> Crop:
    """A window that holds an unknown pixel, each as likely as any other.

    The side is `size`, or `size` times a factor, at most the image's short side (or `size`, if
    that is more). Without unknown pixels the window is anywhere.
    """
    height, width = is_unknown.shape
    scaled, log_scale, pixel, down, right, mirror = rng.random(6).tolist()
    side = size
    if scaled < scales.probability:
        low, high = math.log(scales.low), math.log(scales.high)
        side = round(size * math.exp(low + (high - low) * log_scale))
    side = min(side, max(size, min(height, width)))
    row, column = divmod(_pick(is_unknown.ravel(), pixel), width)
    # Within the middle half of the window: unknown pixels matter, but not only in the centre
    top = row - int(side * (0.25 + down / 2))
    left = column - int(side * (0.25 + right / 2))
    return Crop(_inside(top, side, height), _inside(left, side, width), side, mirror < 0.5)


def draw_colours(rng: Generator, strength: float) -> ColourMap:
    """New colours for a sample: hue, saturation, contrast, cast and brightness.

    Linear, so that I = aF + (1-a)B holds for the new colours as it did for the old ones. At
    strength 1 any hue becomes any other and all of it may turn grey; at 0 nothing changes.
    """
    keep, hue, saturation, contrast, brightness, *cast = rng.random(8).tolist()
    if keep < _KEPT:
        strength = 0.0
    angle = strength * math.pi * (2 * hue - 1)
    grey = np.full((3, 3), 1 / 3)
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turned = math.cos(angle) * (np.eye(3) - grey) + math.sin(angle) * across  # around the greys
    linear = grey + (1 + strength * (1.5 * saturation - 1)) * turned
    linear *= np.exp(strength * 0.3 * (np.array(cast) - 0.5))[:, None]
    gain = math.exp(strength * (contrast - 0.5))
    shift = 0.5 * (1 - gain) + strength * 0.2 * (brightness - 0.5)
    return np.column_stack([gain * linear, np.full(3, shift)]).astype(np.float32)


def _pick(chosen: Mask, where: float) -> int:
    """The index of a chosen element, 0 <= `where` < 1 of the way; of any if none is chosen."""
    starts = range(0, len(chosen), _STRETCH)  # counting is ten times as fast as listing
    counts = [np.count_nonzero(chosen[start : start + _STRETCH]) for start in starts]
    number = int(where * sum(counts))
    for start, count in zip(starts, counts, strict=True):
        if number < count:
            return start + int(np.flatnonzero(chosen[start : start + _STRETCH])[number])
        number -= count
    return int(where * len(chosen))


def _inside(start: int, side: int, length: int) -> int:
    """The start nearest to `start` of a window in the image, or around it if it is smaller."""
    slack = length - side
    return min(max(start, min(0, slack)), max(0, slack))


def cut_into(pixels: Pixels, crop: Crop, out: Pixels) -> None:
    """Fill `out` (S x S or S x S x 3) with the window, scaled to its size.

    Beyond the image it is mirrored.
    """
    window = _window(pixels, crop)
    if not crop.flip:
        _resize_into(window, out)
        return
    if crop.side != len(out):
        window = _resize_into(window, np.empty_like(out))
    cv2.flip(window, 1, dst=out)


def _resize_into(window: Pixels, out: Pixels) -> Pixels:
    """A square window at another size, bilinear and without aliases; returns `out`.

    To shrink s times a bilinear kernel must become s times as wide. Up to 2 a 3 x 3 Gaussian
    before it adds the missing variance, (s^2 - 1) / 6, at half the price of INTER_AREA, which
    averages without interpolating and is slow where s is no whole number.
    """
    shrink = len(window) / len(out)
    if shrink == 1:
        np.copyto(out, window)
        return out
    how = cv2.INTER_LINEAR
    if shrink > 2:
        how = cv2.INTER_AREA
    elif shrink > _SHRINK_AS_IT_IS:
        window = np.asarray(cv2.GaussianBlur(window, (3, 3), _sigma((shrink**2 - 1) / 6)), np.uint8)
    cv2.resize(window, out.shape[:2], dst=out, interpolation=how)
    return out


def _sigma(variance: float) -> float:
    """That of the Gaussian whose three samples have this variance, below 2/3."""
    return math.sqrt(-0.5 / math.log(variance / 2 / (1 - variance)))


def cut_codes_into(trimap: Pixels, crop: Crop, out: Pixels) -> None:
    """The same for the codes of a trimap, which cannot be averaged: each the nearest one's."""
    codes = _window(trimap, crop)
    if crop.side != len(out):
        how = cv2.INTER_NEAREST_EXACT  # INTER_NEAREST is half a pixel off
        codes = np.asarray(cv2.resize(codes, out.shape, interpolation=how), np.uint8)
    if crop.flip:
        cv2.flip(codes, 1, dst=out)
    else:
        np.copyto(out, codes)


def _window(pixels: Pixels, crop: Crop) -> Pixels:
    height, width = pixels.shape[:2]
    above, before = max(-crop.top, 0), max(-crop.left, 0)
    below = max(crop.top + crop.side - height, 0)
    after = max(crop.left + crop.side - width, 0)
    top, left = crop.top + above, crop.left + before
    inside = pixels[top : crop.top + crop.side - below, left : crop.left + crop.side - after]
    if not (above or below or before or after):
        return inside
    border = cv2.BORDER_REFLECT_101
    return np.asarray(cv2.copyMakeBorder(inside, above, below, before, after, border), np.uint8)
