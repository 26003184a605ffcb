"""Which foreground meets which background, and in which shard.

The pairs of F foregrounds and B backgrounds are the numbers f B + b below F B. The plan is a seeded
permutation of them that needs no memory. Sample n belongs to turn n // F. In each turn every
foreground comes once, and the order is drawn anew for each turn. The backgrounds are shuffled once.
Each foreground goes through them in that order, from its own starting point. So every pair comes
exactly once in F B samples. The first N samples hold every foreground floor(N / F) or ceil(N / F)
times, for any N, so that a small set is as balanced as the whole, and may grow: more samples of the
same sources begin with the same samples.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from datagen.settings import Settings
from manifests.shards import shard_name
from manifests.sources import Background, Foreground, Split

# First words of the seed, so that different uses of a seed get different random numbers.
_ORDER, _TURN, _HOLDOUT = 101, 102, 103

Source = TypeVar("Source", Foreground, Background)


class PlanError(ValueError):
    """The settings cannot be met with these sources."""


@dataclass(frozen=True)
class Pair:
    """A sample before it is drawn; sources are numbers in the split's lists, sorted by id."""

    key: str
    foreground: int
    background: int
    round: int  # 0 for the first F B samples, 1 for the next


@dataclass(frozen=True)
class ShardPairs:
    """The pairs of one shard, in order."""

    name: str
    split: Split
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class SplitPlan:
    """The samples of one split, computed when needed: no list of pairs is kept."""

    split: Split
    foregrounds: int
    backgrounds: int
    samples: int
    shard_size: int
    seed: int

    @property
    def shards(self) -> int:
        return -(-self.samples // self.shard_size)

    def length(self, number: int) -> int:
        """How many samples a shard has."""
        return min(self.shard_size, self.samples - number * self.shard_size)

    def shard(self, number: int) -> ShardPairs:
        """The pairs of one shard, in order."""
        first = number * self.shard_size
        last = first + self.length(number)
        order, starts = self._walks()
        pairs = []
        turn = -1
        foregrounds: NDArray[np.int64] = np.empty(0, np.int64)
        for position in range(first, last):
            if position // self.foregrounds != turn:
                turn = position // self.foregrounds
                # Both splits have a turn 0; the number of foregrounds gives them different seeds.
                rng = np.random.default_rng([_TURN, self.seed, self.foregrounds, turn])
                foregrounds = rng.permutation(self.foregrounds)
            foreground = int(foregrounds[position % self.foregrounds])
            step = (turn + int(starts[foreground])) % self.backgrounds
            key = f"{self.split}-{position:08d}"
            pairs.append(Pair(key, foreground, int(order[step]), turn // self.backgrounds))
        return ShardPairs(shard_name(self.split, number), self.split, tuple(pairs))

    def _walks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The shuffled backgrounds, and where in them each foreground starts.

        The starts are spread evenly. So after any number of turns the numbers of uses of any two
        backgrounds differ by 1 at most.
        """
        rng = np.random.default_rng([_ORDER, self.seed, self.foregrounds, self.backgrounds])
        order = rng.permutation(self.backgrounds)
        starts = np.arange(self.foregrounds) * self.backgrounds // self.foregrounds
        return order, rng.permutation(starts)


@dataclass(frozen=True)
class PlannedShard:
    """A shard by its plan and number, without its pairs."""

    plan: SplitPlan
    number: int

    @property
    def name(self) -> str:
        return shard_name(self.plan.split, self.number)

    @property
    def samples(self) -> int:
        return self.plan.length(self.number)

    @property
    def is_full(self) -> bool:
        """Whether it cannot grow: only the last shard of a split can."""
        return self.samples == self.plan.shard_size


def planned_shards(plan: SplitPlan) -> list[PlannedShard]:
    """Every shard of a split, in order."""
    return [PlannedShard(plan, number) for number in range(plan.shards)]


def plan_splits(
    settings: Settings, foregrounds: Sequence[Foreground], backgrounds: Sequence[Background]
) -> list[SplitPlan]:
    """One plan for each split that has sources; val has every held-out pair, at most `samples`.

    Raises PlanError if a split has only foregrounds or only backgrounds, and so no pair.
    """
    plans = []
    for split in Split:
        fg, bg = len(of_split(foregrounds, split)), len(of_split(backgrounds, split))
        if not fg and not bg:
            continue
        if not fg or not bg:
            raise PlanError(_one_kind_alone(split, fg, bg))
        wanted = settings.samples or fg * bg
        samples = wanted if split is Split.TRAIN else min(wanted, fg * bg)
        plans.append(SplitPlan(split, fg, bg, samples, settings.shard_size, settings.seed))
    return plans


def _one_kind_alone(split: Split, foregrounds: int, backgrounds: int) -> str:
    missing = "foreground" if foregrounds == 0 else "background"
    return (
        f"split {split} has {foregrounds} foregrounds and {backgrounds} backgrounds, so it has no "
        f"pair; give some {missing}s the split {split} in {missing}s.csv, or let the held-out "
        f"sources be drawn (--holdout-fg {foregrounds or 'N'} --holdout-bg {backgrounds or 'N'})"
    )


def of_split(sources: Sequence[Source], split: Split) -> list[Source]:
    """The sources of one split, in their order."""
    return [source for source in sources if source.split is split]


def hold_out(sources: Sequence[Source], count: int, seed: int) -> list[Source]:
    """The sources with `count` of them in val, the rest in train.

    Sources whose labels say val come first. The others are drawn from each cell of subject x
    transparency in turn. The last source of a cell is drawn only if every cell has at most one
    source left. Sources with the same pixels stay together, so there may be more than `count`.
    Raises PlanError if `count` is above 0 and the labels already hold out more, or if no source
    is left for training.
    """
    groups: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        groups[source.pixels_sha256].append(source)
    labelled = [k for k, g in groups.items() if any(s.split is Split.VAL for s in g)]
    held = sum(len(groups[key]) for key in labelled)
    if count and held > count:
        raise PlanError(f"the labels hold out {held} sources, which is more than {count}")

    cells: dict[str, list[str]] = defaultdict(list)
    rng = np.random.default_rng([_HOLDOUT, seed, len(sources)])
    chosen = set(labelled)
    for key in rng.permutation([key for key in groups if key not in chosen]).tolist():
        cells[_cell(groups[key][0])].append(key)
    taken = dict.fromkeys(cells, 0) | Counter(_cell(groups[key][0]) for key in labelled)
    while held < count and any(cells.values()):
        cell = min(cells, key=lambda c: (len(cells[c]) < 2, not cells[c], taken[c], c))
        taken[cell] += 1
        key = cells[cell].pop()
        chosen.add(key)
        held += len(groups[key])
    if sources and held >= len(sources):
        raise PlanError(
            f"{held} of {len(sources)} sources held out: no source is left for training"
        )
    return [
        replace(s, split=Split.VAL if s.pixels_sha256 in chosen else Split.TRAIN) for s in sources
    ]


def _cell(source: Foreground | Background) -> str:
    if isinstance(source, Foreground):
        return f"{source.subject}|{source.transparency}"
    return ""
