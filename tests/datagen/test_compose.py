"""Eq. (1) and what is stored of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datagen.sample.colour import colour_matrix, jitter
from datagen.sample.composite import (
    blend,
    blocks_with_soft,
    composite,
    crop_background,
    straight_colour,
)
from datagen.sample.place import Placed, place
from datagen.sample.resize import OPAQUE, PER_LEVEL
from datagen.sample.working_copies import fit_factor, prepare_cutout
from datagen.settings import Settings
from manifests.pixels import Pixels
from manifests.samples import Colour, Placement
from manifests.sources import Box

Plane = NDArray[np.float64]
SAME = colour_matrix(Colour(1.0, 1.0, 1.0, 0.0))
SIZES = (16, 40, 61, 77)

colours = st.builds(
    Colour, st.floats(0.85, 1.15), st.floats(0.85, 1.15), st.floats(0.8, 1.2), st.floats(-20, 20)
)
seeds = st.integers(0, 10**6)


def photo(size: int, seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def scene(size: int, seed: int) -> Placed:
    """A soft-edged body with strands, holes and noisy colours, placed at random."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:90, :80]
    body = np.clip(30 - np.hypot(y - 45, x - 40), 0, 3) / 3
    strands = (x % 7 == 2) & (abs(y - 45) < 40)
    alpha = np.rint(255 * np.maximum(body * (rng.random((90, 80)) < 0.98), strands)).astype(
        np.uint8
    )
    cutout = np.dstack([rng.integers(0, 256, (90, 80, 3), dtype=np.uint8), alpha])
    return put(cutout, size, float(rng.uniform(0.8, 1)), float(rng.uniform(-10, 10)))


def put(cutout: Pixels, size: int, scale: float = 0.9, rotation: float = 4.0) -> Placed:
    rows, columns = (np.flatnonzero(cutout[..., 3].any(axis=axis)) for axis in (1, 0))
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    box = Box(int(rows[0]), int(columns[0]), height, width)
    middle = size * 0.55
    placement = Placement("f", False, fit_factor(box, size), scale, rotation, middle, middle)
    return place(prepare_cutout(cutout, box, Settings(size=size)), placement, box, size)


def exact_image(subject: Placed, matrix: NDArray[np.float32], background: Pixels) -> Plane:
    """Straight colour F = P / P's own alpha, jittered and clipped; then Eq. (1) in float64."""
    image = background.astype(np.float64)
    part = image[subject.rows, subject.columns]
    alpha = np.rint(subject.alpha / PER_LEVEL)[..., None] / 255
    weight = np.maximum(subject.colour[..., 3:].astype(np.float64), 1)
    straight = np.clip(255.0 * subject.colour[..., :3] / weight, 0, 255)
    front = np.clip(straight @ matrix[:, :3].T.astype(np.float64) + matrix[:, 3], 0, 255)
    part[...] = np.where(alpha > 0, alpha * front + (1 - alpha) * part, part)
    return image


unit = st.floats(0, 1, width=32)
level = st.floats(0, 255, width=32)


@given(level, level, unit)
def test_a_blend_lies_between_its_layers(foreground: float, background: float, a: float) -> None:
    front, back = (np.full((3, 1), value, np.float32) for value in (foreground, background))
    mixed = blend(front, back, np.array([a], np.float32))
    slack = 1e-4
    assert (mixed >= np.minimum(front, back) - slack).all()
    assert (mixed <= np.maximum(front, back) + slack).all()
    assert np.array_equal(blend(front, back, np.zeros(1, np.float32)), back)
    assert np.array_equal(blend(front, back, np.ones(1, np.float32)), front)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(SIZES), colours, colours)
def test_images_are_the_composite_of_the_placed_subject(
    seed: int, size: int, front: Colour, back: Colour
) -> None:
    subject, matrix = scene(size, seed), colour_matrix(front)
    background = jitter(photo(size, seed), colour_matrix(back))
    found = composite(subject, matrix, background, True)
    part = found.alpha[subject.rows, subject.columns]
    assert np.abs(part - subject.alpha / PER_LEVEL).max() <= 0.5
    assert found.alpha.sum() == part.sum()
    error = np.abs(found.image - exact_image(subject, matrix, background))
    assert error[found.alpha < 255].max() <= 0.51  # rounding alone
    # Where nothing shines through, F may be rounded before its jitter and be half a level off.
    gain = float(np.abs(matrix[:, :3]).sum(axis=1).max())
    assert error.max() <= 0.51 + gain
    clear = found.alpha == 0
    assert np.array_equal(found.image[clear], background[clear])


