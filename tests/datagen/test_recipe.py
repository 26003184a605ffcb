"""What is drawn: inside its ranges, the same from the same seed, and always something to see."""

from __future__ import annotations

from dataclasses import astuple, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datagen.sample.place import apply, place, source_to_canvas
from datagen.sample.recipe import NO_FOREGROUND, draw_recipe, draw_second, generator, visible_share
from datagen.sample.working_copies import (
    PreparedForeground,
    background_shape,
    fit_factor,
    prepare_cutout,
)
from datagen.settings import Settings
from manifests.pixels import Pixels
from manifests.samples import Placement, Recipe
from manifests.sources import Background, Box, Foreground, Split, Subject, Transparency

SIZE = 48
SHAPES = ("L", "ring", "dots", "pixel", "bust", "leftmost", "top", "small")
seeds = st.integers(0, 10**6)


def alpha_of(shape: str) -> Pixels:
    y, x = np.mgrid[:100, :90]
    made = {
        "L": (x < 8) | (y > 92),
        "ring": abs(np.hypot(y - 50, x - 45) - 38) < 1,
        "dots": ((y == 2) & (x == 3)) | ((y == 96) & (x == 87)),
        "pixel": (y == 40) & (x == 77),
        "bust": (abs(x - 45) < 25) & (y > 30),  # cut by the frame at the bottom
        "leftmost": (abs(y - 50) < 30) & (x < 60),
        "top": (abs(x - 45) < 25) & (y < 70),
        "small": (abs(y - 50) < 9) & (abs(x - 45) < 7),
    }
    alpha: Pixels = made[shape].astype(np.uint8) * np.uint8(255)
    return alpha


@cache
def source(shape: str, chosen: Settings) -> PreparedForeground:
    alpha = alpha_of(shape)
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    box = Box(int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
    human, little, train = Subject.HUMAN, Transparency.LITTLE, Split.TRAIN
    height, width = alpha.shape
    record = Foreground(
        shape, shape, shape, height, width, box, human, little, False, 0.0, train, "{}"
    )
    return PreparedForeground(record, prepare_cutout(np.dstack([alpha] * 4), box, chosen))


def photo(height: int, width: int) -> Background:
    return Background("b", "b", "b", height, width, Split.TRAIN, "{}")


def draw(shape: str, seed: int, chosen: Settings | None = None) -> Recipe:
    chosen = chosen or Settings(size=SIZE)
    return draw_recipe(generator(0, seed, 0, 0), chosen, source(shape, chosen), photo(80, 90))


@given(st.sampled_from(SHAPES), seeds)
def test_values_lie_in_their_documented_ranges(shape: str, seed: int) -> None:
    recipe, default = draw(shape, seed), Settings()
    placement = recipe.foreground
    assert placement.foreground_id == shape
    assert 0.8 <= placement.scale <= 1.0
    assert abs(placement.rotation) <= default.rotation
    assert placement.fit * placement.scale <= 1  # never enlarged
    for colour in (recipe.foreground_colour, recipe.background_colour):
        assert abs(colour.brightness - 1) <= default.brightness + 1e-6
        assert abs(colour.contrast - 1) <= default.contrast + 1e-6
        assert abs(colour.saturation - 1) <= default.saturation + 1e-6
        assert abs(colour.hue) <= default.hue + 1e-6
    assert recipe.foreground_colour != recipe.background_colour
    assert recipe.second == NO_FOREGROUND


def test_the_ranges_are_used_to_their_ends() -> None:
    recipes = [draw("small", seed) for seed in range(400)]
    placements = [recipe.foreground for recipe in recipes]
    scales = [placement.scale for placement in placements]
    turns = [placement.rotation for placement in placements]
    assert (min(scales), max(scales)) == pytest.approx((0.8, 1.0), abs=0.01)
    assert (min(turns), max(turns)) == pytest.approx((-10, 10), abs=0.4)
    for flips in ([p.flip for p in placements], [r.background.flip for r in recipes]):
        assert 140 < sum(flips) < 260
    default = Settings()
    for name, middle, reach in (
        ("brightness", 1.0, default.brightness),
        ("contrast", 1.0, default.contrast),
        ("saturation", 1.0, default.saturation),
        ("hue", 0.0, default.hue),
    ):
        values = [getattr(recipe.background_colour, name) for recipe in recipes]
        ends = (middle - reach, middle + reach)
        assert (min(values), max(values)) == pytest.approx(ends, abs=0.05 * reach)


@given(st.sampled_from(SHAPES), seeds)
def test_numbers_are_those_of_python(shape: str, seed: int) -> None:
    """NumPy's are printed in another way, and compared by other rules."""
    placement = draw(shape, seed).foreground
    assert {type(value) for value in vars(placement).values()} <= {str, bool, float}


@given(st.sampled_from(SHAPES), seeds)
def test_the_same_generator_draws_the_same_recipe(shape: str, seed: int) -> None:
    chosen = Settings(size=SIZE)
    drawn = [
        draw_recipe(generator(*key), chosen, source(shape, chosen), photo(80, 90))
        for key in (
            (3, seed, 5, 0),
            (3, seed, 5, 0),
            (4, seed, 5, 0),
            (3, seed, 6, 0),
            (3, seed, 5, 1),
        )
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[1:])) == 4


