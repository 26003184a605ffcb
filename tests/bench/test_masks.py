"""Trimaps made from a network's masks: which pixels are known, and how wide the band is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels
from tests.bench.masks import trimap_of_mask
from tests.strategies import many, soft_alphas


def square(side: int, canvas: int) -> Pixels:
    """A certain subject in the middle of a certain background."""
    probability = np.zeros((canvas, canvas), np.uint8)
    start = (canvas - side) // 2
    probability[start : start + side, start : start + side] = 255
    return probability


def test_the_band_is_on_both_sides_of_the_edge() -> None:
    trimap = trimap_of_mask(square(40, 80), band=0.1, least=0)  # 4 pixels
    expected = [BACKGROUND] * 16 + [UNKNOWN] * 8 + [FOREGROUND] * 16
    assert trimap[40, :40].tolist() == expected
    np.testing.assert_array_equal(trimap, trimap[::-1, ::-1].T)


@given(st.integers(10, 40), st.sampled_from([2, 3]))
@many
def test_the_same_subject_larger_has_a_band_as_much_wider(side: int, times: int) -> None:
    small = trimap_of_mask(square(side, 3 * side), least=0, band=0.11)
    large = trimap_of_mask(square(times * side, 3 * times * side), least=0, band=0.11)
    widths = [
        np.count_nonzero(trimap[len(trimap) // 2] == UNKNOWN) / 4 for trimap in (small, large)
    ]
    assert widths[1] == pytest.approx(times * widths[0], abs=times)


def test_a_small_subject_has_a_band_at_all() -> None:
    trimap = trimap_of_mask(square(8, 30), band=0.001, least=2)
    assert trimap[15, :15].tolist() == [0] * 9 + [1] * 4 + [2] * 2


@given(soft_alphas())
@many
def test_known_is_what_the_network_is_sure_of(probability: Pixels) -> None:
    trimap = trimap_of_mask(probability)
    assert trimap.shape == probability.shape
    assert set(np.unique(trimap).tolist()) <= {BACKGROUND, UNKNOWN, FOREGROUND}
    assert (probability[trimap == FOREGROUND] > 127).all()
    assert (probability[trimap == BACKGROUND] <= 127).all()
    assert (trimap[(probability >= 13) & (probability <= 242)] == UNKNOWN).all()


def test_doubt_far_from_the_edge_is_unknown() -> None:
    probability = square(40, 120)
    probability[60, 60] = 200
    probability[5, 5] = 60
    trimap = trimap_of_mask(probability)
    assert (trimap[60, 60], trimap[5, 5]) == (UNKNOWN, UNKNOWN)
    assert (trimap[60, 62], trimap[5, 7]) == (FOREGROUND, BACKGROUND)


@pytest.mark.parametrize(("level", "code"), [(0, BACKGROUND), (255, FOREGROUND), (128, UNKNOWN)])
def test_a_picture_of_one_kind_has_no_edge(level: int, code: int) -> None:
    assert (trimap_of_mask(np.full((30, 50), level, np.uint8)) == code).all()


def test_the_frame_is_not_an_edge() -> None:
    probability = square(60, 60)
    probability[:, :30] = 0
    trimap = trimap_of_mask(probability, band=0.05)
    assert (trimap[:, 40:] == FOREGROUND).all()
    assert cv2.countNonZero(trimap[:, :20]) == 0


@pytest.mark.parametrize("wrong", [{"band": -0.1}, {"least": -1.0}, {"sure": 0.4}, {"sure": 1.1}])
def test_impossible_bands_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} {next(iter(wrong.values()))}"):
        trimap_of_mask(square(4, 9), **wrong)
