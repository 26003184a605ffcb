"""What the commands print: results on standard output, warnings and errors on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from console.messages import fail, show, show_pairs, show_table, warn
from console.texts import count_text, size_text, time_text
from datagen.cache import copies_folder
from datagen.estimate import Estimate, too_large
from datagen.inspect.stats import CELLS, CellStats, Stats
from datagen.inspect.verify import Finding
from datagen.job import Result
from datagen.room import disk_of, free_bytes
from datagen.sources.licences import LICENCE
from datagen.sources.scan import Scan
from datagen.sources.summary import sentence, summary
from manifests.shards import Histogram
from manifests.storage import Location, Url

_BARS = " ▁▂▃▄▅▆▇█" if (sys.stdout.encoding or "").lower().startswith("utf") else " .:-=+*#@"
_SPARK_BINS = 12


def print_problems(found: Scan) -> None:
    """`datagen lint`: every problem, the warnings by their kinds, and what is left."""
    for problem in found.problems:
        fail(sentence(problem))
    for line in summary(found.warnings):
        warn(line)
    show(
        f"{count_text(len(found.foregrounds), 'foreground')} and "
        f"{count_text(len(found.backgrounds), 'background')} can be used; "
        f"{count_text(len(found.problems), 'problem')}, "
        f"{count_text(len(found.warnings), 'warning')}"
    )


def print_estimate(expected: Estimate, out: Location, cache: Path | None) -> None:
    """`datagen compose --plan`."""
    copies = copies_folder(out, cache)
    there = f", {size_text(expected.cached_bytes)} are there" if expected.cached_bytes else ""
    stay = "removed at the end" if cache is None else f"stay in {cache}"
    disk = copies if isinstance(out, Url) else out
    pairs = [
        ("samples", f"{expected.samples:,}"),
        ("shards", f"{expected.shards:,}"),
        ("shard set", size_text(expected.bytes)),
        ("working copies", f"{size_text(expected.working_bytes)}{there}, {stay}"),
        (f"free on {disk_of(disk)}", size_text(free_bytes(disk))),
        ("speed", f"{expected.samples_per_second:,} samples/s with {expected.workers} workers"),
        ("time", time_text(expected.hours * 3600)),
    ]
    show_pairs(pairs)
    if reason := too_large(expected, out, copies):
        fail(reason)
    else:
        show("Nothing was written.")


def print_result(result: Result, out: Location) -> None:
    """`datagen compose`: what there is now, and by name what there is not."""
    for source in result.skipped:
        if source.kind == LICENCE:  # said before the work began, in one line
            continue
        warn(f"left out {source.file}: {source.reason} ({source.kind})")
    for failure in result.failed:
        fail(f"{failure.shard}: {failure.reason}")
    rate = result.samples_per_second
    speed = f" in all, composing {rate:,.1f} samples/s" if rate else ""
    show(
        f"{out}: {count_text(result.samples, 'sample')} in {count_text(result.shards, 'shard')}, "
        f"{size_text(result.bytes)} ({time_text(result.seconds)}{speed})"
    )
    if result.failed:
        failed = count_text(len(result.failed), "shard")
        show(f"{failed} failed; the same command makes only these again.")


def print_findings(findings: Sequence[Finding], samples: int, shards: int) -> None:
    """`datagen verify`: each fault, or that none was found."""
    for finding in findings:
        fail(": ".join(part for part in (finding.shard, finding.sample, finding.reason) if part))
    if findings:
        broken = len({finding.shard for finding in findings})
        show(f"{count_text(len(findings), 'fault')} in {broken} of {count_text(shards, 'shard')}")
    else:
        show(f"{count_text(samples, 'sample')} in {count_text(shards, 'shard')}: no fault found")


def print_stats(found: Stats, by_transparency: bool, by_licence: bool = False) -> None:
    """`datagen stats`."""
    show(
        f"{found.samples:,} samples of {found.foregrounds:,} foregrounds over "
        f"{found.backgrounds:,} backgrounds"
    )
    if by_transparency:
        _show_cells(found)
    if by_licence:
        _show_licences(found)
    _show_crude(found)


def _show_cells(found: Stats) -> None:
    counts = ("foregrounds", "samples", "share", "unknown")
    columns = ("subject", "transparency", *counts, "soft alpha")
    rows = [_cell_row(cell, found) for cell in found.cells]
    title = f"By subject and transparency (an equal share is {1 / len(CELLS):.1%})"
    show_table(title, columns, rows, left=2)


def _cell_row(cell: CellStats, found: Stats) -> tuple[str, ...]:
    histogram = found.histograms.get((cell.subject, cell.transparency), np.zeros(256, np.int64))
    return (
        cell.subject,
        cell.transparency,
        f"{cell.foregrounds:,}",
        f"{cell.samples:,}",
        f"{cell.share:.1%}",
        f"{cell.unknown_share:.1%}" if cell.samples else "",
        sparkline(histogram) if cell.samples else "",
    )


def sparkline(histogram: Histogram) -> str:
    """The soft levels of a histogram of 256 in 12 bars, the fullest one full."""
    bins = np.array([part.sum() for part in np.array_split(histogram[1:255], _SPARK_BINS)])
    if not bins.any():
        return " " * _SPARK_BINS
    return "".join(_BARS[int(height)] for height in np.ceil(8 * bins / bins.max()))


def _show_licences(found: Stats) -> None:
    columns = ("licence", "foregrounds", "their samples", "backgrounds", "their samples")
    rows = [
        (one.licence, *(f"{count:,}" for count in counts))
        for one in found.licences
        for counts in [(one.foregrounds, one.over, one.backgrounds, one.under)]
    ]
    show_table("By licence of the sources", columns, rows)


def _show_crude(found: Stats) -> None:
    columns = ("quantile", "5 %", "25 %", "50 %", "75 %", "95 %")
    rows = [
        (name.replace("_", " "), *(f"{value:.4f}" for value in points))
        for name, points in found.crude.items()
    ]
    show_table("Errors of the crude trimaps", columns, rows)
