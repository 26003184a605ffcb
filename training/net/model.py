"""The model: an encoder, an alpha decoder, and a trimap decoder that only training needs.

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

# Means and standard deviations of RGB in 0..1: those of ImageNet, as is usual.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# A sigmoid never reaches 0 or 1, the alphas of most pixels. So it is stretched by this much at both
# ends, and clipped in evaluation mode. In training mode it is not clipped, because a clipped pixel
# has no gradient, however wrong it is.
_OVERSHOOT = 0.02


class Prediction(NamedTuple):
    alpha: Tensor  # N x 1 x H x W float32 in 0..1; in training mode up to 0.02 beyond
    trimap_logits: Tensor | None  # N x 3 x H x W: background, unknown, foreground; None if dropped


class MattingModel(nn.Module):
    """image N x 3 x H x W in 0..1 and trimap N x 1 x H x W of codes 0, 1, 2 -> Prediction.

    Any H and W: the sides are padded to multiples of 32 inside and cropped back.

    seen: height and width of the samples that it learned from; None if that is not known.
    """

    seen: int | None = None
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
        # The trimap in -1, 0, 1; 0 is unknown.
        inputs = torch.cat([(image - self.mean) / self.deviation, trimap - 1.0], dim=1)
        inputs = pad(inputs, (0, -width % DOWN, 0, -height % DOWN), mode="replicate")
        features = self.encoder(inputs)
        # Sigmoid in 32 bits: near 1, adjacent 16-bit floats are two levels of alpha apart.
        logits = self.alpha_decoder(features, inputs)
        alpha = logits.float().sigmoid()[..., :height, :width]
        alpha = alpha * (1 + 2 * _OVERSHOOT) - _OVERSHOOT
        if not self.training:
            alpha = alpha.clamp(0, 1)
        if self.trimap_decoder is None:
            return Prediction(alpha, None)
        of_trimap = enlarge(self.trimap_decoder(features).float(), inputs)
        return Prediction(alpha, of_trimap[..., :height, :width])

    def without_trimap_decoder(self) -> MattingModel:
        """A copy without that decoder, for inference: in evaluation mode its alpha is identical.

        The copy keeps the memory format, on which the order of sums depends.
        """
        lean = copy.deepcopy(self)
        lean.trimap_decoder = None
        return lean
