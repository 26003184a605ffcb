"""Eq. (1) and what is stored of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datagen.sample.colour import colour_matrix, jitter, packed, unpacked
from datagen.sample.composite import (
    composite,
    crop_background,
)
from datagen.sample.place import Placed, place
from datagen.sample.sampling import blend_into, soft_blocks
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
    """F, jittered and clipped; then Eq. (1) in float64."""
    image = background.astype(np.float64)
    part = image[subject.rows, subject.columns]
    alpha = subject.alpha[..., None] / 255
    front = subject.colour @ matrix[:, :3].T.astype(np.float64) + matrix[:, 3]
    part[...] = alpha * np.clip(front, 0, 255) + (1 - alpha) * part
    return image


@given(st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_a_blend_is_equation_1_rounded_for_all_levels(a: int) -> None:
    front, back = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    alpha = np.full((256, 256), a, np.uint8)
    foreground, image = (np.repeat(level[..., None], 3, axis=2) for level in (front, back))
    kept = foreground.copy()
    blend_into(image, foreground, alpha, 0, 0)
    # No sum of two products is halfway between two levels, because 255 is odd.
    exact = np.rint((a * front.astype(np.int64) + (255 - a) * back.astype(np.int64)) / 255)
    assert np.array_equal(image, np.repeat(exact[..., None], 3, axis=2))
    assert np.array_equal(foreground, kept)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(SIZES), colours, colours)
def test_images_are_the_composite_of_the_placed_subject(
    seed: int, size: int, front: Colour, back: Colour
) -> None:
    subject, matrix = scene(size, seed), colour_matrix(front)
    background = jitter(photo(size, seed), colour_matrix(back))
    found = composite(subject, matrix, background, SAME, True)
    part = found.alpha[subject.rows, subject.columns]
    assert np.array_equal(part, subject.alpha)
    assert found.alpha.sum() == part.sum()
    error = np.abs(found.image - exact_image(subject, matrix, background))
    assert error.max() <= 1.01  # F is rounded before it is blended, and the result again
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
    found = composite(put(cutout, size), SAME, background, SAME, False)
    assert (found.alpha == 255).any()
    assert np.abs(found.image.astype(int) - grey).max() <= 1


def test_only_the_part_of_the_image_is_blended() -> None:
    image = np.full((40, 50, 3), 100, np.uint8)
    foreground, alpha = np.full((9, 11, 3), 200, np.uint8), np.full((9, 11), 255, np.uint8)
    alpha[4, 5] = 51
    foreground[0, 0] = (1, 2, 3)
    expected = image.copy()
    expected[20:29, 30:41] = foreground
    expected[24, 35] = 120
    blend_into(image, foreground, alpha, 20, 30)
    assert np.array_equal(image, expected)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(SIZES), colours, colours)
def test_images_are_the_blend_of_the_stored_layers(
    seed: int, size: int, front: Colour, back: Colour
) -> None:
    background = jitter(photo(size, seed), colour_matrix(back))
    found = composite(scene(size, seed), colour_matrix(front), background, SAME, True)
    assert found.layers is not None
    foreground, behind = found.layers.foreground, found.layers.background
    kept = kept_blocks(found.alpha)
    alpha = found.alpha[..., None] / 255
    blended = np.rint(alpha * foreground + (1 - alpha) * behind)
    assert kept.any()
    assert np.array_equal(found.image[kept], blended[kept])
    is_solid, is_clear = kept & (found.alpha == 255), kept & (found.alpha == 0)
    assert np.array_equal(found.image[is_solid], foreground[is_solid])
    assert np.array_equal(found.image[is_clear], behind[is_clear])
    assert np.array_equal(behind, background)
    assert np.array_equal(whole(found.layers.kept, found.alpha.shape), kept)


def test_layers_change_neither_the_image_nor_the_alpha() -> None:
    for seed, size in enumerate(SIZES):
        matrix = colour_matrix(Colour(1.1, 0.9, 1.2, 5.0))
        background = photo(size, seed)
        kept = background.copy()
        with_layers = composite(scene(size, seed), matrix, background, SAME, True)
        without = composite(scene(size, seed), matrix, background, SAME, False)
        assert np.array_equal(with_layers.image, without.image)
        assert np.array_equal(with_layers.alpha, without.alpha)
        assert without.layers is None
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
    assert np.array_equal(whole(soft_blocks(alpha), alpha.shape), kept_blocks(alpha))


def whole(blocks: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    assert blocks.shape == (-(-shape[0] // 8), -(-shape[1] // 8))
    return blocks.repeat(8, axis=0).repeat(8, axis=1)[: shape[0], : shape[1]]


def test_one_soft_pixel_keeps_its_whole_block() -> None:
    for row, column in np.ndindex(21, 19):
        alpha = np.zeros((21, 19), np.uint8)
        alpha[row, column] = 1
        assert np.array_equal(whole(soft_blocks(alpha), alpha.shape), kept_blocks(alpha))


def test_alpha_0_shows_the_background_and_alpha_255_the_foreground() -> None:
    colour = np.full((4, 5, 3), (200, 30, 9), np.uint8)
    alpha = np.where(np.arange(4)[:, None] < 2, 255, 0).repeat(5, axis=1).astype(np.uint8)
    background = photo(12, 1)
    placed = Placed(colour, alpha, slice(3, 7), slice(2, 7))
    found = composite(placed, SAME, background, SAME, False)
    expected = background.copy()
    expected[3:5, 2:7] = (200, 30, 9)
    assert np.array_equal(found.image, expected)


def test_a_canvas_need_not_be_square() -> None:
    colour = np.full((4, 5, 3), (200, 30, 10), np.uint8)
    background = photo(12, 1)[:, :9].copy()
    placed = Placed(colour, np.full((4, 5), 128, np.uint8), slice(7, 11), slice(2, 7))
    found = composite(placed, SAME, background, SAME, False)
    expected = background.astype(np.float64)
    share = 128 / 255
    expected[7:11, 2:7] = np.multiply([200, 30, 10], share) + expected[7:11, 2:7] * (1 - share)
    assert np.abs(found.image - expected).max() <= 0.51


@pytest.mark.parametrize("left", [8, 9])
@pytest.mark.parametrize("size", [20, 21])
def test_crops_are_cut_and_mirrored(left: int, size: int) -> None:
    whole = packed(photo(31, 2))
    part = unpacked(whole)[4 : 4 + size, left : left + size]
    assert np.array_equal(crop_background(whole, 4, left, size, False), part)
    assert np.array_equal(crop_background(whole, 4, left, size, True), part[:, ::-1])


@pytest.mark.parametrize("size", [30, 31])
def test_packed_photos_keep_their_colours(size: int) -> None:
    """Grey is exact within a level, and colours that change slowly nearly so."""
    grey = np.repeat(photo(size, 3)[..., :1], 3, axis=2)
    assert np.abs(unpacked(packed(grey))[:, :size].astype(int) - grey).max() <= 1
    y, x = np.mgrid[:size, :size] * 4
    colours = np.dstack([y + x, 250 - 2 * y, 100 + x]).astype(np.uint8)
    assert packed(colours).nbytes == 2 * size * (size + size % 2)
    difference = np.abs(unpacked(packed(colours))[:, :size].astype(int) - colours)
    assert difference.mean() < 1.2
    assert difference.max() <= 4
