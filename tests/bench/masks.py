"""From what a segmentation network says to the crude trimap that a user would make of it."""

from __future__ import annotations

import math

import cv2
import numpy as np

from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels

# Chosen on ISNet's masks of GT01..GT15 of alphamatting.com: 24 % of the image is unknown, as in
# that benchmark's coarser trimap2 (23 %); 12 % of the soft pixels are still called known.
BAND = 0.04
LEAST = 2.0
SURE = 0.95


def trimap_of_mask(
    probability: Pixels, band: float = BAND, least: float = LEAST, sure: float = SURE
) -> Pixels:
    """A network's opinion (H x W uint8, 255 is certainly subject) -> codes 0, 1, 2 (H x W uint8).

    The subject is where the probability is above 0.5. Unknown are the pixels within `band` times
    the square root of the subject's area from the mask's edge, inside and outside, and at least
    `least` pixels of either side; and those of which the network is not `sure` (0.5..1), wherever
    they lie. The frame of the picture is no edge. Of no subject, all that is sure is background.

    The width follows the subject, so that the same subject twice as large gets the same trimap
    twice as large; a fixed one swallows small subjects whole. Raises ValueError for a band below
    0 or `sure` outside 0.5..1.
    """
    if not (band >= 0 and least >= 0 and 0.5 <= sure <= 1):
        raise ValueError(f"band {band}, least {least}, sure {sure}: expected >= 0, >= 0, 0.5..1")
    mask = cv2.threshold(probability, 127, 1, cv2.THRESH_BINARY)[1]
    width = max(least, band * math.sqrt(cv2.countNonZero(mask)))
    # Pixel centres: the first pixel on either side is at distance 1 from the other side. Without
    # an other side OpenCV's distance is larger than any image.
    inside, outside = (
        cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (mask, 1 - mask)
    )
    opinion = probability / 255
    trimap = np.full(probability.shape, UNKNOWN, np.uint8)
    trimap[(inside > width) & (opinion >= sure)] = FOREGROUND
    trimap[(outside > width) & (opinion <= 1 - sure)] = BACKGROUND
    return trimap
