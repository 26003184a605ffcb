"""The model: one encoder, an alpha decoder, and a trimap decoder that only training needs.

After *IamAlpha: Instant and Adaptive Mobile Network for Alpha Matting*.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from training.net.decoders import AlphaDecoder, TrimapDecoder, enlarge
from training.net.encoder import DOWN, Encoder

# Means and standard deviations of RGB in 0..1 that image networks are used to (ImageNet's).
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# A sigmoid only comes near 0 and 1, and most pixels are exactly one of them: it is stretched by so
# much at both ends, and cut off at inference. While it is trained the overshoot stays, since a
# pixel that was cut off would have no gradient, however wrong it is.
_OVERSHOOT = 0.02


class Prediction(NamedTuple):
    alpha: Tensor  # N x 1 x H x W float32 in 0..1; in training mode up to 0.02 beyond
    trimap_logits: Tensor | None  # N x 3 x H x W: background, unknown, foreground; None if dropped


class MattingModel(nn.Module):
    """image N x 3 x H x W in 0..1 and trimap N x 1 x H x W of codes 0, 1, 2 -> Prediction.

    Any H and W: the sides are padded to multiples of 32 inside and cropped back.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, trimap_decoder: bool = True) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.alpha_decoder = AlphaDecoder()
        self.trimap_decoder = TrimapDecoder() if trimap_decoder else None
        for name, values in (("mean", _MEAN), ("deviation", _DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor, trimap: Tensor) -> Prediction:
        height, width = image.shape[-2:]
        # A trimap in -1, 0, 1: unknown, where the trimap says nothing, is zero.
        inputs = torch.cat([(image - self.mean) / self.deviation, trimap - 1.0], dim=1)
        inputs = pad(inputs, (0, -width % DOWN, 0, -height % DOWN), mode="replicate")
        features = self.encoder(inputs)
        # Sigmoid in 32 bits: 16-bit floats near 1 are two levels of alpha apart.
        alpha = self.alpha_decoder(features, inputs).float().sigmoid()[..., :height, :width]
        alpha = alpha * (1 + 2 * _OVERSHOOT) - _OVERSHOOT
        if not self.training:
            alpha = alpha.clamp(0, 1)
        if self.trimap_decoder is None:
            return Prediction(alpha, None)
        logits = enlarge(self.trimap_decoder(features).float(), inputs)[..., :height, :width]
        return Prediction(alpha, logits)

    def without_trimap_decoder(self) -> MattingModel:
        """A copy without it, the one to ship: in evaluation mode its alpha is the same to the bit.

        So it keeps the memory format too, on which the order of sums depends.
        """
        lean = copy.deepcopy(self)
        lean.trimap_decoder = None
        return lean
