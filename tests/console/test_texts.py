"""Sizes and times as people say them."""

from __future__ import annotations

import pytest

from console.texts import count_text, rate_text, size_text, time_text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1.34e9, "1.3 GB"), (5e12, "5.00 TB")],
)
def test_size_text(count: float, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (89.4, "89 s"),
        (720, "12 min"),
        (12_600, "3.5 h"),
        (172_799, "48.0 h"),
        (224_640, "2.6 days"),
    ],
)
def test_time_text(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


@pytest.mark.parametrize(
    ("speed", "text"),
    [
        (0, "0.00 images/s"),
        (0.123, "0.12 images/s"),
        (12.34, "12.3 images/s"),
        (1234.5, "1,234 images/s"),
    ],
)
def test_rate_text(speed: float, text: str) -> None:
    assert rate_text(speed, "images") == text


def test_count_text() -> None:
    assert [count_text(n, "shard") for n in (0, 1, 2)] == ["0 shards", "1 shard", "2 shards"]
    assert count_text(1_760_000, "sample") == "1,760,000 samples"
