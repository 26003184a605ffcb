"""Methods without a network, by pymatting: two that solve for alpha, one for the colours under it.

They trust the trimap: what it calls known stays as it is. Closed-form matting is Levin, Lischinski
and Weiss, "A Closed-Form Solution to Natural Image Matting" (TPAMI 2008); KNN matting is Chen, Li
and Tang (CVPR 2012); the colours are Germer et al., "Fast Multi-Level Foreground Estimation"
(ICPR 2020). pymatting compiles itself when it is first imported, so it is imported where it is
used. Closed-form holds 25 weights a pixel: about 400 bytes a pixel, 3.3 GB at 3840 x 2160.
"""

from __future__ import annotations

import contextlib
import sys
from enum import StrEnum

import numpy as np

from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels, check_trimap


class Method(StrEnum):
    CLOSED_FORM = "closed-form"
    KNN = "knn"


def solve(method: Method, image: Pixels, trimap: Pixels) -> Pixels:
    """Image (H x W x 3 uint8) and trimap (H x W of codes 0, 1, 2) -> alpha (H x W uint8).

    Alpha is 255 on all known foreground and 0 on all known background. If only one of the two is
    known, it fills the rest: that is the solution of both methods' equations, which their solver
    refuses. Raises ValueError if nothing is known, or if the solver finds no solution.
    """
    _check(image, trimap)
    check_trimap(trimap, "trimap")
    codes = set(np.unique(trimap).tolist())
    if codes == {UNKNOWN}:
        raise ValueError(f"{method}: the trimap is unknown everywhere, so there is no one solution")
    alpha = np.where(trimap == BACKGROUND, 0, 255).astype(np.uint8)
    if codes >= {BACKGROUND, UNKNOWN, FOREGROUND}:
        solved = _solved(method, image, trimap)
        return np.where(trimap == UNKNOWN, solved, alpha)
    if FOREGROUND not in codes:
        return np.zeros_like(alpha)
    return alpha


def _solved(method: Method, image: Pixels, trimap: Pixels) -> Pixels:
    import pymatting

    estimate = {
        Method.CLOSED_FORM: pymatting.estimate_alpha_cf,
        Method.KNN: pymatting.estimate_alpha_knn,
    }[method]
    # It prints when a factorisation needs another try; standard output belongs to the command.
    with contextlib.redirect_stdout(sys.stderr):
        alpha = estimate(image / 255.0, trimap / 2.0)
    if not np.isfinite(alpha).all():
        raise ValueError(f"{method}: the solver found no finite solution")
    return np.asarray(np.rint(alpha * 255), np.uint8)


def foreground_of(image: Pixels, alpha: Pixels) -> Pixels:
    """Image (H x W x 3 uint8) and alpha (H x W uint8) -> cut-out (H x W x 4 uint8, straight RGBA).

    The colours of the subject itself, without the old background that shows through where alpha is
    soft. Where alpha is 255 they are the image's. Raises ValueError if the sizes differ.
    """
    _check(image, alpha)
    colours = image
    if max(alpha.shape) > 1:  # the estimate halves the picture down to one pixel
        import pymatting

        estimate = pymatting.estimate_foreground_ml(image / 255.0, alpha / 255.0)
        colours = np.rint(estimate * 255).clip(0, 255).astype(np.uint8)
    return np.dstack([np.where(alpha[..., None] == 255, image, colours), alpha])


def _check(image: Pixels, other: Pixels) -> None:
    if image.shape != (*other.shape, 3) or image.dtype != np.uint8 or other.dtype != np.uint8:
        found = ", ".join(f"{' x '.join(map(str, a.shape))} {a.dtype}" for a in (image, other))
        raise ValueError(f"{found}: expected H x W x 3 and H x W uint8 of one size")
