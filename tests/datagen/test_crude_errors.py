"""The errors of a crude mask: the faintest pixel, the digits, and quantiles of few values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from datagen.sample.crude_errors import (
    _quantile_of_roots,
    crude_errors,
    edge_distance,
    joint_histogram,
)
from datagen.sample.crude_loops import nearest_squared
from manifests.pixels import Pixels


def test_the_faintest_pixel_can_be_missed() -> None:
    alpha = np.zeros((10, 10), np.uint8)
    alpha[2:6, 2:6], alpha[6, 2:6] = 255, 1
    mask = (alpha == 255).astype(np.uint8)
    counts = joint_histogram(alpha, mask, np.ones_like(mask))
    assert crude_errors(alpha, mask, counts).missed_share == 4 / 20


@pytest.mark.parametrize("rows", [1, 7, 10])
def test_a_distance_is_a_share_of_the_diagonal_with_six_digits(rows: int) -> None:
    mask, truth = np.zeros((2, 61, 47), np.uint8)
    mask[:10] = truth[: 10 + rows] = 1
    expected = rows / math.hypot(61, 47)
    assert edge_distance(mask, truth, 1.0) == round(expected, 6)


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=30),
    st.sampled_from([0.0, 0.3, 0.5, 0.95, 1.0]),
)
def test_quantiles_are_those_of_numpy(squares: list[int], quantile: float) -> None:
    found = _quantile_of_roots(np.array(squares), quantile)
    assert found == pytest.approx(float(np.quantile(np.sqrt(squares), quantile)), abs=1e-9)


@given(arrays(np.uint8, st.tuples(st.just(3), st.integers(1, 20), st.integers(1, 20))))
def test_the_joint_histogram_counts_every_pixel(drawn: Pixels) -> None:
    count_every_pixel(drawn[0], drawn[1] % np.uint8(3), drawn[2] % np.uint8(3))


# The three that are counted eight at a time, and some that differ in one value
EQUAL = [
    (0, 0, 0),
    (0, 0, 1),
    (0, 1, 0),
    (7, 0, 0),
    (255, 1, 2),
    (255, 1, 1),
    (255, 0, 2),
    (255, 2, 2),
    (254, 2, 2),
    (255, 2, 1),
    (7, 1, 2),
]


@given(st.lists(st.sampled_from(EQUAL), min_size=1))
def test_runs_of_equal_pixels_are_counted_too(runs: list[tuple[int, int, int]]) -> None:
    alpha, mask, trimap = np.repeat(np.array(runs, np.uint8), 11, axis=0).T
    count_every_pixel(*(np.ascontiguousarray(one)[None] for one in (alpha, mask, trimap)))


def count_every_pixel(alpha: Pixels, mask: Pixels, trimap: Pixels) -> None:
    expected = np.zeros((3, 3, 256), np.int64)
    np.add.at(expected, (mask, trimap, alpha), 1)
    assert np.array_equal(joint_histogram(alpha, mask, trimap), expected)


@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_the_nearest_marked_pixel_is_found_from_everywhere(marked: NDArray[np.bool_]) -> None:
    assume(marked.any())
    everywhere = np.arange(marked.size)
    rows, columns = np.divmod(everywhere, marked.shape[1])
    there_rows, there_columns = np.nonzero(marked)
    down, right = rows[:, None] - there_rows, columns[:, None] - there_columns
    expected = (down**2 + right**2).min(axis=1)
    assert np.array_equal(nearest_squared(marked, everywhere), expected)


def test_a_pixel_far_away_is_found() -> None:
    """At the other end of the longest side that a canvas may have."""
    marked = np.zeros((4096, 2), np.bool_)
    marked[0, 0] = True
    assert nearest_squared(marked, np.array([2 * 4095 + 1])).tolist() == [4095**2 + 1]
