"""Is an alpha to be measured on the scale of 0 to 255? What cannot be meant is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from manifests.pictures import PictureError
from manifests.pixels import BACKGROUND, FOREGROUND, Pixels

_LOW_TOP = 128  # a model that is poor, or careful, keeps all foreground at 0.9, say, but not at 0.5
_VIDEO = (16, 235)
_GUESSES = {
    1: "a mask of 0 and 1, or 8-bit values in a 16-bit file",
    4: "10-bit values in a 16-bit file",
    16: "12-bit values in a 16-bit file",
    100: "percentages",
    _VIDEO[1]: "video levels",
}


def check_range(file: Path, alpha: Pixels, trimap: Pixels) -> None:
    """Raise PictureError that names the file if its alpha, H x W, was not scaled to 0..255, or is
    inverted.

    That is sure if no level is above 1, and if most of what the trimap calls background has one
    level and most of what it calls foreground another, which are the ends of a much smaller range.
    A method that answers badly has no such levels; one that answers the same everywhere has one.
    """
    low, high = int(alpha.min()), int(alpha.max())
    background, foreground = (_usual(alpha[trimap == code]) for code in (BACKGROUND, FOREGROUND))
    if (background, foreground) == (255, 0):
        reason = (
            "is 255 where the trimap says background and 0 where it says foreground; the alpha or "
            "the trimap looks inverted"
        )
        raise PictureError("alpha-inverted", reason, str(file))
    is_range = (background, foreground) == (low, high) and low < high
    if high == 1 or (is_range and (high <= _LOW_TOP or (low, high) == _VIDEO)):
        guess = f"it looks like {_GUESSES[high]}; " if high in _GUESSES else ""
        reason = f"has levels from {low} to {high}, not from 0 to 255; {guess}scale it to 0 to 255"
        raise PictureError("alpha-range", reason, str(file))


def _usual(levels: Pixels) -> int | None:
    """The level that most of them have, if there is one."""
    counts = np.bincount(levels, minlength=256)
    level = int(counts.argmax())
    return level if 2 * counts[level] > levels.size else None
