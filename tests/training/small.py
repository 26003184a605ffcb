"""A tiny network in the place of the model's, which the exporters take seconds for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.training.conftest import lively
from training.net.decoders import enlarge
from training.net.encoder import Features, convolution
from training.net.model import MattingModel, Prediction


class Glance(nn.Module):
    """N x 4 x H x W -> one map, 32 times smaller, that stands for all five."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = convolution(4, 3, 33, 32)

    def forward(self, x: Tensor) -> Features:
        return Features(*[self.layer(x)] * 5)


class Opinion(nn.Module):
    """That map and the input -> logits of alpha."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(7, 1, 3, padding=1)

    def forward(self, features: Features, inputs: Tensor) -> Tensor:
        deep = enlarge(features.thirtysecond, inputs)
        logits: Tensor = self.layer(torch.cat([inputs, deep], dim=1))
        return logits


class Small(MattingModel):
    """The model around a tiny network, which the exporter takes seconds for; it may lie to it."""

    def __init__(self, lie: str = "") -> None:
        nn.Module.__init__(self)
        with torch.random.fork_rng():
            torch.manual_seed(4)
            self.register_buffer("mean", lively().mean)
            self.register_buffer("deviation", lively().deviation)
            self.add_module("encoder", Glance())
            self.add_module("alpha_decoder", Opinion())
        self.trimap_decoder, self.lie = None, lie

    def forward(self, image: Tensor, trimap: Tensor) -> Prediction:
        alpha = super().forward(image, trimap).alpha
        if torch.compiler.is_exporting():
            if self.lie == "other values":
                alpha = alpha * 0.999
            if self.lie == "another size":
                alpha = alpha[..., 1:]
            if self.lie == "no number":
                alpha = alpha * torch.nan
        return Prediction(alpha, None)
