"""New colours for a sample: hue, saturation, contrast, cast and brightness.

The changes are linear, so that I = aF + (1-a)B still holds afterwards. Without them a model learns
the colours of a small number of foregrounds by heart; see docs/results.md.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NUMBERS = 8  # random numbers for one map

_KEPT = 0.2  # share of the samples whose colours are not changed

_GREY = np.full((3, 3), 1 / 3)  # removes the saturation
_ACROSS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(
    3
)  # rotates the hue by 90 degrees


def colour_maps(numbers: NDArray[np.float64], strength: float) -> NDArray[np.float32]:
    """N x 8 random numbers in 0..1 -> N x 3 x 4 maps: RGB' = map[:, :3] RGB + map[:, 3], in 0..1.

    At strength 1 any hue may become any other and the saturation may become 0; at strength 0
    nothing changes.
    """
    keep, hue, saturation, contrast, brightness = numbers[:, :5, None, None].swapaxes(0, 1)
    cast = numbers[:, 5:, None]
    amount = np.where(keep < _KEPT, 0.0, strength)
    angle = amount * math.pi * (2 * hue - 1)
    turned = np.cos(angle) * (np.eye(3) - _GREY) + np.sin(angle) * _ACROSS
    linear = _GREY + (1 + amount * (1.5 * saturation - 1)) * turned
    linear *= np.exp(amount * 0.3 * (cast - 0.5))
    gain = np.exp(amount * (contrast - 0.5))
    shift = 0.5 * (1 - gain) + amount * 0.2 * (brightness - 0.5)
    shifts = np.broadcast_to(shift, cast.shape)
    return np.concatenate([gain * linear, shifts], axis=2, dtype=np.float32, casting="same_kind")


def recoloured(pixels: Tensor, maps: Tensor) -> Tensor:
    """N x 3 x H x W in 0..1 through maps N x 3 x 4; in channels_last memory."""
    count, channels, height, width = pixels.shape
    flat = pixels.permute(0, 2, 3, 1).reshape(count, height * width, channels)
    new = torch.baddbmm(maps[:, None, :, 3], flat, maps[..., :3].transpose(1, 2))
    return new.view(count, height, width, channels).permute(0, 3, 1, 2)
