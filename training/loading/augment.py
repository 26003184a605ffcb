"""Crops, scales and flips: drawn first as a `Crop`, then applied to each stream alike.

Arrays as in `manifests.pixels`: colours H x W x 3, alpha and trimaps H x W, uint8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from manifests.pixels import UNKNOWN, Pixels
from training.loading.order import TrimapChoice

Mask = NDArray[np.bool_]

# Bilinear interpolation alone serves to shrink by less: a Gaussian would add a weight below 0.04
_SHRINK_AS_IT_IS = 1.2

_TRIES = 256  # of 100 images with 1 % of such pixels, they miss in eight


@dataclass(frozen=True)
class Scales:
    """How windows are scaled: with a probability, by a factor whose logarithm is uniform.

    The others keep the pixels as they are stored: unblurred, and I = aF + (1-a)B to the rounding.
    No window is larger than its image, so a `high` beyond image over crop means: often all of it.
    """

    low: float = 1 / 1.5  # the window's side over the crop's
    high: float = 2.5
    probability: float = 0.5


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


def draw_pixel(rng: Generator, alpha: Pixels, crude: Pixels | None) -> tuple[int, int]:
    """Row and column of a pixel where alpha is soft or a crude trimap says unknown.

    Each is as likely as any other; without any it may be every pixel.
    """
    # Blind draws find one soon, unless there are few: only then is the whole image searched
    tries, where = rng.integers(alpha.size, size=_TRIES), rng.random()
    flat, flat_crude = alpha.ravel(), None if crude is None else crude.ravel()
    hits = tries[_is_unknown(flat[tries], None if flat_crude is None else flat_crude[tries])]
    if not len(hits):
        found = np.flatnonzero(_is_unknown(flat, flat_crude))
        hits = found[int(where * len(found)) :] if len(found) else tries
    row, column = divmod(int(hits[0]), alpha.shape[1])
    return row, column


def _is_unknown(alpha: Pixels, crude: Pixels | None) -> Mask:
    unknown: Mask = alpha - np.uint8(1) < 254  # 0 wraps to 255
    if crude is not None:
        unknown |= crude == UNKNOWN
    return unknown


def draw_crop(
    rng: Generator, around: tuple[int, int], shape: tuple[int, ...], size: int, scales: Scales
) -> Crop:
    """A window of an image of this shape that holds a pixel (row, column).

    The side is `size`, or `size` times a factor, at most the image's short side (or `size`, if
    that is more).
    """
    height, width = shape[:2]
    scaled, log_scale, down, right, mirror = rng.random(5).tolist()
    side = size
    if scaled < scales.probability:
        low, high = math.log(scales.low), math.log(scales.high)
        side = round(size * math.exp(low + (high - low) * log_scale))
    side = min(side, max(size, min(height, width)))
    # The pixel within the middle half of the window: it matters, but not only in the centre
    top = around[0] - int(side * (0.25 + down / 2))
    left = around[1] - int(side * (0.25 + right / 2))
    return Crop(_inside(top, side, height), _inside(left, side, width), side, mirror < 0.5)


def _inside(start: int, side: int, length: int) -> int:
    """The start nearest to `start` of a window in the image, or around it if it is smaller."""
    slack = length - side
    return min(max(start, min(0, slack)), max(0, slack))


def cut_into(pixels: Pixels, crop: Crop, out: Pixels) -> None:
    """Fill `out` (S x S or S x S x 3) with the window, scaled to its size without aliases.

    Beyond the image it is mirrored. To shrink s times a bilinear kernel must become s times as
    wide. Up to 2 a 3 x 3 Gaussian before it adds the missing variance, (s^2 - 1) / 6, at half the
    price of INTER_AREA, which averages without interpolating and is slow unless s is whole.
    """
    window = _window(pixels, crop)
    shrink = len(window) / len(out)
    how = cv2.INTER_LINEAR
    if shrink > 2:
        how = cv2.INTER_AREA
    elif shrink > _SHRINK_AS_IT_IS:
        sigma = _sigma((shrink**2 - 1) / 6)
        window = np.asarray(cv2.GaussianBlur(window, (3, 3), sigma), np.uint8)
    _fit_into(window, crop.flip, how, out)


def cut_unmixed_into(pixels: Pixels, crop: Crop, out: Pixels) -> None:
    """The same for pixels that are not averaged, each the nearest one's.

    The codes of a trimap cannot be. Layers need not be, since they only weigh a loss: that is four
    times as fast.
    """
    how = cv2.INTER_NEAREST_EXACT  # INTER_NEAREST is half a pixel off
    _fit_into(_window(pixels, crop), crop.flip, how, out)


def _fit_into(window: Pixels, flip: bool, how: int, out: Pixels) -> None:
    if len(window) != len(out):
        cv2.resize(window, out.shape[:2], dst=out, interpolation=how)
        window = out
    if flip:
        cv2.flip(window, 1, dst=out)
    elif window is not out:
        np.copyto(out, window)


def _sigma(variance: float) -> float:
    """That of the Gaussian whose three samples have this variance, below 2/3."""
    return math.sqrt(-0.5 / math.log(variance / 2 / (1 - variance)))


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
