"""The shrinking resampler against sums written out in float64."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datagen.sample.resize import (
    DISTANCE_UNIT,
    OPAQUE,
    PER_LEVEL,
    Axis,
    distance_threshold,
    distance_to_other,
    known_distance,
    lanczos_taps,
    resize_cutout,
    resize_photo,
    sharpened,
)
from manifests.pixels import Pixels

Plane = NDArray[np.float64]

axes = st.builds(
    lambda start, band, oversampling, length: Axis(start, 1 / (band * oversampling), band, length),
    st.floats(-4, 4),
    st.floats(0.1, 1),
    st.floats(1, 2.2),  # production: 2.0
    st.integers(1, 9),
)


def weights_of(axis: Axis, length: int) -> Plane:
    """Output x source: Lanczos-3 stretched by 1 / band, source pixels from -200 to length + 200."""
    centre = axis.start + (np.arange(axis.length) + 0.5) * axis.step
    x = (np.arange(-200, length + 200) + 0.5 - centre[:, None]) * axis.band
    weights = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)
    total: Plane = weights / weights.sum(axis=1, keepdims=True)
    return total


def ideal(cutout: Pixels, rows: Axis, columns: Axis) -> Plane:
    """Premultiplied in 1/80 of a level; alpha is 0 beyond the frame."""
    height, width = cutout.shape[:2]
    alpha = cutout[..., 3:].astype(np.float64)
    straight = cutout[..., :3].astype(np.float64)
    premultiplied = np.concatenate([straight * alpha / 255, alpha], axis=2) * PER_LEVEL
    down, across = weights_of(rows, height)[:, 200:-200], weights_of(columns, width)[:, 200:-200]
    result: Plane = np.einsum("ih,hwc,jw->ijc", down, premultiplied, across)
    return result


@given(axes)
def test_taps_are_all_of_a_partition_of_one(axis: Axis) -> None:
    first, weights = lanczos_taps(axis)
    assert np.abs(weights.sum(axis=1) - 1).max() < 1e-7
    dense = np.zeros((axis.length, 400 + 60))
    for row, start in enumerate(first):
        dense[row, 200 + start : 200 + start + weights.shape[1]] = weights[row]
    assert np.abs(dense - weights_of(axis, 60)).max() < 2e-9
    assert np.array_equal(weights, weights.round(9))  # the last bits of a sine are not used


@settings(max_examples=40, deadline=None)
@given(axes, axes, st.integers(1, 24), st.integers(1, 24), st.integers(0, 99))
def test_cutouts_are_resampled_as_in_float64(
    rows: Axis, columns: Axis, height: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    cutout = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    cutout[..., 3] = rng.choice(np.array([0, 1, 90, 255], np.uint8), (height, width))
    found = resize_cutout(cutout, rows, columns)
    assert found.shape == (rows.length, columns.length, 4)
    assert np.abs(found - ideal(cutout, rows, columns)).max() <= 0.6


def test_a_long_axis_has_no_seams() -> None:
    """Longer than the strips that are worked on at a time, with room beyond the frame."""
    rng = np.random.default_rng(0)
    cutout = rng.integers(0, 256, (130, 9, 4), dtype=np.uint8)
    rows, columns = Axis(-90.0, 0.5, 0.9, 700), Axis(0.0, 1.3, 0.5, 7)
    found = resize_cutout(cutout, rows, columns)
    assert np.abs(found - ideal(cutout, rows, columns)).max() <= 0.6
    assert not found[:100].any()
    assert not found[-100:].any()


def test_only_a_part_of_a_large_source_is_in_floats_at_once() -> None:
    cutout = np.full((20_000, 40, 4), 255, np.uint8)
    rows, columns = Axis(0.0, 25.0, 0.08, 800), Axis(0.0, 1.0, 1.0, 40)
    tracemalloc.start()
    try:
        resize_cutout(cutout, rows, columns)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * cutout.size / 2


def test_the_worst_pattern_for_a_kernel_does_not_overflow() -> None:
    """White just where both kernels agree in sign: the sum is 1.69 times white."""
    axis = Axis(0.5, 1.0, 1.0, 40)
    x = np.arange(41) - 20.5
    sign = np.where(np.sinc(x) * np.sinc(x / 3) < 0, -1, 1)
    alpha = np.where(np.outer(sign, sign) > 0, 255, 0).astype(np.uint8)
    found = resize_cutout(np.dstack([alpha] * 4), axis, axis)
    exact = ideal(np.dstack([alpha] * 4), axis, axis)
    assert exact.max() > 1.5 * OPAQUE
    assert np.abs(np.clip(found, 0, OPAQUE) - np.clip(exact, 0, OPAQUE)).max() < 1


@given(st.floats(0.1, 1), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_what_lies_under_alpha_0_never_shows(band: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cutout = np.zeros((40, 40, 4), np.uint8)
    cutout[...] = (0, 255, 0, 0)
    cutout[8:30, 10:33] = (255, 0, 0, 255)
    cutout[8:30, 10:16, 3] = rng.integers(1, 256, (22, 6))
    axis = Axis(0.0, 1 / (1.4 * band), band, round(40 * 1.4 * band))
    found = resize_cutout(cutout, axis, axis)
    red, green, blue, alpha = np.moveaxis(found.astype(np.float64), 2, 0)
    is_edge = (alpha >= PER_LEVEL) & (alpha < OPAQUE)
    assert is_edge.any()
    assert np.abs(255 * red[is_edge] / alpha[is_edge] - 255).max() <= 255 / PER_LEVEL
    assert not green.any()
    assert not blue.any()


@pytest.mark.parametrize("shrink", [4, 5, 6.3, 8])
def test_stripes_of_one_pixel_become_even_grey(shrink: float) -> None:
    stripes = np.zeros((240, 240, 4), np.uint8)
    stripes[::2] = 255
    photo = np.ascontiguousarray(stripes[..., :3])
    side = int(240 / shrink)
    axis = Axis(0.0, shrink, 1 / shrink, side)
    inner = slice(4, side - 4)
    for picture, scale in ((stripes, PER_LEVEL), (stripes.swapaxes(0, 1), PER_LEVEL)):
        alpha = resize_cutout(np.ascontiguousarray(picture), axis, axis)[inner, inner, 3] / scale
        assert alpha.std() < 2
        assert abs(alpha.mean() - 127.5) < 2
    small = resize_photo(photo, side, side)
    assert small.shape == (side, side, 3)
    assert small[inner, inner].astype(np.float64).std() < 2


@pytest.mark.parametrize(
    ("cycles", "least"), [(0.0, 1.0), (1 / 14, 0.995), (1 / 7, 0.99), (2 / 7, 0.94)]
)
@pytest.mark.parametrize("axis", [0, 1])
def test_sharpening_undoes_what_a_bilinear_warp_blurs(
    cycles: float, least: float, axis: int
) -> None:
    """The amplitude of a wave, averaged over where between two samples it is taken."""
    angle = 2 * np.pi * cycles * np.arange(64)
    kept = []
    for wave in (np.cos(angle), np.sin(angle)):
        levels = np.rint(10_000 * wave).astype(np.int16)
        pixels = np.repeat(np.repeat(levels[:, None, None], 8, 1), 4, 2)
        found = sharpened(np.ascontiguousarray(pixels.swapaxes(0, axis))).swapaxes(0, axis)
        kept.append(found[8:-8, 3, 2].astype(np.float64) / 10_000)
    assert found.dtype == np.int16
    phasor = (kept[0] + 1j * kept[1]) * np.exp(-1j * angle[8:-8])
    amplitude = phasor.real.mean() * np.sinc(cycles) ** 2
    assert least - 1e-3 <= amplitude <= 1.006


@pytest.mark.parametrize("axis", [0, 1])
def test_sharpening_rounds_to_nearest(axis: int) -> None:
    line = np.random.default_rng(0).integers(-9000, 9000, 500).astype(np.int16)
    pixels = np.repeat(np.repeat(line[:, None, None], 3, 1), 4, 2)
    found = sharpened(np.ascontiguousarray(pixels.swapaxes(0, axis))).swapaxes(0, axis)[1:-1, 1, 0]
    wide = line.astype(np.float64)
    exact = (12 * wide[1:-1] - wide[:-2] - wide[2:]) / 10
    assert np.abs(found - exact).max() <= 0.5


def test_sharpening_leaves_flat_places_alone_and_does_not_overflow() -> None:
    flat = np.full((5, 7, 4), -123, np.int16)
    assert np.array_equal(sharpened(flat), flat)
    y, x = np.mgrid[:6, :6]
    checker = np.where((x + y) % 2 == 0, 30_000, -30_000).astype(np.int16)
    found = sharpened(np.repeat(checker[..., None], 4, axis=2))
    assert np.array_equal(np.sign(found[..., 0]), np.sign(checker))
    assert np.abs(found.astype(np.int32)).min() >= 30_000


def test_a_photo_of_the_right_size_is_left_alone() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert np.array_equal(resize_photo(photo, 20, 30), photo)
    assert resize_photo(photo, 30, 20).shape == (30, 20, 3)


def nearest(points: Plane, where: NDArray[np.bool_]) -> Plane:
    """Distance of each point (x, y) to the nearest pixel centre of `where`."""
    y, x = np.nonzero(where)
    if not x.size:
        return np.full(points.shape[:-1], np.inf)
    centres = np.stack([x, y], axis=-1) + 0.5
    away: Plane = np.linalg.norm(points[..., None, :] - centres, axis=-1).min(axis=-1)
    return away


@given(st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_distance_to_other(seed: int) -> None:
    inside = np.random.default_rng(seed).random((14, 11)) < 0.9
    y, x = np.mgrid[:14, :11] + 0.5
    expected = nearest(np.stack([x, y], axis=-1), ~inside)
    assert np.allclose(distance_to_other(inside), np.where(inside, expected, 0), atol=1e-4)


def test_nothing_else_is_far_away() -> None:
    assert distance_to_other(np.ones((5, 5), np.bool_)).min() >= 1e5


@pytest.mark.parametrize("shape", ["disc", "square", "soft", "lines"])
@pytest.mark.parametrize("fit", [0.3, 0.7, 1.0])
def test_known_distance_is_the_distance_to_a_change(shape: str, fit: float) -> None:
    y, x = np.mgrid[:40, :48]
    soft = np.clip(16 - np.hypot(y - 20, x - 24), 0, 4) / 4 * 255
    alpha = {
        "disc": (np.hypot(y - 20, x - 24) < 13) * 255,
        "square": ((abs(y - 20) < 12) & (abs(x - 24) < 14)) * 255,
        "soft": soft,
        "lines": ((x % 12 == 3) & (y > 5)) * 255,
    }[shape].astype(np.uint8)
    axis = Axis(0.3, 1 / (1.4 * fit), fit, int(38 * 1.4 * fit))
    known = known_distance(alpha, axis, axis._replace(start=2.7), fit).astype(np.float64)
    place = (np.arange(axis.length) + 0.5) * axis.step
    points = np.stack(np.meshgrid(2.7 + place, 0.3 + place), axis=-1)
    clear, solid = nearest(points, alpha > 0) * fit, nearest(points, alpha < 255) * fit
    away = (known - 128) / DISTANCE_UNIT
    # Distances are sampled at the source's pixels, so they are right to half a pixel of it, and
    # where a pixel has the other value right beside it, 0 on one side and at most 1 on the other.
    near = 0.75 * fit + 1 / DISTANCE_UNIT
    is_clear, is_solid = away > 0, away < 0
    assert is_clear.any()
    assert is_solid.any() or shape == "lines"
    assert np.abs(away - np.minimum(clear, 3.9))[is_clear].max() <= near
    assert np.abs(-away - np.minimum(solid, 3.9))[is_solid].max() <= near
    assert (away[clear > near] > 0).all()
    assert (away[solid > near] < 0).all()
    assert np.abs(away).max() <= 3.92


def test_far_from_a_change_the_known_distance_is_nearly_four_pixels() -> None:
    axis = Axis(0.0, 1.0, 1.0, 20)
    for level, farthest in ((0, 128 + 125), (255, 128 - 125)):
        known = known_distance(np.full((20, 20), level, np.uint8), axis, axis, 1.0)
        assert (known == farthest).all()


def test_thresholds_are_never_more_than_the_distance() -> None:
    assert distance_threshold(1.0) == DISTANCE_UNIT
    assert distance_threshold(1.99) == int(1.99 * DISTANCE_UNIT)
    assert distance_threshold(0.0) == 1
