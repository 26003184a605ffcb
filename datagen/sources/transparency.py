"""How much of a subject lets the background through: alpha -> one of alphamatting.com's classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from manifests.sources import Transparency

# In the gaps between the classes of 63 real cut-outs (400 to 1,620 px) labelled by a rough rule.
# Only two of them are Highly, so that this threshold is the least certain.
PARTIAL_LOW, PARTIAL_HIGH = 26, 229  # clearly partial: between 10 % and 90 % of 255
HIGHLY_OPAQUE_SHARE = 0.30
STRONGLY_PARTIAL_SHARE = 0.10
MEDIUM_PARTIAL_SHARE = 0.02


def measure_transparency(alpha: NDArray[np.uint8]) -> Transparency:
    """The class of an alpha (H x W, 0..255), from two shares of the subject, the pixels > 0.

    Highly: fewer than 30 % of them are opaque (alpha above 90 %): glass, smoke, fire.
    Strongly, Medium: otherwise, if at least 10 % or 2 % of them are partial (10 % to 90 %).
    Little: fewer than 2 % are partial, as at a hard edge of about one pixel.

    An antialiased edge is one pixel wide at any size. In a solid body of less than about 300 px
    it can be more than 2 %, so that the class is Medium. Raises ValueError if no pixel is above 0.
    """
    if alpha.dtype != np.uint8 or alpha.ndim != 2:
        raise ValueError(f"alpha is {alpha.dtype} {alpha.shape}, expected uint8 H x W")
    counts = np.bincount(alpha.reshape(-1), minlength=256)
    subject = int(counts[1:].sum())
    if subject == 0:
        raise ValueError("alpha is 0 everywhere, so there is no subject to classify")
    opaque_share = counts[PARTIAL_HIGH + 1 :].sum() / subject
    partial_share = counts[PARTIAL_LOW : PARTIAL_HIGH + 1].sum() / subject
    if opaque_share < HIGHLY_OPAQUE_SHARE:
        return Transparency.HIGHLY
    if partial_share >= STRONGLY_PARTIAL_SHARE:
        return Transparency.STRONGLY
    if partial_share >= MEDIUM_PARTIAL_SHARE:
        return Transparency.MEDIUM
    return Transparency.LITTLE
