"""Crude masks and trimaps, recorded: a row's recipe gives the same bytes with every version.

They are computed in whole numbers only, so machines and versions of OpenCV do not differ either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest

from datagen.sample.crude import crude_mask, crude_trimap
from datagen.sample.crude_recipe import Preset, draw_crude
from manifests.pixels import Pixels


def person() -> Pixels:
    """A body cut by the frame, with an arm, a hole, soft strands, and haze around it."""
    y, x = np.mgrid[:331, :287]
    alpha = np.where((y - 120) ** 2 + (x - 130) ** 2 < 70**2, 255, 0)
    alpha[(y > 150) & (abs(x - 140) < 30 + y // 4)] = 255
    alpha[(y > 200) & (y < 214) & (x < 250)] = 255
    alpha[(y - 240) ** 2 + (x - 140) ** 2 < 13**2] = 0
    is_hair = (y < 110) & ((x * 7 + y * 3) % 23 < 5) & ((y - 120) ** 2 + (x - 130) ** 2 < 100**2)
    alpha = np.maximum(alpha, np.where(is_hair, 60 + (x + y) % 160, 0))
    haze = np.maximum(14 - abs(y - 60) // 4, 0)
    return np.asarray(np.maximum(alpha, haze), np.uint8)


def smoke() -> Pixels:
    """Soft everywhere, nowhere opaque, with a few denser pixels."""
    y, x = np.mgrid[:180, :240]
    alpha = np.maximum(140 - ((y - 95) ** 2 + (x - 120) ** 2) // 50, 0)
    return np.where((y * 31 + x * 17) % 97 == 0, alpha + 60, alpha).astype(np.uint8)


def veil() -> Pixels:
    """So faint that the threshold of the subject's box is a share of its own peak."""
    y, x = np.mgrid[:140, :101]
    return np.where((y > 20) & (y < 120) & (x > 7), 2 + (x * y) % 15, 1).astype(np.uint8)


def net() -> Pixels:
    """Thin structures and small holes all over."""
    y, x = np.mgrid[:250, :250]
    inside = (y > 30) & (y < 220) & (x > 40) & (x < 210)
    is_string = (y % 24 < 9) | (x % 31 < 12) | ((x + y) % 67 < 30)
    return np.asarray(255 * (inside & is_string), np.uint8)


# Of 24 masks and trimaps: gentle, segmentation, harsh.
RECORDED: dict[Callable[[], Pixels], tuple[str, str, str]] = {
    person: ("a2a4ecfc22e5b141", "a832528d0d0a7467", "cb3b3fd5f0c4af1e"),
    smoke: ("4ae1e7ba75542355", "ac0e0b4b51e01d22", "e63fa00e0a8fc24e"),
    veil: ("575bf6146543592f", "fc57fa4ece48d99e", "8e2762fa0dac193a"),
    net: ("f38cd75e1828d49d", "61b720247130f16d", "daa48a0371f452b9"),
}


@pytest.mark.parametrize("subject", RECORDED)
def test_masks_and_trimaps_stay_as_they_are(subject: Callable[[], Pixels]) -> None:
    alpha, digests = subject(), []
    for preset in Preset:
        found = hashlib.sha256()
        for seed in range(24):
            recipe = draw_crude(np.random.default_rng(seed), preset)
            mask = crude_mask(alpha, recipe)
            found.update(mask.tobytes() + crude_trimap(mask, recipe).tobytes())
        digests.append(found.hexdigest()[:16])
    assert tuple(digests) == RECORDED[subject]
