"""Where the frame of its photo cuts a subject."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from manifests.pixels import Pixels
from manifests.sources import Box

# The frame cuts a subject at a side if this share of the box's side is opaque at the frame. This is
# so for a person who ends at the lower edge, and not for a leaf in a tight crop.
_CUT_SHARE = 0.1


def cut_by_frame(alpha: Pixels, box: Box) -> NDArray[np.bool_]:
    """Whether the frame cuts the subject at (top, bottom, left, right): 4 bool.

    alpha: H x W uint8, as the frame shows it. box: of the subject, in pixels of alpha.
    """
    sides = (
        (box.top == 0, alpha[0], box.width),
        (box.top + box.height == alpha.shape[0], alpha[-1], box.width),
        (box.left == 0, alpha[:, 0], box.height),
        (box.left + box.width == alpha.shape[1], alpha[:, -1], box.height),
    )
    return np.array([at and (line >= 128).sum() >= _CUT_SHARE * long for at, line, long in sides])
