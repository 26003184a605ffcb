"""What the commands print: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from annotation.export import Exported
from annotation.pull import Pulled
from annotation.push import Pushed
from annotation.solve import Solved
from annotation.status import Status

_LINE_SECONDS = 10.0  # between two lines of progress where there is no terminal
_WIDTH = None if sys.stdout.isatty() else 120  # off a terminal nothing has a width

notes = Console(stderr=True, highlight=False, soft_wrap=True)
tables = Console(highlight=False, width=_WIDTH)

Advance = Callable[[int], None]  # gets how many are done in all
Begin = Callable[[int], Advance]  # gets how many there are


def fail(message: str) -> None:
    """One clear sentence on standard error."""
    notes.print(f"[bold red]error:[/] {plain(message)}")


def warn(message: str) -> None:
    notes.print(f"[yellow]warning:[/] {plain(message)}")


def say(message: str) -> None:
    notes.print(plain(message))


def plain(message: str) -> str:
    """No part of a name or a server's answer is markup, or moves the terminal's cursor."""
    encoding = sys.stderr.encoding or "utf-8"
    clean = "".join(letter if letter.isprintable() else " " for letter in message)
    return clean.encode(encoding, "replace").decode(encoding, "replace").replace("[", r"\[")


@contextmanager
def progress(title: str) -> Iterator[Begin]:
    """What is called with the number of things to do, once it is known (0: nobody knows).

    A bar on a terminal; a line now and then, and one at the end, where there is none.
    """
    with (_bar if notes.is_terminal else _lines)(title) as begin:
        yield begin


@contextmanager
def _bar(title: str) -> Iterator[Begin]:
    columns = (
        TextColumn(f"{title:<8}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=notes) as shown:

        def begin(total: int) -> Advance:
            task = shown.add_task(title, total=total or None)
            return lambda done: shown.update(task, completed=done)

        yield begin


@contextmanager
def _lines(title: str) -> Iterator[Begin]:
    start = last = time.monotonic()
    state = ""

    def begin(total: int) -> Advance:
        def advance(done: int) -> None:
            nonlocal last, state
            state = f"{done:,} of {total:,}" if total else f"{done:,}"
            if time.monotonic() - last >= _LINE_SECONDS:
                last = time.monotonic()
                line()

        return advance

    def line() -> None:
        notes.print(f"{title}: {state}, {time.monotonic() - start:.0f} s")

    yield begin
    if state:
        line()


def print_pushed(found: Pushed) -> None:
    """`annotate push`: what is wrong by name, then what there is."""
    for problem in found.problems:
        fail(f"{problem.file}: {problem.reason}")
    tables.print(f"{found.url}: {found.created:,} made, {found.kept:,} were there", soft_wrap=True)


def print_pulled(found: Pulled) -> None:
    """`annotate pull`: what is not believed by name, then what there is."""
    for one in found.bad:
        where = f"annotation {one.annotation}" if one.annotation else "all of it"
        fail(f"{one.project}: task {one.task}: {where}: {one.reason}")
    tables.print(
        f"{found.tasks:,} tasks, {found.fetched:,} of them new or changed: {found.rows:,} results, "
        f"{found.approved:,} approved; {len(found.bad):,} annotations were not believed"
    )


def print_solved(found: Solved) -> None:
    """`annotate solve`."""
    for photo, reason in found.failed:
        fail(f"{photo}: {reason}")
    tables.print(f"{found.written:,} solved, {found.kept:,} were")


def print_exported(found: Exported) -> None:
    """`annotate export`."""
    for photo, reason in found.failed:
        fail(f"{photo}: {reason}")
    tables.print(
        f"{found.written:,} foregrounds written, {found.kept:,} were there, {found.removed:,} are "
        "no longer approved and were removed"
    )


def print_status(found: Status) -> None:
    """`annotate status`."""
    for one in found.bad:
        fail(f"{one.project}: task {one.task}: annotation {one.annotation}: {one.reason}")
    tables.print(f"{found.url}: {found.tasks:,} tasks of {_safe(found.project)}", soft_wrap=True)
    states = [(name, f"{count:,}") for name, count in found.states.items()]
    table("By state", ("state", "tasks"), states)
    cells = [
        (cell.subject, cell.transparency, *(f"{n:,}" for n in (cell.approved, cell.tasks)), lack)
        for cell in found.cells
        for lack in [f"{cell.missing:,}"]
    ]
    columns = ("subject", "transparency", "approved", "tasks", "missing")
    table("By subject and transparency", columns, cells, left=2)
    if found.mean_difference is not None:
        count = len(found.agreement)
        worst = max(found.agreement, key=lambda pair: pair.difference)
        tables.print(
            f"\nAgreement: mean absolute difference {found.mean_difference:.2f} levels of 255 in "
            f"{count:,} pairs of annotations, worst {worst.difference:.2f} (task {worst.task})"
        )


def _safe(text: str) -> str:
    return text.replace("[", r"\[")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print a table; all but the first `left` columns are numbers."""
    shown = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for number, name in enumerate(columns):
        shown.add_column(name, justify="left" if number < left else "right")
    for row in rows:
        shown.add_row(*map(_safe, row))
    tables.print(shown)
