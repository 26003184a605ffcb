"""How a command starts and ends: exit codes, and one line for a user's mistake."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer

from console import interrupts
from console.extras import DISTRIBUTION, advice
from console.messages import fail, plain, show

# After a signal the exit code is 128 and its number: INTERRUPTED after Ctrl-C, 143 after SIGTERM.
DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

# Says what is wrong and returns the exit code; None for an exception that it does not know.
Explain = Callable[[Exception], int | None]

# What a user's files, disk, network or settings can cause; anything else is a mistake of ours.
_EXPECTED = (OSError, ValueError, RuntimeError, FloatingPointError, MemoryError)

# What the system says of these does not say what to do.
_REASONS = {
    errno.EEXIST: "is a file, but a folder is needed there; choose another path",
    errno.ENOTDIR: "is not in a folder, but below a file; choose another path",
    errno.EISDIR: "is a folder, but a file is needed there; choose another path",
}

# Typer carries its own copy of click and gives this class no public name.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def _show_version(context: typer.Context, is_asked: bool) -> None:
    if is_asked:
        show(f"{context.find_root().info_name} {version(DISTRIBUTION)}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option(
        "--version",
        help="Show the version and exit.",
        callback=_show_version,
        is_eager=True,
        metavar="",
    ),
]


def new_app(help_: str) -> typer.Typer:
    """A program of several commands that leave their errors to `run`."""
    app = new_command(help_)

    @app.callback()
    def options(version: VersionOption = False) -> None:
        pass

    return app


def new_command(help_: str = "") -> typer.Typer:
    """A program of one command, likewise; the command itself has a `VersionOption`."""
    return typer.Typer(
        help=help_,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )


def program_of(app: typer.Typer) -> Any:
    """The program of an app. Its help has no <bool> beside a flag, and no <str> beside a text."""
    program: Any = typer.main.get_command(app)
    for command in (program, *getattr(program, "commands", {}).values()):
        context = typer.Context(command)
        for option in command.get_params(context):
            shown = option.display_type_rich(context)
            if option.param_type_name == "option" and shown in {"<bool>", "<str>"}:
                option.metavar = "" if shown == "<bool>" else option.name.upper()
    return program


def run(
    app: typer.Typer,
    name: str,
    arguments: Sequence[str] | None = None,
    on_interrupt: str = "",
    explain: Explain = lambda error: None,
) -> NoReturn:
    """Run a program and exit; `on_interrupt` continues the sentence "interrupted"."""
    with interrupts.interruptible() as is_interrupted:
        try:
            code = _guarded(
                lambda: program_of(app)(args=arguments, prog_name=name, standalone_mode=False),
                explain,
                is_interrupted,
            )
        except KeyboardInterrupt:
            code = INTERRUPTED
        except Exception:
            if not is_interrupted():
                raise
            code = INTERRUPTED
    if code == INTERRUPTED or is_interrupted():
        by = f" by {interrupts.name_of_signal()}" if interrupts.name_of_signal() else ""
        with suppress(OSError):  # the terminal may be closed
            fail(f"interrupted{by}{on_interrupt}")
        code = interrupts.exit_code()
    try:
        sys.stdout.flush()
    except OSError:
        _discard_stdout()
    sys.exit(code)


def _guarded(
    command: Callable[[], Any], explain: Explain, is_interrupted: Callable[[], bool]
) -> int:
    try:
        code = command() or DONE  # typer makes an exit of KeyboardInterrupt
    except typer.Exit as stop:
        code = stop.exit_code
    except _UsageError as error:
        error.message = plain(_reason(error))  # type: ignore[attr-defined]
        error.show()  # type: ignore[attr-defined]
        code = WRONG_USAGE
    except typer.Abort:
        code = INTERRUPTED
    except BrokenPipeError:
        _discard_stdout()
        code = FAILED
    except Exception as error:
        if is_interrupted():
            raise
        if isinstance(error, ModuleNotFoundError) and advice(error):
            fail(advice(error))
            return FAILED
        explained = explain(error)
        if explained is not None:
            return explained
        if not isinstance(error, _EXPECTED):
            raise
        fail(_sentence(error))
        code = FAILED
    return int(code)


def _reason(error: Exception) -> str:
    """What is wrong with an option: of values that typer has pydantic check, in our words."""
    errors = getattr(error.__cause__, "errors", None)
    for one in errors() if callable(errors) else ():
        value, limits = one.get("input"), one.get("ctx", {})
        match one["type"]:
            case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
                return f"{value!r} is not a whole number"
            case "float_parsing" | "float_type":
                return f"{value!r} is not a number"
            case "greater_than_equal":
                return f"{value} is too small, expected {limits['ge']} or more"
            case "less_than_equal":
                return f"{value} is too large, expected {limits['le']} or less"
            case "value_error":
                return str(one["msg"]).removeprefix("Value error, ")
    return str(error.message)  # type: ignore[attr-defined]


def _discard_stdout() -> None:
    """Nobody reads it any more. Without this, Python would fail once more as it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.errno is not None:
        reason = _REASONS.get(error.errno) or (error.strerror or "cannot be used").lower()
        return f"{error.filename}: {reason}"
    if isinstance(error, MemoryError):
        return str(error) or "out of memory"
    return str(error) or type(error).__name__
