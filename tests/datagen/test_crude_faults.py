"""Each fault of the simulated segmentation by itself: what a recipe's number does to a mask."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from datagen.sample.crude import crude_mask, crude_trimap
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels
from manifests.samples import CrudeRecipe, Piece
from tests.datagen.test_crude import disc, drawn, faultless

Plane = NDArray[np.float64]


def ellipse(height: int, width: int, at: tuple[int, int], radii: tuple[int, int]) -> Pixels:
    """A filled ellipse around `at` (y, x), H x W uint8."""
    y, x = np.mgrid[:height, :width] + 0.5
    inside = np.hypot((y - at[0]) / radii[0], (x - at[1]) / radii[1]) < 1
    return np.asarray(inside * 255, np.uint8)


def centre(mask: Pixels) -> Plane:
    """The mean (y, x) of the pixels of a mask."""
    mean: Plane = np.argwhere(mask).mean(axis=0) + 0.5
    return mean


def seen(alpha: Pixels, recipe: CrudeRecipe) -> NDArray[np.bool_]:
    return crude_mask(alpha, recipe).view(np.bool_)


@pytest.mark.parametrize("shift", [(0.1, 0.0), (0.0, 0.07), (-0.05, 0.12)])
def test_a_shift_moves_the_mask_by_a_share_of_the_subjects_size(shift: tuple[float, float]) -> None:
    alpha = ellipse(600, 600, (300, 280), (160, 100))
    moved = crude_mask(alpha, replace(faultless(), shift=shift))
    way = centre(moved) - centre(crude_mask(alpha, faultless()))
    size = math.sqrt(320 * 200)  # of the box
    assert way == pytest.approx(np.array(shift) * size, abs=0.25)


def test_a_warp_bends_every_edge_smoothly_and_within_its_limit() -> None:
    alpha, size, warp = disc(700, 700, 200), 400, 0.05
    outlines = []
    for seed in range(20):
        mask = seen(alpha, replace(faultless(), warp=warp, noise_seed=seed))
        middle = slice(320, 380)
        outlines.append(
            [
                mask[middle].argmax(axis=1),
                700 - mask[middle, ::-1].argmax(axis=1),
                mask[:, middle].argmax(axis=0),
                700 - mask[::-1, middle].argmax(axis=0),
            ]
        )
    still = np.array([[150], [550], [150], [550]])
    moves = (np.array(outlines) - still) / (warp * size)  # seeds x sides x places
    assert np.abs(moves).max() <= 1.1
    assert np.abs(moves).max() >= 0.6  # the limit is nearly reached
    assert np.abs(moves.mean(axis=(0, 2))).max() <= 0.25  # no side is preferred
    assert (moves.std(axis=0).mean(axis=1) > 0.15).all()  # no side stands still
    assert np.abs(np.diff(moves, axis=2)).max() * warp * size <= 3  # pixels from line to line


@pytest.mark.parametrize("level", [-45, -20, 20, 45])
def test_a_level_makes_the_network_more_or_less_generous(level: int) -> None:
    """On a ramp of alpha from 0 to 255: a third of the level, since it has three times the slope"""
    ramp = np.repeat(np.linspace(0, 255, 1020).round()[None, :].astype(np.uint8), 300, axis=0)
    recipe = replace(faultless(), blur=0.5)
    before, after = (seen(ramp, r).sum() / 300 for r in (recipe, replace(recipe, level=level)))
    assert (after - before) / 4 == pytest.approx(level / 3, abs=1.5)


@pytest.mark.parametrize("soft", [0.2, 0.4, 0.5, 0.7])
@pytest.mark.parametrize("peak", [255, 120])
def test_what_is_less_than_a_share_of_the_peak_is_not_seen(soft: float, peak: int) -> None:
    ramp = np.repeat(np.linspace(0, peak, 1000).round()[None, :].astype(np.uint8), 300, axis=0)
    is_seen = seen(ramp, replace(faultless(), soft=soft))
    assert is_seen.mean() == pytest.approx(1 - soft, abs=0.03)


def test_noise_moves_the_edge_of_a_ramp_both_ways_and_not_far() -> None:
    ramp = np.repeat(np.linspace(0, 255, 1020).round()[None, :].astype(np.uint8), 600, axis=0)
    still, noise = seen(ramp, faultless()).sum(axis=1), 60
    moves = []
    for seed in range(12):
        noisy = seen(ramp, replace(faultless(), noise=noise, noise_seed=seed)).sum(axis=1)
        moves.append((noisy - still) / (4 * noise / 3))
        assert np.abs(np.diff(noisy)).max() <= 12  # smoothly
    assert np.abs(moves).max() <= 1.05
    assert np.max(moves) > 0.4
    assert np.min(moves) < -0.4
    assert abs(np.mean(moves)) < 0.15


@pytest.mark.parametrize(("share", "decides"), [(0.013, False), (0.03, True)])
def test_the_peak_is_what_the_densest_fiftieth_reaches(share: float, decides: bool) -> None:
    """A pane of glass with a frame: opaque parts of 1 % do not hide the glass, of 3 % they do."""
    glass = np.zeros((400, 400), np.uint8)
    glass[100:300, 100:300] = 70
    glass[100 : 100 + round(200 * share), 100:300] = 255
    is_seen = seen(glass, faultless())[150:250, 150:250]
    assert is_seen.all() != decides
    assert is_seen.any() != decides


@pytest.mark.parametrize("level", [3, 11])
def test_a_trace_of_haze_does_not_make_a_subject_larger(level: int) -> None:
    alpha: Pixels = np.zeros((400, 400), np.uint8)
    alpha[120:260, 120:300] = 255
    haze = np.maximum(alpha, np.uint8(level))
    recipe = replace(faultless(), stride=12.0, shift=(0.02, -0.01), warp=0.03)
    assert np.array_equal(crude_mask(haze, recipe), crude_mask(alpha, recipe))


@pytest.mark.parametrize("turns", range(4))
def test_only_a_hole_that_does_not_reach_the_frame_is_filled(turns: int) -> None:
    alpha = np.zeros((400, 400), np.uint8)
    alpha[:250, 60:340] = 255  # cut by the frame
    bay, hole = alpha.copy(), alpha.copy()
    bay[:40, 180:220] = hole[60:100, 180:220] = 0
    recipe = replace(faultless(), hole_share=0.05)
    in_bay, in_hole = (
        np.rot90(seen(np.rot90(picture, turns).copy(), recipe), -turns) for picture in (bay, hole)
    )
    assert not in_bay[:30, 190:210].any()
    assert in_hole[60:100, 180:220].all()


def test_a_hole_is_filled_up_to_a_share_of_the_subjects_area() -> None:
    alpha = disc(500, 500, 200)
    alpha[220:280, 220:280] = 0
    share = 3600 / np.count_nonzero(alpha)
    for factor, is_filled in ((1.3, True), (0.7, False)):
        is_seen = seen(alpha, replace(faultless(), hole_share=factor * share))
        assert is_seen[240:260, 240:260].all() == is_filled


def axes_of(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """The ratio of the principal axes of a blob, and the direction of the long one, 0 to pi."""
    places = np.argwhere(mask).astype(np.float64)
    spread, directions = np.linalg.eigh(np.cov((places - places.mean(axis=0)).T))
    ratio = math.sqrt(spread[1] / spread[0])
    return ratio, math.atan2(directions[0, 1], directions[1, 1]) % math.pi


@pytest.mark.parametrize("length", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("angle", [1.1, 1.5, 2.1])
def test_a_lost_piece_is_an_ellipse_of_the_recipes_place_angle_and_length(
    angle: float, length: float
) -> None:
    """It starts at the first edge pixel, the topmost, and lies half a subject's size inwards."""
    alpha = disc(600, 600, 250)
    lost = Piece(0.05, 0.0, 0.5, angle, length, 0.0)
    gone = seen(alpha, faultless()) & ~seen(alpha, replace(faultless(), lost=lost))
    ratio, direction = axes_of(gone)
    topmost = float(np.flatnonzero(alpha[52]).mean())
    expected = (50 + 250 * math.sin(angle), topmost + 250 * math.cos(angle))
    assert np.argwhere(gone).mean(axis=0) == pytest.approx(expected, abs=16)
    assert ratio == pytest.approx(length, rel=0.08)
    assert length == 1 or direction == pytest.approx(angle, abs=0.06)


