"""Sources whose licence is not among those that a user allows are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from datagen.sources.listing import Problem
from manifests.sources import Background, Foreground, licence_of

LICENCE = "licence"  # the kind of these Problems

Source = TypeVar("Source", Foreground, Background)


def with_licence(
    sources: Sequence[Source], allowed: Iterable[str]
) -> tuple[list[Source], list[Problem]]:
    """The sources under one of the licences (in any case), and why the others are left out."""
    names = {name.casefold() for name in allowed}
    kept, left = [], []
    for source in sources:
        licence = licence_of(source)
        if licence.casefold() in names:
            kept.append(source)
        else:
            left.append(Problem(source.id, LICENCE, licence))
    return kept, left


def left_out(problems: Sequence[Problem]) -> str:
    """What was left out, in one sentence."""
    counts = Counter(problem.reason for problem in problems)
    listed = ", ".join(f"{licence} ({count})" for licence, count in counts.most_common())
    return f"{len(problems)} sources are left out, their licence is not allowed: {listed}"
