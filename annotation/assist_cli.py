"""`annotate assist`: the command."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from annotation.options import TIMEOUT, URL, ProjectOption, TimeoutOption, TokenOption, UrlOption
from console.commands import DONE
from console.interrupts import interrupt_noted
from console.messages import say, show

if TYPE_CHECKING:
    from annotation.assist import Assistant
    from annotation.server.project import Project


class Method(StrEnum):
    """What solves a trimap while it is painted."""

    CLOSED_FORM = "closed-form"


def assist(
    project: ProjectOption,
    method: Annotated[
        Method | None, typer.Option(help="What solves the trimaps.", show_default="closed-form")
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Let a trained model solve them: a checkpoint, as `matte predict` takes it, or "
            "built-in.",
            metavar="C",
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(help="Port of 127.0.0.1 to listen on.", min=1, max=65535, metavar="N"),
    ] = 9090,
    url: UrlOption = URL,
    token: TokenOption = None,
    timeout: TimeoutOption = TIMEOUT,
) -> None:
    """Solve trimaps while they are painted, on this machine, until Ctrl-C.

    Label Studio asks this program, an ML backend, when somebody clicks with the label Solve. With
    --checkpoint it also asks when a task without an alpha is opened. The server has to run on the
    same machine, and `annotate serve` lets it ask.
    """
    from annotation.assist import HOST, listen, register
    from annotation.cli import client_of
    from annotation.server.find import existing_project

    if method is not None and checkpoint is not None:
        raise typer.BadParameter("--method and --checkpoint: give one of them")
    with client_of(url, token, timeout) as client:
        found = existing_project(client, project)
        with _assistant(found, checkpoint) as assistant, listen(assistant, port) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://{HOST}:{port}"
            register(found, address, assistant.name)
            show(f"{address} answers for {found.url}")
            say("Press Ctrl-C to end it.")
            with interrupt_noted() as is_ending:
                while not is_ending():
                    time.sleep(0.2)
            server.shutdown()
    raise typer.Exit(DONE)


@contextmanager
def _assistant(project: Project, checkpoint: str | None) -> Iterator[Assistant]:
    """Ready to answer, with a trained model or else with closed-form matting."""
    from annotation.assist import Assistant
    from annotation.solve import CLOSED_FORM, warm_solver
    from annotation.worker import trained_model

    say(f"Getting {checkpoint or CLOSED_FORM} ready.")
    if checkpoint is None:
        yield Assistant(project, CLOSED_FORM, warm_solver())
        return
    with trained_model(checkpoint) as model:
        say(f"The model is {model.name}.")
        yield Assistant(project, model.name, model.alpha, needs_trimap=False)
