"""The compiled loops, against the same samples taken one by one in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datagen.sample.resize import KNOWN_ZERO, OPAQUE, PER_LEVEL
from datagen.sample.sampling import gather
from datagen.sample.tiles import BIAS, SIDE, TILE, Tiles, tiled
from manifests.pixels import Pixels

NEVER = (10**6, -1)  # limits that nothing reaches
ALL_SOFT = NEVER  # no tile is clear or opaque

Values = NDArray[np.int16]


def soft(shape: tuple[int, ...]) -> Pixels:
    return np.full(shape, KNOWN_ZERO, np.uint8)


def taken(
    tiles: Tiles, to_copy: NDArray[np.float64], size: int, *mixture: float, limits: tuple[int, int]
) -> tuple[Pixels, Pixels]:
    colour, alpha = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
    band, share = mixture
    gather(tiles, int(band), share, to_copy, limits, colour, alpha)
    return colour, alpha


def exact(
    bands: list[Values], to_copy: NDArray[np.float64], size: int, band: int, share: float
) -> tuple[Pixels, Pixels]:
    """Bilinear samples of two mixed bands: alpha at coordinates in 1/256, colour in 1/32."""
    colour, alpha = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
    height, width = bands[0].shape[:2]
    alphas = [one[..., 3:] / PER_LEVEL for one in bands]
    colours = [straight(one) for one in bands]
    for row, column in np.ndindex(size, size):
        x, y = (math.floor(Fraction(v) * 256 + Fraction(1, 2)) for v in to_copy @ [column, row, 1])
        top, left = y // 256, x // 256
        if not (0 <= top < height - 1 and 0 <= left < width - 1):
            continue
        values = np.zeros(4)
        for number, weight in ((band, 1 - share), (band + 1, share)):
            for steps, planes, of in ((256, alphas, slice(3, 4)), (32, colours, slice(0, 3))):
                down, right = (v * steps // 256 % steps / steps for v in (y, x))
                part = planes[number][top : top + 2, left : left + 2]
                values[of] += weight * np.einsum(
                    "ijk,i,j->k", part, [1 - down, down], [1 - right, right]
                )
        levels = np.clip(np.floor(values + 0.5), 0, 255)
        if levels[3]:
            alpha[row, column], colour[row, column] = levels[3], levels[:3]
    return colour, alpha


def straight(band: Values) -> NDArray[np.float64]:
    """Colours in levels, to 1/2; where alpha is below 16, those of the 5 x 5 pixels around."""
    height, width = band.shape[:2]
    values = np.maximum(band, 0).astype(float)
    padded = np.pad(values, ((2, 2), (2, 2), (0, 0)), "reflect")
    around = np.sum(
        [padded[y : y + height, x : x + width] for y in range(5) for x in range(5)], axis=0
    )
    used = np.where(values[..., 3:] < 16 * PER_LEVEL, around, values)
    levels = 255 * used[..., :3] / np.maximum(used[..., 3:], 1)
    return np.asarray(np.clip(np.floor(2 * levels + 0.5) / 2, -128, 383), np.float64)


def noise(seed: int, height: int, width: int) -> list[Values]:
    """Bands of premultiplied pixels with overshoots; they differ as those of one picture do."""
    rng = np.random.default_rng(seed)
    alpha = rng.choice([0, OPAQUE, *rng.integers(-2000, 20_000, 5)], (height, width, 1))
    colour = alpha * rng.random((height, width, 3)) * 1.2 - 300
    picture = np.concatenate([colour, alpha], axis=2)
    shares = [1 + 0.1 * rng.uniform(-1, 1, picture.shape) for _ in range(3)]
    return [np.asarray(picture * share, np.int16) for share in shares]


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.25, 1.0]), st.integers(0, 1))
@settings(max_examples=12, deadline=None)
def test_samples_are_exact(seed: int, share: float, band: int) -> None:
    rng = np.random.default_rng(seed)
    bands = noise(seed, 50, 75)
    tiles = tiled(bands, soft((50, 75)), *ALL_SOFT)
    angle, scale = rng.uniform(0, 7), rng.uniform(0.5, 2)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    middle = np.array([37, 25]) - np.array([[cos, sin], [-sin, cos]]) @ [15, 15]
    to_copy = np.array([[cos, sin, middle[0]], [-sin, cos, middle[1]]])
    found = taken(tiles, to_copy, 30, band, share, limits=NEVER)
    expected = exact(bands, to_copy, 30, band, share)
    assert found[1].any()
    # The last row and column are beside the pixels that a tile adds.
    inner = exact_inside(to_copy, 30, 50, 75)
    visible = inner & (found[1] > 0) & (expected[1] > 0)
    for one, other, where in zip(found, expected, (visible, inner), strict=True):
        difference = np.abs(one[where].astype(int) - other[where])
        assert difference.max() <= 1  # at a tie
        assert (difference == 0).mean() > 0.97


def exact_inside(
    to_copy: NDArray[np.float64], size: int, height: int, width: int
) -> NDArray[np.bool_]:
    row, column = np.mgrid[:size, :size]
    x, y = np.moveaxis(np.dstack([column, row, np.ones_like(row)]) @ to_copy.T, -1, 0)
    return np.asarray((x > 0) & (y > 0) & (x < width - 2) & (y < height - 2), np.bool_)


def test_no_seam_shows_between_two_tiles() -> None:
    """A ramp across the tiles stays a ramp wherever it is sampled."""
    y, x = np.mgrid[: 3 * TILE, : 3 * TILE]
    ramp = ((2 * x + y) * PER_LEVEL // 2).astype(np.int16)
    opaque = np.full_like(ramp, OPAQUE)
    band = np.stack([ramp, ramp, ramp, opaque], axis=-1)
    tiles = tiled([band, band], soft(ramp.shape), *ALL_SOFT)
    to_copy = np.array([[0.9, 0.1, 3.3], [-0.1, 0.9, 12.7]])
    colour, alpha = taken(tiles, to_copy, 80, 0, 0.5, limits=NEVER)
    row, column = np.mgrid[:80, :80]
    at_x, at_y = 0.9 * column + 0.1 * row + 3.3, 0.9 * row - 0.1 * column + 12.7
    is_in = (at_x < 3 * TILE - 2) & (at_y < 3 * TILE - 2)
    assert (alpha[is_in] == 255).all()
    expected = np.clip(at_x + at_y / 2, 0, 255)
    assert np.abs(colour[..., 1] - expected)[is_in].max() <= 0.5 + 0.02


@pytest.mark.parametrize(("distance", "level"), [(170, 0), (169, 90), (91, 90), (90, 255)])
def test_limits_make_alpha_clear_or_solid(distance: int, level: int) -> None:
    band = np.full((40, 40, 4), 90 * PER_LEVEL, np.int16)
    tiles = tiled([band, band], np.full((40, 40), distance, np.uint8), *ALL_SOFT)
    to_copy = np.array([[1, 0, 0.5], [0, 1, 0.5]])
    colour, alpha = taken(tiles, to_copy, 39, 0, 0.0, limits=(170, 90))
    assert (alpha[:38, :38] == level).all()
    assert (colour[:38, :38] == (255 if level else 0)).all()  # as bright as its alpha allows


def test_values_beyond_the_words_are_clipped_and_alphas_near_0_have_colours_in_range() -> None:
    band = np.zeros((8, 8, 4), np.int16)
    band[..., 0], band[..., 1], band[..., 2], band[..., 3] = 32_000, -32_000, 20, 40
    tiles = tiled([band, band], soft((8, 8)), *ALL_SOFT)
    colour, alpha = taken(tiles, np.eye(2, 3), 6, 0, 0.0, limits=NEVER)
    assert (alpha == 1).all()
    assert (colour == (255, 0, 128)).all()
    solid = taken(tiles, np.eye(2, 3), 6, 0, 0.0, limits=(10**6, 200))
    assert (solid[1] == 255).all()
    band[..., 3] = -50  # an undershoot that is declared solid
    tiles = tiled([band, band], soft((8, 8)), *ALL_SOFT)
    colour, alpha = taken(tiles, np.eye(2, 3), 6, 0, 0.0, limits=(10**6, 200))
    assert (alpha == 255).all()
    assert (colour == (255, 0, 255)).all()


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.25, 1.0]), st.integers(0, 1))
@settings(max_examples=12, deadline=None)
def test_colours_of_opaque_tiles_are_those_of_soft_ones(seed: int, share: float, band: int) -> None:
    """The same tiles, once declared opaque. Colours change slowly, as positions are cut off."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:97, :97]
    bands = [
        np.dstack(
            [
                *((a * x + b * y + 40 * n) * 64 for a, b in rng.uniform(0, 1.2, (3, 2))),
                255 * 64 + 0 * x,
            ]
        )
        for n in range(3)
    ]
    bands = [band.astype(np.int16) for band in bands]
    known = np.full((97, 97), 90, np.uint8)
    to_copy = np.array([[0.8, 0.2, 1.5], [-0.2, 0.8, 21.3]])
    as_opaque = tiled(bands, known, 256, 90)
    assert (len(as_opaque.colours), len(as_opaque.known)) == (16, 7)
    colour, alpha = taken(as_opaque, to_copy, 80, band, share, limits=NEVER)
    as_soft = tiled(bands, known, *ALL_SOFT)
    expected, everywhere = taken(as_soft, to_copy, 80, band, share, limits=NEVER)
    assert np.array_equal(alpha, everywhere)
    assert (alpha == 255).mean() > 0.9
    assert np.abs(colour.astype(int) - expected).max() <= 1


