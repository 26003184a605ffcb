"""Names that come from a file or a server, checked where they are read, before they name a file.

Whoever writes a table or answers a request chooses what is in it; without these checks a path in it
could reach any file of the user's.
"""

from __future__ import annotations

import re

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST = 255  # bytes that file systems allow in a name


def path_below(text: str) -> str:
    """The text, a relative path that stays below its folder, with '/' between the parts.

    Raises ValueError for all others: "", absolute paths, `..`, `.`, empty parts, drives,
    backslashes, control characters, names that are too long or no UTF-8.
    """
    for part in text.split("/"):
        plain_name(part, text)
    return text


def file_below(text: str) -> str:
    """The text, the path of a user's file below its folder, with '/' between the parts.

    Its parts may be whatever a file system allows, such as `what?.jpg`. Raises ValueError for "",
    absolute paths, `..`, `.`, empty parts and NUL.
    """
    if "\0" in text or not {"", ".", ".."}.isdisjoint(text.split("/")):
        raise _refusal(text)
    return text


def plain_name(text: str, whole: str | None = None) -> str:
    """The text, a name of a file or folder without any path. Raises ValueError for all others.

    whole: what the message shows; None: the text itself.
    """
    is_plain = (
        text not in ("", ".", "..")
        and text.isprintable()  # neither NUL nor a line break, and no half of a letter
        and not set(text) & set('/\\:*?"<>|')
        and len(text.encode()) <= _LONGEST
    )
    if not is_plain:
        raise _refusal(text if whole is None else whole)
    return text


def _refusal(text: str) -> ValueError:
    return ValueError(f"{text[:80]!r} is not a name or path that stays below its folder")


def sha256_text(text: str) -> str:
    """The text, a sha256 as 64 hexadecimal digits. Raises ValueError for all others."""
    if not _SHA256.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not a sha256 (64 hexadecimal digits)")
    return text
