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
from manifests.sources import Background, Foreground
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
    bad = worst(rows, samples // 8)
    of_cells = of_each_cell(rows, shards, (samples - len(bad)) // 8)
    numbers = sorted({*of_cells, *bad})
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
        stats=count(rows, shards),
        uses=[
            _use(rows, "foreground", shards.foregrounds),
            _use(rows, "background", shards.backgrounds),
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


def _use(rows: Rows, kind: str, sources: Mapping[str, Foreground | Background]) -> Use:
    """The sources used least and most. All differ by one at most if nothing is wrong."""
    counts = Counter(dict.fromkeys(sources, 0))
    for one in pc.value_counts(rows.table[f"{kind}_id"]).to_pylist():
        counts[one["values"]] = one["counts"]
    order = sorted(counts.items(), key=lambda item: (item[1], item[0]))
    least = order[:_SHOWN]
    most = order[max(len(least), len(order) - _SHOWN) :][::-1]
    return Use(kind, least, most, sum(number == 0 for number in counts.values()))


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
