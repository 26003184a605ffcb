"""Methods that solve for alpha under any trimap that leaves something to solve.

They trust the trimap: what it calls known stays as it is. A picture of a few pixels may be too
small for them, which is a ValueError. Closed-form matting is Levin, Lischinski and Weiss, "A
Closed-Form Solution to Natural Image Matting" (TPAMI 2008); KNN matting is Chen, Li and Tang
(CVPR 2012).
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from classical import library
from classical.closed_form import closed_form, impose
from classical.colours import check_pair
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
    check_pair(image, trimap)
    check_trimap(trimap, "trimap")
    codes = set(np.unique(trimap).tolist())
    if codes == {UNKNOWN}:
        raise ValueError(
            f"{method}: the trimap is unknown everywhere, so there is no single solution"
        )
    if UNKNOWN in codes and codes >= {BACKGROUND, FOREGROUND}:
        return closed_form(image, trimap) if method is Method.CLOSED_FORM else _knn(image, trimap)
    if FOREGROUND not in codes:
        return np.zeros_like(trimap)
    return np.where(trimap == BACKGROUND, 0, 255).astype(np.uint8)


def _knn(image: Pixels, trimap: Pixels) -> Pixels:
    with library.quiet():
        alpha = library.load().estimate_alpha_knn(image / 255.0, trimap / 2.0)
    if not np.isfinite(alpha).all():
        raise ValueError("knn: the solver found no finite solution")
    return impose(np.asarray(np.rint(alpha * 255), np.uint8), trimap)
