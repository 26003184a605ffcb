"""What a person says of a set: in card.toml beside the sources, or by options of `compose`."""

from __future__ import annotations

import tomllib
from dataclasses import fields

from datagen.sources.labels import find_labels
from datagen.sources.listing import shown
from manifests.card import About
from manifests.labels import LabelFileError
from manifests.storage import Location, read_bytes

CARD = "card.toml"
_NAMES = tuple(field.name for field in fields(About))
_OF_ONE_LINE = ("title", "licence", "url")


def find_about(folder: Location, given: About, earlier: About) -> About:
    """What is said of a set: each text by `given`, or else by card.toml, or else earlier.

    card.toml is in or beside the folder. It is looked for as label files are.

    Raises ValueError that names the file and the key.
    """
    try:
        path = find_labels(folder, CARD)
    except LabelFileError as error:
        raise ValueError(f"{shown(folder)}: {error}") from error
    texts = vars(earlier) | ({} if path is None else _read(path))
    texts |= {name: _checked(name, text) for name, text in vars(given).items() if text}
    return About(**texts)


def _read(path: Location) -> dict[str, str]:
    try:
        values = tomllib.loads(read_bytes(path).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{shown(path)}: it cannot be read as TOML ({error})") from error
    for name, value in values.items():
        if name not in _NAMES:
            raise ValueError(f"{shown(path)}: {name!r} is none of {', '.join(_NAMES)}")
        if not isinstance(value, str):
            raise ValueError(f"{shown(path)}: {name} = {value!r}, expected a text")
    try:
        return {name: _checked(name, value) for name, value in values.items()}
    except ValueError as error:
        raise ValueError(f"{shown(path)}: {error}") from error


def _checked(name: str, text: str) -> str:
    text = text.strip()
    if name in _OF_ONE_LINE and not text.isprintable():
        raise ValueError(f"{name} = {text!r}, expected one line")
    if name == "url" and text and not text.startswith(("https://", "http://")):
        raise ValueError(f"url = {text!r}, expected one that begins with https:// or http://")
    return text
