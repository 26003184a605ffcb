"""Signals become what a command makes of them, and handlers are put back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from console.interrupts import (
    interrupt_first,
    interrupt_noted,
    interrupt_of_every_kind,
    silent_stdout,
)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


def test_an_error_after_an_interrupt_is_that_interrupt() -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt), interrupt_first():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise RuntimeError("what a library may make of it")
    with pytest.raises(RuntimeError, match="without one"), interrupt_first():
        raise RuntimeError("without one")
    assert handlers() == before


def test_the_first_interrupt_is_noted_and_the_second_interrupts() -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt), interrupt_noted() as is_pressed:
        assert not is_pressed()
        signal.raise_signal(signal.SIGINT)
        assert is_pressed()
        signal.raise_signal(signal.SIGINT)
    assert handlers() == before


@pytest.mark.parametrize("number", SIGNALS)
def test_every_kind_of_end_is_an_interrupt(number: signal.Signals) -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt), interrupt_of_every_kind():
        signal.raise_signal(number)
    assert handlers() == before


@pytest.mark.parametrize("manager", [interrupt_first, interrupt_noted, interrupt_of_every_kind])
def test_another_thread_leaves_signals_alone(
    manager: Callable[[], AbstractContextManager[object]],
) -> None:
    before, seen = handlers(), list[object]()

    def work() -> None:
        with manager():
            seen.append(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_silent_output(capsys: pytest.CaptureFixture[str]) -> None:
    with silent_stdout():
        print("chatter")
    print("result")
    assert capsys.readouterr().out == "result\n"