@given(st.sampled_from(SHAPES), seeds, st.sampled_from([0.1, 0.4, 0.9]))
def test_enough_of_the_subject_stays_in_the_frame(shape: str, seed: int, least: float) -> None:
    chosen = Settings(size=SIZE, visible_share=least, translation=0.5)
    prepared = source(shape, chosen)
    record, copy = prepared.source, prepared.copy
    placement = draw(shape, seed, chosen).foreground
    is_upright_in_the_middle = (
        placement.centre_y == placement.centre_x == SIZE / 2 and placement.rotation == 0
    )
    assert is_upright_in_the_middle or visible_share(placement, record.box, copy, SIZE) >= least


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rotation", [10.0, 180.0])
def test_there_is_always_something_to_see(shape: str, rotation: float) -> None:
    chosen = Settings(size=SIZE, rotation=rotation)
    prepared = source(shape, chosen)
    record, copy = prepared.source, prepared.copy
    for seed in range(150):
        placement = draw(shape, seed, chosen).foreground
        assert place(copy, placement, record.box, SIZE).alpha.any(), placement


def test_the_visible_share_counts_opacity() -> None:
    prepared = source("small", Settings(size=SIZE))
    record, copy = prepared.source, prepared.copy
    placement = draw("small", 0).foreground
    shares = []
    for move in (0, 24, 48, 200):
        moved = type(placement)("", False, 1.0, 1.0, 0.0, 24.0, 24.0 + move)
        shares.append(visible_share(moved, record.box, copy, SIZE))
    assert shares[0] == 1
    assert shares[1] == pytest.approx(0.45, abs=0.05)
    assert shares[2:] == [0, 0]


@pytest.mark.parametrize("shape", ["pixel", "small", "L"])
def test_what_counts_as_visible_is_seen_on_the_canvas(shape: str) -> None:
    """A speck whose box is just inside the frame is not: resampling spreads it over the edge."""
    prepared = source(shape, Settings(size=SIZE))
    record, copy = prepared.source, prepared.copy
    fit = fit_factor(record.box, SIZE)
    for out_of_frame in np.linspace(-2, 2, 17):
        near_y, near_x = fit * record.box.height / 2, fit * record.box.width / 2
        for down, right in (
            (near_y - out_of_frame, SIZE / 2),
            (SIZE - near_y + out_of_frame, SIZE / 2),
            (SIZE / 2, near_x - out_of_frame),
            (SIZE / 2, SIZE - near_x + out_of_frame),
        ):
            placement = Placement(shape, False, fit, 1.0, 0.0, down, right)
            on_a_wide_canvas = replace(placement, centre_y=SIZE + down, centre_x=SIZE + right)
            seen, everything = (
                float(place(copy, where, record.box, size).alpha.sum())
                for where, size in ((placement, SIZE), (on_a_wide_canvas, 3 * SIZE))
            )
            counted = visible_share(placement, record.box, copy, SIZE)
            assert counted <= seen / everything + 0.01


def box_on_canvas(placement: Placement, box: Box) -> NDArray[np.float64]:
    """The corners (x, y) of a placed box: top left, top right, bottom left, bottom right."""
    bottom, right = box.top + box.height, box.left + box.width
    corners = [(x, y) for y in (box.top, bottom) for x in (box.left, right)]
    return apply(source_to_canvas(placement, box), np.array(corners, float))


