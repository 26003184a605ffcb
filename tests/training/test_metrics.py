"""The metrics beside the official code's own results, and beside their definitions written out."""

from __future__ import annotations

import csv
import math
import time
from dataclasses import asdict, fields
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from manifests.pictures import read_alpha, read_trimap
from manifests.pixels import FOREGROUND, UNKNOWN, Pixels
from tests.strategies import few, many
from training.matte.metrics import Errors, Metrics, conn, errors_of, figure, grad, mean_of, measure

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data is not at {DATA}")
Mask = NDArray[np.bool_]
NAMES = tuple(field.name for field in fields(Metrics))


# --- the definitions, slowly ---------------------------------------------------------------------


def by_definition(prediction: Pixels, alpha: Pixels, trimap: Pixels) -> Metrics:
    """Loops over pixels, in double precision and fractions; nothing shared with the code."""
    unknown = [(int(y), int(x)) for y, x in np.argwhere(trimap == UNKNOWN)]
    everywhere = [(int(y), int(x)) for y, x in np.ndindex(*alpha.shape)]
    errors = {place: (float(prediction[place]) - float(alpha[place])) / 255 for place in everywhere}
    amplitudes = amplitude(prediction), amplitude(alpha)

    def found(value: float) -> float | None:
        return value if unknown else None

    return Metrics(
        sad=found(sum(abs(errors[place]) for place in unknown) / 1000),
        mse=found(sum(errors[place] ** 2 for place in unknown) / max(1, len(unknown))),
        grad=found(
            sum((amplitudes[0][place] - amplitudes[1][place]) ** 2 for place in unknown) / 1000
        ),
        conn=found(connectivity(prediction, alpha, unknown) / 1000),
        sad_whole=sum(abs(error) for error in errors.values()) / 1000,
        mse_whole=sum(error**2 for error in errors.values()) / len(errors),
    )


def amplitude(alpha: Pixels) -> NDArray[np.float64]:
    """mat2gray, then a true convolution with the 9 x 9 kernels of sigma 1.4, replicated borders."""
    low, high = float(alpha.min()), float(alpha.max())
    if low == high:
        return np.zeros(alpha.shape)
    grey = np.pad((alpha - low) / (high - low), 4, mode="edge")

    def gauss(x: float) -> float:
        return math.exp(-(x**2) / (2 * 1.4**2)) / (1.4 * math.sqrt(2 * math.pi))

    def derivative(x: float) -> float:
        return -x * gauss(x) / 1.4**2

    kernel = np.array([[gauss(y) * derivative(x) for x in range(-4, 5)] for y in range(-4, 5)])
    kernel /= math.sqrt((kernel**2).sum())
    found = np.zeros(alpha.shape)
    for y, x in np.ndindex(*alpha.shape):
        window = grey[y : y + 9, x : x + 9][::-1, ::-1]
        found[y, x] = math.hypot((window * kernel).sum(), (window * kernel.T).sum())
    return found


def connectivity(prediction: Pixels, alpha: Pixels, counted: list[tuple[int, int]]) -> float:
    left_at: dict[tuple[int, int], Fraction] = {}
    for tenth in range(1, 11):
        threshold = Fraction(tenth, 10)
        is_in = np.array(
            [
                [Fraction(int(p), 255) >= threshold <= Fraction(int(a), 255) for p, a in rows]
                for rows in np.dstack([prediction, alpha])
            ]
        )
        largest = largest_component(is_in)
        for place in counted:
            if place not in largest:
                left_at.setdefault(place, threshold - Fraction(1, 10))
    total = Fraction(0)
    for place in counted:
        start = left_at.get(place, Fraction(1))
        distances = [Fraction(int(a[place]), 255) - start for a in (prediction, alpha)]
        phi = [1 - d if d >= Fraction(15, 100) else Fraction(1) for d in distances]
        total += abs(phi[0] - phi[1])
    return float(total)


def largest_component(is_in: Mask) -> set[tuple[int, int]]:
    """4-connected; of equals the first that a walk down the columns meets."""
    height, width = is_in.shape
    left = {(int(y), int(x)) for y, x in np.argwhere(is_in)}
    best: set[tuple[int, int]] = set()
    for x in range(width):
        for y in range(height):
            if (y, x) not in left:
                continue
            component, edge = {(y, x)}, [(y, x)]
            while edge:
                row, column = edge.pop()
                around = {
                    (row + 1, column),
                    (row - 1, column),
                    (row, column + 1),
                    (row, column - 1),
                }
                fresh = (around & left) - component
                component |= fresh
                edge += fresh
            left -= component
            best = component if len(component) > len(best) else best
    return best


def close(found: Metrics, expected: Metrics, relative: float) -> None:
    for name in NAMES:
        value, wanted = getattr(found, name), getattr(expected, name)
        if wanted is None:
            assert value is None, name
        else:
            assert value == pytest.approx(wanted, rel=relative, abs=1e-9), name


# --- pictures ------------------------------------------------------------------------------------


