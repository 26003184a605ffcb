"""The two decoders: alpha at full resolution, and the trimap that repairs a crude one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle

from training.net.encoder import FOLD, WIDTHS, Features, ResidualBlock, convolution

# Channels of the alpha decoder: at the deepest map, then after each step up to half resolution.
ALPHA_WIDTHS = (256, 128, 64, 32, 32)
TRIMAP_WIDTH = 64
TRIMAP_CLASSES = 3


def enlarge(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear, to the height and width of another map, in the precision of `x`."""
    # On CPUs, autocast would convert this map and the maps joined to it to 32 bits and back.
    with torch.autocast("cpu", enabled=False):
        return interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def joined(deep: Tensor, skip: Tensor) -> Tensor:
    """A deep map, enlarged to the size of a skip connection, and that connection's channels."""
    return torch.cat([enlarge(deep, skip), skip.to(deep.dtype)], dim=1)


def half_width_block(inputs: int, outputs: int) -> ResidualBlock:
    """A residual block whose inner width is half of its number of outputs."""
    return ResidualBlock(inputs, outputs // 2, outputs)


def head(inputs: int, outputs: int) -> nn.Conv2d:
    """The last convolution of a decoder. Its weights are nearly zero, so that training begins with
    nearly equal probabilities everywhere."""
    convolved = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.normal_(convolved.weight, std=0.01)
    nn.init.zeros_(convolved.bias)  # type: ignore[arg-type]  # it has a bias
    return convolved


class AlphaDecoder(nn.Module):
    """Features and the input -> N x 1 x H x W logits of alpha.

    The last map, at half resolution, holds the logits of 2 x 2 pixels as channels. It is made by a
    convolution and not by a block, whose shortcut would cut off all negative values of the input.
    """

    def __init__(self) -> None:
        super().__init__()
        *skips, pixels = reversed(WIDTHS[:-1])
        self.deep = convolution(WIDTHS[-1], ALPHA_WIDTHS[0])
        # Maps are narrowed before they are enlarged: what is large should have few channels.
        self.narrow = nn.ModuleList(convolution(deep, deep // 2) for deep in ALPHA_WIDTHS[:-1])
        self.blocks = nn.ModuleList(
            half_width_block(deep // 2 + skip, width)
            for deep, skip, width in zip(ALPHA_WIDTHS[:-2], skips, ALPHA_WIDTHS[1:-1], strict=True)
        )
        last = convolution(ALPHA_WIDTHS[-2] // 2 + pixels, ALPHA_WIDTHS[-1], 3)
        self.last = nn.Sequential(last, nn.ReLU(inplace=True))
        self.head = head(ALPHA_WIDTHS[-1], FOLD**2)
        # At first, known pixels of the given trimap get nearly their known alpha (98 %). So the
        # network need not learn what a trimap is, only where it is wrong; how much a trimap is
        # trusted is learned, too.
        self.trust = nn.Parameter(torch.tensor(4.0))

    def forward(self, features: Features, inputs: Tensor) -> Tensor:
        x = self.deep(features.thirtysecond).relu()
        steps = (*self.blocks, self.last)
        for narrow, step, skip in zip(self.narrow, steps, reversed(features[:-1]), strict=True):
            x = step(joined(narrow(x).relu(), skip))
        known = inputs[:, -1:]  # -1, 0, 1: background, unknown, foreground
        return self.trust * known + pixel_shuffle(self.head(x), FOLD)


class TrimapDecoder(nn.Module):
    """The three deepest maps -> N x 3 x H/8 x W/8 logits of background, unknown, foreground."""

    def __init__(self) -> None:
        super().__init__()
        *_, eighth, sixteenth, thirtysecond = WIDTHS
        self.deep = convolution(thirtysecond, TRIMAP_WIDTH)
        self.middle = half_width_block(sixteenth + TRIMAP_WIDTH, TRIMAP_WIDTH)
        self.shallow = half_width_block(eighth + TRIMAP_WIDTH, TRIMAP_WIDTH)
        self.head = head(TRIMAP_WIDTH, TRIMAP_CLASSES)

    def forward(self, features: Features) -> Tensor:
        x = self.deep(features.thirtysecond).relu()
        for block, skip in ((self.middle, features.sixteenth), (self.shallow, features.eighth)):
            x = block(joined(x, skip))
        return self.head(x)  # type: ignore[no-any-return]