@pytest.mark.parametrize("shape", ["small", "ring"])
@pytest.mark.parametrize("rotation", [0.0, 40.0])
def test_a_box_leaves_the_frame_by_the_share_that_the_settings_allow(
    shape: str, rotation: float
) -> None:
    chosen = Settings(size=SIZE, translation=0.3, rotation=rotation, visible_share=1e-6)
    box, farthest = source(shape, chosen).source.box, np.zeros((2, 2))
    for seed in range(400):
        corners = box_on_canvas(draw(shape, seed, chosen).foreground, box)
        first, last = corners.min(axis=0), corners.max(axis=0)
        outside = np.stack([-first, last - SIZE]) / (last - first)  # top and left, bottom and right
        farthest = np.maximum(farthest, outside)
    assert (farthest <= 0.3 + 1e-5).all()
    assert (farthest >= 0.25).all()  # each side is reached


@pytest.mark.parametrize("rotation", [0.0, 40.0])
def test_without_translation_a_box_leaves_the_frame_only_if_it_does_not_fit(
    rotation: float,
) -> None:
    chosen = Settings(size=SIZE, translation=0.0, rotation=rotation)
    for seed in range(100):
        placement = draw("ring", seed, chosen).foreground
        corners = box_on_canvas(placement, source("ring", chosen).source.box)
        first, last = corners.min(axis=0), corners.max(axis=0)
        if (last - first).max() > SIZE:
            assert (placement.centre_y, placement.centre_x) == (SIZE / 2, SIZE / 2)
        else:
            assert first.min() >= -1e-5
            assert last.max() <= SIZE + 1e-5


@pytest.mark.parametrize("shape", ["bust", "top", "leftmost"])
def test_a_cut_side_lies_anywhere_from_the_edge_of_the_frame_outwards(shape: str) -> None:
    chosen = Settings(size=SIZE, rotation=0.0, translation=0.3)
    box, outside, lengths = source(shape, chosen).source.box, [], []
    for seed in range(200):
        corners = box_on_canvas(draw(shape, seed, chosen).foreground, box)
        first, last = corners.min(axis=0), corners.max(axis=0)
        if shape == "leftmost":
            flipped = corners[0, 0] > corners[1, 0]
            outside.append(last[0] - SIZE if flipped else -first[0])
            lengths.append(last[0] - first[0])
        else:
            outside.append(last[1] - SIZE if shape == "bust" else -first[1])
            lengths.append(last[1] - first[1])
    shares = np.array(outside) / lengths
    assert shares.min() == pytest.approx(0.0, abs=0.02)
    assert shares.max() == pytest.approx(0.3, abs=0.02)


def test_a_cut_side_stays_outside_up_to_half_a_right_angle() -> None:
    chosen = Settings(size=SIZE, rotation=60.0, visible_share=1e-6)
    box, turns = source("bust", chosen).source.box, []
    for seed in range(200):
        placement = draw("bust", seed, chosen).foreground
        if abs(placement.rotation) < 45:
            assert (box_on_canvas(placement, box)[2:, 1] >= SIZE - 1e-5).all()
            turns.append(abs(placement.rotation))
    assert max(turns) > 43


def test_a_cut_side_is_free_beyond_half_a_right_angle() -> None:
    chosen = Settings(size=SIZE, rotation=46.0, visible_share=1e-6)
    box, inside = source("bust", chosen).source.box, 0
    for seed in range(600):
        placement = draw("bust", seed, chosen).foreground
        if abs(placement.rotation) > 45:
            inside += int((box_on_canvas(placement, box)[2:, 1] < SIZE - 1).all())
    assert inside > 0


@pytest.mark.parametrize(("margin", "share"), [(1.0, 1.0), (1.5, 1.0), (0.9, 0.97)])
def test_what_is_a_pixel_away_from_the_border_is_visible(margin: float, share: float) -> None:
    prepared = source("small", Settings(size=SIZE))
    record, copy = prepared.source, prepared.copy
    height, width = record.box.height / 2, record.box.width / 2
    for down, right in (
        (margin + height, 24.0),
        (SIZE - margin - height, 24.0),
        (24.0, margin + width),
        (24.0, SIZE - margin - width),
    ):
        placement = Placement("small", False, 1.0, 1.0, 0.0, down, right)
        found = visible_share(placement, record.box, copy, SIZE)
        assert found == pytest.approx(share, abs=0.01)
        assert (found == 1.0) == (share == 1.0)


