"""Eq. (1): I = alpha F + (1 - alpha) B, from resampled sources to the streams of a sample.

Alpha and the foreground's colours are quantised first, and the image is derived from what is stored
of them, so that they can never disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datagen.sample.colour import jitter, unpacked
from datagen.sample.place import Placed
from datagen.sample.sampling import blend_into
from manifests.pixels import Pixels

_JPEG_BLOCK = 8
_NOT_KEPT = 128  # JPEG stores a block of this grey in almost no bits


@dataclass(frozen=True)
class Composite:
    """The picture that a camera would take, and its layers; the canvas is H x W.

    The layers are kept where they are needed, in the 8 x 8 blocks that hold soft alpha, and are
    grey (128) elsewhere. JPEG encodes each such block separately, so the border between the kept
    and the grey blocks causes no ringing.
    """

    image: Pixels  # H x W x 3
    alpha: Pixels  # H x W
    foreground: Pixels | None  # H x W x 3, straight colour
    background: Pixels | None  # H x W x 3


def composite(
    placed: Placed,
    colour: NDArray[np.float32],
    background: Pixels,
    background_colour: NDArray[np.float32],
    layers: bool,
) -> Composite:
    """Composite a placed subject over a background.

    colour, background_colour: the 3 x 4 colour matrices of the subject and of the background, which
    is H x W x 3; layers: also return the layers.
    """
    region = (placed.rows, placed.columns)
    # In memory, blue comes first, as JPEG encoders want it.
    front = jitter(placed.colour, colour[::-1])
    alpha = np.zeros(background.shape[:2], np.uint8)
    alpha[region] = placed.alpha
    image = jitter(background, background_colour[::-1])
    behind = image.copy() if layers else None
    blend_into(image, front, placed.alpha, placed.rows.start, placed.columns.start)
    if behind is None:
        return Composite(image[..., ::-1], alpha, None, None)

    foreground = behind.copy()  # where alpha is 0, F may be anything
    cv2.copyTo(front, placed.alpha, foreground[region])
    kept = blocks_with_soft(alpha)
    layers_kept = [np.full_like(image, _NOT_KEPT) for _ in range(2)]
    for layer, whole in zip(layers_kept, (foreground, behind), strict=True):
        cv2.copyTo(whole, kept, layer)
    return Composite(image[..., ::-1], alpha, *(layer[..., ::-1] for layer in layers_kept))


def blocks_with_soft(alpha: Pixels) -> Pixels:
    """H x W of 255 in the 8 x 8 blocks in which a pixel has 0 < alpha < 255, 0 elsewhere."""
    kept = np.zeros_like(alpha)
    left, top, width, height = cv2.boundingRect(alpha)
    if width == 0:
        return kept
    # Whole blocks around the subject; the border of the canvas may cut a block.
    part = alpha[_blocks(top, height), _blocks(left, width)]
    is_soft = ((part > 0) & (part < 255)).view(np.uint8) * np.uint8(255)
    tall, wide = -part.shape[0] % _JPEG_BLOCK, -part.shape[1] % _JPEG_BLOCK
    padded = cv2.copyMakeBorder(is_soft, 0, tall, 0, wide, cv2.BORDER_CONSTANT, value=(0,))
    down = (padded.shape[1] // _JPEG_BLOCK, padded.shape[0] // _JPEG_BLOCK)
    # A block with one pixel of 255 has a mean of 255 / 64 = 3.98, so rounding loses no block.
    means = cv2.resize(padded, down, interpolation=cv2.INTER_AREA)
    blocks = cv2.threshold(means, 0, 255, cv2.THRESH_BINARY)[1]
    full = cv2.resize(blocks, padded.shape[::-1], interpolation=cv2.INTER_NEAREST)
    inside = kept[_blocks(top, height), _blocks(left, width)]
    inside[...] = full[: inside.shape[0], : inside.shape[1]]
    return kept


def _blocks(first: int, length: int) -> slice:
    """The pixels, on one axis, of all blocks that contain any of `length` pixels from `first`."""
    beyond = first + length
    return slice(first - first % _JPEG_BLOCK, beyond + -beyond % _JPEG_BLOCK)


def crop_background(photo: Pixels, top: int, left: int, size: int, flip: bool) -> Pixels:
    """The crop of size x size pixels that fills the canvas, in RGB; mirrored if `flip` is True.

    photo: as `colour.packed` returns it.
    """
    first = left % 2  # pairs of pixels are kept together
    pairs = photo[top : top + size, left - first : left + size + (left + size) % 2]
    crop = unpacked(pairs)[:, first : first + size]
    return np.asarray(cv2.flip(crop, 1), np.uint8) if flip else crop
