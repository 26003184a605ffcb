"""Plans, recipes and grids, recorded: a seed gives the same data set with every version.

So a set that an earlier version began can be continued, and working copies that it left in a cache
are read as they were written. Whoever changes these numbers makes other data sets.
"""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path

import pytest

from datagen.plan import SplitPlan, hold_out
from datagen.sample.recipe import draw_recipe, draw_second, generator
from datagen.sample.resize import DISTANCE_UNIT, OPAQUE, PER_LEVEL, Axis
from datagen.sample.working_copies import Grid, background_path, foreground_path, grid_of
from datagen.settings import Settings
from manifests.samples import Colour, Crop, Placement
from manifests.sources import Background, Box, Split
from tests.datagen.test_plan import cells, cutout, held
from tests.datagen.test_plan import photo as planned
from tests.datagen.test_recipe import SIZE, photo, source


def test_the_plan_of_a_seed() -> None:
    plan = SplitPlan(Split.TRAIN, 4, 3, 16, 5, seed=7)
    pairs = [pair for number in range(plan.shards) for pair in plan.shard(number).pairs]
    assert [(pair.foreground, pair.background) for pair in pairs] == [
        *((3, 1), (0, 0), (1, 1), (2, 2)),
        *((1, 2), (3, 2), (2, 0), (0, 1)),
        *((2, 1), (1, 0), (3, 0), (0, 2)),
        *((1, 1), (0, 0), (3, 1), (2, 2)),
    ]
    assert [pair.round for pair in pairs] == [0] * 12 + [1] * 4


def test_the_sources_that_a_seed_holds_out() -> None:
    """The last five cut-outs have the pixels of the first five, which are in other cells."""
    cutouts = [cutout(n, cells[n * 3 % 8], Split.TRAIN) for n in range(24)]
    sources = [replace(one, pixels_sha256=f"p{n % 19}") for n, one in enumerate(cutouts)]
    for seed, numbers in (
        (0, (3, 6, 12, 13, 16, 17, 22)),
        (2, (1, 3, 4, 6, 8, 20, 22, 23)),
        (4, (3, 4, 8, 9, 14, 22, 23)),
    ):
        assert held(hold_out(sources, 7, seed)) == [f"{n}.png" for n in numbers]
    photos = [planned(n) for n in range(12)]
    assert held(hold_out(photos, 4, 5)) == ["0.jpg", "1.jpg", "8.jpg", "9.jpg"]


def test_the_recipe_of_a_seed() -> None:
    chosen = Settings(size=SIZE, merge_probability=1.0)
    body, small = source("bust", chosen), source("small", chosen)
    recipe = draw_recipe(generator(3, 1, 4, 1), chosen, body, photo(80, 91), small)
    first = Placement("bust", False, 48 / 69, 0.934619, -5.234638, 28.894407, 20.403)
    assert astuple(recipe.foreground)[1:] == pytest.approx(astuple(first)[1:], abs=1e-15)
    assert recipe.second == Placement("small", False, 1.0, 0.976881, -8.053862, 7.402682, 35.253053)
    assert recipe.foreground_colour == Colour(1.005164, 0.941014, 0.825058, -2.283034)
    assert recipe.background_colour == Colour(0.938451, 1.003389, 0.827359, 0.923949)
    assert recipe.background == Crop(0.75, 11, 12, False)
    assert (recipe.crude.stride, recipe.crude.outer) == (5.180847, 0.02238)


def test_a_row_without_a_second_foreground_says_so_in_one_way() -> None:
    chosen = Settings(size=SIZE)
    small = source("small", chosen)
    recipe = draw_recipe(generator(0, 0, 0, 0), chosen, small, photo(80, 91))
    assert recipe.second == Placement("", False, 1.0, 1.0, 0.0, 0.0, 0.0)


def test_the_second_foregrounds_of_a_seed() -> None:
    chosen = Settings(merge_probability=1.0)
    found = [draw_second(generator(3, first, 4, 0), chosen, 9, first) for first in range(9)]
    assert found == [4, 3, 5, 1, 3, 6, 5, 4, 5]


def test_the_grid_of_a_subject() -> None:
    """It is not stored: the shapes of a working copy follow from it."""
    box = Box(5, 70, 333, 210)
    rows = Axis(-5, 0.734489695, 0.777993994, 481)
    columns = Axis(60, 0.734489695, 0.777993994, 314)
    assert grid_of(box, Settings(size=256)) == Grid(rows, columns, (0.8, 1.0))
    wider = grid_of(box, Settings(size=256, scale_min=0.5)).scales
    assert wider == (0.5, 0.594603558, 0.707106781, 0.840896415, 1.0)


def test_the_units_and_names_of_working_copies() -> None:
    assert (PER_LEVEL, OPAQUE, DISTANCE_UNIT) == (64, 16320, 32)
    sha256, chosen = "0123456789abcdef" * 4, Settings(size=256)
    front = replace(cutout(0, cells[0], Split.TRAIN), sha256=sha256)
    behind = Background("b", sha256, "b", 9, 9, Split.TRAIN, "{}")
    name = f"{sha256[:32]}-256"
    assert foreground_path(Path("c"), front, chosen) == Path(
        f"c/foregrounds/{name}-0.8-1.0-1.75.raw"
    )
    assert background_path(Path("c"), behind, chosen) == Path(f"c/backgrounds/{name}-1.25.raw")