def test_overshoots_of_opaque_tiles_are_kept_until_the_end() -> None:
    """Two pixels beyond white and two in grey are white in the middle, as without clipping."""
    band = np.zeros((33, 33, 4), np.int16)
    band[..., :3], band[..., 3] = 170 * PER_LEVEL, OPAQUE
    band[:, ::2, :3] = 300 * PER_LEVEL
    tiles = tiled([band, band], np.zeros((33, 33), np.uint8), 256, 0)
    to_copy = np.array([[1, 0, 0.5], [0, 1, 0.5]])
    colour, alpha = taken(tiles, to_copy, 30, 0, 0.5, limits=NEVER)
    assert (alpha == 255).all()
    assert (colour == 235).all()


@pytest.mark.parametrize(("level", "shown"), [(300, 255), (256, 255), (255, 255), (-40, 0)])
def test_what_overshoots_in_an_opaque_tile_is_white_or_black(level: int, shown: int) -> None:
    band = np.full((33, 33, 4), OPAQUE, np.int16)
    band[..., :3] = level * PER_LEVEL
    tiles = tiled([band, band], np.zeros((33, 33), np.uint8), 256, 0)
    colour, _ = taken(tiles, np.eye(2, 3), 30, 0, 0.5, limits=NEVER)
    assert (colour == shown).all()


