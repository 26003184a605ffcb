"""The order of samples: each once an epoch over all ranks, and any part without what is before."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.strategies import few, many
from training.loading.order import Order, Place, deal, generator_of, shards_of, shuffled

seeds = st.integers(0, 2**40)


def uneven(least: int = 1) -> SearchStrategy[list[int]]:
    """Counts of shards: some empty, some a hundred times the others."""
    filled = st.lists(st.sampled_from([1, 2, 3, 7, 130, 300]), min_size=least, max_size=6)
    return st.tuples(filled, st.sampled_from([[], [0]])).map(lambda both: both[1] + both[0])


def everything(counts: Sequence[int]) -> set[tuple[int, int]]:
    return {(shard, n) for shard, count in enumerate(counts) for n in range(count)}


@given(counts=uneven(least=4), seed=seeds, world=st.integers(1, 4))
@many
def test_an_epoch_holds_each_sample_once_over_all_ranks(
    counts: list[int], seed: int, world: int
) -> None:
    # A rank's stream of as many samples as there are is a cycle: `world` epochs of its part
    seen: dict[int, Counter[tuple[int, int]]] = {}
    homes: dict[tuple[int, int], set[int]] = {}
    for rank in range(world):
        order = Order(counts, seed, rank, world)
        stream = list(order.places(0, sum(counts)))
        assert Counter((p.shard, p.sample) for p in stream) == Counter(everything(counts))
        assert [p.epoch for p in stream] == sorted(p.epoch for p in stream)
        for place in stream:
            seen.setdefault(place.epoch, Counter())[place.shard, place.sample] += 1
            homes.setdefault((place.epoch, place.shard), set()).add(rank)
    assert sorted(seen) == list(range(world))
    for epoch in seen.values():
        assert epoch == Counter(everything(counts))
    assert {len(ranks) for ranks in homes.values()} == {1}, "an epoch's shard is read by one rank"


@given(
    counts=uneven(least=3),
    seed=seeds,
    world=st.integers(1, 3),
    cuts=st.lists(st.integers(0, 2000), min_size=2, max_size=6),
)
@many
def test_any_part_is_found_without_what_comes_before(
    counts: list[int], seed: int, world: int, cuts: list[int]
) -> None:
    cuts = sorted(cuts)
    for rank in range(world):
        order = Order(counts, seed, rank, world)
        whole = list(order.places(0, cuts[-1]))
        assert len(whole) == cuts[-1]
        for begin, end in itertools.pairwise(cuts):
            assert list(Order(counts, seed, rank, world).places(begin, end)) == whole[begin:end]


def test_a_far_position_costs_what_a_near_one_does() -> None:
    order = Order([300, 20, 1000, 7], 5, 1, 3)
    work = []
    for begin in (0, 10**15):
        shards_of.cache_clear()
        shuffled.cache_clear()
        assert len(list(order.places(begin, begin + 16))) == 16
        work.append((shards_of.cache_info().misses, shuffled.cache_info().misses))
    assert all(epochs <= 3 + 1 and shards <= 4 for epochs, shards in work), work


@given(counts=uneven(least=4), seed=seeds, cycle=st.integers(0, 9), world=st.integers(1, 4))
@many
def test_the_deal_is_as_even_as_the_shards_allow(
    counts: list[int], seed: int, cycle: int, world: int
) -> None:
    parts = deal(tuple(counts), seed, cycle, world)
    sums = [sum(counts[shard] for shard in part) for part in parts]
    assert sorted(shard for part in parts for shard in part) == [
        shard for shard, count in enumerate(counts) if count
    ]
    assert max(sums) - min(sums) <= max(counts)
    # The largest are dealt first: a part without its smallest shard holds no more than any other
    smallest = [min((counts[shard] for shard in part), default=0) for part in parts]
    assert all(held - least <= min(sums) for held, least in zip(sums, smallest, strict=True))


@given(count=st.integers(0, 700), seed=seeds, epoch=st.integers(0, 9))
@few
def test_a_shard_is_shuffled_in_runs_of_neighbours(count: int, seed: int, epoch: int) -> None:
    found = shuffled(count, seed, epoch, 3)
    assert sorted(found) == list(range(count))
    runs = [number // 128 for number in found]
    changes = sum(first != second for first, second in itertools.pairwise(runs))
    assert changes == max(len(set(runs)) - 1, 0), "a run is left only when it is done"


def test_epochs_shards_and_seeds_differ() -> None:
    orders = {
        shuffled(100, seed, epoch, shard) for seed in (0, 1) for epoch in (0, 1) for shard in (0, 1)
    }
    assert len(orders) == 8
    counts = (1,) * 50
    assert len({shards_of(counts, seed, epoch, 0, 1) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_no_two_purposes_share_a_generator() -> None:
    draws = [
        generator_of(seed, Place(epoch, shard, sample)).random()
        for seed in range(3)
        for epoch in range(3)
        for shard in range(3)
        for sample in range(3)
    ]
    # numpy pads seeds with zeros: [4, 0] and [4] are the same, so purposes are distinguished by
    # numbers that are not 0
    draws += [np.random.default_rng([0, purpose]).random() for purpose in (1, 2, 3)]
    assert len(set(draws)) == len(draws)


def test_a_process_is_alone_unless_it_is_said() -> None:
    alone = list(Order([3, 4], 5).places(0, 21))
    assert alone == list(Order([3, 4], 5, rank=0, world=1).places(0, 21))


def test_the_order_of_a_seed_stays_as_it_is() -> None:
    """So a training goes on where it was, also with a later version."""
    stream = Order([5, 3, 0, 4, 130], 6, 1, 2).places(0, 14)
    assert [(place.epoch, place.shard, place.sample) for place in stream] == [
        *((0, 1, 1), (0, 1, 2), (0, 1, 0), (0, 3, 3), (0, 3, 1), (0, 3, 2), (0, 3, 0)),
        *((0, 0, 0), (0, 0, 4), (0, 0, 1), (0, 0, 3), (0, 0, 2), (1, 4, 128), (1, 4, 129)),
    ]
    assert [(place.epoch, place.shard) for place in Order([1] * 7, 6, 1, 3).places(0, 7)] == [
        *((0, 4), (0, 6), (1, 1), (1, 3), (2, 2), (2, 0), (2, 5))
    ]
    assert deal((1,) * 9, 4, 3, 2) == ((5, 4, 7, 3, 8), (0, 1, 2, 6))
    assert shards_of((1,) * 9, 4, 3, 0, 2) == (1, 6, 2, 3, 8)
    assert shuffled(300, 1, 2, 3)[:8] == (29, 95, 46, 23, 107, 91, 64, 2)
    assert generator_of(5, Place(1, 2, 3)).integers(10**9) == 132227195


@pytest.mark.parametrize("rank", [-1, 2, 3])
def test_a_rank_that_no_process_has_is_refused(rank: int) -> None:
    with pytest.raises(ValueError, match=f"rank {rank} of 2 processes, expected 0 to 1"):
        Order([5, 5, 5], 0, rank, 2)


@pytest.mark.parametrize(("counts", "world"), [([5, 5], 3), ([5, 0, 5], 3), ([7], 2)])
def test_fewer_shards_than_processes(counts: list[int], world: int) -> None:
    filled = sum(count > 0 for count in counts)
    with pytest.raises(ValueError, match=rf"{filled} shards for {world} processes, .*shard-size"):
        Order(counts, 0, 0, world)
