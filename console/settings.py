"""Fields of a settings dataclass that describe themselves: help, range, panel, in one place.

The description becomes a command's option in `console.options`; nothing here knows of commands,
so that a library may have settings without them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

Value = TypeVar("Value")

_KEY = "setting"


@dataclass(frozen=True)
class Description:
    """What is known of a setting. `help` is "" for one that no command offers."""

    help: str = ""
    low: float | None = None  # the smallest allowed value
    high: float | None = None  # and the largest
    panel: str | None = None  # the part of the help page that it belongs to
    default: str | None = None  # in words, where the default value is not one that a user gives

    @property
    def range(self) -> str:
        """The allowed values in words; "" for all."""
        if self.low is None:
            return "" if self.high is None else f"{self.high} or less"
        return f"{self.low} or more" if self.high is None else f"{self.low} to {self.high}"

    def check(self, name: str, value: Any) -> None:
        """Raise ValueError for a value out of range; where there is a range, NaN is out of it."""
        is_high_enough = self.low is None or value >= self.low
        is_low_enough = self.high is None or value <= self.high
        if not (is_high_enough and is_low_enough):
            raise ValueError(f"{name} = {value}, expected {self.range}")


def setting(
    value: Value,
    help: str = "",  # noqa: A002 (as typer calls it)
    *,
    low: float | None = None,
    high: float | None = None,
    panel: str | None = None,
    default: str | None = None,
) -> Value:
    """A dataclass field with a default value and a `Description`."""
    description = Description(help, low, high, panel, default)
    return field(default=value, metadata={_KEY: description})


def descriptions(kind: Any) -> dict[str, Description]:
    """The descriptions of a settings class by the names of their fields."""
    return {one.name: one.metadata[_KEY] for one in fields(kind) if _KEY in one.metadata}


def check_ranges(settings: Any) -> None:
    """Raise ValueError for a value outside its range; a default in words may be outside it."""
    defaults = {one.name: one.default for one in fields(settings)}
    for name, description in descriptions(settings).items():
        value = getattr(settings, name)
        if description.default is None or value != defaults[name]:
            description.check(name, value)
