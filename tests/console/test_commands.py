"""Exit codes and one line for every way in which a command may end."""

from __future__ import annotations

import errno
import subprocess
import sys
from importlib.metadata import version
from typing import Annotated

import pytest
import typer

from console.commands import (
    DONE,
    FAILED,
    INTERRUPTED,
    WRONG_USAGE,
    Explain,
    VersionOption,
    new_app,
    new_command,
    run,
)

Capture = pytest.CaptureFixture[str]


class OwnError(Exception):
    """That only its product can explain."""


ENDS = {
    "well": None,
    "exit": typer.Exit(FAILED),
    "usage": typer.BadParameter("not \x1b[31m that"),
    "abort": typer.Abort(),
    "interrupt": KeyboardInterrupt(),
    "file": FileNotFoundError(2, "No such file", "a\x1b.png"),
    "below": NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"),
    "value": ValueError("size = 3\nexpected more"),
    "runtime": RuntimeError("broken [bold]"),
    "number": FloatingPointError("the loss is nan"),
    "memory": MemoryError(),
    "own": OwnError("mine"),
    "bug": TypeError("int is no str"),
}


def program() -> typer.Typer:
    app = new_app("Ends in many ways.")

    @app.command()
    def end(how: str) -> None:
        if (error := ENDS[how]) is not None:
            raise error

    @app.command()
    def other() -> None:
        pass

    return app


def ended(
    capsys: Capture, *arguments: str, explain: Explain = lambda error: None
) -> tuple[int, str]:
    """The exit code and what is on standard error."""
    with pytest.raises(SystemExit) as stop:
        run(program(), "prog", arguments, "; go on with prog", explain)
    return int(stop.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize(
    ("how", "code", "line"),
    [
        ("well", DONE, ""),
        ("exit", FAILED, ""),
        ("abort", INTERRUPTED, "error: interrupted; go on with prog\n"),
        ("interrupt", INTERRUPTED, "error: interrupted; go on with prog\n"),
        ("file", FAILED, "error: a\\x1b.png: no such file\n"),
        (
            "below",
            FAILED,
            "error: a/b: is not in a folder, but below a file; choose another path\n",
        ),
        ("value", FAILED, "error: size = 3\\nexpected more\n"),
        ("runtime", FAILED, "error: broken [bold]\n"),
        ("number", FAILED, "error: the loss is nan\n"),
        ("memory", FAILED, "error: out of memory\n"),
    ],
)
def test_ends(how: str, code: int, line: str, capsys: Capture) -> None:
    assert ended(capsys, "end", how) == (code, line)


def test_wrong_usage(capsys: Capture) -> None:
    code, said = ended(capsys, "end", "usage")
    assert code == WRONG_USAGE
    assert r"not \x1b[31m that" in said
    code, said = ended(capsys, "end", "well", "--loud\x1b")
    assert code == WRONG_USAGE
    assert "Usage: prog end" in said
    assert "\x1b" not in said


def test_errors_of_a_product(capsys: Capture) -> None:
    def explain(error: Exception) -> int | None:
        return 7 if isinstance(error, OwnError) else None

    assert ended(capsys, "end", "own", explain=explain) == (7, "")
    assert ended(capsys, "end", "memory", explain=explain)[0] == FAILED


@pytest.mark.parametrize("how", ["own", "bug"])
def test_a_mistake_of_ours_is_not_hidden(how: str) -> None:
    with pytest.raises((OwnError, TypeError)):
        run(program(), "prog", ["end", how])


def test_a_reader_that_goes_away() -> None:
    """As in `prog | head -1`."""
    script = """
import typer
from console.commands import new_command, run
from console.messages import show
app = new_command()
@app.command()
def talk() -> None:
    for _ in range(100_000):
        show("a line")
run(app, "prog", [])
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert (process.wait(60), process.stderr.read()) == (FAILED, b"")
    process.stderr.close()


@pytest.mark.parametrize("is_single", [False, True])
def test_version(is_single: bool, capsys: Capture) -> None:
    single = new_command()

    @single.command()
    def command(size: Annotated[int, typer.Option()], version: VersionOption = False) -> None:
        raise AssertionError

    with pytest.raises(SystemExit) as stop:
        run(single if is_single else program(), "prog", ["--version"])
    assert stop.value.code == DONE
    assert capsys.readouterr().out == f"prog {version('matting-data')}\n"


def test_completion_for_a_shell(capfd: pytest.CaptureFixture[str]) -> None:
    script = "import tests.console.test_commands as t; t.run(t.program(), 'prog')"
    env = {"_PROG_COMPLETE": "source_bash", "PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", script], env=env, check=True, capture_output=True)
    assert b"complete -o default -F _prog_completion prog" in ran.stdout