@pytest.mark.parametrize("size", [40, 61, 77])
@pytest.mark.parametrize("grey", [100, 255])
def test_a_subject_of_the_backgrounds_colour_cannot_be_seen(size: int, grey: int) -> None:
    """No bright or dark line inside or outside an edge, though kernels overshoot there."""
    y, x = np.mgrid[:90, :90]
    body = (np.hypot(y - 45, x - 45) < 40) & (x % 9 < 5)
    cutout = np.dstack([np.full((90, 90, 3), grey), body * 255]).astype(np.uint8)
    background = np.full((size, size, 3), grey, np.uint8)
    found = composite(put(cutout, size), SAME, background, False)
    assert (found.alpha == 255).any()
    assert np.abs(found.image.astype(int) - grey).max() <= 1


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(SIZES), colours, colours)
def test_images_are_the_blend_of_the_stored_layers(
    seed: int, size: int, front: Colour, back: Colour
) -> None:
    background = jitter(photo(size, seed), colour_matrix(back))
    found = composite(scene(size, seed), colour_matrix(front), background, True)
    assert found.foreground is not None
    assert found.background is not None
    kept = kept_blocks(found.alpha)
    alpha = found.alpha[..., None] / 255
    blended = np.rint(alpha * found.foreground + (1 - alpha) * found.background)
    assert kept.any()
    assert np.abs(found.image - blended)[kept].max() <= 1
    is_solid, is_clear = kept & (found.alpha == 255), kept & (found.alpha == 0)
    assert np.array_equal(found.image[is_solid], found.foreground[is_solid])
    assert np.array_equal(found.image[is_clear], found.background[is_clear])
    assert np.array_equal(found.background[kept], background[kept])
    assert (found.foreground[~kept] == 128).all()
    assert (found.background[~kept] == 128).all()


def test_layers_change_neither_the_image_nor_the_alpha() -> None:
    for seed, size in enumerate(SIZES):
        matrix = colour_matrix(Colour(1.1, 0.9, 1.2, 5.0))
        background = photo(size, seed)
        kept = background.copy()
        with_layers = composite(scene(size, seed), matrix, background, True)
        without = composite(scene(size, seed), matrix, background, False)
        assert np.array_equal(with_layers.image, without.image)
        assert np.array_equal(with_layers.alpha, without.alpha)
        assert (without.foreground, without.background) == (None, None)
        assert np.array_equal(background, kept)  # the input is left alone


def kept_blocks(alpha: Pixels) -> NDArray[np.bool_]:
    """Block by block, as it is said."""
    kept = np.zeros(alpha.shape, np.bool_)
    for top in range(0, alpha.shape[0], 8):
        for left in range(0, alpha.shape[1], 8):
            block = alpha[top : top + 8, left : left + 8]
            kept[top : top + 8, left : left + 8] = ((block > 0) & (block < 255)).any()
    return kept


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 0.05), seeds)
@settings(deadline=None)
def test_blocks_with_soft_alpha(height: int, width: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    alpha = rng.choice(np.array([0, 255], np.uint8), (height, width))
    alpha[rng.random(alpha.shape) < share] = rng.choice([1, 254])
    assert np.array_equal(blocks_with_soft(alpha), kept_blocks(alpha) * np.uint8(255))


def test_one_soft_pixel_keeps_its_whole_block() -> None:
    for row, column in np.ndindex(21, 19):
        alpha = np.zeros((21, 19), np.uint8)
        alpha[row, column] = 1
        assert np.array_equal(blocks_with_soft(alpha), kept_blocks(alpha) * np.uint8(255))


def test_alpha_0_shows_the_background_and_alpha_255_the_foreground() -> None:
    colour = np.zeros((4, 5, 4), np.int16)
    colour[:2] = np.array([200, 30, 9, 255]) * PER_LEVEL
    alpha = np.where(np.arange(4)[:, None] < 2, OPAQUE, 0).repeat(5, axis=1).astype(np.int16)
    background = photo(12, 1)
    found = composite(Placed(colour, alpha, slice(3, 7), slice(2, 7)), SAME, background, False)
    expected = background.copy()
    expected[3:5, 2:7] = (200, 30, 9)
    assert np.array_equal(found.image, expected)


def test_a_canvas_need_not_be_square() -> None:
    colour = np.zeros((4, 5, 4), np.int16)
    colour[:] = np.array([100, 15, 5, 128]) * PER_LEVEL
    background = photo(12, 1)[:, :9].copy()
    placed = Placed(colour, colour[..., 3].copy(), slice(7, 11), slice(2, 7))
    found = composite(placed, SAME, background, False)
    expected = background.astype(np.float64)
    expected[7:11, 2:7] = [100, 15, 5] + expected[7:11, 2:7] * (1 - 128 / 255)
    assert np.abs(found.image - expected).max() <= 0.51


def test_colours_stay_in_range_where_the_kernels_left_hardly_any_alpha() -> None:
    levels = np.array([-5, 0, 1, 2, 40], np.int16)
    pixels = np.stack([levels, levels // 2, np.zeros_like(levels), levels], axis=1)
    found = straight_colour(pixels, SAME)
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 255)).all()
    assert found[:, 2].tolist() == [255, 0, 0]
    assert found[:, 4].tolist() == [255, 127.5, 0]


def test_crops_are_cut_and_mirrored() -> None:
    whole = photo(30, 2)
    assert np.array_equal(crop_background(whole, 4, 9, 20, False), whole[4:24, 9:29])
    assert np.array_equal(crop_background(whole, 4, 9, 20, True), whole[4:24, 9:29][:, ::-1])
