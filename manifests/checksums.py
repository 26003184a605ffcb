"""Files that hold their own checksum, so that a reader notices if one bit of them is wrong.

The checksum is the sha256 of the whole file with 64 zeros in the place of the checksum itself. It
is the value of the last field "checksum" of some JSON in the file.
"""

from __future__ import annotations

import hashlib

BLANK = {"checksum": "0" * 64}  # a writer's fields of JSON end with this, until it is filled in
_FIELD, _ZEROS = b'"checksum": "', b"0" * 64


class DamagedError(ValueError):
    """A file is not what was written."""


def with_checksum(data: bytes) -> bytes:
    """The content of a file that holds BLANK, with its checksum in place of the zeros."""
    before, found, after = _parts(data)
    assert found == _ZEROS
    return before + _digest(before, after) + after


def has_checksum(data: bytes) -> bool:
    """Whether a file holds its own checksum, and has not changed since."""
    before, found, after = _parts(data)
    return found == _digest(before, after)


def check_content(data: bytes, must_hold: bool) -> None:
    """Raise ValueError if a file is not what was written.

    must_hold: whether it has to hold a checksum. Files of contract 1 do not.

    Called before anything in a file is used: a wrong bit can make a library end the program.
    """
    if (must_hold or _FIELD in data) and not has_checksum(data):
        raise ValueError("its content is not what was written")


def _parts(data: bytes) -> tuple[bytes, bytes, bytes]:
    """What is before the checksum, the checksum, and what is after it."""
    place = data.rfind(_FIELD) + len(_FIELD)
    return data[:place], data[place : place + len(_ZEROS)], data[place + len(_ZEROS) :]


def _digest(before: bytes, after: bytes) -> bytes:
    digest = hashlib.sha256(before)
    digest.update(_ZEROS)
    digest.update(after)
    return digest.hexdigest().encode()
