"""Placing beyond the border of the canvas, and the digits of the maps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datagen.sample.place import (
    Matrix,
    Placed,
    _from,
    _invert,
    _region,
    apply,
    chain,
    over,
    place,
    source_to_canvas,
)
from datagen.sample.resize import Axis
from datagen.sample.working_copies import Grid, fit_factor, prepare_cutout
from datagen.settings import Settings
from manifests.samples import Placement
from manifests.sources import Box
from tests.datagen.test_place import Plane, flat, placed_with_points, shapes, whole

SIZE = 48
BOX = Box(5, 8, 60, 70)

angles = st.floats(-180, 180)
maps = st.builds(
    lambda angle, scale, right, down: np.array(
        [
            [scale * math.cos(angle), scale * math.sin(angle), right],
            [-scale * math.sin(angle), scale * math.cos(angle), down],
        ]
    ),
    angles,
    st.floats(0.1, 1),
    st.floats(-80, 120),
    st.floats(-80, 120),
)


def onto(placed: Placed, size: int) -> Plane:
    """Premultiplied colours and alpha on the whole canvas, size x size x 4, in levels."""
    canvas = np.zeros((size, size, 4))
    seen = placed.colour * (placed.alpha[..., None] / 255)
    canvas[placed.rows, placed.columns] = np.dstack([seen, placed.alpha])
    return canvas


@pytest.mark.parametrize("right", [-30, 0, 30])
@pytest.mark.parametrize("down", [-30, 0, 30])
def test_the_border_of_the_canvas_cuts_off_and_changes_nothing_else(right: int, down: int) -> None:
    rng = np.random.default_rng(3)
    cutout = rng.integers(0, 256, (80, 90, 4), dtype=np.uint8)
    copy = prepare_cutout(cutout, BOX, Settings(size=SIZE))
    middle = SIZE / 2
    placement = Placement("f", True, fit_factor(BOX, SIZE), 0.9, 25.0, middle, middle)
    moved = replace(placement, centre_x=middle + right, centre_y=middle + down)
    found = onto(place(copy, moved, BOX, SIZE), SIZE)
    in_middle = replace(placement, centre_x=1.5 * SIZE, centre_y=1.5 * SIZE)
    expected = onto(place(copy, in_middle, BOX, 3 * SIZE), 3 * SIZE)
    seen = expected[SIZE - down :, SIZE - right :][:SIZE, :SIZE]
    assert found[..., 3].any()
    # Coordinates are rounded to 1/256 of a pixel, and these pixels are noise.
    assert np.abs(found - seen).max() <= 4
    assert np.abs(found - seen).mean() <= 0.01


@given(st.sampled_from([-500.0, 24.0, 500.0]), st.sampled_from([-500.0, 24.0, 500.0]))
@settings(max_examples=12, deadline=None)
def test_a_subject_beside_the_canvas_leaves_it_empty(down: float, right: float) -> None:
    copy = prepare_cutout(np.full((80, 90, 4), 255, np.uint8), BOX, Settings(size=SIZE))
    placement = Placement("f", False, fit_factor(BOX, SIZE), 0.9, 10.0, down, right)
    placed = place(copy, placement, BOX, SIZE)
    assert placed.alpha.size > 0
    assert placed.alpha.any() == (down == right == 24.0)


@given(maps, st.integers(1, 60), st.integers(1, 60))
def test_the_region_is_the_box_of_the_copys_corners_on_the_canvas(
    to_canvas: Matrix, height: int, width: int
) -> None:
    grid = Grid(Axis(0.0, 1.0, 1.0, height), Axis(0.0, 1.0, 1.0, width), (0.8, 1.0))
    rows, columns = _region(to_canvas, grid, SIZE)
    corners = [(x, y) for x in (0.0, width) for y in (0.0, height)]
    points = apply(to_canvas, np.array(corners))
    for part, places in ((columns, points[:, 0]), (rows, points[:, 1])):
        assert 0 <= part.start < part.stop <= SIZE
        first, beyond = math.floor(places.min()), math.ceil(places.max())
        pixels = set(range(first, beyond)) & set(range(SIZE))
        if pixels:
            assert set(range(part.start, part.stop)) == pixels
        else:  # one pixel at the side to which the copy is nearer
            assert part == (slice(0, 1) if beyond <= 0 else slice(SIZE - 1, SIZE))


def to_centres(points: Plane, where: NDArray[np.bool_]) -> Plane:
    """How far each point (x, y) is from the centre of the nearest pixel of `where`."""
    centres = np.argwhere(where)[:, ::-1] + 0.5
    return np.asarray(np.sqrt(((points[:, None] - centres) ** 2).sum(axis=2).min(axis=1)))


@pytest.mark.parametrize("shape", ["disc", "square"])
@pytest.mark.parametrize("scale", [0.8, 1.0])
def test_near_an_edge_alpha_is_what_the_kernels_made_of_it(shape: str, scale: float) -> None:
    """Only what is far from it, by the better part of a pixel, is made clear or solid."""
    alpha, size = shapes()[shape], 60
    for rotation in (0.0, 7.0, 33.0):
        subject, points = placed_with_points(alpha, size, scale, rotation)
        without = placed_with_points(alpha, size, scale, rotation, limited=False)[0]
        pixel = float(np.hypot(*(points[0, 1] - points[0, 0])))  # of the canvas, in the source
        own = whole(without, size)
        to_both = [
            np.array([to_centres(row, is_there) for row in points])
            for is_there in (alpha > 0, alpha < 255)
        ]
        is_near = np.maximum(*to_both) < 0.6 * pixel
        assert np.count_nonzero(is_near) > 20
        assert np.array_equal(whole(subject, size)[is_near], own[is_near])


def test_of_colours_behind_nothing_shows_through_an_opaque_front() -> None:
    """And the faintest front has its own colour if nothing is behind it."""
    white = np.full((2, 2, 3), 255.0)
    for front, behind in ((1.0, 1.0), (1 / 255, 0.0)):
        ahead, back = flat(white, np.full((2, 2), front)), flat(0 * white, np.full((2, 2), behind))
        found = over(ahead, back, 2)
        assert (found.rows, found.columns) == (slice(0, 2), slice(0, 2))
        assert np.array_equal(found.colour, ahead.colour)
        assert np.array_equal(found.alpha, ahead.alpha)


@given(maps, maps)
def test_maps_have_nine_digits_and_no_fewer(first: Matrix, then: Matrix) -> None:
    """The last bit of a sine differs between machines; 1e-9 of a pixel makes no difference."""
    both = chain(first, then)
    inverse = _invert(both)
    part = _from(inverse, 1000, 3000)
    for matrix in (both, part):
        assert np.array_equal(matrix, matrix.round(9))
    points = np.random.default_rng(0).uniform(0, 4000, (9, 2))
    assert np.abs(apply(both, points) - apply(then, apply(first, points))).max() < 1e-5
    assert (
        np.abs(apply(part, points) - apply(inverse, points + np.array([3000, 1000]))).max() < 1e-5
    )


def test_sines_have_twelve_digits() -> None:
    rotations = np.random.default_rng(0).uniform(-180, 180, 50)
    turns = np.array(
        [
            source_to_canvas(Placement("f", False, 1.0, 1.0, angle, 0.0, 0.0), BOX)[:, :2]
            for angle in rotations
        ]
    )
    assert np.array_equal(turns, turns.round(12))
    assert (turns != turns.round(11)).any(axis=0).all()
    assert np.abs(turns[:, 0, 0] - np.cos(np.radians(rotations))).max() < 1e-12
