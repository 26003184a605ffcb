"""What an alpha is judged by: the cut-out over three backgrounds, and the alpha itself."""

from __future__ import annotations

import cv2
import numpy as np

from classical.colours import cutout_of
from manifests.pixels import ImageCodec, Pixels, encode_colour

_SIDE = 800  # pixels of the longer side of one of the four pictures
_SQUARE = 16  # pixels of a square of the chequerboard
_LIGHT, _DARK = 225, 165
_MAGENTA = (255, 0, 200)  # far from skin, hair, leaves and fur
_QUALITY = 90


def draw_preview(image: Pixels, alpha: Pixels, side: int = _SIDE) -> Pixels:
    """A photo (H x W x 3) and its alpha (H x W) -> four pictures in one, uint8 RGB: the cut-out
    over a chequerboard and over black, below it over a saturated colour, and the alpha in grey.

    Pictures are shrunk to `side` pixels, never enlarged. Raises ValueError if the sizes differ.
    """
    scale = min(1.0, side / max(alpha.shape))
    size = (max(1, round(alpha.shape[1] * scale)), max(1, round(alpha.shape[0] * scale)))
    if scale < 1:
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        alpha = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.uint8)
    cutout = cutout_of(image, alpha)
    rows, columns = np.indices(alpha.shape) // _SQUARE
    board = np.where((rows + columns) % 2, _LIGHT, _DARK).astype(np.uint8)[..., None]
    over = [
        _over(cutout, ground)
        for ground in (board, np.zeros(3, np.uint8), np.array(_MAGENTA, np.uint8))
    ]
    grey = np.repeat(alpha[..., None], 3, axis=2)
    return np.vstack([np.hstack(over[:2]), np.hstack([over[2], grey])])


def encode_preview(image: Pixels, alpha: Pixels) -> bytes:
    """`draw_preview` as a JPEG."""
    return encode_colour(draw_preview(image, alpha), ImageCodec.JPEG, _QUALITY)


def _over(cutout: Pixels, ground: Pixels) -> Pixels:
    opacity = cutout[..., 3:] / np.float32(255)
    blended = opacity * cutout[..., :3] + (1 - opacity) * ground
    return np.asarray(np.rint(blended), np.uint8)
