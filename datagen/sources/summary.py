"""Many warnings -> the few lines that people read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from datagen.sources.listing import Problem

EXAMPLES = 3  # of each kind


def sentence(problem: Problem) -> str:
    """One problem as a line of text."""
    return f"{problem.file}: {problem.reason} ({problem.kind})"


def summary(warnings: Iterable[Problem]) -> list[str]:
    """A line for each warning, but three at most of a kind, then how many more there are.

    The rarest kinds come first, so that a frequent one does not bury them.
    """
    kinds: dict[str, list[Problem]] = defaultdict(list)
    for warning in warnings:
        kinds[warning.kind].append(warning)
    lines: list[str] = []
    for kind, found in sorted(kinds.items(), key=lambda entry: (len(entry[1]), entry[0])):
        lines += map(sentence, found[:EXAMPLES])
        if len(found) > EXAMPLES:
            rest = f"and {len(found) - EXAMPLES} more like these, {len(found)} in all ({kind})"
            lines.append(f"{rest}; `datagen lint --json` lists them")
    return lines
