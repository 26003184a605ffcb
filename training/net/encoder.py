"""The encoder: the layout of ResNet-50 (He et al. 2016), narrower, for an image and its trimap.

No layer works at full resolution, where a few channels take most of the time: the channels of 2 x 2
pixels are put side by side (Shi et al. 2016), and so the input itself is the map at half
resolution.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

DOWN = 32  # five down-samplings
FOLD = 2  # side of the squares of pixels whose channels are put side by side


class Features(NamedTuple):
    """Feature maps by their down-sampling, N x C x H/d x W/d."""

    half: Tensor  # the input
    quarter: Tensor
    eighth: Tensor
    sixteenth: Tensor
    thirtysecond: Tensor


# Channels of the five feature maps. One level further down a channel costs a quarter, so most of
# the parameters are where the maps are small and their receptive fields large.
_INPUTS = 4  # RGB and the trimap
WIDTHS = (_INPUTS * FOLD**2, 64, 128, 288, 1024)
BLOCKS = (3, 4, 6, 3)
_EXPANSION = 4


def convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """Convolution (initialised after He et al. 2015) and batch norm; keeps H x W at stride 1."""
    weights = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(weights.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(weights, nn.BatchNorm2d(outputs))


class ResidualBlock(nn.Module):
    """1x1, 3x3 and 1x1 kernels with `width` channels in between, and a shortcut."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        last = convolution(width, outputs)
        self.body = nn.Sequential(
            convolution(inputs, width),
            nn.ReLU(inplace=True),
            convolution(width, width, 3, stride),
            nn.ReLU(inplace=True),
            last,
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else convolution(inputs, outputs, 1, stride)
        self.activation = nn.ReLU(inplace=True)
        for parameter in last[1].parameters():
            nn.init.zeros_(parameter)  # the block begins as the identity (Goyal et al. 2017)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.body(x) + self.shortcut(x))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """N x 4 x H x W -> Features; H and W are multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            convolution(WIDTHS[0], WIDTHS[1], 3, 2),
            nn.ReLU(inplace=True),
        )
        stages: list[nn.Module] = []
        inputs = WIDTHS[1]
        for outputs, blocks in zip(WIDTHS[1:], BLOCKS, strict=True):
            stride = 1 if not stages else 2  # the stem has already halved the size
            width = outputs // _EXPANSION
            first = ResidualBlock(inputs, width, outputs, stride)
            others = [ResidualBlock(outputs, width, outputs) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(first, *others))
            inputs = outputs
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> Features:
        maps = [pixel_unshuffle(x, FOLD)]
        x = self.stem(maps[0])
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return Features(*maps)
