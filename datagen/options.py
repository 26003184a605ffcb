"""The options that several commands share, and what they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from console.interrupts import silent_stdout
from console.options import existing_folder, local_path, switch
from manifests.storage import Location, Url, location_of, refuse_unwritable

Place = TypeVar("Place", Path, Location)


class Protocol(StrEnum):
    """Rules of others for test sets."""

    COMP1K = "comp1k"


def folder_option(name: str, help_: str) -> Any:
    return typer.Option(name, help=help_, metavar="DIR", callback=existing_folder)


def path_option(help_: str, metavar: str = "DIR") -> Any:
    return typer.Option(help=help_, metavar=metavar, callback=local_path)


def about_option(help_: str, metavar: str = "TEXT") -> Any:
    panel = "Said in README.md of the set, beside what card.toml says"
    return typer.Option(help=help_, metavar=metavar, show_default=False, rich_help_panel=panel)


def location_option(help_: str, is_written: bool = False) -> Any:
    """A folder or a URL, as text for `location_of`."""

    def checked(text: str | None) -> str | None:
        if text is not None:
            try:
                location = location_of(text)
                if is_written and isinstance(location, Url):
                    refuse_unwritable(location)
            except ValueError as error:
                raise typer.BadParameter(str(error)) from error
        return text

    return typer.Option(help=help_, metavar="DIR|URL", callback=checked)


def source_option(name: str, help_: str) -> Any:
    """Likewise for a folder that has to be there."""

    def checked(text: str | None) -> str | None:
        if text is not None:
            try:
                location = location_of(text)
            except ValueError as error:
                raise typer.BadParameter(str(error)) from error
            if isinstance(location, Path):
                existing_folder(location)
        return text

    return typer.Option(name, help=help_, metavar="DIR|URL", callback=checked)


FgOption = Annotated[
    str, source_option("--fg", "Foregrounds: RGBA cut-outs, or RGB images with --alpha.")
]
BgOption = Annotated[str, source_option("--bg", "Backgrounds: photos.")]
AlphaOption = Annotated[
    str | None,
    source_option("--alpha", "Alphas of the foregrounds, if those are RGB images."),
]
ShardsOption = Annotated[str, location_option("Folder or URL of the shard set.")]
JsonOption = Annotated[bool, switch("--json", "Print JSON on standard output.")]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        help="How many processes work at a time.",
        min=1,
        metavar="N",
        show_default="one per core",
    ),
]
AddressOption = Annotated[
    str | None, typer.Option(help="Address of a running Ray cluster to use.", metavar="HOST:PORT")
]


@contextmanager
def workers_of(workers: int | None, address: str | None = None) -> Iterator[Any]:
    """Ray, whose output does not reach standard output."""
    from datagen.cluster import cluster

    with silent_stdout(), cluster(workers, address) as ray:
        yield ray


def source_folders(
    fg: str,
    bg: str,
    alpha: str | None,
    licences: tuple[str, ...] = (),
    ray_address: str | None = None,
) -> Any:
    """The SourceFolders that three options stand for."""
    from datagen.sources.folders import SourceFolders

    return SourceFolders(
        for_workers(location_of(fg), ray_address),
        for_workers(location_of(bg), ray_address),
        None if alpha is None else for_workers(location_of(alpha), ray_address),
        licences,
    )


def for_workers(location: Place, ray_address: str | None) -> Place:
    """A folder or URL as workers can use it: those of a cluster run in folders of their own."""
    if isinstance(location, Path) and ray_address is not None:
        return location.absolute()
    return location
