"""How far a matte is from the truth: SAD, MSE, Grad and Conn as alphamatting.com's MATLAB code
defines them, over the unknown region, and SAD and MSE of the whole image under names of their own.

Source: Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting" (CVPR 2009).
The official code works in single precision; here everything that decides (thresholds, which
distances count) is exact, and sums are taken in double precision, which agrees with it to 1e-5.
All arrays are H x W; alpha is uint8, 0..255, and stands for alpha / 255.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.pixels import UNKNOWN, Pixels, check_trimap

Mask = NDArray[np.bool_]

_THOUSAND = 1000.0  # SAD, Grad and Conn are told in thousands of pixels
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
# 1 - d where d, the distance above that threshold, is at least 0.15; else 1. No level lies there.
_ABOVE = _LEVELS / 255 - np.arange(11)[:, None] / 10
_PHI = 1.0 - np.where(_ABOVE >= 0.15, _ABOVE, 0.0)


@dataclass(frozen=True)
class Metrics:
    """Errors of one matte, 0 is perfect. The first four are those of the unknown region."""

    sad: float  # sum of |difference| / 1000
    mse: float  # mean of the squared difference
    grad: float  # sum of squared differences of the gradients' amplitudes / 1000
    conn: float  # sum of the differences in connectivity / 1000
    sad_whole: float  # over the whole image: what a crude trimap calls known wrongly counts here
    mse_whole: float


def measure(prediction: Pixels, alpha: Pixels, trimap: Pixels) -> Metrics:
    """All H x W uint8: two alphas of 0..255, a trimap of the codes 0, 1, 2.

    Where nothing is unknown the first four are 0: there was nothing to get wrong. Raises ValueError
    if the arrays are of other kinds, of different sizes or empty, or if a code is another.
    """
    _check(prediction, alpha, trimap)
    is_unknown = trimap == UNKNOWN
    unknown, whole = (
        differences(prediction, alpha, where) for where in (is_unknown, np.ones_like(is_unknown))
    )
    return Metrics(
        sad=sad(unknown),
        mse=mse(unknown),
        grad=grad(prediction, alpha, is_unknown),
        conn=conn(prediction, alpha, is_unknown),
        sad_whole=sad(whole),
        mse_whole=mse(whole),
    )


def mean_of(metrics: Sequence[Metrics]) -> Metrics:
    """Each image counts the same. Raises ValueError if there are none."""
    if not metrics:
        raise ValueError("no metrics to take the mean of")
    columns = zip(*map(astuple, metrics), strict=True)
    return Metrics(*(math.fsum(column) / len(metrics) for column in columns))


def differences(prediction: Pixels, alpha: Pixels, where: Mask) -> NDArray[np.int64]:
    """How many pixels differ by 0, 1, ... 255 levels: 256 counts, from which sums are exact."""
    return np.bincount(cv2.absdiff(prediction, alpha)[where], minlength=256)


def sad(counts: NDArray[np.int64]) -> float:
    """Sum of |p - t| / 1000, from the counts of `differences`."""
    return float(counts @ _LEVELS) / 255 / _THOUSAND


def mse(counts: NDArray[np.int64]) -> float:
    """Mean of (p - t)^2, from the counts of `differences`; 0 of no pixels."""
    return float(counts @ _LEVELS**2) / 255**2 / max(1, int(counts.sum()))


def grad(prediction: Pixels, alpha: Pixels, where: Mask) -> float:
    """Sum of squared differences of the amplitudes of the two gradients / 1000.

    Each alpha is first stretched to 0..1 by its own minimum and maximum over the whole image, as
    the official code does; a flat one has no gradient. Pixels at the border are repeated outwards.
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
    """Sum of |phi(p) - phi(t)| / 1000: how differently two pixels hang on the subject.

    At each threshold of 0.1, 0.2 ... 1 the subject is the largest 4-connected component of the
    pixels where both alphas reach it, anywhere in the image, or nothing where none does. A pixel's
    distance is its alpha minus the last threshold up to which it belonged to all those components,
    and counts from 0.15 on.
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

    Of several as large, MATLAB's order decides: down the first column, then the next.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # what is outside is no component
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
