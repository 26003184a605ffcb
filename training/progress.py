"""Progress of long work, on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_LINE_SECONDS = 10.0  # between two lines of progress where there is no terminal

notes = Console(stderr=True, highlight=False, soft_wrap=True)

Advance = Callable[[int, str], None]  # done in all, and what else there is to say


@contextmanager
def progress(title: str, total: int, unit: str, first: int = 0) -> Iterator[Advance]:
    """`first` was done before; rates and the time left count from there. total 0: not known."""
    shown = _bar if notes.is_terminal else _lines
    with shown(title, total, unit, first) as advance:
        yield advance


@contextmanager
def _bar(title: str, total: int, unit: str, first: int) -> Iterator[Advance]:
    columns = (
        TextColumn(f"{title:<8}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    begin = time.monotonic()
    # What is told every half a minute has a rate too
    with Progress(*columns, console=notes, speed_estimate_period=600) as bar:
        task = bar.add_task(title, total=total or None, completed=first, note="")

        def advance(done: int, note: str = "") -> None:
            rate = _rate(done - first, time.monotonic() - begin, unit)
            bar.update(task, completed=done, note=f"{rate}  {note}".rstrip())

        yield advance


@contextmanager
def _lines(title: str, total: int, unit: str, first: int) -> Iterator[Advance]:
    begin = last = time.monotonic()
    shown = False

    def advance(done: int, note: str = "") -> None:
        nonlocal last, shown
        now = time.monotonic()
        if now - last < _LINE_SECONDS and shown and done != total:
            return
        last, shown = now, True
        seconds, fresh = now - begin, done - first
        left = (
            f", {_time(seconds / fresh * (total - done))} left"
            if fresh > 0 and done < total
            else ""
        )
        of = f" of {total:,}" if total else ""
        notes.print(
            f"{title}: {done:,}{of} {unit}, {_rate(fresh, seconds, unit)}{left}  {note}".rstrip()
        )

    yield advance


def _rate(count: int, seconds: float, unit: str) -> str:
    return f"{count / seconds if seconds > 0 else 0.0:.2f} {unit}/s"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
