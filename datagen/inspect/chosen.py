"""Which samples of a large set are looked at, chosen by its rows alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from datagen.inspect.stats import Rows
from manifests.shard_set import ShardSet

_SHARDS = 16  # from which samples are drawn: to open each of 880 would take a minute

Numbers = NDArray[np.int64]


def of_each_cell(rows: Rows, shards: ShardSet, count: int) -> list[int]:
    """Up to `count` samples of each cell, different foregrounds first, from shards all over the
    set."""
    near = _of_some_shards(shards)
    names = [rows.table[name].take(near) for name in ("subject", "transparency", "foreground_id")]
    subjects, kinds, foregrounds = (column.to_pylist() for column in names)
    cells: dict[tuple[str, str], list[int]] = {}
    for place, cell in enumerate(zip(subjects, kinds, strict=True)):
        cells.setdefault(cell, []).append(place)
    chosen = []
    for places in cells.values():
        order = _rounds(foregrounds[place] for place in places)
        chosen += [int(near[places[first]]) for first in order[:count]]
    return sorted(chosen)


def worst(rows: Rows, count: int, numbers: Numbers | None = None) -> list[int]:
    """The samples with the lowest IoU of the crude mask, at most one of each foreground while
    others are left; the worst comes first."""
    iou = rows.table["crude_iou"].to_numpy()
    among = np.arange(len(iou)) if numbers is None else numbers
    low = among[np.argsort(iou[among], kind="stable")]
    most = low[: 50 * count]  # a few foregrounds may be the worst hundreds of times
    foregrounds = rows.table["foreground_id"].take(most).to_pylist()
    chosen = sorted(_rounds(foregrounds)[:count])
    return [int(most[place]) for place in chosen]


def of_split(shards: ShardSet, split: str) -> Numbers:
    """The numbers of the samples of one split."""
    ends = np.cumsum([shard.samples for shard in shards.shards])
    parts = [
        np.arange(end - shard.samples, end)
        for shard, end in zip(shards.shards, ends, strict=True)
        if shard.split == split
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _of_some_shards(shards: ShardSet) -> Numbers:
    ends = np.cumsum([shard.samples for shard in shards.shards])
    some = np.unique(np.linspace(0, len(ends) - 1, _SHARDS).round().astype(int))
    return np.concatenate(
        [np.arange(ends[n] - shards.shards[n].samples, ends[n]) for n in some.tolist()]
    )


def _rounds(names: Iterable[str]) -> list[int]:
    """The places of the names: first where each is met once, then where it is met again."""
    met: Counter[str] = Counter()
    turns = []
    for place, name in enumerate(names):
        turns.append((met[name], place))
        met[name] += 1
    return [place for _, place in sorted(turns)]
