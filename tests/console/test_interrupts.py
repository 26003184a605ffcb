"""Signals become what a command makes of them, and handlers are put back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from console.interrupts import (
    ENDS,
    exit_code,
    interrupt_noted,
    interruptible,
    name_of_signal,
    silent_stdout,
)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in ENDS]


@pytest.mark.parametrize("number", ENDS)
def test_each_signal_interrupts_and_is_remembered(number: signal.Signals) -> None:
    before = handlers()
    with interruptible() as is_interrupted:
        assert not is_interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert is_interrupted()
    assert exit_code() == 128 + number
    assert name_of_signal() == ("" if number == signal.SIGINT else number.name)
    assert handlers() == before


def test_only_ctrl_c_interrupts_a_second_time() -> None:
    """What a system repeats must not stop the command while it cleans up."""
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", ENDS)
def test_the_first_signal_is_noted_and_a_second_ctrl_c_interrupts(number: signal.Signals) -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt), interrupt_noted() as is_noted:
        assert not is_noted()
        signal.raise_signal(number)
        assert is_noted()
        signal.raise_signal(signal.SIGTERM)
        assert exit_code() == 128 + signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
    assert handlers() == before


def test_an_ignored_signal_stays_ignored() -> None:
    """As under nohup, or behind an & in a script."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as is_interrupted:
            signal.raise_signal(signal.SIGHUP)
            assert not is_interrupted()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


FORK = """
import os, signal
from console.interrupts import interruptible
with interruptible():
    child = os.fork()
    if child == 0:
        signal.raise_signal(signal.SIGTERM)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
"""


def test_a_fork_ends_as_if_there_were_no_handler() -> None:
    env = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", FORK], env=env, check=False, capture_output=True)
    assert (ran.returncode, ran.stderr) == (0, b"")


def start(program: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    (folder / "program.py").write_text(program)
    return subprocess.Popen(
        [sys.executable, str(folder / "program.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )


PROGRAM = """
import sys, time

how = sys.argv[1]

def wait():
    print("ready", flush=True)
    time.sleep(1 if how == "import" else 60)

def work():
    try:
        exec("wait()") if how == "exec" else wait()
    except KeyboardInterrupt:
        if how == "fail":
            raise ValueError("what a library makes of it")
        if how != "swallow":
            raise

def main():
    from console.commands import new_command, run
    app = new_command()
    app.command()(work)
    run(app, "prog", [], "; go on with prog")

if __name__ == "__main__":
    from console.interrupts import run_program
    run_program("program", "main")
elif how == "import":
    wait()
"""


@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("how", ["import", "raise", "exec", "fail", "swallow"])
def test_a_program_that_is_ended(how: str, number: signal.Signals, tmp_path: Path) -> None:
    """One sentence and the code of the signal, at any time, and whatever becomes of the error."""
    process = start(PROGRAM, tmp_path, how)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    by = "" if number == signal.SIGINT else f" by {number.name}"
    hint = "" if how == "import" else "; go on with prog"
    assert (process.returncode, said) == (128 + number, f"error: interrupted{by}{hint}\n")


@pytest.mark.parametrize("manager", [interruptible, interrupt_noted])
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


LATE = """
import atexit, signal

def main():
    print("done")
    atexit.register(signal.raise_signal, signal.SIGTERM)

if __name__ == "__main__":
    from console.interrupts import run_program
    run_program("program", "main")
"""


def test_a_signal_after_the_end_changes_nothing(tmp_path: Path) -> None:
    process = start(LATE, tmp_path)
    assert process.communicate(timeout=60) == ("done\n", "")
    assert process.returncode == 0
