"""Gaps in a painted trimap: what nobody painted beside the foreground."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels

_PART = 200  # a gap reaches as far as this part of the photo's longer side


def gaps_of(trimap: Pixels) -> NDArray[np.bool_]:
    """The background beside the foreground, H x W: nobody paints that on purpose, because between
    the two there is a soft border of at least a pixel."""
    reach = -(-max(trimap.shape) // _PART)
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    near = cv2.dilate((trimap == FOREGROUND).astype(np.uint8), kernel) > 0
    return np.asarray(near & (trimap == BACKGROUND))


def close_gaps(trimap: Pixels, before: Pixels | None = None) -> Pixels:
    """The trimap with its gaps unknown. before: the trimap from which it was painted, if there was
    one; the gaps that it had were meant so."""
    is_gap = gaps_of(trimap)
    if before is not None:
        is_gap &= ~gaps_of(before)
    return np.where(is_gap, np.uint8(UNKNOWN), trimap)
