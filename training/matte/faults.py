"""What can go wrong with one picture of many, and how to say it in a sentence."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

# What the files of one picture, or its size, can make the libraries raise. torch raises
# RuntimeError where memory is short; OpenCV has an error class of its own.
FAULTS = (OSError, ValueError, RuntimeError, MemoryError, cv2.error)

_MEMORY = ("out of memory", "can't allocate memory", "bad_alloc", "Insufficient memory")


@dataclass(frozen=True)
class Failure:
    """A picture that could not be measured, and why."""

    name: str
    reason: str


def lacks_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error) for words in _MEMORY)


def reason_of(error: Exception) -> str:
    """The first line of what an error says; that memory is short, in plain words."""
    text = str(error)
    if lacks_memory(error):
        if "CUDA" in text:
            return (
                "needs more memory than the GPU has; use --device cpu, or make the picture smaller"
            )
        return "needs more memory than there is; make the picture smaller"
    return text.strip().partition("\n")[0] or type(error).__name__
