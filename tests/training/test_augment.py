"""Crops: around what is unknown, the same for every stream, drawn from an explicit generator."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from manifests.pixels import UNKNOWN, Pixels, trimap_of
from tests.strategies import few, many, rgb_images, soft_alphas, trimaps
from tests.training.shard_sets import pixels_of
from training.choices import TrimapChoice
from training.loading.augment import (
    Scales,
    Window,
    cut_into,
    cut_unmixed_into,
    draw_pixel,
    draw_trimap,
    draw_window,
)

SCALES = Scales(1 / 1.5, 1.5, 1.0)
USUAL = Scales(1 / 1.5, 2.5, 0.5)
seeds = st.integers(0, 2**32 - 1)
scale_ranges = st.sampled_from(
    [SCALES, Scales(1.0, 1.0, 1.0), Scales(0.5, 0.9, 1.0), Scales(1.2, 4.0, 1.0), USUAL]
)


def drawn(rng: np.random.Generator, is_unknown: NDArray[np.bool_], size: int, s: Scales) -> Window:
    """A window of an image whose alpha is soft there and nowhere else."""
    alpha = np.where(is_unknown, np.uint8(128), np.uint8(255))
    return draw_window(rng, draw_pixel(rng, alpha, None), alpha.shape, size, s)


def cut(pixels: Pixels, window: Window, size: int) -> Pixels:
    out = np.full((size, size, *pixels.shape[2:]), 77, np.uint8)
    cut_into(pixels[window.inside(pixels.shape)], window, out)
    return out


def cut_codes(trimap: Pixels, window: Window, size: int) -> Pixels:
    out = np.full((size, size), 77, np.uint8)
    cut_unmixed_into(trimap[window.inside(trimap.shape)], window, out)
    return out


@given(
    given=trimaps(), alpha=soft_alphas(), size=st.integers(8, 40), scales=scale_ranges, seed=seeds
)
@many
def test_a_window_holds_an_unknown_pixel_if_there_is_one(
    given: Pixels, alpha: Pixels, size: int, scales: Scales, seed: int
) -> None:
    height, width = (min(a, b) for a, b in zip(given.shape, alpha.shape, strict=True))
    given, exact = given[:height, :width], trimap_of(alpha[:height, :width])
    is_unknown = (given == UNKNOWN) | (exact == UNKNOWN)
    rng = np.random.default_rng(seed)
    pixel = draw_pixel(rng, alpha[:height, :width], given)
    assert is_unknown[pixel] == is_unknown.any()
    window = draw_window(rng, pixel, given.shape, size, scales)

    least, most = round(size * scales.low), round(size * scales.high)
    limit = max(size, min(height, width))
    assert min(least, limit) <= window.side <= min(most, limit) or window.side == size
    for start, length in ((window.top, height), (window.left, width)):
        if window.side <= length:
            assert 0 <= start <= length - window.side
        else:
            assert length - window.side <= start <= 0, "the whole image is inside"
    rows = slice(max(window.top, 0), window.top + window.side)
    columns = slice(max(window.left, 0), window.left + window.side)
    assert is_unknown[rows, columns].any() == is_unknown.any()


def test_every_unknown_pixel_is_drawn_and_scales_and_flips_are_even() -> None:
    is_unknown = np.zeros((60, 60), bool)
    places = [(5, 7), (30, 30), (59, 0)]
    for place in places:
        is_unknown[place] = True
    hits = dict.fromkeys(places, 0)
    sides, flips = [], []
    for seed in range(400):
        window = drawn(np.random.default_rng(seed), is_unknown, 12, SCALES)
        for row, column in places:
            inside = window.top <= row < window.top + window.side
            hits[row, column] += inside and window.left <= column < window.left + window.side
        sides.append(window.side)
        flips.append(window.flip)
    assert sum(hits.values()) == 400, "they lie too far apart for a window of two"
    assert all(100 < count < 170 for count in hits.values()), hits
    assert (min(sides), max(sides)) == (8, 18)
    smaller, larger = (sum(side < 12 for side in sides), sum(side > 12 for side in sides))
    assert abs(smaller - larger) < 60, "a window is enlarged as often as it is shrunk"
    assert 160 < sum(flips) < 240


def test_some_windows_are_not_scaled_and_some_are_the_whole_image() -> None:
    everywhere = np.ones((70, 90), bool)
    windows = [drawn(np.random.default_rng(n), everywhere, 32, USUAL) for n in range(400)]
    assert 160 < sum(window.side == 32 for window in windows) < 240
    assert max(window.side for window in windows) == 70
    assert 8 < sum(window.side == 70 for window in windows) < 40
    never = Scales(0.5, 0.5, 0.0)
    assert drawn(np.random.default_rng(0), everywhere, 32, never).side == 32


@pytest.mark.parametrize("share", [1e-4, 0.01, 1.0])
def test_each_unknown_pixel_is_as_likely(share: float) -> None:
    """Windows of one pixel are the pixels drawn, by chance or, if they are few, by a search."""
    is_unknown = np.random.default_rng(5).random((300, 200)) < share
    draws = [
        drawn(np.random.default_rng(n), is_unknown, 1, Scales(1.0, 1.0, 0.0)) for n in range(600)
    ]
    assert all(is_unknown[window.top, window.left] for window in draws)
    rows, expected = np.array([window.top for window in draws]), np.nonzero(is_unknown)[0]
    assert abs(rows.mean() - expected.mean()) < 15
    assert abs(rows.std() - expected.std()) < 10


def test_without_unknown_pixels_the_window_is_anywhere() -> None:
    nowhere = np.zeros((50, 90), bool)
    windows = [drawn(np.random.default_rng(n), nowhere, 16, SCALES) for n in range(200)]
    assert min(window.top for window in windows) == 0
    assert max(window.left + window.side for window in windows) == 90


@given(image=rgb_images(), seed=seeds, size=st.integers(8, 20), flip=st.booleans())
@many
def test_a_window_of_the_size_is_the_pixels_themselves(
    image: Pixels, seed: int, size: int, flip: bool
) -> None:
    height, width = image.shape[:2]
    rng = np.random.default_rng(seed)
    top, left = (
        int(rng.integers(min(0, n - size), max(0, n - size), endpoint=True))
        for n in (height, width)
    )
    window = Window(top, left, size, flip)
    around = [(max(-top, 0), max(top + size - height, 0))]
    around += [(max(-left, 0), max(left + size - width, 0)), (0, 0)]
    padded = np.pad(image, around, mode="reflect")
    expected = padded[max(top, 0) :, max(left, 0) :][:size, :size]
    expected = expected[:, ::-1] if flip else expected
    assert np.array_equal(cut(image, window, size), expected)
    assert np.array_equal(cut(image[..., 0], window, size), expected[..., 0])
    codes = image[..., 0] % 3
    assert np.array_equal(cut_codes(codes, window, size), expected[..., 0] % 3)


@pytest.mark.parametrize("side", [20, 27, 32, 40, 48])
@pytest.mark.parametrize("flip", [False, True])
def test_the_streams_stay_aligned(side: int, flip: bool) -> None:
    pixels, size = pixels_of(3, 90, 96), 32
    rows, columns = np.nonzero(pixels["trimap"] == UNKNOWN)
    window = Window(max(int(rows[0]) - 5, 0), int(columns[0]) - side // 2, side, flip)
    image, alpha, foreground, background = (
        cut(pixels[name], window, size).astype(np.float64)
        for name in ("image", "alpha", "foreground", "background")
    )
    opacity = alpha[..., None] / 255
    blend = opacity * foreground + (1 - opacity) * background
    # Scaling does not commute with blending, by little where colours change slowly
    assert np.abs(blend - image).max() <= 12
    assert np.abs(blend - image).mean() <= 1
    wrong = opacity[:, ::-1] * foreground + (1 - opacity[:, ::-1]) * background
    assert np.abs(wrong - image).mean() > 5 * np.abs(blend - image).mean(), "mistakes are seen"

    exact, codes = trimap_of(alpha.astype(np.uint8)), cut_codes(pixels["trimap"], window, size)
    # A code of the nearest pixel against Eq. (2) of the scaled alpha: they differ only at edges
    edge = cv2.dilate((exact == UNKNOWN).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert np.array_equal(exact[~edge], codes[~edge])
    assert np.mean(exact != codes) < 0.1


@given(trimap=trimaps(), seed=seeds, size=st.integers(8, 40))
@few
def test_codes_are_never_mixed(trimap: Pixels, seed: int, size: int) -> None:
    window = drawn(np.random.default_rng(seed), trimap == UNKNOWN, size, SCALES)
    found = cut_codes(trimap, window, size)
    assert set(np.unique(found)) <= set(np.unique(trimap))


FINE = [
    (side, period)
    for side in (36, 40, 45, 48, 56, 64, 70, 96, 160)
    for period in (2.2, 2.5, 3.1)
    if period * 32 / side <= 1.6  # others are coarse enough to stay
]


@pytest.mark.parametrize(("side", "period"), FINE)
def test_shrinking_leaves_no_aliases(side: int, period: float) -> None:
    """Stripes finer than what the smaller image can hold turn grey rather than broad."""
    size = 32
    waves = np.sin(2 * np.pi * np.arange(side) / period)
    stripes = np.rint(127.5 + 127 * np.tile(waves, (side, 1))).astype(np.uint8)
    left = cut(stripes, Window(0, 0, side, False), size)[2:-2, 2:-2].std() / stripes.std()
    area = cv2.resize(stripes, (size, size), interpolation=cv2.INTER_AREA)[2:-2, 2:-2].std()
    assert left <= 1.15 * area / stripes.std() + 0.05, "about what an average over areas leaves"


@pytest.mark.parametrize("side", [20, 30, 36, 40, 45, 48, 64, 100])
def test_scaling_moves_nothing(side: int) -> None:
    ramp = np.tile(np.linspace(10, 240, side), (side, 1))
    found = cut(np.rint(ramp).astype(np.uint8), Window(0, 0, side, False), 32).astype(float)
    centres = (np.arange(32) + 0.5) * side / 32 - 0.5
    expected = np.interp(centres, np.arange(side), ramp[0])
    assert np.abs(found[:, 1:-1] - expected[1:-1]).max() < 1.5


@given(seed=seeds, trimap=trimaps())
@few
def test_what_is_drawn_does_not_depend_on_the_choice_of_the_trimap(
    seed: int, trimap: Pixels
) -> None:
    numbers = set()
    for choice in TrimapChoice:
        rng = np.random.default_rng(seed)
        drawn_choice = draw_trimap(rng, choice)
        assert drawn_choice is choice or choice is TrimapChoice.MIXED
        crude = None if drawn_choice is TrimapChoice.EXACT else trimap
        draw_pixel(rng, np.full_like(trimap, 255), crude)
        numbers.add(rng.random())
    assert len(numbers) == 1


def test_mixed_is_half_and_half() -> None:
    drawn = [draw_trimap(np.random.default_rng(n), TrimapChoice.MIXED) for n in range(400)]
    assert set(drawn) == {TrimapChoice.CRUDE, TrimapChoice.EXACT}
    assert 160 < drawn.count(TrimapChoice.CRUDE) < 240
