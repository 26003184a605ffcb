"""One shard: a plain function of its pairs and their sources, independent of Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from datagen.copies import Copies
from datagen.plan import Pair, PlannedShard, ShardPairs, of_split
from datagen.sample.build import BuiltSample, build_sample, encode_sample
from datagen.sample.recipe import draw_recipe, draw_second, generator
from datagen.settings import Settings
from manifests.notes import Origin
from manifests.samples import EncodedSample
from manifests.shards import Histogram, ShardWriter
from manifests.sources import Background, Foreground
from manifests.storage import Location

Report = Callable[[int, int], None]  # samples and bytes of the shard so far


@dataclass(frozen=True)
class ShardTask:
    """Everything that a worker needs to make one shard. Keys of the sources are plan numbers."""

    root: Location
    copies: Copies
    settings: Settings
    shard: ShardPairs
    foregrounds: Mapping[int, Foreground]
    backgrounds: Mapping[int, Background]
    foreground_count: int
    origin: Origin | None  # recorded in the index; None for shards of no set


def shard_task(
    root: Location,
    copies: Copies,
    settings: Settings,
    shard: ShardPairs,
    foregrounds: Sequence[Foreground],
    backgrounds: Sequence[Background],
    origin: Origin | None = None,
) -> ShardTask:
    """A task with the sources that its pairs need. The lists are the split's, sorted by id."""
    used = {pair.foreground for pair in shard.pairs}
    if settings.merge_probability > 0:
        used = set(range(len(foregrounds)))
    return ShardTask(
        root=root,
        copies=copies,
        settings=settings,
        shard=shard,
        foregrounds={n: foregrounds[n] for n in sorted(used)},
        backgrounds={n: backgrounds[n] for n in sorted({p.background for p in shard.pairs})},
        foreground_count=len(foregrounds),
        origin=origin,
    )


def shard_tasks(
    wanted: Sequence[PlannedShard],
    settings: Settings,
    foregrounds: Sequence[Foreground],
    backgrounds: Sequence[Background],
    root: Location,
    copies: Copies,
    origin: Origin,
) -> Iterator[ShardTask]:
    """The tasks of some shards, one task at a time.

    880,000 pairs at once would fill the driver's memory.
    """
    for plan, group in groupby(wanted, key=lambda shard: shard.plan):
        sources = of_split(foregrounds, plan.split), of_split(backgrounds, plan.split)
        for shard in group:
            pairs = plan.shard(shard.number)
            yield shard_task(root, copies, settings, pairs, *sources, origin)


def used_sources(tasks: Iterable[ShardTask], count: int) -> list[Foreground | Background]:
    """The sources that some tasks need; `count` is the largest possible number of them."""
    used: dict[Foreground | Background, None] = {}
    for task in tasks:
        used |= dict.fromkeys(task.foregrounds.values()) | dict.fromkeys(task.backgrounds.values())
        if len(used) == count:
            break
    return list(used)


def make_shard(task: ShardTask, report: Report) -> str:
    """Write one shard and return its name. An error leaves no file behind."""
    settings, shard = task.settings, task.shard
    form, codec = settings.format, settings.image_codec
    task.copies.check()
    with ShardWriter(task.root, shard.name, form, codec, task.origin) as writer:
        written = 0
        for count, pair in enumerate(shard.pairs, start=1):
            sample, histogram = make_sample(task, pair)
            writer.add(sample, histogram)
            written += sum(map(len, sample.streams.values()))
            report(count, written)
    return shard.name


def make_sample(task: ShardTask, pair: Pair) -> tuple[EncodedSample, Histogram]:
    """Draw, build and encode one sample, and count its alpha levels."""
    built, shard = draw_and_build(task, pair), task.shard
    encoded = encode_sample(built, pair.key, shard.name, shard.split, task.settings)
    return encoded, built.alpha_histogram


def draw_and_build(task: ShardTask, pair: Pair) -> BuiltSample:
    """One sample of a shard in pixels, drawn with its own generator."""
    settings, copies = task.settings, task.copies
    rng = generator(settings.seed, pair.foreground, pair.background, pair.round)
    number = draw_second(rng, settings, task.foreground_count, pair.foreground)
    foreground = copies.foreground(task.foregrounds[pair.foreground], settings)
    second = None if number is None else copies.foreground(task.foregrounds[number], settings)
    background = copies.background(task.backgrounds[pair.background], settings)
    recipe = draw_recipe(rng, settings, foreground, background.source, second)
    return build_sample(recipe, foreground, second, background, settings)