@pytest.mark.parametrize("angle", [-1.1, -1.5, -2.1])
def test_a_swallowed_piece_lies_beside_the_subject(angle: float) -> None:
    alpha = disc(600, 600, 80)
    piece = Piece(0.1, 0.0, 0.6, angle, 2.0, 0.0)
    more = seen(alpha, replace(faultless(), swallowed=piece)) & ~seen(alpha, faultless())
    ratio, direction = axes_of(more)
    expected = (220 + 0.6 * 160 * math.sin(angle), 300 + 0.6 * 160 * math.cos(angle))
    assert np.argwhere(more).mean(axis=0) == pytest.approx(expected, abs=16)
    assert ratio == pytest.approx(2.0, rel=0.1)
    assert direction == pytest.approx(angle % math.pi, abs=0.1)


@pytest.mark.parametrize(
    ("place", "corner"), [(0.0, (50, 300)), (0.5, (300, 300)), (0.999, (550, 300))]
)
def test_the_place_of_a_piece_runs_along_the_edge_from_top_to_bottom(
    place: float, corner: tuple[int, int]
) -> None:
    alpha = disc(600, 600, 250)
    lost = Piece(0.02, place, 0.0, 0.0, 1.0, 0.0)
    gone = seen(alpha, faultless()) & ~seen(alpha, replace(faultless(), lost=lost))
    assert np.argwhere(gone).mean(axis=0)[0] == pytest.approx(corner[0], abs=60)


