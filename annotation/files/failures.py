"""What could not be done for one file or photo, while the others were done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """A file or photo, and why it was left out, for people."""

    file: str
    reason: str


def failure(file: str, error: Exception) -> Failure:
    """Whatever happened to one item ends that item, and no other.

    The errors of our own checks and of the system speak for themselves; those of libraries get
    their type before them.
    """
    if isinstance(error, MemoryError):
        return Failure(file, "there is not enough memory for it")
    text = str(error)
    speaks = isinstance(error, OSError | ValueError | RuntimeError) and text
    return Failure(file, text if speaks else f"{type(error).__name__}: {text}")
