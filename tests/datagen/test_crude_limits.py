"""The simulated segmentation at the ends of its ranges: tiny, faint, long and large subjects."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from datagen.sample.crude import crude_mask, crude_trimap
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels
from manifests.samples import Piece
from tests.datagen.test_crude import disc, drawn, faultless
from tests.datagen.test_crude_faults import seen


def rectangle(height: int, width: int, margin: int, level: int = 255) -> Pixels:
    return np.pad(np.full((height, width), level, np.uint8), margin)


@pytest.mark.parametrize(
    ("peak", "haze", "counts"),
    [(255, 12, False), (255, 13, True), (40, 10, False), (40, 11, True)],
)
def test_haze_belongs_to_the_subject_from_a_twentieth_or_a_quarter_of_its_peak(
    peak: int, haze: int, counts: bool
) -> None:
    """Above level 12, or a quarter of the peak if that is less, it makes the subject larger."""
    alpha = rectangle(140, 180, 120, peak)
    recipe = replace(faultless(), stride=12.0, shift=(0.02, -0.01), warp=0.03)
    hazy = crude_mask(np.maximum(alpha, np.uint8(haze)), recipe)
    assert np.array_equal(hazy, crude_mask(alpha, recipe)) != counts


@pytest.mark.parametrize("shape", [(300, 24), (24, 300)])
def test_a_long_subject_is_seen_to_its_ends(shape: tuple[int, int]) -> None:
    alpha = rectangle(*shape, 30)
    inside = np.zeros_like(alpha)
    inside[34:-34, 34:-34] = 1
    assert crude_mask(alpha, faultless())[inside > 0].all()


def test_a_tiny_pane_of_glass_is_seen() -> None:
    alpha = rectangle(24, 24, 40, level=70)
    assert np.count_nonzero(crude_mask(alpha, faultless())) > 0.9 * 24 * 24


@pytest.mark.parametrize("top", [52, 54, 56])
def test_in_a_tiny_subject_a_single_dense_place_is_the_peak(top: int) -> None:
    """It has fewer than fifty places, of which the densest fiftieth would be none."""
    alpha = rectangle(36, 36, 40, level=100)
    alpha[top : top + 6, 52:58] = 255
    is_seen = seen(alpha, faultless())
    assert is_seen[top + 1 : top + 5, 53:57].all()
    assert not is_seen[42:48].any()


@pytest.mark.parametrize(("share", "is_filled"), [(1 / 128, True), (0.999 / 128, False)])
def test_a_hole_of_just_the_share_is_filled(share: float, is_filled: bool) -> None:
    alpha = rectangle(192, 172, 30)
    alpha[100:116, 100:116] = 0  # a 128th of the rest
    is_seen = seen(alpha, replace(faultless(), hole_share=share))
    assert is_seen[104:112, 104:112].all() == is_filled


@pytest.mark.parametrize(("place", "corner"), [(0.0, (31, 31)), (1.0, (228, 188))])
def test_the_smallest_piece_is_one_cell(place: float, corner: tuple[int, int]) -> None:
    """A cell has 2 x 2 pixels; the first and the last of the edge are corners of a rectangle."""
    alpha = rectangle(200, 160, 30)
    lost = Piece(1 / 8000, place, 0.0, 0.0, 1.0, 0.0)
    gone = seen(alpha, faultless()) & ~seen(alpha, replace(faultless(), lost=lost))
    assert gone[corner]
    assert np.abs(np.argwhere(gone) - corner).max() <= 2


def test_a_piece_can_be_all_of_the_subject_but_not_more() -> None:
    alpha = disc(200, 200, 60)
    for share, remains in ((1.0, False), (1.1, True)):
        lost = Piece(share, 0.3, 0.0, 1.0, 1.5, 0.2)
        assert crude_mask(alpha, replace(faultless(), lost=lost)).any() == remains


def test_deep_inside_a_large_mask_nothing_is_unknown() -> None:
    mask = rectangle(900, 900, 50, level=1)
    trimap = crude_trimap(mask, replace(drawn(0), inner=0.02, outer=0.02))
    assert (trimap[80:-80, 80:-80] == FOREGROUND).all()


def test_the_widest_band_goes_all_around() -> None:
    """As wide as in the largest picture, at which a side of the subject has 5,000 pixels."""
    mask = rectangle(100, 100, 450, level=1)
    trimap = crude_trimap(mask, replace(drawn(0), inner=0.1, outer=4.0))
    for line in (trimap[500, :450], trimap[:450, 500]):
        assert abs(np.count_nonzero(line == UNKNOWN) - 400) <= 2
        assert (line[:45] == BACKGROUND).all()


@pytest.mark.parametrize("swap", [False, True])
def test_the_narrowest_band_is_there_beside_the_widest(swap: bool) -> None:
    """It has two pixels, though the other one is a hundred times as wide."""
    mask = rectangle(600, 600, 280, level=1)
    narrow, wide = 0.0001, 0.4
    inner, outer = (wide, narrow) if swap else (narrow, wide)
    line = crude_trimap(mask, replace(drawn(0), inner=inner, outer=outer))[580, :580] == UNKNOWN
    inside, outside = np.count_nonzero(line[280:]), np.count_nonzero(line[:280])
    assert 1 <= (outside if swap else inside) <= 2
    assert abs((inside if swap else outside) - 240) <= 3


def test_a_picture_of_two_columns_has_a_band() -> None:
    mask = np.repeat(np.arange(100)[:, None] // 50, 2, axis=1).astype(np.uint8)
    trimap = crude_trimap(mask, drawn(0))
    assert (trimap[48:52] == UNKNOWN).all()
    assert math.prod(trimap.shape) > np.count_nonzero(trimap == UNKNOWN)
