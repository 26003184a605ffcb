"""Crops, scales and flips: drawn first as a `Window`, then applied to each stream alike.

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
from training.choices import TrimapChoice

Mask = NDArray[np.bool_]

# Up to this factor, bilinear interpolation shrinks well enough: the weights that a Gaussian would
# add are below 0.04.
_SHRINK_AS_IT_IS = 1.2

# Draws of one pixel: they all miss a region of 1 % of the image with probability 8 %.
_TRIES = 256


@dataclass(frozen=True)
class Scales:
    """How windows are scaled: with a probability, by a factor whose logarithm is uniform.

    All other windows keep the pixels exactly as they are stored, where I = aF + (1-a)B holds up to
    rounding. A window is never larger than its image: if `high` exceeds the ratio of image to crop,
    many windows are the whole image.
    """

    low: float  # the window's side over the crop's
    high: float
    probability: float


@dataclass(frozen=True)
class Window:
    """A square part of an image, in pixels; it may reach beyond an image that is smaller."""

    top: int
    left: int
    side: int
    flip: bool  # mirrored left to right, after the cut

    def inside(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """The rows and columns of an image of this shape that are in the window."""
        bottom, right = self.top + self.side, self.left + self.side
        return (
            slice(max(self.top, 0), min(bottom, shape[0])),
            slice(max(self.left, 0), min(right, shape[1])),
        )


def draw_trimap(rng: Generator, choice: TrimapChoice) -> TrimapChoice:
    """`crude` or `exact`. One number is drawn in any case, so that the windows do not depend on
    the choice."""
    is_crude = rng.random() < 0.5
    if choice is not TrimapChoice.MIXED:
        return choice
    return TrimapChoice.CRUDE if is_crude else TrimapChoice.EXACT


def draw_pixel(rng: Generator, alpha: Pixels, crude: Pixels | None) -> tuple[int, int]:
    """Row and column of a pixel where alpha is soft or the crude trimap is unknown.

    All these pixels are equally likely. If there are none, any pixel may be drawn.
    """
    # Random pixels usually hit one. Only if all miss is the whole image searched.
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


def draw_window(
    rng: Generator, around: tuple[int, int], shape: tuple[int, ...], size: int, scales: Scales
) -> Window:
    """A window of an image of this shape that contains the pixel `around` (row, column).

    The side is `size`, or `size` times a random factor, and at most the image's short side (or
    `size`, if that is larger).
    """
    height, width = shape[:2]
    scaled, log_scale, down, right, mirror = rng.random(5).tolist()
    side = size
    if scaled < scales.probability:
        low, high = math.log(scales.low), math.log(scales.high)
        side = round(size * math.exp(low + (high - low) * log_scale))
    side = min(side, max(size, min(height, width)))
    # The pixel is anywhere within the middle half of the window, not always at its centre.
    top = around[0] - int(side * (0.25 + down / 2))
    left = around[1] - int(side * (0.25 + right / 2))
    return Window(_inside(top, side, height), _inside(left, side, width), side, mirror < 0.5)


def _inside(start: int, side: int, length: int) -> int:
    """The start nearest to `start` at which a window is inside the image, or, if the image is
    smaller, the image inside the window."""
    slack = length - side
    return min(max(start, min(0, slack)), max(0, slack))


def cut_into(inside: Pixels, window: Window, out: Pixels) -> None:
    """Fill `out` (S x S or S x S x 3) with the window, scaled to S without aliasing.

    inside: pixels[window.inside(pixels.shape)] of an image, which is mirrored at its borders.

    To shrink by a factor s, the bilinear kernel must become s times as wide. For s up to 2, a 3 x 3
    Gaussian adds the missing variance, (s^2 - 1) / 6, at half the cost of INTER_AREA, which
    averages without interpolating and is slow unless s is whole.
    """
    part = _mirrored(inside, window)
    shrink = len(part) / len(out)
    how = cv2.INTER_LINEAR
    if shrink > 2:
        how = cv2.INTER_AREA
    elif shrink > _SHRINK_AS_IT_IS:
        sigma = _sigma((shrink**2 - 1) / 6)
        part = np.asarray(cv2.GaussianBlur(part, (3, 3), sigma), np.uint8)
    _fit_into(part, window.flip, how, out)


def cut_unmixed_into(inside: Pixels, window: Window, out: Pixels) -> None:
    """The same, but each pixel of `out` is a copy of the nearest one: nothing is averaged.

    The codes of a trimap must not be averaged. The layers need not be, since they are only weights
    of a loss, and copying is four times as fast.
    """
    how = cv2.INTER_NEAREST_EXACT  # INTER_NEAREST is half a pixel off
    _fit_into(_mirrored(inside, window), window.flip, how, out)


def _fit_into(part: Pixels, flip: bool, how: int, out: Pixels) -> None:
    if len(part) != len(out):
        cv2.resize(part, out.shape[:2], dst=out, interpolation=how)
        part = out
    if flip:
        cv2.flip(part, 1, dst=out)
    elif part is not out:
        np.copyto(out, part)


def _sigma(variance: float) -> float:
    """Standard deviation of the Gaussian whose three samples have this variance (below 2/3)."""
    return math.sqrt(-0.5 / math.log(variance / 2 / (1 - variance)))


def _mirrored(inside: Pixels, window: Window) -> Pixels:
    """All pixels of a window, of which some may be beyond its image."""
    height, width = inside.shape[:2]
    if height == width == window.side:
        return inside
    above, before = max(-window.top, 0), max(-window.left, 0)
    below, after = window.side - height - above, window.side - width - before
    border = cv2.BORDER_REFLECT_101
    return np.asarray(cv2.copyMakeBorder(inside, above, below, before, after, border), np.uint8)
