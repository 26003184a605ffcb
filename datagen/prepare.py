"""The steps before the shards: scan the sources, split them, and make their working copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from console.messages import warn
from console.progress import progress
from console.texts import count_text
from datagen.cluster import Cluster
from datagen.copies import prepare_source
from datagen.plan import PlanError, hold_out
from datagen.resume import RecordedSources
from datagen.room import raise_if_hopeless
from datagen.settings import Settings
from datagen.sources.folders import SourceFolders
from datagen.sources.licences import left_out, with_licence
from datagen.sources.listing import Problem, shown
from datagen.sources.record import Scanned
from datagen.sources.scan import Scan, scan
from datagen.sources.summary import summary
from manifests.dataset import check_splits
from manifests.sources import Background, Foreground

_MUCH = 1.5  # times; a photo that is enlarged more looks soft


class BadSourcesError(Exception):
    """The sources have problems, and leaving bad sources out was not asked for, or leaves none.

    are_swapped: whether photos were probably given as foregrounds, and cut-outs as backgrounds.
    """

    def __init__(self, problems: Sequence[Problem], nothing_left: bool) -> None:
        first = "; ".join(f"{problem.file}: {problem.reason}" for problem in problems[:3])
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        super().__init__(f"{count_text(len(problems), 'problem')} in the sources: {first}{more}")
        self.problems, self.nothing_left = problems, nothing_left
        kinds = {problem.kind for problem in problems}
        self.are_swapped = nothing_left and {"no-alpha", "transparent"} <= kinds


def scan_sources(
    cluster: Cluster,
    folders: SourceFolders,
    recorded: RecordedSources | None = None,
) -> Scan:
    """`scan.scan` on the cluster, with progress.

    A recorded source whose bytes are unchanged is not decoded again. A file that ends its worker is
    a Problem like any other.
    """
    known = recorded or RecordedSources()

    def parallel_map(function: Any, items: Sequence[Any]) -> list[Any]:
        scanned: dict[int, Any] = {}
        with progress("scan", len(items), "files") as advance:
            for outcome in cluster.run(function, items):
                scanned[outcome.number] = outcome.value
                if outcome.error:  # too large for the memory, say
                    file = shown(function.args[0], outcome.item.name)
                    scanned[outcome.number] = Scanned(Problem(file, "failed", outcome.error))
                advance(len(scanned))
        return [scanned[number] for number in range(len(items))]

    return scan(
        folders.foregrounds,
        folders.backgrounds,
        folders.alphas,
        parallel_map,
        known_foregrounds={source.id: source for source in known.foregrounds},
        known_backgrounds={source.id: source for source in known.backgrounds},
    )


def scan_and_split(
    cluster: Cluster,
    folders: SourceFolders,
    settings: Settings,
    skip_bad: bool,
    recorded: RecordedSources | None = None,
) -> Scan:
    """The sources, each in its split. What is doubtful about them is printed on standard error.

    Raises BadSourcesError if sources have problems and `skip_bad` is False, or if they have
    problems and no source is left; PlanError if more sources are held out than exist, or if no
    source has a licence that is allowed; ValueError if a source is in two splits.
    """
    found = scan_sources(cluster, folders, recorded)
    nothing_left = not found.foregrounds or not found.backgrounds
    if found.problems and (nothing_left or not skip_bad):
        raise BadSourcesError(found.problems, nothing_left)
    for line in (*summary(found.warnings), *_enlarged(found.backgrounds, settings.size)):
        warn(line)
    found = _allowed(found, folders.licences)
    found = replace(
        found,
        foregrounds=tuple(hold_out(found.foregrounds, settings.holdout_fg, settings.seed)),
        backgrounds=tuple(hold_out(found.backgrounds, settings.holdout_bg, settings.seed)),
    )
    check_splits(found.foregrounds, "foreground")
    check_splits(found.backgrounds, "background")
    return found


def _enlarged(backgrounds: Sequence[Background], size: int) -> Iterator[str]:
    """What is said of photos that are too small for a canvas of size x size."""
    factors = [size / min(one.height, one.width) for one in backgrounds]
    enlarged = sum(factor > _MUCH for factor in factors)
    if enlarged:
        yield (
            f"{enlarged} of {len(factors)} backgrounds are enlarged more than {_MUCH} times, up to "
            f"{max(factors):.1f} times, to cover {size} x {size} pixels, and are soft; larger "
            "photos or a smaller --size avoid that"
        )


def _allowed(found: Scan, licences: Sequence[str]) -> Scan:
    """Without the sources under other licences, if there are any that are allowed."""
    if not licences:
        return found
    foregrounds, no_foregrounds = with_licence(found.foregrounds, licences)
    backgrounds, no_backgrounds = with_licence(found.backgrounds, licences)
    problems = (*no_foregrounds, *no_backgrounds)
    for kind, left in (("foreground", foregrounds), ("background", backgrounds)):
        if not left:
            raise PlanError(
                f"no {kind} has one of the licences {', '.join(licences)}; {left_out(problems)}; "
                f"licences are read from the column licence of {kind}s.csv"
            )
    if problems:
        warn(left_out(problems))
    return replace(
        found, foregrounds=tuple(foregrounds), backgrounds=tuple(backgrounds), left_out=problems
    )


def prepare_sources(
    cluster: Cluster,
    folders: SourceFolders,
    settings: Settings,
    cache: Path,
    used: Sequence[Foreground | Background],
) -> None:
    """Make the working copies that are missing.

    Raises RuntimeError if a source cannot be read or has changed since it was scanned, or if the
    disk is full.
    """
    with progress("prepare", len(used), "sources") as advance:
        work = partial(prepare_source, folders, settings, cache)
        for done, outcome in enumerate(cluster.run(work, used), start=1):
            if outcome.error:
                name, reason = outcome.item.id, outcome.error
                raise_if_hopeless(reason, cache)
                raise RuntimeError(reason if name in reason else f"{name}: {reason}")
            advance(done)
