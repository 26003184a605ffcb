"""Cases and methods that travel to processes. They import no torch, which takes seconds in each."""

from __future__ import annotations

import os
import signal

import numpy as np

from manifests.pixels import UNKNOWN, Pixels, trimap_of
from training.matte.evaluate import Case


def case(number: int, shape: tuple[int, int] = (20, 30)) -> Case:
    """A disc with a soft edge; the given trimap calls a corner of it background."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    away = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2)
    alpha = np.rint(255 * np.clip((9 - away) / (3 + number), 0, 1)).astype(np.uint8)
    image = np.dstack([alpha, 255 - alpha, np.full(shape, 40 * number, np.uint8)])
    trimap = trimap_of(alpha)
    given = trimap.copy()
    given[: shape[0] // 2, : shape[1] // 2] = 0
    return Case(f"disc{number}", image, alpha, trimap, given)


def redness(image: Pixels, trimap: Pixels) -> Pixels:
    """A perfect method on these cases, but where it trusts the trimap."""
    return np.where(trimap == 0, 0, image[..., 0]).astype(np.uint8)


def halves(image: Pixels, trimap: Pixels) -> Pixels:
    return np.where(trimap == UNKNOWN, 128, image[..., 0]).astype(np.uint8)


def particular(image: Pixels, trimap: Pixels) -> Pixels:
    if image[0, 0, 2] == 40:
        raise ValueError("no solution")
    return redness(image, trimap)


class Failing:
    """A method that raises an error, or kills its process, on the disc in `colour`."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def __call__(self, image: Pixels, trimap: Pixels) -> Pixels:
        if image[0, 0, 2] == 40:
            if self.error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                raise self.error
        return redness(image, trimap)