def test_a_ragged_piece_has_a_longer_outline_and_the_same_area() -> None:
    alpha = disc(600, 600, 250)
    outlines, areas = [], []
    for ragged in (0.0, 0.5, 1.0):
        lost = Piece(0.2, 0.0, 0.5, 1.5, 1.0, ragged)
        gone = seen(alpha, faultless()) & ~seen(alpha, replace(faultless(), lost=lost))
        areas.append(np.count_nonzero(gone))
        outlines.append(cv2.morphologyEx(gone.view(np.uint8), cv2.MORPH_GRADIENT, np.ones(3)).sum())
    assert areas == pytest.approx([areas[0]] * 3, rel=0.05)
    assert outlines[0] < outlines[1] < outlines[2]


@pytest.mark.parametrize("size", [(60, 60), (61, 60), (60, 61), (75, 83), (122, 90), (101, 140)])
def test_a_subject_that_fills_the_picture_is_seen_up_to_its_last_row_and_column(
    size: tuple[int, int],
) -> None:
    for stride in (4.0, 60.0, 100.0):
        mask = crude_mask(np.full(size, 255, np.uint8), replace(faultless(), stride=stride))
        assert mask.all()


def test_empty_space_around_the_subject_does_not_matter() -> None:
    alpha = ellipse(500, 500, (250, 250), (50, 90))
    wide = np.pad(alpha, ((40, 100), (160, 20)))
    for seed in range(5):
        mask = crude_mask(alpha, drawn(seed))
        assert np.array_equal(crude_mask(wide, drawn(seed))[40:540, 160:660], mask)


@pytest.mark.parametrize("stride", [16.0, 40.0])
def test_a_bar_is_missed_or_seen_as_its_width_is_to_a_cell(stride: float) -> None:
    cell = stride * 320 / 640  # a subject of 320 pixels
    for width, is_seen in ((0.2 * cell, False), (2.5 * cell, True)):
        alpha = np.zeros((500, 500), np.uint8)
        alpha[90:250, 90:410] = 255
        alpha[90:410, 240 : 240 + round(width)] = 255
        mask = seen(alpha, replace(faultless(), stride=stride))
        assert mask[330:380, 240 + round(width / 2)].all() == is_seen


@pytest.mark.parametrize(("inner", "outer"), [(0.05, 0.1), (0.12, 0.03), (0.08, 0.08)])
@pytest.mark.parametrize("shape", ["disc", "square", "bar"])
def test_the_band_has_its_width_in_every_direction(shape: str, inner: float, outer: float) -> None:
    """Octagons differ from circles by 8 % at most."""
    mask: Pixels = np.zeros((500, 420), np.uint8)
    if shape == "disc":
        mask = disc(500, 420, 120, 1)
    elif shape == "square":
        mask[150:350, 100:300] = 1
    else:
        mask[100:400, 170:250] = 1
    side = math.sqrt(np.count_nonzero(mask))
    trimap = crude_trimap(mask, replace(drawn(0), inner=inner, outer=outer))
    away = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) - 0.5
    within = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) - 0.5
    assert (trimap[away > 1.09 * outer * side + 1.5] == BACKGROUND).all()
    assert (trimap[within > 1.09 * inner * side + 1.5] == FOREGROUND).all()
    assert (trimap[(mask == 0) & (away < 0.91 * outer * side - 1.5)] == UNKNOWN).all()
    assert (trimap[(mask == 1) & (within < 0.91 * inner * side - 1.5)] == UNKNOWN).all()
