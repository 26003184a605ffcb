"""How a command starts and ends: exit codes, and one line for a user's mistake."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer

from console.messages import fail, plain, show

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

_DISTRIBUTION = "matting-data"

# Says what is wrong and returns the exit code; None for an exception that it does not know.
Explain = Callable[[Exception], int | None]

# What a user's files, disk, network or settings can cause; anything else is a mistake of ours.
_EXPECTED = (OSError, ValueError, RuntimeError, FloatingPointError, MemoryError)

# Typer carries its own copy of click and gives this class no public name.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def _show_version(context: typer.Context, is_asked: bool) -> None:
    if is_asked:
        show(f"{context.find_root().info_name} {version(_DISTRIBUTION)}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option(
        "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
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


def run(
    app: typer.Typer,
    name: str,
    arguments: Sequence[str] | None = None,
    on_interrupt: str = "",
    explain: Explain = lambda error: None,
) -> NoReturn:
    """Run a program and exit; `on_interrupt` goes on from "interrupted"."""
    sys.exit(
        _guarded(
            lambda: app(args=arguments, prog_name=name, standalone_mode=False),
            on_interrupt,
            explain,
        )
    )


def _guarded(command: Callable[[], Any], on_interrupt: str, explain: Explain) -> int:
    try:
        code = command() or DONE
    except typer.Exit as stop:
        code = stop.exit_code
    except _UsageError as error:
        error.message = plain(error.message)  # type: ignore[attr-defined]
        error.show()  # type: ignore[attr-defined]
        return WRONG_USAGE
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        explained = explain(error)
        if explained is not None:
            return explained
        if not isinstance(error, _EXPECTED):
            raise
        fail(str(error) or _name(error))
        return FAILED
    if code == INTERRUPTED:  # typer makes an exit of the interrupt
        fail(f"interrupted{on_interrupt}")
    return int(code)


def _name(error: Exception) -> str:
    return "out of memory" if isinstance(error, MemoryError) else type(error).__name__
