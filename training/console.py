"""What both programs share: exit codes, errors in one sentence, options."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from training.progress import notes

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

# Typer carries its own copy of click and gives this class no public name.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

CacheOption = Annotated[
    str,
    typer.Option(
        help="Where shards that --shards names by URL stay, once fetched.",
        metavar="DIR",
        show_default="fetched anew each time",
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1, ...", show_default="the fastest")
]


def new_app(help_: str) -> typer.Typer:
    """Commands that leave errors to `guarded`."""
    return typer.Typer(
        help=help_,
        no_args_is_help=False,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )


def fail(message: str) -> None:
    """One clear sentence on standard error."""
    notes.print(f"[bold red]error:[/] {literal(message)}")


def literal(text: str) -> str:
    """As it stands: what is in brackets is no markup."""
    return text.replace("[", r"\[")


def guarded(command: Callable[[], Any], on_interrupt: str = "") -> int:
    """Run a command; its exit code. A user's mistake becomes one sentence."""
    try:
        code = command() or DONE
    except typer.Exit as stop:
        code = stop.exit_code
    except _UsageError as error:
        error.show()  # type: ignore[attr-defined]
        return WRONG_USAGE
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (OSError, ValueError, RuntimeError, FloatingPointError, MemoryError) as error:
        fail(str(error) or "out of memory")
        return FAILED
    if code == INTERRUPTED:  # typer makes an exit of the interrupt
        fail(f"interrupted{on_interrupt}")
    return int(code)
