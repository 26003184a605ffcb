"""The errors of a crude mask and its trimap against the alpha: five numbers of a sample's row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.pixels import BACKGROUND, FOREGROUND, Pixels

NEIGHBOURS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class CrudeErrors:
    """Shares in 0..1 and a length over the image diagonal; always finite, rounded to 6 digits.

    "Foreground" means alpha > 0.5, that is, a stored level of 128 or more.

    iou: intersection over union of the mask and the foreground; 1 if both are empty.
    missed_share: share of the pixels with alpha > 0 that are outside the mask; 0 if there are no
        such pixels.
    false_share: share of the mask that is not foreground; 0 if the mask is empty.
    edge_p95: 95th percentile, over the pixels of the mask's edge, of the distance to the nearest
        pixel of the foreground's edge, over the image diagonal. It is 0 if neither has an edge in
        the image, and 1, the worst value, if only one of them has.
    wrong_known_share: share of the image's pixels that the trimap wrongly marks as known:
        foreground where alpha < 255, background where alpha > 0.
    """

    iou: float
    missed_share: float
    false_share: float
    edge_p95: float
    wrong_known_share: float


def joint_histogram(alpha: Pixels, first: Pixels, second: Pixels) -> NDArray[np.int64]:
    """3 x 3 x 256: how many pixels have each value of two masks or trimaps, and of alpha.

    All arrays are H x W uint8: alpha 0..255, the others 0, 1 or 2.
    """
    from datagen.sample import crude_loops

    flat = tuple(np.ascontiguousarray(pixels).reshape(-1) for pixels in (alpha, first, second))
    whole = alpha.size - alpha.size % 8
    eights = tuple(pixels[:whole].view(np.uint64) for pixels in flat)
    return np.asarray(crude_loops.joint_histogram(*flat, eights).sum(axis=0), np.int64)


def crude_errors(alpha: Pixels, mask: Pixels, counts: NDArray[np.int64]) -> CrudeErrors:
    """The errors from alpha (H x W, 0..255), the mask (H x W, 0 or 1) and their joint histogram."""
    foreground, is_visible = np.s_[128:], np.s_[1:]
    everywhere, in_mask = counts.sum(axis=(0, 1)), counts[1].sum(axis=0)
    wrong_known = counts[:, FOREGROUND, :255].sum() + counts[:, BACKGROUND, 1:].sum()
    mask_area, visible = int(in_mask.sum()), int(everywhere[is_visible].sum())
    both = int(in_mask[foreground].sum())
    return CrudeErrors(
        iou=_share(both, mask_area + int(everywhere[foreground].sum()) - both, of_nothing=1.0),
        missed_share=_share(visible - int(in_mask[is_visible].sum()), visible),
        false_share=_share(mask_area - both, mask_area),
        edge_p95=edge_distance(mask, (alpha > 127).view(np.uint8)),
        wrong_known_share=_share(int(wrong_known), alpha.size),
    )


def edge_distance(mask: Pixels, truth: Pixels, quantile: float = 0.95) -> float:
    """Quantile of the distance of `mask`'s edge pixels from `truth`'s edge, over the diagonal.

    Both arrays are H x W uint8 of 0 and 1. An edge pixel has a pixel of the other value among its
    eight neighbours inside the image. So the edge is two pixels wide, and the frame is not an edge.
    Distances are Euclidean. They are found as in Saito and Toriwaki 1994, first along the columns,
    then along the rows, but only for the pixels that are asked for.
    """
    from datagen.sample import crude_loops

    around = _around(mask | truth)  # no edge is farther away than one pixel
    edge, true_edge = mask_edge(mask[around]), mask_edge(truth[around])
    places = np.flatnonzero(edge.view(np.bool_))
    if not places.size or not true_edge.any():
        return float(bool(places.size) != bool(true_edge.any()))
    squares = crude_loops.nearest_squared(true_edge, places)
    return round(_quantile_of_roots(squares, quantile) / math.hypot(*mask.shape), 6)


def _quantile_of_roots(squares: NDArray[np.int64], quantile: float) -> float:
    """The same as numpy.quantile of the square roots of a flat array, five times as fast."""
    place = quantile * (squares.size - 1)
    below = int(place)
    above = min(below + 1, squares.size - 1)
    sorted_there = np.partition(squares, (below, above))
    low, high = (math.sqrt(square) for square in sorted_there[[below, above]].tolist())
    return low + (high - low) * (place - below)


def _around(mask: Pixels) -> tuple[slice, slice]:
    """Rows and columns of a mask's box with a margin of one pixel, inside the image."""
    left, top, width, height = cv2.boundingRect(mask)
    rows = slice(max(top - 1, 0), top + height + 1)
    return rows, slice(max(left - 1, 0), left + width + 1)


def mask_edge(mask: Pixels) -> Pixels:
    """H x W uint8 of 0 and 1 -> 1 where the 3 x 3 pixels around have both values."""
    from datagen.sample import crude_loops

    return np.asarray(crude_loops.edge(np.ascontiguousarray(mask)), np.uint8)


def _share(part: int, whole: int, of_nothing: float = 0.0) -> float:
    return round(part / whole, 6) if whole else of_nothing
