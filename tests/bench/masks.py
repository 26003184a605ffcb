"""The crude trimap that a user would make from the output of a segmentation network."""

from __future__ import annotations

import math

import cv2
import numpy as np

from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels

# Chosen on ISNet's masks of GT01..GT15 of alphamatting.com: 24 % of the image is unknown, as in
# that benchmark's coarser trimap2 (23 %); 12 % of the soft pixels are still marked as known.
BAND = 0.04
LEAST = 2.0
SURE = 0.95


def trimap_of_mask(
    probability: Pixels, band: float = BAND, least: float = LEAST, sure: float = SURE
) -> Pixels:
    """Probabilities (H x W uint8, 255 is certainly subject) -> codes 0, 1, 2 (H x W uint8).

    The subject is where the probability is above 0.5. Pixels near the mask's edge, inside and
    outside, are unknown, up to a distance of `band` times the square root of the subject's area,
    and at least of `least` pixels. Pixels of which the network is less than `sure` (0.5..1) are
    unknown everywhere. The frame of the picture is not an edge. Without a subject, all sure pixels
    are background.

    The width is relative to the subject, so that the same subject twice as large gets the same
    trimap twice as large. A fixed width would make small subjects wholly unknown. Raises ValueError
    for a `band` or `least` below 0, or `sure` outside 0.5..1.
    """
    if not (band >= 0 and least >= 0 and 0.5 <= sure <= 1):
        raise ValueError(f"band {band}, least {least}, sure {sure}: expected >= 0, >= 0, 0.5..1")
    mask = cv2.threshold(probability, 127, 1, cv2.THRESH_BINARY)[1]
    width = max(least, band * math.sqrt(cv2.countNonZero(mask)))
    # Distances are between pixel centres: the first pixel on either side is at distance 1 from the
    # other side. If there is no other side, OpenCV's distance is larger than any image.
    inside, outside = (
        cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (mask, 1 - mask)
    )
    opinion = probability / 255
    trimap = np.full(probability.shape, UNKNOWN, np.uint8)
    trimap[(inside > width) & (opinion >= sure)] = FOREGROUND
    trimap[(outside > width) & (opinion <= 1 - sure)] = BACKGROUND
    return trimap
