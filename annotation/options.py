"""The options that several commands of `annotate` have, and the kinds of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from annotation.settings import Patience
from console.options import existing_folder, local_path, switch


def folder(name: str, help_: str) -> Any:
    """An option for a folder that has to be there."""
    return typer.Option(name, help=help_, metavar="DIR", callback=existing_folder)


def folder_to_write(name: str, help_: str, metavar: str = "DIR") -> Any:
    """An option for a folder that may be new."""
    return typer.Option(name, help=help_, metavar=metavar, file_okay=False, callback=local_path)


ProjectOption = Annotated[
    str, typer.Option(help="Title of the project on the server.", metavar="NAME")
]
UrlOption = Annotated[
    str,
    typer.Option(
        help="Address of the Label Studio server.",
        envvar="LABEL_STUDIO_URL",
        metavar="URL",
        show_envvar=True,
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        help="A personal access token or a legacy one. Other users of this machine can see a "
        "command line, so the variable is safer.",
        envvar="LABEL_STUDIO_API_KEY",
        metavar="TOKEN",
        show_default=False,
    ),
]
TimeoutOption = Annotated[
    float,
    typer.Option(help="How many seconds to wait for an answer of the server.", min=1, metavar="X"),
]
PulledOption = Annotated[Path, folder("--pulled", "Folder that `annotate pull` wrote.")]
JsonOption = Annotated[bool, switch("--json", "Print JSON on standard output.")]

URL = "http://127.0.0.1:8080"
TIMEOUT = Patience().answer
