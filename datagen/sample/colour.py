"""The colour jitter as one linear map of RGB, and photos in two thirds of their bytes."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.pixels import Pixels
from manifests.samples import Colour

# The weights of grey (ITU-R BT.601), and the two chrominance axes of YIQ.
_GREY = np.array([0.299, 0.587, 0.114])
_TO_YIQ = np.array([_GREY, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def colour_matrix(colour: Colour) -> NDArray[np.float32]:
    """3 x 4: maps (R, G, B, 1), RGB in 0..255, to jittered RGB.

    The coefficients are multiples of 1/1024, so that they are exact in fixed point.
    """
    angle = math.radians(colour.hue)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    hue = _FROM_YIQ @ turn @ _TO_YIQ
    saturation = colour.saturation * np.eye(3) + (1 - colour.saturation) * _GREY
    linear = colour.contrast * colour.brightness * saturation @ hue
    offset = np.full((3, 1), (1 - colour.contrast) * 127.5)
    return np.asarray(np.round(np.hstack([linear, offset]) * 1024) / 1024, np.float32)


def jitter(pixels: Pixels, matrix: NDArray[np.float32]) -> Pixels:
    """Apply a colour matrix: H x W x 3 -> H x W x 3, rounded and clipped to 0..255."""
    return np.asarray(cv2.transform(pixels, matrix), np.uint8)


def packed(photo: Pixels) -> Pixels:
    """H x W x 3 RGB -> H x W' x 2 in YUYV (4:2:2), where W' is W or, if that is odd, W + 1.

    Two neighbours share their chrominance, as in most cameras and JPEG files. The photo that comes
    back differs by half a level on average, which is less than what JPEG changes afterwards.
    """
    even = cv2.copyMakeBorder(photo, 0, 0, 0, photo.shape[1] % 2, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(even, cv2.COLOR_RGB2YUV_YUY2), np.uint8)


def unpacked(photo: Pixels) -> Pixels:
    """H x W x 2 in YUYV, W even -> H x W x 3 RGB."""
    return np.asarray(cv2.cvtColor(photo, cv2.COLOR_YUV2RGB_YUY2), np.uint8)
