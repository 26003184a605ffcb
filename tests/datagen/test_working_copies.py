"""Working copies: their grids, their files, and how sharp they leave an alpha."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.sample.colour import packed
from datagen.sample.working_copies import (
    _crop,
    background_path,
    background_shape,
    fit_factor,
    foreground_path,
    grid_of,
    load_background,
    load_foreground,
    prepare_cutout,
    prepare_photo,
    save_background,
    save_foreground,
)
from datagen.settings import Settings
from datagen.synth import make_foreground
from manifests.pictures import read_cutout
from manifests.pixels import Pixels
from manifests.sources import Background, Box, Foreground, Split, Subject, Transparency
from tests.bench.sharpness import (
    GEOMETRY,
    GRADIENT_HIGH,
    GRADIENT_LOW,
    RMS_LEVELS,
    SHARED,
    Sharpness,
    measure,
)

REAL = ("aim_demo__o_0c8f03f0.png", "p3m_demo__p_a09f6d7a.png", "lemur__lemur_alpha.png")
needs_data = pytest.mark.skipif(
    not (SHARED / "foregrounds").is_dir(), reason="the real foregrounds (shared/data) are not here"
)


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)


def is_sharp(found: Sharpness) -> bool:
    sharp = GRADIENT_LOW <= found.gradient <= GRADIENT_HIGH
    return sharp and found.rms <= RMS_LEVELS and found.geometry <= GEOMETRY


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("name", REAL)
def test_real_foregrounds_stay_as_sharp_as_by_one_resampling(name: str) -> None:
    cutout = read_cutout((SHARED / "foregrounds" / name).read_bytes())
    found = measure(name, cutout, 400, 0.87, 8.0)
    assert is_sharp(found), found


@pytest.mark.slow
def test_synthetic_hair_stays_as_sharp_as_by_one_resampling() -> None:
    hair = make_foreground(0, Subject.HUMAN, Transparency.MEDIUM, 600, 0)
    found = measure("hair", hair, 300, 0.87, 8.0)
    assert is_sharp(found), found


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(16, 1000))
def test_a_box_is_fitted_and_never_enlarged(height: int, width: int, size: int) -> None:
    fit = fit_factor(Box(3, 4, height, width), size)
    assert 0 < fit <= 1
    assert max(height, width) * fit <= size + 1e-6
    assert fit == 1 or max(height, width) * fit == pytest.approx(size)


@given(
    st.builds(Box, st.integers(0, 9), st.integers(0, 9), st.integers(1, 900), st.integers(1, 900)),
    st.integers(16, 900),
    st.floats(0.5, 0.99),
)
def test_a_grid_covers_the_box_and_its_bands_the_scales(
    box: Box, size: int, scale_min: float
) -> None:
    chosen = Settings(size=size, scale_min=scale_min)
    grid, fit = grid_of(box, chosen), fit_factor(box, size)
    assert grid.scales[0] == pytest.approx(scale_min)
    assert grid.scales[-1] == pytest.approx(1.0)
    for lower, upper in pairwise(grid.scales):  # no band is far from any scale
        assert 1 < upper / lower <= 1.25 + 1e-6
    for axis, first, length in (
        (grid.rows, box.top, box.height),
        (grid.columns, box.left, box.width),
    ):
        reach = 3 / min(1.0, fit * scale_min)  # of the widest kernel
        assert axis.start <= first - reach
        assert axis.start + axis.length * axis.step >= first + length + reach
        assert axis.step * axis.band == pytest.approx(1 / 1.75, abs=1e-6)
        assert axis.band <= 1
        assert 0.99 < axis.band / min(1.0, fit) <= 1.02


@given(st.floats(0.5, 1), st.floats(0, 1))
def test_a_scale_between_two_bands_is_mixed_from_them(scale_min: float, where: float) -> None:
    grid = grid_of(Box(0, 0, 40, 40), Settings(size=32, scale_min=scale_min))
    scale = scale_min + where * (1 - scale_min)
    lower, share = grid.mixture(scale)
    assert 0 <= share <= 1
    low, high = grid.scales[lower : lower + 2]
    assert low - 1e-9 <= scale <= high + 1e-9
    assert low + share * (high - low) == pytest.approx(scale, abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(16, 60))
def test_a_cutout_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, size: int
) -> None:
    cache = tmp_path_factory.mktemp("copies")
    chosen, box = Settings(size=size), Box(0, 0, height, width)
    cell = (Subject.HUMAN, Transparency.LITTLE)
    source = Foreground("f", "f", "f", height, width, box, *cell, False, 0.0, Split.TRAIN, "{}")
    path = foreground_path(cache, source, chosen)
    made = prepare_cutout(noise(height, width), box, chosen)
    save_foreground(path, made)
    loaded = load_foreground(cache, source, chosen)
    assert loaded.source is source
    read = loaded.copy
    tiles = made.tiles  # 8 bytes of colour a pixel; a soft one has alphas and a distance, too
    pixels = 8 * tiles.colours.size + 5 * tiles.known.size
    assert path.stat().st_size == 8 * (2 + 1024) + 4 * tiles.index.size + pixels + 4 + 4
    assert np.array_equal(read.mass, made.mass)
    assert np.array_equal(read.cut, made.cut)
    assert read.grid == made.grid
    for name in ("index", "colours", "alphas", "known"):
        one, other = getattr(read.tiles, name), getattr(made.tiles, name)
        assert one.dtype == other.dtype
        assert one.flags.aligned
        assert np.array_equal(one, other)


def test_only_sides_at_which_much_is_opaque_are_cut() -> None:
    cutout = np.zeros((40, 30, 4), np.uint8)
    cutout[10:40, 5:30, 3] = 255
    cutout[10:38, 29, 3] = 0  # only two opaque pixels at the right side
    made = prepare_cutout(cutout, Box(10, 5, 30, 25), Settings(size=32))
    assert made.cut.tolist() == [False, True, False, False]


@pytest.mark.parametrize(("turns", "side"), list(enumerate(["top", "left", "bottom", "right"])))
def test_a_fifth_of_a_side_at_the_frame_is_cut_and_a_twentieth_is_not(
    turns: int, side: str
) -> None:
    """A body of 100 pixels that reaches the frame only with a stem of 20 pixels, or of 5."""
    for stem, is_cut in ((20, True), (5, False)):
        alpha = np.zeros((140, 140), np.uint8)
        alpha[20:120, 20:120] = 255
        alpha[:20, 60 : 60 + stem] = 255
        turned = np.rot90(alpha, turns)
        rows, columns = (np.flatnonzero(turned.any(axis=axis)) for axis in (1, 0))
        box = Box(int(rows[0]), int(columns[0]), len(rows), len(columns))
        cut = prepare_cutout(np.dstack([turned] * 4), box, Settings(size=32)).cut
        names = np.array(["top", "bottom", "left", "right"])
        assert names[cut].tolist() == ([side] if is_cut else [])


@pytest.mark.parametrize(
    ("level", "count", "is_cut"),
    [(128, 10, True), (255, 10, True), (127, 100, False), (255, 9, False)],
)
def test_a_tenth_of_a_side_must_be_at_least_half_opaque(
    level: int, count: int, is_cut: bool
) -> None:
    alpha = np.zeros((140, 150), np.uint8)
    alpha[20:120, 20:130] = 255
    alpha[20 : 20 + count, 130:] = level
    made = prepare_cutout(np.dstack([alpha] * 4), Box(20, 20, 100, 130), Settings(size=32))
    assert made.cut.tolist() == [False, False, False, is_cut]


def test_distances_are_of_alpha_and_not_of_the_colours() -> None:
    cutout = noise(40, 30)
    cutout[..., 3] = 255 * (np.hypot(*np.mgrid[-20:20, -15:15]) < 12)
    box = Box(8, 3, 24, 24)
    grey = np.dstack([cutout[..., 3]] * 4)
    made, expected = (prepare_cutout(picture, box, Settings(size=32)) for picture in (cutout, grey))
    assert np.array_equal(made.tiles.known, expected.tiles.known)
    assert np.array_equal(made.tiles.alphas, expected.tiles.alphas)


def test_a_range_of_one_scale_is_possible() -> None:
    grid = grid_of(Box(0, 0, 60, 60), Settings(size=32, scale_min=1.0))
    assert grid.scales == (1.0, 1.0)
    assert grid.mixture(1.0) == (0, 1.0)


@given(
    st.tuples(*[st.integers(0, 20)] * 2), st.tuples(*[st.integers(1, 20)] * 2), st.integers(0, 9)
)
def test_what_lies_beyond_the_frame_is_clear(
    corner: tuple[int, int], side: tuple[int, int], margin: int
) -> None:
    cutout = noise(40, 41)
    everything = np.pad(cutout, ((margin, margin), (margin, margin), (0, 0)))
    down, right = (slice(at, at + n + 2 * margin) for at, n in zip(corner, side, strict=True))
    assert np.array_equal(_crop(cutout, Box(*corner, *side), margin), everything[down, right])


@pytest.mark.parametrize("level", [1, 255])
def test_all_of_a_speck_counts(level: int) -> None:
    alpha = np.zeros((640, 320), np.uint8)
    alpha[333, 111] = level
    mass = prepare_cutout(np.dstack([alpha] * 4), Box(0, 0, 640, 320), Settings(size=32)).mass
    assert mass[16, 11] == mass.sum() == 10**6


def test_without_opacity_every_part_counts_the_same() -> None:
    mass = prepare_cutout(np.zeros((9, 9, 4), np.uint8), Box(0, 0, 9, 9), Settings(size=32)).mass
    assert (mass == 1).all()


def test_mass_says_where_the_opacity_lies() -> None:
    cutout = np.zeros((64, 64, 4), np.uint8)
    cutout[:16, :, 3] = 255
    cutout[63, 0, 3] = 1
    mass = prepare_cutout(cutout, Box(0, 0, 64, 64), Settings(size=64)).mass
    assert mass[:8].sum() == pytest.approx(10**6, rel=1e-3)
    assert 1 <= mass[8:].sum() < 10


@given(st.integers(1, 900), st.integers(1, 900), st.integers(16, 200))
def test_backgrounds_cover_the_canvas(height: int, width: int, size: int) -> None:
    down, across, scale = background_shape(height, width, Settings(size=size))
    short = min(height, width)
    assert min(down, across) >= size
    assert abs(down - height * scale) <= 0.501
    assert abs(across - width * scale) <= 0.501
    assert (scale > 1) == (short < size)  # enlarged only if it must be
    assert (scale < 1) == (short > 1.25 * size)  # and reduced if it is much larger
    target = size if scale > 1 else 1.25 * size
    assert scale == 1 or abs(min(down, across) - target) < 1


def test_a_background_comes_back_from_its_file(tmp_path: Path) -> None:
    chosen = Settings(size=32)
    for height, width in ((70, 90), (20, 50), (32, 32)):
        photo = np.ascontiguousarray(noise(height, width)[..., :3])
        made = prepare_photo(photo, chosen)
        source = Background("b", f"{height}", "b", height, width, Split.TRAIN, "{}")
        save_background(background_path(tmp_path, source, chosen), made)
        loaded = load_background(tmp_path, source, chosen)
        assert loaded.source is source
        assert np.array_equal(loaded.photo, made)
    assert np.array_equal(made, packed(photo))
