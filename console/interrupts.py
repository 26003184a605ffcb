"""Signals that end a command: Ctrl-C, SIGTERM from a system, SIGHUP from a terminal that closes.

Handlers belong to the whole process, and so does standard output. Only commands change them; a
library leaves both to the program that calls it.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Any

_OF_A_SYSTEM = (signal.SIGTERM, signal.SIGHUP)
ENDS = (signal.SIGINT, *_OF_A_SYSTEM)

Handler = Callable[[int, FrameType | None], None]


class _Interrupt(KeyboardInterrupt):
    """Not KeyboardInterrupt itself: once that has left an `exec`, as in the middle of an import,
    Python kills itself by SIGINT in the end, whatever the exit code is."""


_last = signal.SIGINT  # the signal that came last; Ctrl-C, if an interrupt came without one


def exit_code() -> int:
    """The exit code of a command that was interrupted, as shells number it: 130, 143 or 129."""
    return 128 + _last


def name_of_signal() -> str:
    """Such as SIGTERM; "" after Ctrl-C, which needs no name."""
    return "" if _last == signal.SIGINT else _last.name


def run_program(module: str, function: str) -> None:
    """Import a module and call a function of it, as all that this process does.

    A signal outside `interruptible` ends the process at once and with one sentence. While modules
    are imported, signals of a system wait: an exception in the middle of an import could become
    any other error, and threads that libraries start do not receive these signals later.

    Python takes a moment to exit. By then the result is whole, so that signals of a system come
    too late to change the exit code.
    """

    def end(number: int, frame: FrameType | None) -> None:
        with suppress(OSError, ValueError, RuntimeError):  # closed, or being written to just now
            sys.stdout.flush()
        with suppress(OSError):
            by = f" by {name_of_signal()}" if name_of_signal() else ""
            os.write(2, f"error: interrupted{by}\n".encode())
        os._exit(exit_code())

    _handle(end)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_A_SYSTEM)
    program = getattr(importlib.import_module(module), function)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        program()
    finally:
        for number in _OF_A_SYSTEM:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Each of the signals raises KeyboardInterrupt. Yields a function: was it raised?

    Afterwards every error is that interrupt: a library that is cut short, or that cleans up, may
    fail in a way of its own. While a command cleans up, Ctrl-C interrupts it again; signals that
    a system repeats do not.
    """
    is_raised = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal is_raised
        if not is_raised or number == signal.SIGINT:
            is_raised = True
            raise _Interrupt

    with _handling(interrupt):
        yield lambda: is_raised


@contextmanager
def interrupt_noted() -> Iterator[Callable[[], bool]]:
    """Yields a function: did a signal come? Ctrl-C, pressed a second time, interrupts at once."""
    is_noted = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal is_noted
        if is_noted and number == signal.SIGINT:
            raise _Interrupt
        is_noted = True

    with _handling(note):
        yield lambda: is_noted


@contextmanager
def silent_stdout() -> Iterator[None]:
    """Nothing that Python code prints in between reaches standard output."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield


@contextmanager
def _handling(handler: Handler) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's, and only it can set handlers
        return
    before = _handle(handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _handle(handler: Handler) -> dict[signal.Signals, Any]:
    """Set the handler of all signals but those that are ignored (as under nohup).

    Returns the handlers before.
    """
    process = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        global _last  # noqa: PLW0603 (signals are the whole process's, too)
        if os.getpid() != process:  # a fork of it, which ends like any other process
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        _last = signal.Signals(number)
        handler(number, frame)

    ours = [number for number in ENDS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handle) for number in ours}
