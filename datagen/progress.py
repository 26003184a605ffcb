"""Progress of long work, on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_LINE_SECONDS = 10.0  # between two lines of progress where there is no terminal

notes = Console(stderr=True, highlight=False, soft_wrap=True)


class Advance(Protocol):
    """Called with how much is done in all, and how many bytes were written."""

    def __call__(self, done: int, bytes_: int = 0) -> None: ...


def size_text(count: float) -> str:
    """Bytes as people say them: 1.3 GB (powers of 1000, as disks are sold)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def time_text(seconds: float) -> str:
    """Seconds as people say them: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def progress(title: str, total: int, unit: str) -> Iterator[Advance]:
    """A bar on a terminal, a line now and then where there is none."""
    bar = _bar if notes.is_terminal else _lines
    with bar(title, total, unit) as advance:
        yield advance


@contextmanager
def _bar(title: str, total: int, unit: str) -> Iterator[Advance]:
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn(f"{title:<10}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    begin = time.monotonic()
    with Progress(*columns, console=notes) as shown:
        task = shown.add_task(title, total=total, rate="")

        def advance(done: int, bytes_: int = 0) -> None:
            rate = _rate(done, bytes_, time.monotonic() - begin, unit)
            shown.update(task, completed=done, rate=rate)

        yield advance


@contextmanager
def _lines(title: str, total: int, unit: str) -> Iterator[Advance]:
    begin = time.monotonic()
    last = begin
    state = (0, 0)

    def line(done: int, bytes_: int) -> None:
        seconds = time.monotonic() - begin
        left = f", {time_text(seconds / done * (total - done))} left" if 0 < done < total else ""
        rate = _rate(done, bytes_, seconds, unit)
        notes.print(f"{title}: {done:,} of {total:,} {unit}, {rate}{left}")

    def advance(done: int, bytes_: int = 0) -> None:
        nonlocal last, state
        state = (done, bytes_)
        if time.monotonic() - last >= _LINE_SECONDS:
            last = time.monotonic()
            line(*state)

    yield advance
    line(*state)


def _rate(done: int, bytes_: int, seconds: float, unit: str) -> str:
    rate = done / seconds if seconds > 0 else 0.0
    written = f", {size_text(bytes_)}" if bytes_ else ""
    return f"{rate:,.1f} {unit}/s{written}"
