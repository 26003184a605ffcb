"""The band around a mask's edge, beside distances that are computed pair by pair."""

from __future__ import annotations

import numpy as np
import pytest

from classical.band import INNER, OUTER, band_trimap, mask_trimap
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels

MASKS = {
    "disc": np.hypot(*(np.mgrid[:60, :70] - np.array([28, 33])[:, None, None])) < 20,
    "a line of one pixel": np.arange(60)[None] + np.zeros((50, 1)) == 31,
    "a pixel": np.arange(50 * 60).reshape(50, 60) == 1234,
    "a half": np.arange(60)[None] + np.zeros((50, 1)) < 30,
    "noise": np.random.default_rng(0).random((40, 50)) < 0.5,
    "everything": np.ones((9, 12), bool),
    "nothing": np.zeros((9, 12), bool),
}


def expected(mask: Pixels, inner: float, outer: float) -> Pixels:
    """By the definition: a pixel is in the band if the edge is nearer to its middle than the width
    of the band, and the edge is half a pixel nearer than the middle of what is behind it."""
    trimap = np.where(mask == 1, FOREGROUND, BACKGROUND).astype(np.uint8)
    places = np.stack(np.nonzero(np.ones_like(mask)), 1)
    side = np.sqrt(mask.sum())
    for code, width in ((1, inner), (0, outer)):
        others = places[mask.reshape(-1) != code]
        for row, column in places[mask.reshape(-1) == code]:
            if len(others) and (
                np.hypot(*(others - [row, column]).T).min() - 0.5 < max(2, width * side)
            ):
                trimap[row, column] = UNKNOWN
    return trimap


@pytest.mark.parametrize("widths", [(INNER, OUTER), (0.3, 0.1), (0.0, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize("name", MASKS)
def test_the_band_is_as_wide_as_it_says(name: str, widths: tuple[float, float]) -> None:
    mask = MASKS[name].astype(np.uint8)
    assert np.array_equal(mask_trimap(mask, *widths), expected(mask, *widths))


def test_the_fast_band_is_nearly_the_same() -> None:
    """It differs at the borders of the band alone, by a few pixels of its width."""
    distance = np.hypot(*(np.mgrid[:600, :700] - np.array([280, 330])[:, None, None])) - 200
    mask = (distance < 0).astype(np.uint8)
    side = np.sqrt(mask.sum())
    fast, exact = band_trimap(mask, INNER, OUTER), mask_trimap(mask, INNER, OUTER)
    assert 0 < (fast != exact).mean() < 0.01
    differs = distance[fast != exact]
    ends = np.abs(np.array([-INNER * side, OUTER * side])[:, None] - differs).min(0)
    assert ends.max() < 0.1 * OUTER * side + 1
