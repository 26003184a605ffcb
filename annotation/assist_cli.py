"""`annotate assist`: the command."""

from __future__ import annotations

import threading
import time
from enum import StrEnum
from typing import Annotated

import typer

from annotation.options import TIMEOUT, URL, ProjectOption, TimeoutOption, TokenOption, UrlOption
from console.commands import DONE
from console.interrupts import interrupt_noted
from console.messages import say, show


class Method(StrEnum):
    """What solves a trimap while it is painted."""

    CLOSED_FORM = "closed-form"


def assist(
    project: ProjectOption,
    method: Annotated[Method, typer.Option(help="What solves the trimaps.")] = Method.CLOSED_FORM,
    port: Annotated[
        int,
        typer.Option(help="Port of 127.0.0.1 to listen on.", min=1, max=65535, metavar="N"),
    ] = 9090,
    url: UrlOption = URL,
    token: TokenOption = None,
    timeout: TimeoutOption = TIMEOUT,
) -> None:
    """Solve trimaps while they are painted, on this machine, until Ctrl-C.

    Label Studio asks this program, an ML backend, when somebody clicks with the label Solve. The
    server has to run on the same machine, and `annotate serve` lets it ask.
    """
    from annotation.assist import HOST, Assistant, listen, register
    from annotation.cli import client_of
    from annotation.server.find import existing_project
    from annotation.solve import CLOSED_FORM, warm_solver

    with client_of(url, token, timeout) as client:
        found = existing_project(client, project)
        say(f"Getting {CLOSED_FORM} ready.")
        solver = warm_solver()
        with listen(Assistant(found, str(method), solver), port) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://{HOST}:{port}"
            register(found, address, str(method))
            show(f"{address} answers for {found.url}")
            say("Press Ctrl-C to end it.")
            with interrupt_noted() as is_ending:
                while not is_ending():
                    time.sleep(0.2)
            server.shutdown()
    raise typer.Exit(DONE)
