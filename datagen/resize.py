"""The one resampler that shrinks: antialiased Lanczos on premultiplied colour, without its ghosts.

Pillow's LANCZOS stretches the kernel by the down-scale, so thin hair becomes faint instead of
jagged (OpenCV's INTER_LANCZOS4 does not). Colour is resampled premultiplied: what lies under
alpha = 0 must not bleed into the edge. The kernel's lobes leave faint rings around a hard edge;
`known_distance` tells where they are ghosts.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manifests.pixels import Pixels

Premultiplied = NDArray[np.uint16]  # H x W x 4, colour times alpha, and alpha; 65535 is 1

DISTANCE_UNIT = 32  # steps of `known_distance` in one pixel of the working copy
_DISTANCE_ZERO = 128


def resize_plane(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """One float32 plane by Lanczos-3 with the kernel stretched by the down-scale."""
    image = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def resize_cutout(cutout: Pixels, height: int, width: int) -> Premultiplied:
    """H x W x 4 straight RGBA -> height x width x 4 premultiplied, 16 bits."""
    resized = np.empty((height, width, 4), np.uint16)
    alpha = cutout[..., 3].astype(np.float32) * np.float32(257)
    opacity = np.clip(np.rint(resize_plane(alpha, height, width)), 0, 65535)
    for channel in range(3):
        plane = cutout[..., channel] * (alpha / np.float32(255))
        colour = np.rint(resize_plane(plane, height, width))
        # F = P / alpha must stay a colour: the lobes of the two planes differ
        resized[..., channel] = np.clip(colour, 0, opacity)
    resized[..., 3] = opacity
    return resized


def resize_photo(photo: Pixels, height: int, width: int) -> Pixels:
    """H x W x 3 -> height x width x 3, both ways; antialiased when it shrinks."""
    if photo.shape[:2] == (height, width):
        return photo
    return np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS))


def known_distance(alpha: Pixels, height: int, width: int) -> Pixels:
    """How far each pixel of the working copy is from where the source's alpha changes.

    alpha: H x W of the source. Returns height x width uint8: 128 where the source is soft; above,
    128 + 32 d where everything within d pixels of the working copy has alpha 0; below, 128 - 32 d
    where everything within d pixels has alpha 255; at most 3.9 pixels either way. Measured in the
    source, so that no detail that the working copy loses is forgotten.
    """
    scale_y, scale_x = height / alpha.shape[0], width / alpha.shape[1]
    distance = _distance(alpha == 0) - _distance(alpha == 255)
    to_source = np.array([[1 / scale_x, 0, 0.5 / scale_x - 0.5], [0, 1 / scale_y, 0.5 / scale_y - 0.5]])
    sampled = cv2.warpAffine(
        distance,
        to_source,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    steps = np.clip(sampled * (min(scale_y, scale_x) * DISTANCE_UNIT), -125, 125)
    return np.rint(steps + _DISTANCE_ZERO).astype(np.uint8)


def distance_threshold(pixels: float) -> int:
    """A distance in pixels of the working copy as a difference from 128 in `known_distance`."""
    return max(1, int(np.floor(pixels * DISTANCE_UNIT)))


def _distance(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance of each pixel that is inside to the nearest one that is not; 0 outside."""
    if inside.all():
        return np.full(inside.shape, 1e6, np.float32)
    return cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
