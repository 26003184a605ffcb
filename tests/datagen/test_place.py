"""Placing and colouring, against points, sums and distances in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datagen.sample.colour import colour_matrix, jitter
from datagen.sample.place import (
    Placed,
    apply,
    over,
    place,
    source_to_canvas,
)
from datagen.sample.resize import KNOWN_ZERO
from datagen.sample.working_copies import fit_factor, prepare_cutout
from datagen.settings import Settings
from manifests.pixels import Pixels
from manifests.samples import Colour, Placement
from manifests.sources import Box

Plane = NDArray[np.float64]
SAME = Colour(1.0, 1.0, 1.0, 0.0)
CASES = ((0.8, 4.0, False), (0.87, -8.0, True), (0.95, 0.0, False), (1.0, 10.0, True))

placements = st.builds(
    Placement,
    st.just("f"),
    st.booleans(),
    st.floats(0.1, 1),
    st.floats(0.8, 1),
    st.floats(-180, 180),
    st.floats(-50, 300),
    st.floats(-50, 300),
)
colours = st.builds(
    Colour, st.floats(0.5, 1.5), st.floats(0.5, 1.5), st.floats(0, 2), st.floats(-180, 180)
)


def placed_with_points(
    alpha: Pixels,
    size: int,
    scale: float,
    rotation: float,
    flip: bool = False,
    limited: bool = True,
) -> tuple[Placed, Plane]:
    """A grey cut-out near the middle of a canvas, and its pixel centres in the source (x, y).

    limited: alpha is exact where the source is clear or solid, and not what the kernels made of it.
    """
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    box = Box(top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1)
    fit = fit_factor(box, size)
    placement = Placement("f", flip, fit, scale, rotation, size / 2 + 0.3, size / 2 - 0.2)
    cutout = np.dstack([np.full((*alpha.shape, 3), 128, np.uint8), alpha])
    copy = prepare_cutout(cutout, box, Settings(size=size))
    if not limited:
        soft = replace(copy.tiles, known=np.full_like(copy.tiles.known, KNOWN_ZERO))
        copy = replace(copy, tiles=soft)
    subject = place(copy, placement, box, size)
    matrix = source_to_canvas(placement, box)
    y, x = np.mgrid[:size, :size] + 0.5
    points = (np.stack([x, y], axis=-1) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    return subject, points


def whole(subject: Placed, size: int) -> Plane:
    alpha = np.zeros((size, size))
    alpha[subject.rows, subject.columns] = subject.alpha
    return alpha


@given(placements, st.floats(-30, 30), st.floats(-30, 30))
def test_points_turn_counter_clockwise_about_the_box_centre(
    placement: Placement, right: float, down: float
) -> None:
    box = Box(10, 20, 31, 44)
    source = np.array([20 + 22 + right, 10 + 15.5 + down])
    x, y = apply(source_to_canvas(placement, box), source)
    # the same with complex numbers whose imaginary axis points up
    seen = complex(-right if placement.flip else right, -down)
    factor = placement.fit * placement.scale
    turned = (
        factor
        * seen
        * complex(
            math.cos(math.radians(placement.rotation)), math.sin(math.radians(placement.rotation))
        )
    )
    assert x == pytest.approx(placement.centre_x + turned.real, abs=1e-6)
    assert y == pytest.approx(placement.centre_y - turned.imag, abs=1e-6)


@pytest.mark.parametrize(("rotation", "expected"), [(0, (40, 20)), (90, (20, 0)), (-90, (20, 40))])
def test_a_mark_at_the_right_rises_with_a_positive_rotation(
    rotation: float, expected: tuple[float, float]
) -> None:
    placement = Placement("f", False, 1.0, 1.0, rotation, 20.0, 20.0)
    found = apply(source_to_canvas(placement, Box(0, 0, 40, 40)), np.array([40.0, 20.0]))
    assert np.allclose(found, expected)


@pytest.mark.parametrize("size", [50, 83, 160])
@pytest.mark.parametrize(
    ("scale", "rotation"), [(0.8, 9.5), (0.91, -7.0), (1.0, 0.0), (0.95, 47.0)]
)
@pytest.mark.parametrize("flip", [False, True])
def test_a_blob_lands_where_the_map_says(
    size: int, scale: float, rotation: float, flip: bool
) -> None:
    y, x = np.mgrid[:120, :130] + 0.5
    centre = np.array([52.3, 66.8])
    blob = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * 9.0**2))
    alpha = np.rint(255 * blob).astype(np.uint8)
    alpha[40, 85] = 1  # the box is not centred on the blob
    alpha[100, 20] = 1
    subject, points = placed_with_points(alpha, size, scale, rotation, flip)
    found = whole(subject, size)
    weights = found / found.sum()
    assert np.hypot(*((weights[..., None] * points).sum(axis=(0, 1)) - centre)) < 0.05


@pytest.mark.parametrize("size", [40, 100])
def test_a_subject_in_the_corner_of_its_source_lands_where_the_map_says(size: int) -> None:
    """A box that touches every side of the frame: there are no pixels around it."""
    y, x = np.mgrid[:60, :80] + 0.5
    alpha = np.rint(255 * (1 - x / 80) * (1 - y / 60)).astype(np.uint8)
    alpha[0, :], alpha[:, 0] = 255, 255
    subject, points = placed_with_points(alpha, size, 0.9, 0.0)
    found = whole(subject, size)
    centre = (found[..., None] * points).sum(axis=(0, 1)) / found.sum()
    expected = np.array([(alpha * x).sum(), (alpha * y).sum()]) / alpha.sum()
    assert np.hypot(*(centre - expected)) < 0.3


@pytest.mark.parametrize("shape", ["disc", "square", "comb", "ring", "line"])
@pytest.mark.parametrize("size", [40, 64, 100])
def test_placing_keeps_the_opacity(shape: str, size: int) -> None:
    """Thin structures gain some, where the kernels' negative lobes are clipped, but lose none."""
    alpha, most = shapes()[shape], 0.22 if shape in {"comb", "line"} else 0.002
    for scale, rotation, flip in CASES[:3]:  # in the last one the corners leave the canvas
        subject, points = placed_with_points(alpha, size, scale, rotation, flip)
        pixel = float(np.hypot(*(points[0, 1] - points[0, 0])))  # of the canvas, in the source
        ratio = whole(subject, size).sum() / 255 * pixel**2 / (alpha.sum() / 255)
        assert 0.998 <= ratio <= 1 + most


