"""Pictures of a validation, for people to look at: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from manifests.pixels import UNKNOWN, Pixels

PARTS = ("image", "crude trimap", "estimated trimap", "alpha", "truth")

_INK, _PAPER = (235, 235, 235), (24, 24, 26)
_MARGIN = 3


def panel(
    image: Pixels, crude: Pixels, estimated: Pixels | None, alpha: Pixels, truth: Pixels
) -> Pixels:
    """The PARTS side by side: H x 5W x 3. An estimated trimap that is None is grey."""
    blank = np.full_like(crude, UNKNOWN)
    greys = [crude * 127, (blank if estimated is None else estimated) * 127, alpha, truth]
    return np.hstack([image, *(np.repeat(grey[..., None], 3, axis=2) for grey in greys)])


def captioned(picture: Pixels, names: Sequence[str]) -> Pixels:
    """A picture of as many parts of equal width as there are names, below a line of the names.

    picture: H x W x 3; the result is higher by `caption_height`.
    """
    width = picture.shape[1] // len(names)
    line = Image.new("RGB", (picture.shape[1], caption_height(width)), _PAPER)
    draw, font = ImageDraw.Draw(line), ImageFont.load_default(_font_size(width))
    for number, name in enumerate(names):
        draw.text((number * width + _MARGIN, _MARGIN), name, _INK, font)
    return np.vstack([np.asarray(line), picture])


def caption_height(width: int) -> int:
    """Of captions over parts of this width, in pixels."""
    return _font_size(width) + 3 * _MARGIN


def _font_size(width: int) -> int:
    """Small enough for the longest of PARTS where a part is 80 pixels wide, or wider."""
    return min(max(width // 10, 8), 24)
