"""The losses of the model, as named terms."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from manifests.pixels import UNKNOWN
from training.choices import Area
from training.net.model import Prediction

# SSIM (Wang et al. 2004): a Gaussian window of 11 x 11, and two constants for a range of 1. The
# loss takes every second window of every second row: neighbours share most of their pixels.
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
SSIM_STEP = 2

REST = 10.0  # weight of the mean error outside the unknown area; see docs/results.md
_INITIAL_SIGMA = 4.0


class AlphaLoss(NamedTuple):
    """Each a mean over the area; their sum is L_alpha."""

    l1: Tensor
    l2: Tensor
    composition: Tensor
    ssim: Tensor

    def total(self) -> Tensor:
        return self.l1 + self.l2 + self.composition + self.ssim


class Losses(NamedTuple):
    total: Tensor  # Eq. (3)
    alpha: AlphaLoss
    rest: Tensor  # mean |error| outside the unknown area; 0 if the area is `unknown`
    trimap: Tensor  # cross-entropy; 0 without a trimap decoder

    def detached(self) -> Losses:
        """The same values, detached from the graph."""
        alpha = AlphaLoss(*(term.detach() for term in self.alpha))
        return Losses(self.total.detach(), alpha, self.rest.detach(), self.trimap.detach())


def mean_over(values: Tensor, is_in: Tensor) -> Tensor:
    """Mean of N x C x H x W values over the pixels of an N x 1 x H x W area; 0 if it is empty."""
    return (values * is_in).sum() / (is_in.sum() * values.shape[1]).clamp(min=1)


def alpha_loss(
    alpha: Tensor, truth: Tensor, contrast: Tensor | None, is_unknown: Tensor
) -> AlphaLoss:
    """L1, L2, composition and SSIM terms over an area; all N x 1 x H x W, alphas in 0..1.

    contrast: N x 3 x H x W, |F - B| in 0..1. Since I = aF + (1-a)B, the composition error
    |a'F + (1-a')B - I| is |a' - a| |F - B| in each channel. If it is None (no layers), the term
    is 0.
    """
    area = is_unknown.to(truth.dtype)
    of_windows = area[..., ::SSIM_STEP, ::SSIM_STEP]
    # Outside the area the prediction counts as correct, so that SSIM windows across its border
    # contain no errors from outside.
    error = (alpha - truth) * area
    magnitude = error.abs()
    composition = magnitude.new_zeros(())
    if contrast is not None:
        composition = mean_over(magnitude * contrast, area)
    return AlphaLoss(
        l1=mean_over(magnitude, area),
        l2=mean_over(error.square(), area),
        composition=composition,
        ssim=mean_over(1 - ssim(truth + error, truth, SSIM_STEP), of_windows),
    )


def ssim(first: Tensor, second: Tensor, step: int = 1) -> Tensor:
    """Structural similarity of the surroundings of every step-th pixel of every step-th row.

    Takes N x 1 x H x W in 0..1; returns N x 1 x H/step x W/step, rounded up, 1 where equal.
    """
    mean_1, mean_2 = _smoothed(first, step), _smoothed(second, step)
    variance_1 = _smoothed(first * first, step) - mean_1 * mean_1
    variance_2 = _smoothed(second * second, step) - mean_2 * mean_2
    covariance = _smoothed(first * second, step) - mean_1 * mean_2
    luminance = (2 * mean_1 * mean_2 + _C1) / (mean_1 * mean_1 + mean_2 * mean_2 + _C1)
    return luminance * (2 * covariance + _C2) / (variance_1 + variance_2 + _C2)


def _smoothed(x: Tensor, step: int) -> Tensor:
    """Gaussian means around every step-th pixel, borders replicated, as matrix products.

    On a CPU, a convolution of one channel takes as long as one of sixteen, and its gradient twice
    as long.
    """
    down, right = (_gaussian(side, step, x.dtype, x.device) for side in x.shape[-2:])
    return down @ x @ right.T


@lru_cache(maxsize=8)
def _gaussian(side: int, step: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """side/step x side: row n holds the weights of all samples in the mean around sample n step."""
    offsets = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights = weights / weights.sum()
    samples = torch.arange(0, side, step)[:, None] + offsets.long()
    matrix = torch.zeros(len(samples), side, dtype=torch.float64)
    matrix.scatter_add_(1, samples.clamp(0, side - 1), weights.expand(len(samples), -1))
    return matrix.to(device, dtype)


class MattingLoss(nn.Module):
    """Eq. (3): L = L_T / (2 s1^2) + L_alpha / (2 s2^2) + log(2 s1 s2).

    s1 and s2 (Kendall et al. 2018) are stored as logarithms, so that they stay positive. Without a
    trimap decoder the loss is only L_alpha.
    """

    def __init__(self, area: Area, trainable_weights: bool) -> None:
        super().__init__()
        self.area = area
        logs = torch.full((2,), math.log(_INITIAL_SIGMA))
        self.log_sigmas = nn.Parameter(logs, requires_grad=trainable_weights)

    def sigmas(self) -> Tensor:
        """s1 (trimap) and s2 (alpha)."""
        return self.log_sigmas.detach().exp()

    def forward(
        self,
        prediction: Prediction,
        given: Tensor,
        truth: Tensor,
        trimap: Tensor,
        contrast: Tensor | None,
    ) -> Losses:
        """given, trimap (exact): N x 1 x H x W of codes; truth: N x 1 x H x W alpha in 0..1."""
        is_unknown = self._unknown(prediction, given, trimap)
        terms = alpha_loss(prediction.alpha, truth, contrast, is_unknown)
        rest = truth.new_zeros(())
        if self.area is Area.EVERYWHERE:
            rest = mean_over((prediction.alpha - truth).abs(), ~is_unknown)
        matting = terms.total() + REST * rest
        if prediction.trimap_logits is None:
            return Losses(matting, terms, rest, truth.new_zeros(()))
        of_trimap = cross_entropy(prediction.trimap_logits, trimap[:, 0].long())
        log_1, log_2 = self.log_sigmas
        total = (
            of_trimap * torch.exp(-2 * log_1) / 2
            + matting * torch.exp(-2 * log_2) / 2
            + (math.log(2) + log_1 + log_2)
        )
        return Losses(total, terms, rest, of_trimap)

    def _unknown(self, prediction: Prediction, given: Tensor, trimap: Tensor) -> Tensor:
        """N x 1 x H x W. Without a trimap decoder, the given trimap replaces the estimated one."""
        estimated = given
        if prediction.trimap_logits is not None:
            estimated = prediction.trimap_logits.argmax(dim=1, keepdim=True)
        is_unknown = estimated == UNKNOWN
        if self.area is Area.EVERYWHERE:
            is_unknown = is_unknown | (given == UNKNOWN) | (trimap == UNKNOWN)
        return is_unknown
