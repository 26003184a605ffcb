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


def crude_errors(alpha: Pixels, mask: Pixels, trimap: Pixels) -> CrudeErrors:
    """The errors; all arrays are H x W uint8: alpha 0..255, mask 0 or 1, trimap 0, 1 or 2."""
    diagonal = math.hypot(*alpha.shape)
    wrong_known_share = _share(_wrong_known(alpha, trimap), alpha.size)
    around = _around(mask | alpha)  # everything below is 0 outside
    alpha, mask = alpha[around], mask[around]
    foreground = (alpha > 127).view(np.uint8)
    is_visible = alpha > 0
    in_foreground, in_mask = cv2.countNonZero(foreground), cv2.countNonZero(mask)
    in_both = cv2.countNonZero(mask & foreground)
    visible = int(np.count_nonzero(is_visible))
    found = int(np.count_nonzero(is_visible & mask.view(np.bool_)))
    return CrudeErrors(
        iou=_share(in_both, in_mask + in_foreground - in_both, of_nothing=1.0),
        missed_share=_share(visible - found, visible),
        false_share=_share(in_mask - in_both, in_mask),
        edge_p95=edge_distance(mask, foreground, diagonal=diagonal),
        wrong_known_share=wrong_known_share,
    )


def edge_distance(
    mask: Pixels, truth: Pixels, quantile: float = 0.95, diagonal: float | None = None
) -> float:
    """Quantile of the distance of `mask`'s edge pixels from `truth`'s edge, over the diagonal.

    Both arrays are H x W uint8 of 0 and 1. Give `diagonal` if they are parts of a larger image.

    An edge pixel has a pixel of the other value among its eight neighbours inside the image. So the
    edge is two pixels wide, and the frame is not an edge. Distances are the 5 x 5 chamfer
    approximation of the Euclidean distance (error below 2 %; Borgefors 1986).
    """
    # Edges are at most one pixel outside the two masks, and chamfer paths between two pixels of a
    # rectangle stay within it, so the rest of the image has no effect.
    around = _around(mask | truth)
    edge, true_edge = mask_edge(mask[around]), mask_edge(truth[around])
    if not edge.any() or not true_edge.any():
        return float(edge.any() != true_edge.any())
    distance = cv2.distanceTransform(1 - true_edge, cv2.DIST_L2, cv2.DIST_MASK_5)
    on_edge = distance[edge.view(np.bool_)].astype(np.float64)
    return round(_quantile(on_edge, quantile) / (diagonal or math.hypot(*mask.shape)), 6)


def _quantile(values: NDArray[np.float64], quantile: float) -> float:
    """The same as numpy.quantile for a flat array, five times as fast."""
    place = quantile * (values.size - 1)
    below = int(place)
    above = min(below + 1, values.size - 1)
    sorted_there = np.partition(values, (below, above))
    low, high = sorted_there[[below, above]].tolist()
    return float(low + (high - low) * (place - below))


def _around(mask: Pixels) -> tuple[slice, slice]:
    """Rows and columns of a mask's box with a margin of one pixel, inside the image."""
    left, top, width, height = cv2.boundingRect(mask)
    rows = slice(max(top - 1, 0), top + height + 1)
    return rows, slice(max(left - 1, 0), left + width + 1)


def mask_edge(mask: Pixels) -> Pixels:
    """H x W uint8 of 0 and 1 -> 1 where the 3 x 3 pixels around have both values."""
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, NEIGHBOURS), np.uint8)


def _wrong_known(alpha: Pixels, trimap: Pixels) -> int:
    is_wrong = (trimap == FOREGROUND) & (alpha != 255)
    is_wrong |= (trimap == BACKGROUND) & (alpha != 0)
    return int(np.count_nonzero(is_wrong))


def _share(part: int, whole: int, of_nothing: float = 0.0) -> float:
    return round(part / whole, 6) if whole else of_nothing
