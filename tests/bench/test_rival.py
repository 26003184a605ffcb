"""The band that a rival is given: wider on both sides, and never all there is."""

from __future__ import annotations

import numpy as np

from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN
from tests.bench.rival import widened


def test_a_band_grows_to_both_sides_and_keeps_what_it_was() -> None:
    trimap = np.full((100, 120), BACKGROUND, np.uint8)
    trimap[:, 50:] = UNKNOWN
    trimap[:, 60:] = FOREGROUND
    grown = widened(trimap, 0.04)
    assert ((grown == UNKNOWN) == (np.abs(np.arange(120) - 54.5) < 9)).all()
    assert (grown[grown != UNKNOWN] == trimap[grown != UNKNOWN]).all()
    assert (widened(trimap, 0.0) == trimap).all()


def test_some_foreground_and_some_background_are_left() -> None:
    trimap = np.full((100, 100), BACKGROUND, np.uint8)
    trimap[40:60, 40:60] = UNKNOWN
    trimap[49:52, 49:52] = FOREGROUND
    grown = widened(trimap, 0.3)
    assert set(np.unique(grown)) == {BACKGROUND, UNKNOWN, FOREGROUND}
