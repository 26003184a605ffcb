"""The interval of a mean, for samples that are drawn alone and in groups."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.bootstrap import interval


def ends(said: str) -> tuple[float, float, float]:
    """Mean, low end and high end of "5.0 (4.9 to 5.1)"."""
    mean, _, rest = said.rstrip(")").partition(" (")
    low, high = map(float, rest.split(" to "))
    return float(mean), low, high


def test_an_interval_is_around_the_mean() -> None:
    values = np.random.default_rng(1).normal(5, 1, 400)
    mean, low, high = ends(interval([values], lambda x: x))
    assert low < mean < high
    assert mean == pytest.approx(values.mean(), abs=1e-3)
    assert high - low == pytest.approx(4 * 1 / 400**0.5, rel=0.15)
    doubled = interval([2 * values, values], lambda ours, theirs: ours / theirs)
    assert doubled == "2.000 (2.000 to 2.000)"


def test_samples_of_one_subject_count_as_one() -> None:
    """16 samples of each of 25 subjects that are all alike say no more than 25 samples."""
    of_subjects = np.random.default_rng(1).normal(5, 1, 25)
    values, names = np.repeat(of_subjects, 16), [f"{n // 16:02}" for n in range(400)]
    mean, low, high = ends(interval([values], lambda x: x, names))
    assert mean == pytest.approx(of_subjects.mean(), abs=1e-3)
    assert (low, high) == ends(interval([of_subjects], lambda x: x))[1:]
    assert high - low == pytest.approx(4 * of_subjects.std() / 25**0.5, rel=0.15)
