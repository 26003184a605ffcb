"""Sizes and times as people say them."""

from __future__ import annotations


def size_text(count: float) -> str:
    """A number of bytes: 999 B, 1.3 GB, 5.00 TB (powers of 1000, as disks are sold)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def time_text(seconds: float) -> str:
    """A number of seconds: 45 s, 12 min, 3.5 h, 2.6 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def rate_text(per_second: float, unit: str) -> str:
    """A speed with about three digits: 1,234 samples/s, 12.3 images/s, 0.25 photos/s."""
    decimals = 2 if per_second < 10 else 1 if per_second < 100 else 0
    return f"{per_second:,.{decimals}f} {unit}/s"


def count_text(count: int, thing: str) -> str:
    """A number of things: 1 shard, 880 shards, 1,760,000 samples. Their plural ends in s."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
