"""The simulated segmentation: its masks, its trimaps, and the measure of their errors."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, astuple, replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from datagen.sample.crude import crude_mask, crude_trimap
from datagen.sample.crude_errors import CrudeErrors, crude_errors, edge_distance, joint_histogram
from datagen.sample.crude_recipe import RANGES, Preset, draw_crude
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels
from manifests.samples import CrudeRecipe, Piece
from tests.bench.crude import DATA, fitted, measured, real_masks, simulated, table, verdicts

NO_DATA = not (DATA / "segmentation" / "isnet").is_dir()
needs_data = pytest.mark.skipif(NO_DATA, reason=f"no real segmentation masks under {DATA}")


def errors_of(alpha: Pixels, mask: Pixels, trimap: Pixels) -> CrudeErrors:
    return crude_errors(alpha, mask, joint_histogram(alpha, mask, trimap))


def drawn(seed: int, preset: Preset = Preset.SEGMENTATION) -> CrudeRecipe:
    return draw_crude(np.random.default_rng(seed), preset)


def faultless(seed: int = 0) -> CrudeRecipe:
    """A recipe without shift, noise or lost pieces: what is left is the cells and the smoothing."""
    recipe = drawn(seed)
    lost, swallowed = (piece._replace(share=0.0) for piece in (recipe.lost, recipe.swallowed))
    still = replace(recipe, stride=4.0, soft=0.5, blur=0.5, shift=(0.0, 0.0), warp=0.0)
    return replace(still, level=0.0, noise=0.0, lost=lost, swallowed=swallowed)


def disc(height: int, width: int, radius: float, level: int = 255) -> Pixels:
    """A filled circle in the middle, H x W uint8."""
    y, x = np.mgrid[:height, :width] + 0.5
    inside = np.hypot(y - height / 2, x - width / 2) < radius
    return np.asarray(inside * level, np.uint8)


SUBJECTS = {
    "disc": disc(240, 300, 80),
    "glass": disc(240, 300, 80, level=70),
    "odd sides": disc(201, 133, 50),
    "cut by the frame": disc(200, 200, 130),
    "full frame": np.full((120, 90), 255, np.uint8),
    "one pixel": np.full((1, 1), 255, np.uint8),
    "one row": np.full((1, 300), 255, np.uint8),
    "speck": np.pad(np.full((2, 2), 255, np.uint8), 60),
    "line": np.pad(np.full((1, 200), 255, np.uint8), 40),
    "faint": np.full((64, 64), 1, np.uint8),
    "nothing": np.zeros((64, 80), np.uint8),
}


@pytest.mark.parametrize("preset", Preset)
@pytest.mark.parametrize("name", SUBJECTS)
def test_any_subject_gives_a_mask_a_trimap_and_finite_errors(name: str, preset: Preset) -> None:
    alpha = SUBJECTS[name]
    untouched = alpha.copy()
    for seed in range(25):
        recipe = drawn(seed, preset)
        mask = crude_mask(alpha, recipe)
        trimap = crude_trimap(mask, recipe)
        assert mask.shape == trimap.shape == alpha.shape
        assert mask.dtype == trimap.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, 1}
        assert set(np.unique(trimap)) <= {BACKGROUND, UNKNOWN, FOREGROUND}
        assert not np.any(mask[trimap == BACKGROUND])
        assert np.all(mask[trimap == FOREGROUND])
        errors = errors_of(alpha, mask, trimap)
        assert all(0.0 <= value <= 1.0 for value in astuple(errors))
        assert np.array_equal(mask, crude_mask(alpha, recipe))
        assert np.array_equal(trimap, crude_trimap(mask, recipe))
    assert np.array_equal(alpha, untouched)


def test_without_faults_the_mask_is_nearly_alpha_over_a_half() -> None:
    alpha = SUBJECTS["disc"]
    mask = crude_mask(alpha, faultless())
    assert errors_of(alpha, mask, crude_trimap(mask, faultless())).iou > 0.97


def test_glass_is_seen_as_an_object() -> None:
    alpha = SUBJECTS["glass"]
    assert np.count_nonzero(crude_mask(alpha, faultless())) > 0.95 * np.count_nonzero(alpha)


@pytest.mark.parametrize(("level", "is_seen"), [(85, False), (170, True)])
def test_noise_does_not_decide_about_haze_of_a_third_or_two_thirds(
    level: int, is_seen: bool
) -> None:
    """The worst offset and noise of the preset only decide about what is nearly half opaque."""
    alpha = np.full((300, 300), level, np.uint8)
    alpha[:80] = 255  # the densest part of the subject, to which the haze is compared
    ranges = RANGES[Preset.SEGMENTATION]
    offset = -ranges.level if is_seen else ranges.level
    for seed in range(5):
        loudest = replace(faultless(seed), level=offset, noise=ranges.noise[1], noise_seed=seed)
        assert np.all(crude_mask(alpha, loudest)[140:] == is_seen)


def test_nothing_is_seen_where_there_is_nothing() -> None:
    for seed in range(20):
        assert not crude_mask(SUBJECTS["nothing"], drawn(seed)).any()


def test_a_subject_cut_by_the_frame_has_no_gap_there() -> None:
    alpha = np.zeros((300, 200), np.uint8)
    alpha[100:, 40:160] = 255
    for seed in range(20):
        recipe = replace(faultless(seed), shift=(-0.03, 0.0), warp=0.01)
        mask = crude_mask(alpha, recipe)
        trimap = crude_trimap(mask, recipe)
        assert mask[-1, 60:140].all()
        assert np.all(trimap[-1, 80:120] == FOREGROUND)


def test_thin_structures_are_missed_and_small_holes_filled() -> None:
    alpha = disc(400, 400, 120)
    alpha[199:201, :] = 255  # a wire
    alpha[240:246, 196:202] = 0  # a hole
    mask = crude_mask(alpha, replace(faultless(), stride=16.0, blur=1.0))
    assert not mask[199:201, :40].any()
    assert mask[240:246, 196:202].all()


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_pieces_have_the_share_that_the_recipe_says(share: float) -> None:
    alpha, whole = disc(400, 400, 100), crude_mask(disc(400, 400, 100), faultless())
    area = np.count_nonzero(whole)
    piece = Piece(share, 0.3, 0.0, 1.0, 1.5, 0.2)
    fewer = crude_mask(alpha, replace(faultless(), lost=piece))
    more = crude_mask(alpha, replace(faultless(), swallowed=piece))
    assert np.count_nonzero(whole & ~fewer & 1) == pytest.approx(share * area, rel=0.25)
    assert np.count_nonzero(more & ~whole & 1) == pytest.approx(share * area, rel=0.25)


def test_a_place_that_is_rounded_up_to_1_is_the_last_one() -> None:
    alpha = SUBJECTS["disc"]
    last, rounded = (Piece(0.2, place, 0.0, 1.0, 1.5, 0.2) for place in (0.999999, 1.0))
    expected = crude_mask(alpha, replace(faultless(), lost=last))
    assert not np.array_equal(expected, crude_mask(alpha, faultless()))
    assert np.array_equal(crude_mask(alpha, replace(faultless(), lost=rounded)), expected)


def test_a_larger_subject_gets_the_same_mask_larger() -> None:
    small, large = disc(240, 240, 90), disc(480, 480, 180)
    for seed in range(10):
        still, bent = faultless(seed), drawn(seed)
        recipe = replace(bent, stride=14.0, lost=still.lost, swallowed=still.swallowed)
        enlarged = cv2.resize(
            crude_mask(small, recipe), (480, 480), interpolation=cv2.INTER_NEAREST
        )
        mask = crude_mask(large, recipe)
        differing = np.count_nonzero(mask != enlarged)
        assert differing < 0.08 * np.count_nonzero(large)


def test_the_band_has_the_widths_of_the_recipe() -> None:
    mask = np.zeros((300, 300), np.uint8)
    mask[50:250, 50:250] = 1  # sqrt of the area: 200 pixels
    for inner, outer in ((0.05, 0.1), (0.1, 0.03), (0.001, 0.001)):
        column = crude_trimap(mask, replace(drawn(0), inner=inner, outer=outer))[:, 150]
        unknown = column == UNKNOWN
        for inside, outside in ((slice(50, 150), slice(0, 50)), (slice(150, 250), slice(250, 300))):
            assert abs(np.count_nonzero(unknown[inside]) - max(2.0, 200 * inner)) <= 1.5
            assert abs(np.count_nonzero(unknown[outside]) - max(2.0, 200 * outer)) <= 1.5


def test_a_wider_band_holds_the_narrower_one() -> None:
    mask = crude_mask(SUBJECTS["disc"], drawn(3))
    before = np.zeros(mask.shape, np.bool_)
    for width in (0.02, 0.03, 0.05, 0.08):
        trimap = crude_trimap(mask, replace(drawn(3), inner=width, outer=width))
        is_unknown = trimap == UNKNOWN
        # Levels are whole numbers, so that a few pixels of the rim may change sides.
        assert np.count_nonzero(before & ~is_unknown) <= 0.002 * mask.size
        assert np.count_nonzero(is_unknown) > np.count_nonzero(before)
        before = is_unknown


def test_the_frame_is_no_edge() -> None:
    full = np.ones((80, 60), np.uint8)
    assert np.all(crude_trimap(full, drawn(0)) == FOREGROUND)
    assert np.all(crude_trimap(full * 0, drawn(0)) == BACKGROUND)


def distances_by_definition(mask: Pixels, truth: Pixels) -> NDArray[np.float64]:
    """Euclidean distances of all edge pixels, one by one, in float64."""

    def edge(of: Pixels) -> NDArray[np.float64]:
        rows, columns = of.shape
        found = [
            (y, x)
            for y in range(rows)
            for x in range(columns)
            if np.ptp(of[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2])
        ]
        return np.array(found, np.float64)

    apart = edge(mask)[:, None, :] - edge(truth)[None, :, :]
    return np.asarray(np.sqrt((apart**2).sum(axis=2)).min(axis=1), np.float64)


def test_errors_against_the_definitions_on_a_toy() -> None:
    rng = np.random.default_rng(5)
    alpha = np.zeros((40, 60), np.uint8)
    alpha[10:30, 10:40] = 200
    alpha[10:30, 40:46] = 90
    alpha[12:20, 12:30] = 255
    mask = np.zeros_like(alpha)
    mask[13:36, 8:37] = 1
    trimap = rng.integers(0, 3, alpha.shape, dtype=np.uint8)
    errors = errors_of(alpha, mask, trimap)
    both, either = 17 * 27, 20 * 30 + 23 * 29 - 17 * 27
    assert errors.iou == pytest.approx(both / either, abs=1e-6)
    assert errors.false_share == pytest.approx(1 - both / (23 * 29), abs=1e-6)
    assert errors.missed_share == pytest.approx(1 - both / (20 * 36), abs=1e-6)
    wrong = ((trimap == 2) & (alpha < 255)) | ((trimap == 0) & (alpha > 0))
    assert errors.wrong_known_share == pytest.approx(wrong.mean(), abs=1e-6)
    exact = distances_by_definition(mask, (alpha > 127).astype(np.uint8))
    for quantile in (0.5, 0.95, 1.0):
        ours = edge_distance(mask, (alpha > 127).astype(np.uint8), quantile)
        expected = float(np.quantile(exact, quantile)) / math.hypot(40, 60)
        assert ours == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_edge_distances_against_the_definition_on_random_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = (rng.integers(0, 256, (2, 7, 9), dtype=np.uint8) > 150).astype(np.uint8)
    mask, truth = (np.kron(one, np.ones((4, 5), np.uint8)) for one in noise)
    expected = float(np.quantile(distances_by_definition(mask, truth), 0.95))
    assert edge_distance(mask, truth) * math.hypot(*mask.shape) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_pixels_beside_a_mask_are_a_part_of_its_edge(axis: int, reverse: bool) -> None:
    """Two squares 20 pixels apart: the farthest edge pixel lies beside the mask, not on it."""
    mask: Pixels = np.zeros((60, 60), np.uint8)
    truth: Pixels = np.zeros((60, 60), np.uint8)
    mask[10:14, 10:14] = truth[30:34, 10:14] = 1
    if reverse:
        mask, truth = mask[::-1].copy(), truth[::-1].copy()
    if axis:
        mask, truth = mask.T.copy(), truth.T.copy()
    farthest = distances_by_definition(mask, truth).max()
    assert edge_distance(mask, truth, 1.0) == round(farthest / math.hypot(60, 60), 6)


def test_errors_are_stored_with_six_digits() -> None:
    alpha = disc(91, 77, 30)
    mask = np.roll(disc(91, 77, 23), 5, axis=0) & np.uint8(1)
    errors = astuple(errors_of(alpha, mask, np.zeros_like(mask)))
    assert all(value == round(value, 6) for value in errors)
    assert any(value != round(value, 5) for value in errors)


def test_a_perfect_mask_has_no_errors() -> None:
    alpha = SUBJECTS["disc"]
    mask = (alpha > 127).astype(np.uint8)
    assert errors_of(alpha, mask, mask * np.uint8(2)) == CrudeErrors(1.0, 0.0, 0.0, 0.0, 0.0)
    assert errors_of(alpha, mask, np.ones_like(mask)).wrong_known_share == 0.0


def test_foreground_is_what_is_more_than_half_opaque() -> None:
    alpha = np.repeat(np.array([[127, 128]], np.uint8), 9, axis=0)
    mask = np.repeat(np.array([[0, 1]], np.uint8), 9, axis=0)
    errors = errors_of(alpha, mask, np.ones_like(mask))
    assert (errors.iou, errors.false_share, errors.edge_p95) == (1.0, 0.0, 0.0)
    assert errors_of(alpha, 1 - mask, np.ones_like(mask)).false_share == 1.0


def test_errors_where_a_mask_is_empty() -> None:
    alpha, glass = SUBJECTS["disc"], SUBJECTS["glass"]
    empty, unknown = np.zeros_like(alpha), np.ones_like(alpha)
    mask = (alpha > 127).astype(np.uint8)
    assert errors_of(alpha, empty, unknown) == CrudeErrors(0.0, 1.0, 0.0, 1.0, 0.0)
    assert errors_of(empty, mask, unknown) == CrudeErrors(0.0, 0.0, 1.0, 1.0, 0.0)
    assert errors_of(glass, mask, unknown) == CrudeErrors(0.0, 0.0, 1.0, 1.0, 0.0)
    assert errors_of(empty, empty, unknown) == CrudeErrors(1.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("preset", Preset)
def test_recipes_stay_in_their_ranges(preset: Preset) -> None:
    ranges = RANGES[preset]
    rng = np.random.default_rng(0)
    for recipe in (draw_crude(rng, preset) for _ in range(300)):
        for name in ("stride", "blur", "warp", "noise", "hole_share", "inner", "outer"):
            low, high = getattr(ranges, name)
            assert low - 1e-6 <= getattr(recipe, name) <= high + 1e-6
        assert max(map(abs, recipe.shift)) <= ranges.shift
        assert abs(recipe.level) <= ranges.level
        assert abs(recipe.soft - 0.5) <= ranges.soft
        for piece, most in (
            (recipe.lost, ranges.lost_share[1]),
            (recipe.swallowed, ranges.swallowed_share[1]),
        ):
            assert 0.0 <= piece[0] <= most
            assert 0.0 <= piece[1] <= 1.0
        assert 0 <= recipe.noise_seed < 2**32


@pytest.mark.parametrize("preset", Preset)
def test_pieces_are_lost_and_swallowed_as_often_as_the_preset_says(preset: Preset) -> None:
    rng, count, ranges = np.random.default_rng(1), 4000, RANGES[preset]
    recipes = [draw_crude(rng, preset) for _ in range(count)]
    for pieces, probability in (
        ([recipe.lost for recipe in recipes], ranges.lost_probability),
        ([recipe.swallowed for recipe in recipes], ranges.swallowed_probability),
    ):
        share = np.mean([piece[0] > 0 for piece in pieces])
        deviation = math.sqrt(probability * (1 - probability) / count)
        assert abs(share - probability) < 4 * deviation


def test_a_recipe_survives_json_and_has_one_shape() -> None:
    for seed in range(20):
        recipe = drawn(seed)
        read: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
        for name in ("shift", "lost", "swallowed"):
            read[name] = tuple(read[name])
        again = CrudeRecipe(**read)
        assert again == recipe
        assert [len(value) for value in asdict(recipe).values() if isinstance(value, tuple)] == [
            2,
            6,
            6,
        ]
        for value in asdict(recipe).values():
            for number in value if isinstance(value, tuple) else (value,):
                assert type(number) in (int, float)


def test_every_preset_uses_as_many_draws() -> None:
    after = set()
    for preset in Preset:
        for seed in range(5):
            rng, again = np.random.default_rng(seed), np.random.default_rng(seed)
            draw_crude(rng, preset)
            draw_crude(again, Preset.SEGMENTATION)
            after.add(rng.random() == again.random())
    assert after == {True}


@needs_data
def test_real_masks_have_the_published_quantiles() -> None:
    found = measured("isnet")
    assert np.round(found["iou"], 3).tolist() == [0.673, 0.910, 0.966, 0.985, 0.994]
    assert np.round(found["false_share"], 3).tolist() == [0.002, 0.008, 0.016, 0.034, 0.106]
    assert np.allclose(found["missed_share"], [0.019, 0.033, 0.047, 0.090, 0.432], atol=6e-4)
    assert np.allclose(found["edge_p95"], [0.0010, 0.0024, 0.0128, 0.0461, 0.2354], atol=2e-4)


@pytest.mark.slow
@needs_data
def test_simulated_masks_err_as_real_ones_do() -> None:
    alphas = [fitted(alpha, 480) for _, alpha, _ in real_masks("isnet")]
    tables = {preset: table(simulated(alphas, preset, draws=15)) for preset in Preset}
    held = verdicts(measured("isnet"), tables[Preset.SEGMENTATION])
    assert all(held.values()), held
    for name, better in (("iou", -1.0), ("missed_share", 1.0), ("edge_p95", 1.0)):
        by_preset = [better * np.mean(tables[preset][name]) for preset in Preset]
        assert by_preset == sorted(by_preset), name
