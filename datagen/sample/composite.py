"""Eq. (1): I = alpha F + (1 - alpha) B, from resampled sources to the streams of a sample.

Alpha is quantised first, and image, trimap and layers are derived from the quantised alpha, so that
they can never disagree with the stored one.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datagen.sample.colour import jitter
from datagen.sample.place import Placed
from datagen.sample.resize import OPAQUE, PER_LEVEL, Premultiplied
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


def blend(
    foreground: NDArray[np.float32], background: NDArray[np.float32], alpha: NDArray[np.float32]
) -> NDArray[np.float32]:
    """alpha F + (1 - alpha) B (Eq. 1); colours of shape ... x N, alpha of shape N in [0, 1]."""
    return alpha * foreground + (1 - alpha) * background


def composite(
    placed: Placed, colour: NDArray[np.float32], background: Pixels, layers: bool
) -> Composite:
    """Composite a placed subject over a background.

    colour: the subject's 3 x 4 colour matrix; background: H x W x 3, already jittered;
    layers: also return the layers.
    """
    region = (placed.rows, placed.columns)
    opacity = cv2.convertScaleAbs(placed.alpha, alpha=1 / PER_LEVEL)  # rounds to nearest
    alpha = np.zeros(background.shape[:2], np.uint8)
    alpha[region] = opacity
    image = background.copy()

    # Almost every pixel shows only the foreground or only the background. The others need floating
    # point: the soft pixels, and pixels beside an edge whose alpha is 255 although the kernels
    # changed their premultiplied colour, so that it is not F.
    positive = cv2.threshold(placed.colour, 0, 0, cv2.THRESH_TOZERO)[1]
    part = cv2.cvtColor(cv2.convertScaleAbs(positive, alpha=1 / PER_LEVEL), cv2.COLOR_RGBA2RGB)
    solid = jitter(np.asarray(part, np.uint8), colour)
    cv2.copyTo(solid, (opacity == 255).view(np.uint8), image[region])

    own_alpha = cv2.extractChannel(placed.colour, 3)
    mixed = np.flatnonzero((opacity > 0) & (own_alpha != OPAQUE))
    front = straight_colour(_gather(placed.colour, mixed), colour)
    weight = opacity.reshape(-1)[mixed].astype(np.float32) / np.float32(255)
    rows, columns = np.divmod(mixed, opacity.shape[1])
    on_canvas = (rows + placed.rows.start) * alpha.shape[1] + columns + placed.columns.start
    behind = background.reshape(-1, 3).take(on_canvas, axis=0).T.astype(np.float32)
    _scatter(image, on_canvas, blend(front, behind, weight))
    if not layers:
        return Composite(image, alpha, None, None)

    kept = blocks_with_soft(alpha)
    foreground = image.copy()  # where alpha is 255 the image is F; where it is 0, F may be anything
    _scatter(foreground, on_canvas, front)
    layers_kept = [np.full_like(image, _NOT_KEPT) for _ in range(2)]
    for layer, whole in zip(layers_kept, (foreground, background), strict=True):
        cv2.copyTo(whole, kept, layer)
    return Composite(image, alpha, *layers_kept)


def straight_colour(pixels: Premultiplied, colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """N x 4 premultiplied pixels with alpha > 0 -> 3 x N jittered F, float32 in 0..255."""
    red, green, blue, alpha = pixels.T.astype(np.float32)
    to_straight = np.float32(255) / np.maximum(alpha, 1)
    for plane in (red, green, blue):
        np.multiply(plane, to_straight, out=plane)
        np.clip(plane, 0, 255, out=plane)
    jittered = np.empty((3, len(pixels)), np.float32)
    for plane, (of_red, of_green, of_blue, offset) in zip(jittered, colour, strict=True):
        # Written out, because a matrix product may add in another order on another machine.
        np.multiply(red, of_red, out=plane)
        np.add(plane, of_green * green, out=plane)
        np.add(plane, of_blue * blue, out=plane)
        np.add(plane, offset, out=plane)
    return np.clip(jittered, 0, 255, out=jittered)


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
    """The crop of size x size pixels that fills the canvas; mirrored if `flip` is True."""
    crop = photo[top : top + size, left : left + size]
    return np.asarray(cv2.flip(crop, 1), np.uint8) if flip else crop


def _gather(pixels: Premultiplied, where: NDArray[np.intp]) -> Premultiplied:
    """N x 4: some pixels of an h x w x 4 array, each copied as one word of 64 bits."""
    return pixels.reshape(-1).view(np.uint64).take(where).view(np.int16).reshape(-1, 4)


def _scatter(image: Pixels, where: NDArray[np.intp], colours: NDArray[np.float32]) -> None:
    """Write 3 x N colours, rounded to nearest, to the pixels `where` of an H x W x 3 image."""
    samples, first = image.reshape(-1), where * 3
    for channel, values in enumerate(np.rint(colours).astype(np.uint8)):
        samples[first + channel] = values
