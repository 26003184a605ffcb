"""The colours of a subject under its alpha: multi-level estimation, by pymatting.

Germer et al., "Fast Multi-Level Foreground Estimation" (ICPR 2020).
"""

from __future__ import annotations

import numpy as np

from classical import library
from manifests.pixels import Pixels


def cutout_of(image: Pixels, alpha: Pixels) -> Pixels:
    """Image (H x W x 3 uint8) and alpha (H x W uint8) -> cut-out (H x W x 4 uint8, straight RGBA).

    The colours of the subject itself, without the old background that shows through where alpha is
    soft. Where alpha is 255 they are the image's. Raises ValueError if the sizes differ.
    """
    check_pair(image, alpha)
    colours = image
    if max(alpha.shape) > 1:  # the estimate halves the picture down to one pixel
        estimate = library.load().estimate_foreground_ml(image / 255.0, alpha / 255.0)
        colours = np.rint(estimate * 255).clip(0, 255).astype(np.uint8)
    return np.dstack([np.where(alpha[..., None] == 255, image, colours), alpha])


def check_pair(image: Pixels, other: Pixels) -> None:
    """Raise ValueError if an image and its alpha or trimap are not uint8 arrays of one size."""
    if image.shape != (*other.shape, 3) or image.dtype != np.uint8 or other.dtype != np.uint8:
        found = ", ".join(f"{' x '.join(map(str, a.shape))} {a.dtype}" for a in (image, other))
        raise ValueError(f"{found}: expected H x W x 3 and H x W uint8 of one size")
