"""Habits of a whole process, which only commands may take on: Ctrl-C, and standard output.

A library leaves both to the program that calls it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType


@contextmanager
def interrupt_first() -> Iterator[None]:
    """After Ctrl-C, every error is that interrupt.

    A library that is cut short, or that cleans up afterwards, may fail in a way of its own.
    """
    is_pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal is_pressed
        is_pressed = True
        raise KeyboardInterrupt

    with _handling((signal.SIGINT,), press):
        try:
            yield
        except Exception as error:
            if is_pressed:
                raise KeyboardInterrupt from error
            raise


@contextmanager
def interrupt_noted() -> Iterator[Callable[[], bool]]:
    """Yields a function: was Ctrl-C pressed? Pressed a second time, it interrupts at once."""
    is_pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal is_pressed
        if is_pressed:
            raise KeyboardInterrupt
        is_pressed = True

    with _handling((signal.SIGINT,), press):
        yield lambda: is_pressed


@contextmanager
def interrupt_of_every_kind() -> Iterator[None]:
    """SIGTERM and a closed terminal end the work like Ctrl-C."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handling((signal.SIGTERM, signal.SIGHUP), end):
        yield


@contextmanager
def silent_stdout() -> Iterator[None]:
    """Nothing that Python code prints in between reaches standard output."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield


@contextmanager
def _handling(
    signals: tuple[signal.Signals, ...], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's, and only it can set handlers
        return
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