@given(st.sampled_from(["small", "ring"]), seeds)
def test_a_move_that_shows_too_little_is_shortened_by_quarters_and_no_more(
    shape: str, seed: int
) -> None:
    free = Settings(size=SIZE, translation=0.5, visible_share=1e-6)
    strict = Settings(size=SIZE, translation=0.5, visible_share=0.7)
    unbound, bound = (draw(shape, seed, chosen).foreground for chosen in (free, strict))
    prepared = source(shape, strict)
    middle = SIZE / 2

    def moved(quarters: int) -> Placement:
        down, right = unbound.centre_y - middle, unbound.centre_x - middle
        share = quarters / 4
        return replace(unbound, centre_y=middle + share * down, centre_x=middle + share * right)

    shown = [
        visible_share(moved(quarters), prepared.source.box, prepared.copy, SIZE) >= 0.7
        for quarters in range(5)
    ]
    if any(shown):
        expected = moved(max(quarters for quarters in range(5) if shown[quarters]))
        assert bound.rotation == unbound.rotation
    else:
        expected = moved(0)
        assert bound.rotation == 0
    assert (bound.centre_y, bound.centre_x) == pytest.approx(
        (expected.centre_y, expected.centre_x), abs=2e-6
    )


@settings(max_examples=200)
@given(st.sampled_from(["bust", "leftmost", "top"]), seeds)
def test_the_side_that_the_frame_cut_is_outside_the_canvas(shape: str, seed: int) -> None:
    prepared = source(shape, Settings(size=SIZE))
    record, copy = prepared.source, prepared.copy
    placement = draw(shape, seed).foreground
    box = record.box
    bottom, right = box.top + box.height, box.left + box.width
    side = {
        "bust": [(box.left, bottom), (right, bottom)],
        "leftmost": [(0, box.top), (0, bottom)],
        "top": [(box.left, 0), (right, 0)],
    }[shape]
    x, y = apply(source_to_canvas(placement, box), np.array(side, float)).T
    if shape == "bust":
        assert (y >= SIZE - 1e-5).all()
    elif shape == "top":
        assert (y <= 1e-5).all()
    elif placement.flip:
        assert (x >= SIZE - 1e-5).all()
    else:
        assert (x <= 1e-5).all()
    assert visible_share(placement, box, copy, SIZE) >= 0.4


@given(st.integers(1, 300), st.integers(1, 300), seeds)
def test_the_crop_lies_in_the_backgrounds_working_copy(height: int, width: int, seed: int) -> None:
    chosen = Settings(size=SIZE)
    crop = draw_recipe(
        generator(0, seed, 0, 0), chosen, source("small", chosen), photo(height, width)
    ).background
    down, across, scale = background_shape(height, width, chosen)
    assert 0 <= crop.top <= down - SIZE
    assert 0 <= crop.left <= across - SIZE
    assert crop.scale == pytest.approx(scale, abs=1e-6)
    assert (crop.scale > 1) == (min(height, width) < SIZE)


def test_the_crop_goes_everywhere() -> None:
    crops = [draw("small", seed).background for seed in range(300)]
    down, across, _ = background_shape(80, 90, Settings(size=SIZE))
    assert {crop.top for crop in crops} == set(range(down - SIZE + 1))
    assert {crop.left for crop in crops} == set(range(across - SIZE + 1))


@pytest.mark.parametrize("shape", ["small", "ring"])
def test_numbers_have_six_digits(shape: str) -> None:
    """Also where a move is shortened to three quarters. `fit` follows from the sizes alone."""
    chosen = Settings(size=SIZE, translation=0.5, visible_share=0.7)
    for seed in range(60):
        background = photo(SIZE + 8 + seed, 300)
        recipe = draw_recipe(generator(0, seed, 0, 0), chosen, source(shape, chosen), background)
        placement = recipe.foreground
        numbers = np.array(
            [
                *(placement.scale, placement.rotation, placement.centre_y, placement.centre_x),
                *astuple(recipe.foreground_colour),
                *astuple(recipe.background_colour),
                recipe.background.scale,
            ]
        )
        assert np.array_equal(numbers, numbers.round(6))


@given(st.integers(1, 9), seeds)
def test_the_second_foreground_is_another_one(count: int, seed: int) -> None:
    always, never = Settings(merge_probability=1.0), Settings()
    for first in range(count):
        found = draw_second(np.random.default_rng(seed), always, count, first)
        assert found is None if count == 1 else found in set(range(count)) - {first}
        assert draw_second(np.random.default_rng(seed), never, count, first) is None


def test_every_other_foreground_can_come_second() -> None:
    chosen = Settings(merge_probability=0.5)
    rng = np.random.default_rng(0)
    found = [draw_second(rng, chosen, 4, 1) for _ in range(400)]
    assert set(found) == {None, 0, 2, 3}
    assert 140 < found.count(None) < 260


def test_later_draws_do_not_depend_on_the_shapes() -> None:
    colours = {draw(shape, 7).foreground_colour for shape in SHAPES}
    assert len(colours) == 1
