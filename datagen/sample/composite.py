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
from datagen.sample.sampling import blend_into, soft_blocks
from manifests.pixels import Pixels


@dataclass(frozen=True)
class Layers:
    """What Eq. (1) mixed, H x W x 3 each.

    A shard keeps them where they are needed: in the blocks of 8 x 8 pixels that hold soft alpha.
    Elsewhere the foreground is any picture in which alpha makes no difference.
    """

    foreground: Pixels  # straight colour
    background: Pixels
    kept: NDArray[np.bool_]  # blocks down x across; a block at the border may be cut


@dataclass(frozen=True)
class Composite:
    """The picture that a camera would take, its alpha, and its layers; the canvas is H x W."""

    image: Pixels  # H x W x 3
    alpha: Pixels  # H x W
    layers: Layers | None


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
        return Composite(image[..., ::-1], alpha, None)
    foreground = behind.copy()
    cv2.copyTo(front, placed.alpha, foreground[region])
    kept = soft_blocks(alpha)
    return Composite(
        image[..., ::-1], alpha, Layers(foreground[..., ::-1], behind[..., ::-1], kept)
    )


def crop_background(photo: Pixels, top: int, left: int, size: int, flip: bool) -> Pixels:
    """The crop of size x size pixels that fills the canvas, in RGB; mirrored if `flip` is True.

    photo: as `colour.packed` returns it.
    """
    first = left % 2  # pairs of pixels are kept together
    pairs = photo[top : top + size, left - first : left + size + (left + size) % 2]
    crop = unpacked(pairs)[:, first : first + size]
    return np.asarray(cv2.flip(crop, 1), np.uint8) if flip else crop
