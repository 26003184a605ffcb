"""The plan: every pair once, every prefix balanced, no source in two splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.plan import Pair, PlanError, SplitPlan, hold_out, plan_splits
from datagen.settings import Settings
from manifests.shards import shard_name
from manifests.sources import Background, Box, Foreground, Split, Subject, Transparency

counts = st.integers(1, 12)
seeds = st.integers(0, 2**32)
cells = [(s, t) for s in (Subject.HUMAN, Subject.NON_HUMAN) for t in Transparency]


def make_plan(
    foregrounds: int, backgrounds: int, samples: int, shard_size: int = 7, seed: int = 0
) -> SplitPlan:
    return SplitPlan(Split.TRAIN, foregrounds, backgrounds, samples, shard_size, seed)


def pairs_of(plan: SplitPlan) -> list[Pair]:
    return [pair for number in range(plan.shards) for pair in plan.shard(number).pairs]


def numbers_of(plan: SplitPlan) -> list[tuple[int, int]]:
    return [(pair.foreground, pair.background) for pair in pairs_of(plan)]


@given(counts, counts, seeds)
def test_every_pair_comes_once_a_round(foregrounds: int, backgrounds: int, seed: int) -> None:
    every = foregrounds * backgrounds
    pairs = pairs_of(make_plan(foregrounds, backgrounds, 2 * every, seed=seed))
    expected = {(f, b) for f in range(foregrounds) for b in range(backgrounds)}
    for number, part in enumerate((pairs[:every], pairs[every:])):
        assert len(part) == every
        assert {(pair.foreground, pair.background) for pair in part} == expected
        assert {pair.round for pair in part} == {number}
    assert len({pair.key for pair in pairs}) == 2 * every


@given(counts, counts, st.integers(1, 300), seeds)
def test_every_prefix_is_balanced(
    foregrounds: int, backgrounds: int, samples: int, seed: int
) -> None:
    pairs = numbers_of(make_plan(foregrounds, backgrounds, samples, seed=seed))
    used_foregrounds, used_backgrounds = [0] * foregrounds, [0] * backgrounds
    for count, (foreground, background) in enumerate(pairs, start=1):
        used_foregrounds[foreground] += 1
        used_backgrounds[background] += 1
        assert min(used_foregrounds) == count // foregrounds
        assert max(used_foregrounds) == -(-count // foregrounds)
        if count % foregrounds == 0:
            assert max(used_backgrounds) - min(used_backgrounds) <= 1


@given(counts, counts, st.integers(1, 200), st.integers(1, 50))
def test_shards_are_pieces_of_one_sequence(
    foregrounds: int, backgrounds: int, samples: int, shard_size: int
) -> None:
    whole = make_plan(foregrounds, backgrounds, samples, shard_size=1000).shard(0).pairs
    plan = make_plan(foregrounds, backgrounds, samples, shard_size)
    assert len(whole) == samples
    assert plan.shards == -(-samples // shard_size)
    for number in reversed(range(plan.shards)):  # a shard does not depend on those before it
        shard = plan.shard(number)
        first = number * shard_size
        assert shard.pairs == whole[first : first + shard_size]
        assert (shard.name, shard.split) == (shard_name(Split.TRAIN, number), Split.TRAIN)
    assert [pair.key for pair in whole] == [f"train-{n:08d}" for n in range(samples)]


def test_the_seed_decides_the_order_and_nothing_else_does() -> None:
    orders = [numbers_of(make_plan(9, 11, 99, seed=seed)) for seed in range(5)]
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert len({tuple(order) for order in orders}) == 5
    assert numbers_of(make_plan(9, 11, 99, seed=3)) == orders[3]


def test_the_order_is_shuffled() -> None:
    turns = np.array(numbers_of(make_plan(20, 30, 600))).reshape(30, 20, 2)
    assert len({tuple(turn[:, 0]) for turn in turns}) == 30  # each turn in an order of its own
    steps = {int(b) for b in np.diff(turns[:, :, 1].ravel())}
    assert len(steps) > 30  # no fixed walk through the backgrounds


def photo(number: int, split: Split = Split.TRAIN, pixels: str = "") -> Background:
    return Background(f"{number}.jpg", f"{number:x}", pixels or f"p{number}", 9, 9, split, "{}")


def cutout(number: int, cell: tuple[Subject, Transparency], split: Split) -> Foreground:
    name = f"{number}.png"
    return Foreground(
        name, name, name, 9, 9, Box(0, 0, 9, 9), cell[0], cell[1], False, 0.1, split, "{}"
    )


def held(sources: Sequence[Foreground] | Sequence[Background]) -> list[str]:
    return [source.id for source in sources if source.split is Split.VAL]


@given(st.integers(0, 15), seeds)
def test_as_many_are_held_out_as_asked_for(count: int, seed: int) -> None:
    sources = [photo(number) for number in range(16)]
    found = hold_out(sources, count, seed)
    assert [source.id for source in found] == [source.id for source in sources]
    assert len(held(found)) == count
    assert hold_out(sources, count, seed) == found


def test_other_seeds_hold_out_others() -> None:
    sources = [photo(number) for number in range(16)]
    assert len({tuple(held(hold_out(sources, 5, seed))) for seed in range(8)}) > 4


@given(st.integers(1, 31), st.sets(st.integers(0, 31), max_size=12), seeds)
def test_cells_are_held_out_evenly_and_labelled_sources_first(
    count: int, labelled: set[int], seed: int
) -> None:
    # four foregrounds in each of the eight cells
    sources = [
        cutout(n, cells[n % 8], Split.VAL if n in labelled else Split.TRAIN) for n in range(32)
    ]
    if len(labelled) > count:
        with pytest.raises(PlanError, match=f"hold out {len(labelled)} sources.* than {count}"):
            hold_out(sources, count, seed)
        return
    found = hold_out(sources, count, seed)
    assert {f"{n}.png" for n in labelled} <= set(held(found))
    assert len(held(found)) == count
    per_cell = Counter((s.subject, s.transparency) for s in found if s.split is Split.VAL)
    for number, cell in enumerate(cells):
        is_drawn_from = per_cell[cell] > sum(n % 8 == number for n in labelled)
        others = [per_cell[other] for other in cells if per_cell[other] < 3]  # not the last one
        assert not is_drawn_from or per_cell[cell] <= min(others, default=4) + 1


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.data(), seeds)
def test_the_last_of_a_cell_is_held_out_only_if_there_is_no_other(
    sizes: list[int], data: st.DataObject, seed: int
) -> None:
    members = [cell for cell, size in zip(cells, sizes, strict=False) for _ in range(size)]
    sources = [cutout(n, cell, Split.TRAIN) for n, cell in enumerate(members)]
    spare = len(sources) - len(sizes)  # so many can go before a cell is emptied
    count = data.draw(st.integers(0, len(sources) - 1))
    found = hold_out(sources, count, seed)
    left = {(s.subject, s.transparency) for s in found if s.split is Split.TRAIN}
    assert len(sizes) - len(left) == max(0, count - spare)


@given(st.integers(1, 8), seeds)
def test_the_same_pixels_go_together(count: int, seed: int) -> None:
    sources = [photo(number, pixels=f"p{number // 2}") for number in range(20)]
    found = hold_out(sources, count, seed)
    assert len(held(found)) == count + count % 2
    for one, other in zip(found[::2], found[1::2], strict=True):
        assert one.split is other.split


def test_one_labelled_name_takes_its_copies_along() -> None:
    sources = [photo(0, Split.VAL, "same"), photo(1, pixels="same"), photo(2)]
    assert held(hold_out(sources, 0, 0)) == ["0.jpg", "1.jpg"]


@pytest.mark.parametrize("seed", range(4))
def test_copies_count_for_the_cell_of_the_first_of_them(seed: int) -> None:
    """Two names of one picture, in two cells and in val: the next one comes from the other cell."""
    first, second = cells[0], cells[1]
    sources = [cutout(n, first if n < 4 else second, Split.TRAIN) for n in range(8)]
    sources[0] = replace(sources[0], split=Split.VAL, pixels_sha256="same")
    sources[7] = replace(sources[7], pixels_sha256="same")
    (drawn,) = set(held(hold_out(sources, 3, seed))) - {"0.png", "7.png"}
    assert drawn in {"4.png", "5.png", "6.png"}


def test_something_is_left_for_training() -> None:
    sources = [photo(number) for number in range(4)]
    for count in (4, 9):
        with pytest.raises(PlanError, match="4 of 4 sources held out"):
            hold_out(sources, count, 0)
    assert hold_out([], 3, 0) == []


@pytest.mark.parametrize(("samples", "train", "val"), [(0, 15 * 16, 20), (7, 7, 7), (500, 500, 20)])
def test_splits_share_no_source_and_val_is_never_repeated(
    samples: int, train: int, val: int
) -> None:
    settings = Settings(samples=samples, shard_size=50, seed=4)
    foregrounds = hold_out([cutout(n, cells[n % 8], Split.TRAIN) for n in range(20)], 5, 4)
    backgrounds = hold_out([photo(number) for number in range(20)], 4, 4)
    plans = {plan.split: plan for plan in plan_splits(settings, foregrounds, backgrounds)}
    assert [plans[s].samples for s in (Split.TRAIN, Split.VAL)] == [train, val]
    assert (plans[Split.VAL].foregrounds, plans[Split.VAL].backgrounds) == (5, 4)
    assert (plans[Split.TRAIN].foregrounds, plans[Split.TRAIN].backgrounds) == (15, 16)
    keys = [pair.key for plan in plans.values() for pair in pairs_of(plan)]
    assert len(set(keys)) == train + val
    assert len(set(numbers_of(plans[Split.VAL]))) == val


def test_a_split_with_sources_of_one_kind_is_refused() -> None:
    """What the labels put into it would be in no sample."""
    cutouts = [cutout(n, cells[0], Split.VAL if n < 2 else Split.TRAIN) for n in range(5)]
    photos = [photo(n, Split.VAL if n < 1 else Split.TRAIN) for n in range(3)]
    advice = "give some backgrounds the split val.*--holdout-fg 2 --holdout-bg N"
    with pytest.raises(PlanError, match=f"val has 2 foregrounds and 0 backgrounds.*{advice}"):
        plan_splits(Settings(), cutouts, photos[1:])
    advice = "give some foregrounds the split val.*--holdout-fg N --holdout-bg 1"
    with pytest.raises(PlanError, match=f"val has 0 foregrounds and 1 backgrounds.*{advice}"):
        plan_splits(Settings(), cutouts[2:], photos)
    assert [plan.samples for plan in plan_splits(Settings(), cutouts, photos)] == [6, 2]


def test_a_split_without_sources_has_no_plan() -> None:
    foregrounds = [cutout(0, cells[0], Split.TRAIN)]
    plans = plan_splits(Settings(), foregrounds, [photo(0), photo(1)])
    assert [(plan.split, plan.samples) for plan in plans] == [(Split.TRAIN, 2)]
    foregrounds = [cutout(0, cells[0], Split.VAL)]
    plans = plan_splits(Settings(), foregrounds, [photo(0, Split.VAL)])
    assert [(plan.split, plan.samples) for plan in plans] == [(Split.VAL, 1)]
