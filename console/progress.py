"""Progress of long work, on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from console.messages import notes, plain, say
from console.texts import rate_text, size_text, time_text

_LINE_SECONDS = 10.0  # between two lines
_TITLE, _BAR = 8, 20  # columns of a terminal


class Advance(Protocol):
    """Called with how much is done in all, how many bytes that is, and a note on how it goes."""

    def __call__(self, done: int, bytes_: int = 0, note: str = "") -> None: ...


@contextmanager
def progress(
    title: str,
    total: int | None,
    unit: str,
    first: int = 0,
    line_seconds: float = _LINE_SECONDS,
) -> Iterator[Advance]:
    """Show work of `total` units (None: unknown), of which `first` were done before.

    Speed and time left are means over what is done here. Off a terminal there is a line every
    `line_seconds`, and a last one unless the work fails.
    """
    work = _Work(title, total, unit, first, time.monotonic(), first)
    with (_bar if notes.is_terminal else _lines)(work, line_seconds) as advance:
        yield advance


@dataclass
class _Work:
    """How far the work is."""

    title: str
    total: int | None
    unit: str
    first: int
    begin: float
    done: int
    bytes: int = 0
    note: str = ""

    def advance(self, done: int, bytes_: int = 0, note: str = "") -> None:
        self.done, self.bytes, self.note = done, bytes_, note

    def facts(self) -> list[str]:
        """What there is to say, the most important first."""
        seconds = time.monotonic() - self.begin
        fresh = self.done - self.first
        of = "" if self.total is None else f" of {self.total:,}"
        facts = [f"{self.done:,}{of} {self.unit}"]
        if self.total is None or self.done >= self.total:
            facts.append(time_text(seconds))
        elif fresh > 0:
            facts.append(f"{time_text(seconds / fresh * (self.total - self.done))} left")
        facts.append(rate_text(fresh / seconds if seconds > 0 else 0.0, self.unit))
        if self.bytes:
            facts.append(size_text(self.bytes))
        if self.note:
            facts += plain(self.note).split(", ")
        return facts

    def line(self) -> str:
        return f"{self.title}: {', '.join(self.facts())}"


def fitting(facts: Sequence[str], width: int) -> str:
    """As many of the facts as there is room for, from the first on, and at least that one."""
    text = facts[0]
    for fact in facts[1:]:
        longer = f"{text}, {fact}"
        if len(longer) > width:
            break
        text = longer
    return text


class _Facts(ProgressColumn):
    """The facts that fit beside title and bar."""

    def __init__(self, work: _Work) -> None:
        super().__init__()
        self._work = work

    def render(self, task: Task) -> Text:
        # The spinner, the title, the bar, and a space behind each of the four columns
        room = notes.width - (1 + max(_TITLE, len(self._work.title)) + _BAR + 4)
        return Text(fitting(self._work.facts(), room), no_wrap=True, overflow="ellipsis")


@contextmanager
def waiting(what: str, line_seconds: float = _LINE_SECONDS) -> Iterator[None]:
    """Show that something is waited for, which ends when it ends, and for how long so far."""
    if notes.is_terminal:
        spinner = SpinnerColumn("dots" if notes.encoding.startswith("utf") else "line")
        columns = (spinner, TextColumn(plain(what), markup=False), TimeElapsedColumn())
        with Progress(*columns, console=notes, transient=True) as bar:
            bar.add_task(what, total=None)
            yield
        return
    begin = time.monotonic()
    say(f"{what} ...")
    with _ticking(line_seconds, lambda: say(f"{what}: {time_text(time.monotonic() - begin)}")):
        yield


@contextmanager
def _bar(work: _Work, _: float) -> Iterator[Advance]:
    is_unicode = notes.encoding.startswith("utf")
    columns = (
        SpinnerColumn("dots" if is_unicode else "line", finished_text="✓" if is_unicode else " "),
        TextColumn(f"{work.title:<{_TITLE}}", markup=False),
        BarColumn(bar_width=_BAR),
        _Facts(work),
    )
    with Progress(*columns, console=notes) as bar:
        task = bar.add_task(work.title, total=work.total, completed=work.first)

        def advance(done: int, bytes_: int = 0, note: str = "") -> None:
            work.advance(done, bytes_, note)
            bar.update(task, completed=done)

        yield advance


@contextmanager
def _lines(work: _Work, line_seconds: float) -> Iterator[Advance]:
    with _ticking(line_seconds, lambda: say(work.line())):
        yield work.advance
    say(work.line())


@contextmanager
def _ticking(seconds: float, speak: Callable[[], None]) -> Iterator[None]:
    """Speak now and then, from a thread: work that is slow or stuck says nothing by itself."""
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(seconds):
            speak()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
