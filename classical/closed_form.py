"""Closed-form matting (Levin, Lischinski and Weiss 2008) of any size in bounded memory.

pymatting's matrices take 1.2 GB per megapixel, and its solver needs more than linear time. Where
the unknown pixels fit into 1024 x 1024, the equations are solved as a whole, and the alpha is that
of pymatting's own `estimate_alpha_cf`. A larger picture is solved at half its size first, then
tile by tile: at the border of a tile the alpha is that of the half size, or of the tile before.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from classical import library
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels

Floats = NDArray[np.float64]
Box = tuple[slice, slice]

WHOLE = 1024  # pixels per side that are solved at once
TILE = 512  # pixels per side of the tiles of a larger picture
_OVERLAP = 96  # pixels by which neighbouring tiles overlap
_REACH = 2  # pixels around the unknown ones that the equations' 3 x 3 windows touch


def check_solvable(trimap: Pixels) -> None:
    """Raise ValueError, with what to paint, if a trimap lacks one of its three parts."""
    hints = {
        FOREGROUND: "no foreground: paint what is opaque as Foreground",
        BACKGROUND: "no background: leave what is certainly background unpainted",
        UNKNOWN: "no unknown pixels, so nothing to solve: paint the soft border as Unknown",
    }
    missing = [hint for code, hint in hints.items() if not (trimap == code).any()]
    if missing:
        raise ValueError(f"the trimap has {'; and '.join(missing)}")


def closed_form(image: Pixels, trimap: Pixels, whole: int = WHOLE, tile: int = TILE) -> Pixels:
    """Alpha of a photo (H x W x 3) under a trimap (H x W of codes): H x W, 0..255.

    Known pixels stay 0 and 255. Raises ValueError if the trimap cannot be solved.
    """
    check_solvable(trimap)
    alpha = _solve(image, trimap, whole, tile)
    return impose(np.rint(255 * alpha).astype(np.uint8), trimap)


def impose(alpha: Pixels, trimap: Pixels) -> Pixels:
    """The alpha where the trimap is unknown; 0 and 255 where it is known."""
    table = np.array([0, 0, 255], np.uint8)
    return np.where(trimap == UNKNOWN, alpha, table[trimap])


def _solve(image: Pixels, trimap: Pixels, whole: int, tile: int) -> Floats:
    """H x W in [0, 1]."""
    alpha: Floats = (trimap == FOREGROUND).astype(np.float64)
    # The equations of the unknown pixels contain nothing outside this box.
    box = _around(trimap == UNKNOWN, (slice(0, trimap.shape[0]), slice(0, trimap.shape[1])))
    if box is None:
        return alpha
    inner = alpha[box]
    if max(inner.shape) <= whole:
        inner[:] = _solve_box(image[box], inner, trimap[box] == UNKNOWN)
        return alpha
    is_unknown = trimap[box] == UNKNOWN
    coarse = _halved(image[box], trimap[box], whole, tile)
    inner[is_unknown] = coarse[is_unknown]
    for part in _tiles(inner.shape, tile):
        used = _around(is_unknown[part], part)
        if used is not None:
            # Near the border of a tile alpha stays: the windows there reach beyond the tile.
            inside = is_unknown[used].copy()
            for axis, side in enumerate(used):
                edge = np.arange(side.start, side.stop)
                near = (edge < part[axis].start + _REACH) & (part[axis].start > 0)
                near |= (edge >= part[axis].stop - _REACH) & (part[axis].stop < inner.shape[axis])
                inside[(near, slice(None)) if axis == 0 else (slice(None), near)] = False
            if inside.any():
                inner[used] = _solve_box(image[box][used], inner[used], inside)
    return alpha


def _around(is_unknown: NDArray[np.bool_], within: Box) -> Box | None:
    """The smallest box that holds all pixels in the equations of the unknown ones; None if no pixel
    is unknown. `is_unknown` covers the box `within`, beyond which the result does not go."""
    rows, columns = np.flatnonzero(is_unknown.any(1)), np.flatnonzero(is_unknown.any(0))
    if not len(rows):
        return None
    return (
        _widened(int(rows[0]), int(rows[-1]), within[0]),
        _widened(int(columns[0]), int(columns[-1]), within[1]),
    )


def _widened(first: int, last: int, within: slice) -> slice:
    start, stop = within.start + first - _REACH, within.start + last + 1 + _REACH
    return slice(max(start, within.start), min(stop, within.stop))


def _halved(image: Pixels, trimap: Pixels, whole: int, tile: int) -> Floats:
    """The solution at half the size, enlarged again. A pixel of half the size is known if the four
    that it stands for are known and agree."""
    height, width = trimap.shape
    size = ((width + 1) // 2, (height + 1) // 2)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    codes = cv2.resize(trimap * np.uint8(100), size, interpolation=cv2.INTER_AREA)
    few = np.full(codes.shape, UNKNOWN, np.uint8)
    few[codes == 100 * BACKGROUND], few[codes == 100 * FOREGROUND] = BACKGROUND, FOREGROUND
    alpha = _solve(np.asarray(small, np.uint8), few, whole, tile)
    return np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR))


def _tiles(shape: tuple[int, ...], tile: int) -> Iterator[Box]:
    """Boxes of at most tile x tile that cover the shape and overlap."""
    starts = [range(0, max(side - _OVERLAP, 1), tile - _OVERLAP) for side in shape]
    for top in starts[0]:
        for left in starts[1]:
            yield (
                slice(top, min(top + tile, shape[0])),
                slice(left, min(left + tile, shape[1])),
            )


def _solve_box(image: Pixels, alpha: Floats, is_unknown: NDArray[np.bool_]) -> Floats:
    """The alpha with its unknown pixels solved from the others, whatever their values are."""
    pymatting = library.load()
    unknown = is_unknown.reshape(-1)
    laplacian = pymatting.cf_laplacian(image / 255.0, is_known=~is_unknown)[unknown]
    matrix, known = laplacian[:, unknown], ~unknown
    found = alpha.reshape(-1).copy()
    right = -laplacian[:, known].dot(found[known])
    with library.quiet():
        preconditioner = pymatting.ichol(matrix)
    found[unknown] = pymatting.cg(matrix, right, x0=found[unknown], M=preconditioner)
    if not np.isfinite(found).all():
        raise ValueError("closed-form: the solver found no finite solution")
    return found.clip(0, 1).reshape(alpha.shape)