def shapes() -> dict[str, Pixels]:
    y, x = np.mgrid[:120, :120]
    inside = (abs(y - 60) < 40) & (abs(x - 60) < 40)
    made = {
        "disc": np.hypot(y - 60, x - 60) < 40,
        "square": inside,
        "comb": inside & (x % 9 < 4),
        "ring": abs(np.hypot(y - 60, x - 60) - 36) < 4,
        "line": (abs(y - 60) < 40) & (x == 60),
    }
    return {name: shape.astype(np.uint8) * np.uint8(255) for name, shape in made.items()}


def away_from(points: Plane, where: NDArray[np.bool_]) -> Plane:
    """How far each point (x, y) is from the nearest pixel, a square of side 1, of `where`."""
    y, x = np.nonzero(_rim(where))
    away = np.empty(points.shape[:-1])
    for row in range(points.shape[0]):
        dx = np.maximum(np.abs(points[row, :, :1] - x - 0.5) - 0.5, 0)
        dy = np.maximum(np.abs(points[row, :, 1:] - y - 0.5) - 0.5, 0)
        away[row] = np.hypot(dx, dy).min(axis=1)
    x, y = np.moveaxis(np.floor(points).astype(int) + 1, -1, 0).clip(0, where.shape[0] + 1)
    away[np.pad(where, 1)[y, x]] = 0
    return away