def test_colours_are_black_where_alpha_is_0() -> None:
    band = np.full((40, 40, 4), 100 * PER_LEVEL, np.int16)
    band[..., 3] = 20  # less than half a level
    tiles = tiled([band, band], soft((40, 40)), *ALL_SOFT)
    colour, alpha = taken(tiles, np.eye(2, 3), 30, 0, 0.5, limits=NEVER)
    assert not alpha.any()
    assert not colour.any()


@given(st.integers(1, 100), st.integers(1, 100), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_only_clear_tiles_are_left_out(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    known = np.full((height, width), 200, np.uint8)
    known[rng.integers(height), rng.integers(width)] = 150
    band = rng.integers(-16_000, 16_000, (height, width, 4)).astype(np.int16)
    tiles = tiled([band, -band], known, 180, -1)
    assert tiles.index.shape == (-(-height // TILE), -(-width // TILE))
    assert sorted(tiles.index[tiles.index >= 0]) == list(range(len(tiles.known)))
    assert (
        1 <= len(tiles.known) == len(tiles.colours) <= 4
    )  # a pixel at a corner belongs to the tiles beside it, too
    for row, column in np.argwhere(tiles.index >= 0):
        part = (slice(row * TILE, row * TILE + SIDE), slice(column * TILE, column * TILE + SIDE))
        number, there = tiles.index[row, column], known[part].shape
        inside = (slice(0, there[0]), slice(0, there[1]))
        assert np.array_equal(tiles.known[number][inside], known[part])
        for n, expected in enumerate((band, -band)):
            alphas = tiles.alphas[number][inside][..., 0] >> np.uint32(16 * n) & np.uint32(0xFFFF)
            assert np.array_equal(alphas.astype(int) - BIAS, expected[part][..., 3])
        outside = np.ones((SIDE, SIDE), np.bool_)
        outside[inside] = False
        assert (tiles.known[number][outside] == 255).all()
        assert (tiles.alphas[number][outside] == BIAS | BIAS << 16).all()
