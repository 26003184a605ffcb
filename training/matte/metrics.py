"""How far a matte is from the truth: SAD, MSE, Grad and Conn as alphamatting.com's MATLAB code
defines them, over the unknown region, and SAD and MSE of the whole image under names of their own.

Source: Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting" (CVPR 2009).
The official code works in single precision. Here all comparisons (with thresholds and distances)
are exact and sums are in double precision; the results agree with the official ones to 1e-5.
All arrays are H x W; alpha is uint8, 0..255, and stands for alpha / 255.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.pixels import UNKNOWN, Pixels, check_trimap

Mask = NDArray[np.bool_]

_THOUSAND = 1000.0  # SAD, Grad and Conn are reported in thousands of pixels
_LEVELS = np.arange(256, dtype=np.int64)

# Gaussian derivative with sigma 1.4; the official half size is
# ceil(sigma sqrt(-2 log(sqrt(2 pi) sigma 0.01))) = 4. Each factor has L2 norm 1, so that the
# 9 x 9 kernel, their outer product, has it too.
_OFFSETS = np.arange(-4.0, 5.0)
_GAUSS = np.exp(-(_OFFSETS**2) / (2 * 1.4**2))
_SMOOTH = _GAUSS / np.linalg.norm(_GAUSS)
_DERIVATIVE = _OFFSETS * _GAUSS / np.linalg.norm(_OFFSETS * _GAUSS)

# alpha >= i / 10 for i in 1..10, in levels: the smallest whole level at or above 25.5 i. In double
# precision 0.6 would be a little more than 153 / 255.
_THRESHOLDS = [-(-255 * i // 10) for i in range(1, 11)]
# phi of a level (column) whose pixel stays connected up to the threshold i / 10 (row):
# 1 - d, where d is the distance above that threshold, if d is at least 0.15, else 1. (No level has
# a d of exactly 0.15.)
_ABOVE = _LEVELS / 255 - np.arange(11)[:, None] / 10
_PHI = 1.0 - np.where(_ABOVE >= 0.15, _ABOVE, 0.0)


@dataclass(frozen=True)
class Errors:
    """How far one alpha is from the truth, pixel by pixel; 0 is perfect. Alphas count as 0..1.

    sad: sum of |difference| / 1000; mse: mean of the squared difference; both over the unknown
    region, and None if no pixel is unknown. sad_whole, mse_whole: over the whole image, where
    pixels that a crude trimap wrongly calls known count too.
    """

    sad: float | None
    sad_whole: float
    mse: float | None
    mse_whole: float


@dataclass(frozen=True)
class Metrics:
    """The same, and the two metrics of structure over the unknown region; 0 is perfect."""

    sad: float | None
    mse: float | None
    grad: float | None  # sum of squared differences of the gradients' amplitudes / 1000
    conn: float | None  # sum of the differences in connectivity / 1000
    sad_whole: float
    mse_whole: float


AnyErrors = TypeVar("AnyErrors", Errors, Metrics)


def measure(prediction: Pixels, alpha: Pixels, trimap: Pixels) -> Metrics:
    """All H x W uint8: two alphas of 0..255, a trimap of the codes 0, 1, 2.

    If no pixel is unknown, the metrics of the unknown region are None: nothing was asked there, so
    nothing was answered perfectly. Raises ValueError if an array is empty or not H x W uint8, if
    the sizes differ, or if the trimap holds another code.
    """
    errors, is_unknown = errors_of(prediction, alpha, trimap), trimap == UNKNOWN
    has_unknown = bool(is_unknown.any())
    return Metrics(
        **asdict(errors),
        grad=grad(prediction, alpha, is_unknown) if has_unknown else None,
        conn=conn(prediction, alpha, is_unknown) if has_unknown else None,
    )


def errors_of(prediction: Pixels, alpha: Pixels, trimap: Pixels) -> Errors:
    """Only SAD and MSE, which are fast to compute. Arguments and errors as `measure`."""
    _check(prediction, alpha, trimap)
    is_unknown = trimap == UNKNOWN
    unknown = differences(prediction, alpha, is_unknown)
    whole = differences(prediction, alpha, np.ones_like(is_unknown))
    if not unknown.any():
        return Errors(None, sad(whole), None, mse(whole))
    return Errors(sad(unknown), sad(whole), mse(unknown), mse(whole))


def mean_of(errors: Sequence[AnyErrors]) -> AnyErrors:
    """The mean of each figure over the images that have it, where each counts the same; None if no
    image has it. Raises ValueError if there are no images."""
    if not errors:
        raise ValueError("no metrics to take the mean of")
    columns = zip(*map(astuple, errors), strict=True)
    means: list[Any] = [_mean([x for x in column if x is not None]) for column in columns]
    return type(errors[0])(*means)


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def figure(value: float | None, digits: int) -> str:
    """A metric as people read it; "-" if it has no value."""
    return "-" if value is None else f"{value:.{digits}f}"


def differences(prediction: Pixels, alpha: Pixels, where: Mask) -> NDArray[np.int64]:
    """How many pixels differ by 0, 1, ... 255 levels: 256 counts, from which sums are exact."""
    return np.bincount(cv2.absdiff(prediction, alpha)[where], minlength=256)


def sad(counts: NDArray[np.int64]) -> float:
    """Sum of |p - t| / 1000, from the counts of `differences`."""
    return float(counts @ _LEVELS) / 255 / _THOUSAND


def mse(counts: NDArray[np.int64]) -> float:
    """Mean of (p - t)^2, from the counts of `differences`, which are of at least one pixel."""
    return float(counts @ _LEVELS**2) / 255**2 / int(counts.sum())


def grad(prediction: Pixels, alpha: Pixels, where: Mask) -> float:
    """Sum of squared differences of the amplitudes of the two gradients / 1000.

    Each alpha is first stretched to 0..1 by its own minimum and maximum over the whole image, as
    the official code does; a constant alpha has no gradient. Border pixels are replicated.
    """
    difference = cv2.subtract(_amplitude(prediction), _amplitude(alpha))[where]
    return float(np.square(difference, dtype=np.float64).sum()) / _THOUSAND


def _amplitude(alpha: Pixels) -> NDArray[np.float32]:
    low, high = int(alpha.min()), int(alpha.max())
    stretched = cv2.LUT(alpha, ((_LEVELS - low) / max(1, high - low)).astype(np.float32))
    across, down = (
        cv2.sepFilter2D(stretched, cv2.CV_32F, row, column, borderType=cv2.BORDER_REPLICATE)
        for row, column in ((_DERIVATIVE, _SMOOTH), (_SMOOTH, _DERIVATIVE))
    )
    # cv2.magnitude's last bit depends on where its arrays lie in memory.
    return np.asarray(np.sqrt(across * across + down * down), np.float32)


def conn(prediction: Pixels, alpha: Pixels, where: Mask) -> float:
    """Sum of |phi(p) - phi(t)| / 1000: how differently the pixels are connected to the subject.

    At each of the thresholds 0.1, 0.2 ... 1 the subject is the largest 4-connected component of all
    pixels where both alphas reach the threshold; it is empty if no pixel does. The distance of a
    pixel is its alpha minus the last threshold up to which it belonged to all these components;
    distances below 0.15 count as 0.
    """
    both = np.minimum(prediction, alpha)
    stays = np.ones(both.shape, np.uint8)
    reached = np.zeros(both.shape, np.uint8)
    for level in _THRESHOLDS:
        stays &= _largest((both >= level).view(np.uint8))
        if not stays.any():
            break
        reached += stays
    tenths = reached[where]
    distance = _PHI[tenths, prediction[where]] - _PHI[tenths, alpha[where]]
    return float(np.abs(distance).sum()) / _THOUSAND


def _largest(inside: Pixels) -> Pixels:
    """1 on the largest 4-connected component of the pixels that are 1 (H x W), else 0.

    If several are equally large, the first one in MATLAB's order is taken: down the first column,
    then the next.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # label 0 is the background, not a component
    if count == 1:
        return np.zeros(inside.shape, np.uint8)
    is_largest = areas == areas.max()
    if np.count_nonzero(is_largest) > 1:
        column, row = divmod(int(is_largest[labels].T.argmax()), inside.shape[0])
        is_largest = np.arange(count) == labels[row, column]
    return np.asarray(is_largest.view(np.uint8)[labels], np.uint8)


def _check(prediction: Pixels, alpha: Pixels, trimap: Pixels) -> None:
    arrays = {"prediction": prediction, "alpha": alpha, "trimap": trimap}
    if (
        alpha.ndim != 2
        or not alpha.size
        or any(a.dtype != np.uint8 or a.shape != alpha.shape for a in arrays.values())
    ):
        found = ", ".join(
            f"{name} {' x '.join(map(str, array.shape))} {array.dtype}"
            for name, array in arrays.items()
        )
        raise ValueError(f"{found}; expected three H x W uint8 of one size")
    check_trimap(trimap, "trimap")