@st.composite
def matting_problems(draw: st.DrawFn) -> tuple[Pixels, Pixels, Pixels]:
    """Two alphas and a trimap of one size: noise, steps of tenths, or blobs; equal or unlike."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 13)), draw(st.integers(1, 13)))
    block = draw(st.sampled_from([1, 2, 4]))

    def one() -> Pixels:
        levels = rng.choice(
            np.array(draw(_LEVELS), np.uint8), [side // block + 1 for side in shape]
        )
        large = levels.repeat(block, axis=0).repeat(block, axis=1)
        return large[: shape[0], : shape[1]].copy()

    codes = draw(st.sampled_from([[0, 1, 2], [1], [0, 1], [1, 1, 2]]))
    return one(), one(), rng.choice(np.array(codes, np.uint8), shape)


_LEVELS = st.sampled_from(
    [
        list(range(256)),
        [0, 25, 26, 51, 76, 77, 102, 127, 128, 153, 178, 179, 204, 229, 230, 254, 255],
        [0, 255],
        [0, 0, 0, 51, 102, 153],
        [200, 220, 255],
        [77],
    ]
)


# --- tests ---------------------------------------------------------------------------------------


@few
@given(matting_problems())
def test_the_definitions(problem: tuple[Pixels, Pixels, Pixels]) -> None:
    close(measure(*problem), by_definition(*problem), relative=2e-6)


@many
@given(matting_problems())
def test_no_error_is_0_and_errors_have_no_sign(problem: tuple[Pixels, Pixels, Pixels]) -> None:
    prediction, alpha, trimap = problem
    nothing = set() if (trimap == UNKNOWN).any() else {None}
    assert set(asdict(measure(alpha, alpha, trimap)).values()) == {0.0} | nothing
    close(measure(prediction, alpha, trimap), measure(alpha, prediction, trimap), relative=1e-12)
    values = [value for value in asdict(measure(*problem)).values() if value is not None]
    assert all(math.isfinite(value) and value >= 0 for value in values)


@many
@given(matting_problems())
def test_the_unknown_region_is_a_part_of_the_image(
    problem: tuple[Pixels, Pixels, Pixels],
) -> None:
    prediction, alpha, trimap = problem
    found = measure(prediction, alpha, trimap)
    assert found.sad is None or found.sad <= found.sad_whole + 1e-12
    everywhere = measure(prediction, alpha, np.full_like(trimap, UNKNOWN))
    assert (everywhere.sad, everywhere.mse) == (found.sad_whole, found.mse_whole)
    assert found.sad_whole == everywhere.sad_whole


def test_a_trimap_without_unknown_pixels_has_no_errors_there() -> None:
    alpha, prediction = np.zeros((5, 6), np.uint8), np.full((5, 6), 255, np.uint8)
    known = np.full((5, 6), FOREGROUND, np.uint8)
    found = measure(prediction, alpha, known)
    assert found == Metrics(None, None, None, None, sad_whole=0.03, mse_whole=1.0)
    assert errors_of(prediction, alpha, known) == Errors(None, 0.03, None, 1.0)


def test_levels_on_a_threshold_reach_it() -> None:
    """153 / 255 is 0.6; in double precision 6 x 0.1 would turn it away."""
    alpha = np.full((4, 4), 153, np.uint8)
    prediction = alpha.copy()
    prediction[0, 0] = 204
    everywhere = np.ones((4, 4), np.bool_)
    # The pixel leaves at 0.7, so that its distances are 0.8 - 0.6 and 0.6 - 0.6.
    assert conn(prediction, alpha, everywhere) == pytest.approx(0.2 / 1000)


@pytest.mark.parametrize("tenth", range(1, 10))
@pytest.mark.parametrize("below", [0, 1])
def test_a_bridge_holds_up_to_its_own_level(tenth: int, below: int) -> None:
    """Two blobs and a bridge between them, of the first level that reaches a threshold or less."""
    alpha = np.zeros((3, 9), np.uint8)
    alpha[:, :4] = alpha[:, 6:] = 255
    alpha[1, 4:6] = math.ceil(Fraction(255 * tenth, 10)) - below
    prediction = alpha.copy()
    prediction[0, 8] = 254  # beyond the bridge
    prediction[1, 8] = 100
    trimap = np.full_like(alpha, UNKNOWN)
    expected = by_definition(prediction, alpha, trimap)
    close(measure(prediction, alpha, trimap), expected, relative=2e-6)


def test_of_equal_components_the_first_down_the_columns_counts() -> None:
    alpha = np.zeros((3, 5), np.uint8)
    alpha[0, 3:5] = 255  # first in reading order
    alpha[2, 1:3] = 255  # first down the columns
    prediction = np.where(alpha == 255, 200, 0).astype(np.uint8)
    above, below = alpha == 0, alpha == 0
    above, below = above.copy(), below.copy()
    above[:], below[:] = False, False
    above[0, 3], below[2, 1] = True, True
    # Off the component from the first threshold on: phi 1 - 200 / 255 and 1 - 1.
    assert conn(prediction, alpha, above) == pytest.approx(55 / 255 / 1000)
    # On it up to 0.7: distances 200 / 255 - 0.7, which is too little to count, and 0.3.
    assert conn(prediction, alpha, below) == pytest.approx(0.3 / 1000)


def test_components_that_touch_at_corners_are_two() -> None:
    alpha = np.zeros((4, 4), np.uint8)
    alpha[:2, :2] = 255
    alpha[2, 2] = 255
    prediction = np.where(alpha == 255, 128, 0).astype(np.uint8)
    corner = np.zeros((4, 4), np.bool_)
    corner[2, 2] = True
    assert conn(prediction, alpha, corner) == pytest.approx(127 / 255 / 1000)


def test_the_gradient_does_not_see_a_change_of_contrast() -> None:
    """Each alpha is stretched by its own minimum and maximum, even where that hides an error."""
    rng = np.random.default_rng(0)
    alpha = (rng.integers(0, 2, (20, 20)) * 255).astype(np.uint8)
    flat, everywhere = (alpha // 255 * 40 + 100).astype(np.uint8), np.ones((20, 20), np.bool_)
    assert grad(flat, alpha, everywhere) == pytest.approx(0, abs=1e-9)
    assert grad(np.full_like(alpha, 9), alpha, everywhere) > 0.01
    assert grad(alpha // 255 + 100, alpha, everywhere) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("shapes", "kind", "words"),
    [
        (((3, 4), (3, 5), (3, 4)), np.uint8, "prediction 3 x 4 uint8, alpha 3 x 5 uint8"),
        (((3, 4), (3, 4), (4, 3)), np.uint8, "trimap 4 x 3"),
        (((3, 4, 1), (3, 4, 1), (3, 4, 1)), np.uint8, "3 x 4 x 1"),
        (((0, 4), (0, 4), (0, 4)), np.uint8, "0 x 4"),
        (((3, 4), (3, 4), (3, 4)), np.float32, "float32"),
    ],
)
def test_other_arrays_are_refused(
    shapes: tuple[tuple[int, ...], ...], kind: type[np.generic], words: str
) -> None:
    arrays = [np.zeros(shape, kind) for shape in shapes]
    with pytest.raises(ValueError, match=words):
        measure(arrays[0], arrays[1], arrays[2])


def test_levels_of_a_trimap_are_no_codes() -> None:
    grey = np.full((3, 3), 128, np.uint8)
    with pytest.raises(ValueError, match=r"codes \[128\]"):
        measure(grey, grey, grey)


def test_the_mean_of_images() -> None:
    found = mean_of([Metrics(1, 2, 3, 4, 5, 6), Metrics(3, 2, 1, 0, 7, 8)])
    assert found == Metrics(2, 2, 2, 2, 6, 7)
    assert mean_of([found]) == found
    with pytest.raises(ValueError, match="no metrics"):
        mean_of([])


def test_a_figure_without_a_value_is_left_out_of_its_mean() -> None:
    known = Metrics(None, None, None, None, 7, 8)
    assert mean_of([Metrics(1, 2, 3, 4, 5, 6), known]) == Metrics(1, 2, 3, 4, 6, 7)
    assert mean_of([known, known]) == known
    assert (figure(None, 2), figure(1.256, 2)) == ("-", "1.26")


def golden_rows() -> list[dict[str, str]]:
    path = DATA / "metrics" / "golden.csv"
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.slow
@needs_data
def test_the_official_results() -> None:
    """SAD, MSE, Grad and Conn of each of the 40 predictions, by the MATLAB code."""
    rows = golden_rows()
    assert len(rows) == 40
    off: dict[str, float] = {}
    for row in rows:
        name = f"{row['name']}.png"
        found = measure(
            read_alpha(DATA / "metrics" / row["method"] / name),
            read_alpha(DATA / "alphamatting" / "gt" / name),
            read_trimap(DATA / "alphamatting" / "trimap1" / name),
        )
        for metric in ("sad", "mse", "grad", "conn"):
            expected = float(row[metric])
            difference = abs(getattr(found, metric) / expected - 1)
            off[f"{row['method']} {row['name']} {metric}"] = difference
    assert {what: value for what, value in off.items() if value > 1e-5} == {}


@pytest.mark.parametrize("kind", ["blobs", "noise"])
def test_4k_takes_seconds(kind: str) -> None:
    """Noise is the worst: a million components. Processor time, since the machine is shared."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 256, (2160, 3840) if kind == "noise" else (27, 48), np.uint8)
    alpha = np.asarray(cv2.resize(cells, (3840, 2160)), np.uint8)
    prediction = alpha // 2 + np.uint8(60)
    started = time.process_time()
    found = measure(prediction, alpha, np.full(alpha.shape, UNKNOWN, np.uint8))
    assert time.process_time() - started < 60  # 1 to 5, and more beside a busy sibling core
    assert found.sad is not None
    assert found.sad > 100
