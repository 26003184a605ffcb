"""Options that `train` and `matte` share."""

from __future__ import annotations

from typing import Annotated

import typer

CacheOption = Annotated[
    str,
    typer.Option(
        help="Folder that keeps the shards fetched from a URL of --shards.",
        metavar="DIR",
        show_default="none, they are fetched again each time",
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        help="Device to compute on, such as cpu, cuda or cuda:1.",
        metavar="DEVICE",
        show_default="the fastest",
    ),
]
