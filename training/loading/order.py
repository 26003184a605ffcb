"""Which samples each process sees, and in which order: arithmetic on the shards' sample counts.

Each sample is visited once per epoch. In an epoch each shard belongs to one process (rank). The
samples of a rank form an endless stream, epoch after epoch; batches may straddle the border of two
epochs. Any position of the stream is computed directly, so resuming is equally fast everywhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.random import Generator

# Samples are shuffled within runs of this many neighbours, and the runs within their shard. A run
# is long compared with a batch, and short enough for a reader that keeps a few row groups of a
# table in memory.
_RUN = 128

# The purposes of generators, part of their seeds, so that no two purposes share a generator. They
# are not 0, since [a, b] and [a, b, 0] are the same seed for NumPy.
_DEAL, _SHARDS, _SAMPLES, _AUGMENTATION = 1, 2, 3, 4


Counts = tuple[int, ...]  # samples of each shard, in the order of dataset.json


@dataclass(frozen=True)
class Place:
    """A visit of a sample: the number of its shard in the split, and its own within the shard."""

    epoch: int
    shard: int
    sample: int


class Order:
    """The stream of one of `world` ranks. Raises ValueError if there are fewer shards than ranks.

    The shards are dealt into `world` parts, anew for each cycle of `world` epochs. In a cycle each
    rank gets each part once, so that afterwards all ranks have seen every sample equally often,
    however unequal the shards are.
    """

    def __init__(self, counts: Sequence[int], seed: int, rank: int = 0, world: int = 1) -> None:
        self._counts = tuple(count for count in counts)
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} of {world} processes, expected 0 to {world - 1}")
        filled = sum(count > 0 for count in counts)
        if filled < world:
            raise ValueError(
                f"{filled} shards for {world} processes, each needs one of its own: use fewer "
                "processes, or smaller shards (datagen compose --shard-size)"
            )
        self._seed, self._rank, self._world = seed, rank, world

    @property
    def epoch_samples(self) -> int:
        """Samples in one epoch of all ranks together."""
        return sum(self._counts)

    def places(self, begin: int, end: int) -> Iterator[Place]:
        """The samples at positions begin <= n < end of the stream."""
        position = begin
        while position < end:
            epoch, start = self._epoch_at(position)
            shards = self._shards_of(epoch)
            ends = list(accumulate(self._counts[shard] for shard in shards))
            while position < end and position - start < ends[-1]:
                turn = bisect_right(ends, position - start)
                shard = shards[turn]
                first = start + ends[turn] - self._counts[shard]
                for sample in shuffled(self._counts[shard], self._seed, epoch, shard)[
                    position - first : end - first
                ]:
                    yield Place(epoch, shard, sample)
                    position += 1

    def _epoch_at(self, position: int) -> tuple[int, int]:
        """The epoch that holds a position, and the position where it starts."""
        cycle, within = divmod(position, self.epoch_samples)
        start = position - within
        for epoch in range(cycle * self._world, (cycle + 1) * self._world):
            samples = sum(self._counts[shard] for shard in self._shards_of(epoch))
            if position < start + samples:
                return epoch, start
            start += samples
        raise AssertionError("the parts of a cycle hold each sample once")

    def _shards_of(self, epoch: int) -> tuple[int, ...]:
        part = (self._rank + epoch) % self._world
        return shards_of(self._counts, self._seed, epoch, part, self._world)


@lru_cache(maxsize=64)
def shards_of(counts: Counts, seed: int, epoch: int, part: int, world: int) -> tuple[int, ...]:
    """The shards of one part of an epoch, in the order in which they are read."""
    wanted = set(deal(counts, seed, epoch // world, world)[part])
    permuted = np.random.default_rng([seed, _SHARDS, epoch]).permutation(len(counts)).tolist()
    return tuple(shard for shard in permuted if shard in wanted)


@lru_cache(maxsize=4)
def deal(counts: Counts, seed: int, cycle: int, world: int) -> tuple[tuple[int, ...], ...]:
    """Deal the shards that have samples into `world` parts with similar numbers of samples.

    The largest shards come first; each goes to the part that has the fewest samples so far. Shards
    of equal size are dealt in random order.
    """
    permuted = np.random.default_rng([seed, _DEAL, cycle]).permutation(len(counts)).tolist()
    parts: list[list[int]] = [[] for _ in range(world)]
    held = [0] * world
    for shard in sorted(permuted, key=lambda shard: -counts[shard]):
        if counts[shard]:
            least = held.index(min(held))
            parts[least].append(shard)
            held[least] += counts[shard]
    return tuple(map(tuple, parts))


@lru_cache(maxsize=4)
def shuffled(count: int, seed: int, epoch: int, shard: int) -> tuple[int, ...]:
    """The numbers below `count`, in the order in which an epoch visits the samples of a shard."""
    rng = np.random.default_rng([seed, _SAMPLES, epoch, shard])
    runs = [np.arange(first, min(first + _RUN, count)) for first in range(0, count, _RUN)]
    chosen = [rng.permutation(runs[number]) for number in rng.permutation(len(runs))]
    return tuple(np.concatenate(chosen).tolist()) if chosen else ()


def generator_of(seed: int, place: Place) -> Generator:
    """The generator for the augmentation of one visit of one sample, in whichever process."""
    return np.random.default_rng([seed, _AUGMENTATION, place.epoch, place.shard, place.sample])
