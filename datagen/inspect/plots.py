"""Plots as SVG, for a page without libraries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datagen.inspect.stats import CRUDE_ERRORS, Stats
from manifests.sources import Transparency

_WIDTH, _HEIGHT = 420, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 130, 12, 10, 26


def alpha_plot(stats: Stats) -> str:
    """The share of each soft level of alpha, by transparency; the vertical axis is logarithmic."""
    curves, names = [], []
    for place, kind in enumerate(Transparency):
        counts = [found for (_, name), found in stats.histograms.items() if name == kind]
        soft = np.sum(counts, axis=0)[1:255] if counts else np.zeros(254, np.int64)
        if not soft.any():
            continue
        parts = np.array([part.sum() for part in np.array_split(soft, 64)]) / soft.sum()
        height = (np.log10(np.maximum(parts, 1e-4)) + 4) / 4  # 0.01 % at the bottom
        x = np.linspace(40, _WIDTH - _RIGHT, len(height))
        y = _TOP + (1 - height) * (_HEIGHT - _TOP - _BOTTOM)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        curves.append(f'<polyline class="curve c{place}" points="{points}"/>')
        names.append(f'<text class="c{place}" x="{60 + 85 * place}" y="22">{kind}</text>')
    marks = [
        f'<text x="2" y="{_TOP + n * (_HEIGHT - _TOP - _BOTTOM) / 4 + 4:.0f}">{text}</text>'
        for n, text in enumerate(["100 %", "10 %", "1 %", "0.1 %", "0.01 %"])
    ]
    ends = (
        f'<text x="40" y="{_HEIGHT - 8}">alpha 1</text>'
        f'<text x="{_WIDTH - 30}" y="{_HEIGHT - 8}">254</text>'
    )
    return _svg("Share of soft pixels by level of alpha", [*marks, *curves, *names, ends])


def crude_plot(stats: Stats) -> str:
    """A box for each error of the crude trimaps: 5, 25, 50, 75 and 95 % of the samples."""
    parts = []
    step = (_HEIGHT - _TOP - _BOTTOM) / len(CRUDE_ERRORS)
    for number, name in enumerate(CRUDE_ERRORS):
        points = stats.crude[name]
        if name == "iou":
            points = [1 - point for point in reversed(points)]
        label = "1 - IoU" if name == "iou" else name.replace("_", " ")
        low, first, middle, third, high = (_across(point) for point in points)
        y = _TOP + (number + 0.5) * step
        parts += [
            f'<text x="2" y="{y + 4:.1f}">{label}</text>',
            f'<line class="axis" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<rect class="box" x="{first:.1f}" y="{y - 8:.1f}" height="16" '
            f'width="{max(1.0, third - first):.1f}"/>',
            f'<line class="middle" x1="{middle:.1f}" x2="{middle:.1f}" '
            f'y1="{y - 8:.1f}" y2="{y + 8:.1f}"/>',
        ]
    marks = [
        f'<text x="{_across(share) - 8:.0f}" y="{_HEIGHT - 6}">{share:g}</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    return _svg("Errors of the crude trimaps, 5 to 95 % of the samples", [*parts, *marks])


def _across(share: float) -> float:
    return _LEFT + min(1.0, max(0.0, share)) * (_WIDTH - _LEFT - _RIGHT - 10)


def _svg(title: str, parts: Sequence[str]) -> str:
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">'
        f"{''.join(parts)}</svg><figcaption>{title}</figcaption></figure>"
    )
