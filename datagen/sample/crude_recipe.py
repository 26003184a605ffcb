"""The random choices behind one crude trimap, and the ranges from which they are drawn.

The ranges of `segmentation` were set so that the errors of the simulated masks have the quantiles
of a real network's (ISNet on 40 photos): `python -m tests.bench.crude` prints both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from manifests.samples import CrudeRecipe, Piece

SUBJECT_SIZE = 640.0  # sqrt of the area of the subject's box, in pixels, to which strides refer
FARTHEST = 0.8  # how far beyond the subject's box the network can err, over the subject's size


class Preset(StrEnum):
    """How large the errors are; `segmentation` has the measured errors of a real network, ISNet."""

    GENTLE = "gentle"
    SEGMENTATION = "segmentation"
    HARSH = "harsh"


@dataclass(frozen=True)
class _Ranges:
    """The ranges of a preset: (low, high) of a uniform draw, or of a log-uniform one if marked.

    Skewed draws are more frequent at the low end: most masks are good, a few are very bad.
    """

    stride: tuple[float, float]  # log-uniform, skewed
    soft: float  # largest distance from 0.5, skewed towards 0.5
    blur: tuple[float, float]
    shift: float  # largest value of either sign, skewed towards 0
    warp: tuple[float, float]  # log-uniform, skewed
    level: float  # largest value of either sign, skewed towards 0
    noise: tuple[float, float]  # skewed
    hole_share: tuple[float, float]  # log-uniform
    lost_probability: float
    lost_share: tuple[float, float]  # log-uniform
    lost_away: float  # uniform from 0, over the side of a square of the piece's area
    swallowed_probability: float
    swallowed_share: tuple[float, float]  # log-uniform
    far_probability: float
    inner: tuple[float, float]  # log-uniform
    outer: tuple[float, float]  # log-uniform


RANGES = {
    Preset.GENTLE: _Ranges(
        stride=(4, 8),
        soft=0.2,
        blur=(0.5, 0.9),
        shift=0.002,
        warp=(0.0005, 0.004),
        level=15,
        noise=(0, 30),
        hole_share=(0.0002, 0.005),
        lost_probability=0.05,
        lost_share=(0.005, 0.05),
        lost_away=1.0,
        swallowed_probability=0.05,
        swallowed_share=(0.005, 0.05),
        far_probability=0.1,
        inner=(0.008, 0.05),
        outer=(0.01, 0.07),
    ),
    Preset.SEGMENTATION: _Ranges(
        stride=(4, 16),
        soft=0.45,
        blur=(0.5, 1.2),
        shift=0.012,
        warp=(0.001, 0.03),
        level=40,
        noise=(0, 80),
        hole_share=(0.0002, 0.02),
        lost_probability=0.36,
        lost_share=(0.004, 0.55),
        lost_away=1.3,
        swallowed_probability=0.3,
        swallowed_share=(0.008, 0.11),
        far_probability=0.55,
        inner=(0.006, 0.05),
        outer=(0.006, 0.07),
    ),
    Preset.HARSH: _Ranges(
        stride=(8, 16),
        soft=0.45,
        blur=(1.0, 2.0),
        shift=0.02,
        warp=(0.004, 0.03),
        level=60,
        noise=(20, 80),
        hole_share=(0.002, 0.1),
        lost_probability=0.5,
        lost_share=(0.02, 0.8),
        lost_away=1.0,
        swallowed_probability=0.4,
        swallowed_share=(0.02, 0.5),
        far_probability=0.3,
        inner=(0.004, 0.06),
        outer=(0.004, 0.08),
    ),
}


def draw_crude(rng: np.random.Generator, preset: Preset) -> CrudeRecipe:
    """Draw a recipe; every preset draws the same count of numbers, so later draws stay the same."""
    ranges = RANGES[preset]
    bad = float(rng.random())  # one number per picture, because errors of all kinds occur together
    return CrudeRecipe(
        stride=_log_skewed(rng, bad, ranges.stride),
        soft=round(0.5 + _signed_skewed(rng, bad, ranges.soft), 6),
        blur=_uniform(rng, ranges.blur),
        shift=(_signed_skewed(rng, bad, ranges.shift), _signed_skewed(rng, bad, ranges.shift)),
        warp=_log_skewed(rng, bad, ranges.warp),
        level=_signed_skewed(rng, bad, ranges.level),
        noise=_skewed(rng, bad, ranges.noise),
        noise_seed=int(rng.integers(2**32)),
        hole_share=_log_uniform(rng, ranges.hole_share),
        lost=_draw_lost(rng, bad, ranges),
        swallowed=_draw_swallowed(rng, bad, ranges),
        inner=_log_uniform(rng, ranges.inner),
        outer=_log_uniform(rng, ranges.outer),
    )


def _draw_lost(rng: np.random.Generator, bad: float, ranges: _Ranges) -> Piece:
    """A lost piece. Small pieces are near the edge; large ones may be farther away."""
    happens = float(rng.random()) < 2.0 * bad * ranges.lost_probability
    share = _log_uniform(rng, ranges.lost_share)
    away = round(_uniform(rng, (0.0, ranges.lost_away)) * math.sqrt(share), 6)
    return _draw_shape(rng, share if happens else 0.0, away)


def _draw_swallowed(rng: np.random.Generator, bad: float, ranges: _Ranges) -> Piece:
    happens = float(rng.random()) < 2.0 * bad * ranges.swallowed_probability
    is_far = float(rng.random()) < ranges.far_probability
    share, away = _log_uniform(rng, ranges.swallowed_share), _uniform(rng, (0.3, FARTHEST))
    return _draw_shape(rng, share if happens else 0.0, away if is_far else 0.0)


def _draw_shape(rng: np.random.Generator, share: float, away: float) -> Piece:
    return Piece(
        share=share,
        place=_uniform(rng, (0, 1)),
        away=away,
        angle=_uniform(rng, (0, 2 * math.pi)),
        length=_uniform(rng, (1, 5)),
        ragged=_uniform(rng, (0.2, 1)),
    )


def _uniform(rng: np.random.Generator, between: tuple[float, float]) -> float:
    return round(between[0] + (between[1] - between[0]) * float(rng.random()), 6)


def _skewed(rng: np.random.Generator, bad: float, between: tuple[float, float]) -> float:
    chance = bad * float(rng.random())
    return round(between[0] + (between[1] - between[0]) * chance, 6)


def _log_uniform(rng: np.random.Generator, between: tuple[float, float]) -> float:
    # Rounded, because the last bit of a power differs between maths libraries.
    return round(between[0] * math.pow(between[1] / between[0], float(rng.random())), 6)


def _log_skewed(rng: np.random.Generator, bad: float, between: tuple[float, float]) -> float:
    low, high = between
    return round(low * math.pow(high / low, bad * float(rng.random())), 6)


def _signed_skewed(rng: np.random.Generator, bad: float, most: float) -> float:
    return round(most * bad * (2.0 * float(rng.random()) - 1.0), 6)
