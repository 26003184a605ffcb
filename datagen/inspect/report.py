"""One page about a set: counts, pictures of some samples, uses and licences of the sources."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from datagen.inspect.chosen import of_each_cell, worst
from datagen.inspect.html import Found, Use, page_of
from datagen.inspect.pictures import pictures_of
from datagen.inspect.stats import Rows, count, read_rows
from manifests.card import TITLE
from manifests.samples import Sample
from manifests.shard_set import ShardSet
from manifests.sources import Background, Foreground, Split
from manifests.storage import write_bytes

_SHOWN = 10  # sources of each kind
_ALIKE = 200  # pairs


def write_report(
    shards: ShardSet,
    path: Path,
    samples: int,
    on_bad: Callable[[str], None],
    on_sample: Callable[[int], None],
) -> int:
    """Write the page, with about so many samples on it; returns how many there are.

    A sample that cannot be read is left out, and on_bad is called with the reason. on_sample: is
    told how many are done.
    """
    rows = read_rows(shards)
    stats = count(rows, shards)
    bad = worst(rows, samples // 8)
    if len(shards) <= samples:
        numbers = [*range(len(shards))]
    else:
        each = (samples - len(bad)) // sum(cell.samples > 0 for cell in stats.cells)
        numbers = sorted({*of_each_cell(rows, shards, each), *bad})
    drawn = []
    for done, number in enumerate(numbers, start=1):
        try:
            sample = shards[number]
            pictures = asdict(pictures_of(sample))
            drawn.append({**pictures, **_described(sample.row), "worst": number in bad})
        except (ValueError, OSError) as error:
            on_bad(str(error))
        on_sample(done)
    found = Found(
        title=shards.about.title or TITLE,
        splits={str(split): len(shards.split(split)) for split in shards.splits},
        stats=stats,
        uses=[
            use_of(rows, "foreground", shards.foregrounds),
            use_of(rows, "background", shards.backgrounds),
        ],
        alike=list(_alike(shards))[:_ALIKE],
        samples=drawn,
        unreadable=len(numbers) - len(drawn),
    )
    write_bytes(path, page_of(found).encode())
    return len(drawn)


def _described(row: Sample) -> dict[str, Any]:
    second = row.recipe.second.foreground_id
    facts = {
        "foreground": row.foreground_id,
        **({"second foreground": second} if second else {}),
        "background": row.background_id,
        "subject": row.subject,
        "transparency": row.transparency,
        "split, shard": f"{row.split}, {row.shard}",
        "unknown": f"{row.unknown_share:.1%}",
        "crude IoU": f"{row.crude_iou:.4f}",
        "missed, false": f"{row.crude_missed_share:.1%}, {row.crude_false_share:.1%}",
        "wrongly known": f"{row.crude_wrong_known_share:.2%}",
    }
    return {
        "key": row.key,
        "foreground": "\n".join([row.foreground_id, second]),
        "background": row.background_id,
        "subject": row.subject,
        "transparency": row.transparency,
        "split": row.split,
        "iou": round(row.crude_iou, 4),
        "facts": list(facts.items()),
    }


def use_of(rows: Rows, kind: str, sources: Mapping[str, Foreground | Background]) -> Use:
    """The sources of the training used least and most, unless all are used equally often. They
    differ by one at most if nothing is wrong."""
    counts = Counter(dict.fromkeys(sources, 0))
    for one in pc.value_counts(rows.table[f"{kind}_id"]).to_pylist():
        counts[one["values"]] = one["counts"]
    unused = sum(number == 0 for number in counts.values())
    trained = {id_: counts[id_] for id_, source in sources.items() if source.split is Split.TRAIN}
    order = sorted(trained.items(), key=lambda item: (item[1], item[0]))
    fewest, most = (order[0][1], order[-1][1]) if order else (0, 0)
    if fewest == most:
        return Use(kind, fewest, [], [], unused)
    rare = [item for item in order if item[1] < most][:_SHOWN]
    often = [item for item in order[::-1] if item[1] > fewest and item not in rare][:_SHOWN]
    return Use(kind, None, rare, often, unused)


def _alike(shards: ShardSet) -> Iterator[tuple[str, str, str]]:
    """Sources with the same pixels, and foregrounds whose alphas have the same measures."""
    pixels: dict[str, list[str]] = defaultdict(list)
    measures: dict[object, list[Foreground]] = defaultdict(list)
    both: list[Foreground | Background] = [*shards.foregrounds.values()]
    for source in [*both, *shards.backgrounds.values()]:
        pixels[source.pixels_sha256].append(source.id)
    for source in shards.foregrounds.values():
        shape = source.height, source.width, source.box, round(source.soft_share, 3)
        measures[shape].append(source)
    for first, *others in pixels.values():
        yield from ((first, other, "the same pixels") for other in others)
    for one, *more in measures.values():
        for other in more:
            if other.pixels_sha256 != one.pixels_sha256:
                yield one.id, other.id, "the same size, box and share of soft pixels"
