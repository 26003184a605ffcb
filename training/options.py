"""Options that `train` and `matte` share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import typer

from console.options import existing_folder
from manifests.storage import Url, location_of, refuse_unwritable

Value = TypeVar("Value")

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


def read_folder(help_: str) -> Any:
    """An option for a folder that has to be there."""
    return typer.Option(help=help_, metavar="DIR", callback=existing_folder)


def written_location(text: str | None) -> str | None:
    """A callback: a folder, or a URL that can be written to. Raises BadParameter."""
    if text is not None:
        try:
            location = location_of(text)
            if isinstance(location, Url):
                refuse_unwritable(location)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    return text


def exactly_one(**given: object) -> None:
    """Raise BadParameter unless one of these options is given."""
    if sum(value is not None for value in given.values()) != 1:
        names = ", ".join(f"--{name}" for name in given)
        raise typer.BadParameter(f"give exactly one of {names}")


def check_partners(
    name: str, given: object, only_with: Mapping[str, object], not_with: Mapping[str, object]
) -> None:
    """Raise BadParameter for options that go only with another, or not with it."""
    if given is None:
        _unused_without(name, **only_with)
    else:
        _unused(name, **not_with)


def _unused(beside: str, **given: object) -> None:
    if names := _named(given):
        raise typer.BadParameter(f"{names} cannot be used with --{beside}")


def _unused_without(missing: str, **given: object) -> None:
    if names := _named(given):
        raise typer.BadParameter(f"{names} cannot be used without --{missing}")


def _named(given: Mapping[str, object]) -> str:
    return ", ".join(f"--{n.replace('_', '-')}" for n, value in given.items() if value is not None)


def needed(name: str, value: Value | None) -> Value:
    """The value of an option. Raises BadParameter if it is not given."""
    if value is None:
        raise typer.BadParameter(f"--{name} is needed here")
    return value


def sides_of(text: str) -> tuple[int, int]:
    """Height and width of "800" or "1080x1920". Raises BadParameter for any other text."""
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    height, width = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if min(height, width) < 1:
        raise typer.BadParameter(f"{text!r} is no size, such as 800 or 1080x1920 (height x width)")
    return height, width