def _rim(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of `where` beside one that is not: the nearest one is always among them."""
    padded = np.pad(where, 1)
    inner = padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]
    return np.asarray(where & ~inner, np.bool_)


@pytest.mark.parametrize("shape", ["disc", "square", "comb", "ring", "line"])
@pytest.mark.parametrize("size", [40, 64, 100])
def test_no_transparency_is_invented(shape: str, size: int) -> None:
    alpha = shapes()[shape]
    clear, solid = 0, 0
    for scale, rotation, flip in CASES:
        subject, points = placed_with_points(alpha, size, scale, rotation, flip)
        found = whole(subject, size)
        pixel = float(np.hypot(*(points[0, 1] - points[0, 0])))  # of the canvas, in the source
        outside, inside = away_from(points, alpha > 0), away_from(points, alpha < 255)
        within = (points >= 0).all(axis=-1) & (points < 120).all(axis=-1)
        assert not found[outside >= pixel].any()
        assert (found[within & (inside >= pixel)] == 255).all()
        assert (found[outside == 0] > 0).all()  # and nothing is taken away
        clear += int((outside >= pixel).sum())
        solid += int((within & (inside >= pixel)).sum())
    assert clear > 500
    assert solid > 100 or shape in {"line", "comb", "ring"}


@pytest.mark.parametrize(("pitch", "side"), [(10, 1), (11, 2)])
@pytest.mark.parametrize("inside", [0, 255])
def test_a_pixel_between_specks_stays_as_clear_or_solid_as_the_source(
    pitch: int, side: int, inside: int
) -> None:
    """A grid of specks (or pinholes) a little more than two pixels of the canvas apart.

    The distance to the nearest one is greatest half way between two, where interpolated distances
    are too short.
    """
    length, size, far_ones = 300, 60, 0
    y, x = np.mgrid[:length, :length]
    is_speck = (y % pitch < side) & (x % pitch < side)
    alpha = np.where(is_speck, 255 - inside, inside).astype(np.uint8)
    alpha[0, 0] = alpha[-1, -1] = 255  # the box is the whole source
    for scale, rotation, flip in CASES:
        subject, points = placed_with_points(alpha, size, scale, rotation, flip)
        pixel = float(np.hypot(*(points[0, 1] - points[0, 0])))  # of the canvas, in the source
        from_centre = np.abs((points - side / 2 + pitch / 2) % pitch - pitch / 2)
        away = np.linalg.norm(np.maximum(from_centre - side / 2, 0), axis=-1)
        within = ((points > 3 * pixel) & (points < length - 3 * pixel)).all(axis=-1)
        is_far = within & (away >= pixel)
        assert (whole(subject, size)[is_far] == inside).all()
        far_ones += int(is_far.sum())
    assert far_ones > 100


def flat(colour: Plane, alpha: Plane) -> Placed:
    """A subject on the whole canvas from straight colours 0..255 and alpha 0..1."""
    side = slice(0, alpha.shape[0])
    levels = np.rint(255 * alpha).astype(np.uint8)
    return Placed(np.rint(colour).astype(np.uint8), levels, side, side)


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_one_subject_over_another(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (f1, a1), (f2, a2) = (
        (rng.uniform(0, 255, (12, 12, 3)), rng.choice([0, 0.25, rng.random(), 1], (12, 12)))
        for _ in range(2)
    )
    front, back = flat(f1, a1), flat(f2, a2)
    found = over(front, back, 12)
    a1, a2 = front.alpha / 255, back.alpha / 255
    alpha = a1 + a2 * (1 - a1)
    assert np.abs(found.alpha / 255 - alpha).max() <= 0.5 / 255 + 1e-9
    seen = alpha > 0
    mixed = (a1[..., None] * front.colour + ((1 - a1) * a2)[..., None] * back.colour)[seen]
    assert np.abs(found.colour[seen] - mixed / alpha[seen, None]).max() <= 0.5 + 1e-9
    invisible = (a1 == 1) | ((a2 == 0) & seen)  # the second one's colour does not tint
    assert np.array_equal(found.colour[invisible], front.colour[invisible])
    assert not found.alpha[~seen].any()


@given(colours)
def test_colour_matrices_are_exact_in_fixed_point(colour: Colour) -> None:
    matrix = colour_matrix(colour).astype(np.float64) * 1024
    assert np.array_equal(matrix, matrix.round())


def test_each_jitter_does_what_its_name_says() -> None:
    rgb = np.array([200.0, 90.0, 30.0])
    grey = float(rgb @ [0.299, 0.587, 0.114])

    def of(colour: Colour) -> Plane:
        matrix = colour_matrix(colour).astype(np.float64)
        result: Plane = matrix[:, :3] @ rgb + matrix[:, 3]
        return result

    assert np.array_equal(colour_matrix(SAME), np.eye(3, 4))
    assert np.allclose(of(Colour(1.2, 1, 1, 0)), 1.2 * rgb, atol=0.3)
    assert np.allclose(of(Colour(1, 0.8, 1, 0)), 127.5 + 0.8 * (rgb - 127.5), atol=0.3)
    assert np.allclose(of(Colour(1, 1, 0, 0)), grey, atol=0.3)
    assert np.allclose(of(Colour(1, 1, 1.3, 0)), grey + 1.3 * (rgb - grey), atol=0.3)
    turned = of(Colour(1, 1, 1, 25))
    assert turned @ [0.299, 0.587, 0.114] == pytest.approx(grey, abs=0.5)
    assert np.abs(turned - rgb).max() > 10
    assert np.allclose(of(Colour(1, 1, 1, 360)), rgb, atol=0.5)


@given(colours, st.integers(0, 255))
def test_grey_stays_grey(colour: Colour, level: int) -> None:
    """Hue and saturation change nothing where there is no colour."""
    matrix = colour_matrix(colour).astype(np.float64)
    expected = colour.contrast * (colour.brightness * level - 127.5) + 127.5
    assert np.abs(matrix @ [level, level, level, 1] - expected).max() <= 0.6


def test_a_third_of_a_turn_of_the_hue_makes_red_blue_and_the_next_green() -> None:
    for hue, strongest in ((0, 0), (120, 2), (240, 1)):
        matrix = colour_matrix(Colour(1.0, 1.0, 1.0, hue))[:, :3]
        assert int((matrix @ [255, 0, 0]).argmax()) == strongest


@given(colours, st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_jitter_is_the_matrix_rounded(colour: Colour, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    matrix = colour_matrix(colour)
    exact = pixels @ matrix[:, :3].T.astype(np.float64) + matrix[:, 3]
    assert np.abs(jitter(pixels, matrix) - np.clip(exact, 0, 255)).max() <= 0.501
    assert np.array_equal(jitter(pixels, colour_matrix(SAME)), pixels)
