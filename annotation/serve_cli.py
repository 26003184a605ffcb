"""`annotate serve`: the command, and what the first user of a new server logs in with."""

from __future__ import annotations

import getpass
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from annotation.options import folder, folder_to_write
from console.commands import DONE
from console.interrupts import interrupt_noted
from console.messages import plain, say, show, warn
from console.options import local_path, switch
from console.progress import waiting


def serve(
    data: Annotated[
        Path,
        folder_to_write("--data", "Folder in which the server keeps everything."),
    ] = Path("label-studio"),
    port: Annotated[
        int,
        typer.Option(
            help="Port of the address on which the server listens.",
            min=1,
            max=65535,
            metavar="N",
        ),
    ] = 8080,
    host: Annotated[
        str,
        typer.Option(
            help="IPv4 address to listen on: 127.0.0.1 is this machine alone, 0.0.0.0 everybody "
            "who can reach it, unencrypted.",
            metavar="ADDRESS",
        ),
    ] = "127.0.0.1",
    user: Annotated[
        str, typer.Option(help="E-mail address of the first user, an administrator.")
    ] = "annotate@localhost.local",
    local_files: Annotated[
        Path | None,
        folder(
            "--local-files",
            "Folder whose files the server may show (for `annotate push --local-files`).",
        ),
    ] = None,
    address: Annotated[
        str,
        typer.Option(
            help="Address at which browsers find the server, if a proxy stands before it.",
            metavar="URL",
            show_default=False,
        ),
    ] = "",
    database: Annotated[
        str,
        typer.Option(
            help="PostgreSQL database, postgresql://USER@HOST:PORT/NAME, whose password is in "
            "PGPASSWORD; without it SQLite is used, which locks when several people submit.",
            metavar="URL",
            show_default=False,
        ),
    ] = "",
    server_venv: Annotated[
        Path,
        typer.Option(
            help="Virtual environment of the server.",
            envvar="LABEL_STUDIO_VENV",
            metavar="DIR",
            callback=local_path,
        ),
    ] = Path(".venv-server"),
    install: Annotated[
        bool, switch("--install", "First make the virtual environment of the server (1 GB).")
    ] = False,
) -> None:
    """Run a Label Studio server for a team that has none, on this machine, until Ctrl-C.

    The password of a new data folder is LABEL_STUDIO_PASSWORD, or asked for. A legacy token in
    LABEL_STUDIO_API_KEY becomes the user's; otherwise the user finds one under Account & Settings.
    """
    from annotation import serve as server
    from annotation import team

    try:
        warning = team.warning_of(host, port)
        team.database_settings(database, "")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if install:
        say(f"{server_venv}: installing Label Studio")
        server.install(server_venv)
    server.executable(server_venv)
    is_new = server.is_new(data)
    try:
        password = _new_password(user) if is_new else ""
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    service = server.Service(
        data=data,
        port=port,
        venv=server_venv,
        user=user if is_new else server.user_of(data),
        password=password,
        token=_legacy_token() if is_new else "",
        files=local_files,
        address=address,
        host=host,
        database=database,
        database_password=os.environ.get("PGPASSWORD", ""),
    )
    if warning:
        warn(warning)
    with ExitStack() as stack:
        with waiting("Label Studio is starting"):
            process = stack.enter_context(server.serving(service))
        show(f"{service.url}  user {service.user}")
        token = os.environ.get("LABEL_STUDIO_API_KEY", "").strip()
        invitation = team.invitation(data, service.url, token)
        if invitation:
            show(f"{team.address_of(host, port, address)}{invitation}  invites others")
        say("Press Ctrl-C to end the server.")
        with interrupt_noted() as is_ending:
            while process.poll() is None and not is_ending():
                time.sleep(0.2)
        if is_ending():  # as it should, so this is no interruption
            say("The server is ending.")
            raise typer.Exit(DONE)
    raise server.ServeError(f"the server ended by itself; see {data / server.LOG}")


def _new_password(user: str) -> str:
    """LABEL_STUDIO_PASSWORD, or what is typed. Raises ValueError if it is too short."""
    given = os.environ.get("LABEL_STUDIO_PASSWORD", "")
    if not given and sys.stdin.isatty():
        given = getpass.getpass(f"New password for {plain(user)} (8 letters or more): ")
        if getpass.getpass("Again: ") != given:
            raise ValueError("the two passwords differ")
    if len(given) < 8:
        raise ValueError("a password of 8 letters or more is needed: LABEL_STUDIO_PASSWORD")
    return given


def _legacy_token() -> str:
    """LABEL_STUDIO_API_KEY if it is a legacy token, which the user then gets; else ""."""
    token = os.environ.get("LABEL_STUDIO_API_KEY", "").strip()
    is_legacy = len(token) == 40 and all(letter in "0123456789abcdef" for letter in token)
    return token if is_legacy else ""
