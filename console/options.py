"""The options of a command out of the settings that it needs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from console.settings import Description, descriptions

Result = TypeVar("Result")

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # a Path has made one slash of two
_METAVARS = {int: "N", float: "X", str: "TEXT"}


def with_options(kind: type[Any]) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Where the decorated command has a parameter `settings`, put an option for each setting.

    Only settings of the class `kind` that have a help text become options. The command gets an
    instance of the class; a value that the class refuses with ValueError is a wrong option.
    """
    known = {name: one for name, one in descriptions(kind).items() if one.help}
    options = _options_of(kind, known)

    def decorate(command: Callable[..., Result]) -> Callable[..., Result]:
        def run(**given: Any) -> Result:
            values = {name: given.pop(name) for name in options}
            chosen = {name: value for name, value in values.items() if value is not None}
            try:
                for name, value in chosen.items():
                    known[name].check(name, value)
                settings = kind(**chosen)
            except ValueError as error:
                raise typer.BadParameter(str(error)) from error
            return command(settings=settings, **given)

        hints = get_type_hints(command, include_extras=True)
        parameters: list[inspect.Parameter] = []
        for name, own in inspect.signature(command).parameters.items():
            if name == "settings":
                parameters += options.values()
            else:
                changed = own.replace(kind=own.KEYWORD_ONLY, annotation=hints[name])
                parameters.append(changed)
        # What typer looks at
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _options_of(kind: type[Any], known: Mapping[str, Description]) -> dict[str, inspect.Parameter]:
    types = get_type_hints(kind)
    return {
        one.name: _option(one.name, types[one.name], one.default, known[one.name])
        for one in fields(kind)
        if one.name in known
    }


def switch(names: str, help_: str, panel: str | None = None) -> Any:
    """An option without a value, such as "--json", or "--layers/--no-layers"."""
    return typer.Option(names, help=help_, metavar="", rich_help_panel=panel)


def local_path(path: Path | None) -> Path | None:
    """A callback for options that take paths of this machine. Raises BadParameter for a URL, of
    which a path would make a folder such as `s3:`."""
    if path is not None and _URL.match(str(path)):
        scheme = str(path).partition(":")[0]
        raise typer.BadParameter(
            f"it is a URL ({scheme}://), and only paths of this machine work here"
        )
    return path


def existing_folder(path: Path | None) -> Path | None:
    """Likewise for folders that have to be there."""
    if local_path(path) is not None and not (path and path.is_dir()):
        raise typer.BadParameter(f"{str(path)!r} is not a folder")
    return path


def existing_file(path: Path | None) -> Path | None:
    """Likewise for files."""
    if local_path(path) is not None and not (path and path.is_file()):
        raise typer.BadParameter(f"{str(path)!r} is not a file")
    return path


def _option(name: str, type_: Any, value: Any, known: Description) -> inspect.Parameter:
    flag = f"--{name.replace('_', '-')}"
    if type_ is bool:  # "no" is also for what is off: a command may take it from elsewhere
        option = switch(f"{flag}/--no-{flag[2:]}", known.help, known.panel)
    else:
        option = typer.Option(
            flag,
            help=known.help + _choices(type_),
            metavar=known.range or _METAVARS.get(type_, name.rpartition("_")[2].upper()),
            rich_help_panel=known.panel,
            show_default=known.default or True,
        )
    has_words = known.default is not None
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if has_words else value,
        annotation=Annotated[type_ | None if has_words else type_, option],
    )


def _choices(type_: Any) -> str:
    return f" One of: {', '.join(type_)}." if issubclass(type_, StrEnum) else ""
