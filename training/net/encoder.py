"""The encoder: the layout of ResNet-50 (He et al. 2016), narrower, for an image and its trimap."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

DOWN = 32  # five down-samplings


class Features(NamedTuple):
    """Feature maps by their down-sampling, N x C x H/d x W/d."""

    half: Tensor
    quarter: Tensor
    eighth: Tensor
    sixteenth: Tensor
    thirtysecond: Tensor


# Channels of the five feature maps. One level further down a channel costs a quarter, so most of
# the parameters are where the maps are small and their receptive fields large.
WIDTHS = (32, 96, 160, 384, 832)
BLOCKS = (3, 4, 6, 3)
_EXPANSION = 4
_INPUTS = 4  # RGB and the trimap


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
            convolution(_INPUTS, WIDTHS[0], 3, 2),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.MaxPool2d(3, 2, 1)
        stages = []
        for number, (inputs, outputs, blocks) in enumerate(
            zip(WIDTHS[:-1], WIDTHS[1:], BLOCKS, strict=True)
        ):
            stride = 1 if number == 0 else 2  # the pooling has already halved the size
            width = outputs // _EXPANSION
            first = ResidualBlock(inputs, width, outputs, stride)
            others = [ResidualBlock(outputs, width, outputs) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(first, *others))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> Features:
        maps = [self.stem(x)]
        x = self.pool(maps[0])
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return Features(*maps)
