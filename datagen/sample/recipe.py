"""Draws the recipe of each sample with the sample's own generator.

Only uniform draws are used, because their bits are the same on every machine. Values derived from
them are rounded before they are used, so that the recipe in the row is exactly the one used.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from datagen.sample.crude_recipe import draw_crude
from datagen.sample.place import apply, source_to_canvas
from datagen.sample.working_copies import (
    PreparedForeground,
    WorkingCopy,
    background_shape,
    fit_factor,
)
from datagen.settings import Settings
from manifests.samples import Colour, Crop, Placement, Recipe
from manifests.sources import Background, Box

Points = NDArray[np.float64]

NO_FOREGROUND = Placement("", False, 1.0, 1.0, 0.0, 0.0, 0.0)


def generator(seed: int, foreground: int, background: int, round_: int) -> np.random.Generator:
    """The generator of one sample; the same for every worker, order, retry and machine."""
    return np.random.default_rng([seed, foreground, background, round_])


def draw_second(rng: np.random.Generator, settings: Settings, count: int, first: int) -> int | None:
    """The number of the foreground behind the first, or None.

    It is drawn before everything else, because the placement depends on its working copy.
    """
    merged = rng.random() < settings.merge_probability
    other = int(rng.integers(max(count - 1, 1)))
    return other + (other >= first) if merged and count > 1 else None


def draw_recipe(
    rng: np.random.Generator,
    settings: Settings,
    foreground: PreparedForeground,
    background: Background,
    second: PreparedForeground | None = None,
) -> Recipe:
    """Draw every random choice of one sample; `second` is the foreground behind the first."""
    return Recipe(
        foreground=_draw_placement(rng, settings, foreground),
        second=_draw_placement(rng, settings, second) if second else NO_FOREGROUND,
        foreground_colour=_draw_colour(rng, settings),
        background=_draw_crop(rng, settings, background),
        background_colour=_draw_colour(rng, settings),
        crude=draw_crude(rng, settings.crude),
    )


def _draw_placement(
    rng: np.random.Generator, settings: Settings, foreground: PreparedForeground
) -> Placement:
    source, copy = foreground.source, foreground.copy
    middle = settings.size / 2
    centred = Placement(
        foreground_id=source.id,
        flip=bool(rng.random() < settings.flip_probability),
        fit=fit_factor(source.box, settings.size),
        scale=_between(rng, settings.scale_min, settings.scale_max),
        rotation=_between(rng, -settings.rotation, settings.rotation),
        centre_y=middle,
        centre_x=middle,
    )
    range_y, range_x = _moves(centred, source.box, copy, settings)
    move_y, move_x = _between(rng, *range_y), _between(rng, *range_x)
    # If too little of the subject would stay visible, it is moved less. Unrotated and in the middle
    # it always fits, except for a margin.
    for share in (1.0, 0.75, 0.5, 0.25, 0.0):
        moved = replace(
            centred,
            centre_y=round(middle + share * move_y, 6),
            centre_x=round(middle + share * move_x, 6),
        )
        if visible_share(moved, source.box, copy, settings.size) >= settings.visible_share:
            return moved
    return replace(centred, rotation=0.0)


def visible_share(placement: Placement, box: Box, copy: WorkingCopy, size: int) -> float:
    """A lower bound of the share of the subject's opacity that is inside the canvas.

    The canvas has size x size pixels. A cell counts as inside if all its corners are inside and at
    least one pixel away from the border.
    """
    points = [box.left, box.top] + _cell_corners(copy.mass.shape[0]) * [box.width, box.height]
    on_canvas = apply(source_to_canvas(placement, box), points)
    fits = (on_canvas >= 1) & (on_canvas <= size - 1)
    is_in = fits[..., 0] & fits[..., 1]
    inside = is_in[1:, 1:] & is_in[1:, :-1] & is_in[:-1, 1:] & is_in[:-1, :-1]
    return float(copy.mass[inside].sum() / copy.mass.sum())


@cache
def _cell_corners(cells: int) -> Points:
    """(cells + 1) x (cells + 1) x 2: the corners (x, y) of the cells of a unit square."""
    corners = np.arange(cells + 1) / cells
    return np.stack(np.meshgrid(corners, corners), axis=-1)


def _moves(
    centred: Placement, box: Box, copy: WorkingCopy, settings: Settings
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The (lowest, highest) moves of a centred placement, down and to the right, in pixels.

    At most the share `translation` of the placed box leaves the canvas on each axis. A side at
    which the source's frame cut the subject is moved to the border of the canvas or beyond it.
    Otherwise half a person would float in mid air, and a network would learn the straight edge.
    """
    bottom, right = box.top + box.height, box.left + box.width
    corners = np.array([[[x, y] for x in (box.left, right)] for y in (box.top, bottom)], float)
    placed = apply(source_to_canvas(centred, box), corners)  # [top or bottom, left or right, xy]
    is_cut = copy.cut if abs(centred.rotation) < 45 else np.zeros(4, np.bool_)
    top_cut, bottom_cut, left_cut, right_cut = is_cut.tolist()
    if centred.flip:
        placed, left_cut, right_cut = placed[:, ::-1], right_cut, left_cut
    x, y = placed[..., 0], placed[..., 1]
    return (
        _axis_moves(y, float(y[0].max()), float(y[1].min()), top_cut, bottom_cut, settings),
        _axis_moves(x, float(x[:, 0].max()), float(x[:, 1].min()), left_cut, right_cut, settings),
    )


def _axis_moves(
    corners: Points, near: float, far: float, near_cut: bool, far_cut: bool, settings: Settings
) -> tuple[float, float]:
    """The range on one axis; `near`, `far`: innermost points of the first and the last side."""
    length = float(np.ptp(corners))
    slack = max(0.0, (settings.size - length) / 2 + settings.translation * length)
    low, high = -slack, slack
    if far_cut:
        low = max(low, settings.size - far)
        high = max(low, high)
    elif near_cut:
        high = min(high, -near)
        low = min(low, high)
    return low, high


def _draw_colour(rng: np.random.Generator, settings: Settings) -> Colour:
    return Colour(
        brightness=_between(rng, 1 - settings.brightness, 1 + settings.brightness),
        contrast=_between(rng, 1 - settings.contrast, 1 + settings.contrast),
        saturation=_between(rng, 1 - settings.saturation, 1 + settings.saturation),
        hue=_between(rng, -settings.hue, settings.hue),
    )


def _draw_crop(rng: np.random.Generator, settings: Settings, source: Background) -> Crop:
    height, width, scale = background_shape(source.height, source.width, settings)
    return Crop(
        scale=round(scale, 6),
        top=int(rng.integers(height - settings.size + 1)),
        left=int(rng.integers(width - settings.size + 1)),
        flip=bool(rng.random() < settings.flip_probability),
    )


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return round(low + (high - low) * float(rng.random()), 6)
