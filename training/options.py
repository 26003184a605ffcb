"""Options that `train` and `matte` share."""

from __future__ import annotations

from typing import Annotated

import typer

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
