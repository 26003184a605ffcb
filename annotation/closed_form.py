"""Closed-form matting (Levin, Lischinski and Weiss 2008) of any size in bounded memory.

pymatting's matrices take 1.2 GB a megapixel, and its solver more than linear time. Where the
unknown pixels fit into 1024 x 1024, the equations are solved as they are. A larger picture is
solved at half its size first, then tile by tile, where that solution, or the tile before, is what
lies beyond a tile's border.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels

Floats = NDArray[np.float64]
Box = tuple[slice, slice]

WHOLE, TILE = 1024, 512  # pixels a side: solved at once; of a tile of what is larger
_OVERLAP = 96  # pixels of a tile's side that the next one solves again
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
    """The alpha where the trimap is unknown; 0 and 255 where it knows better."""
    table = np.array([0, 0, 255], np.uint8)
    return np.where(trimap == UNKNOWN, alpha, table[trimap])


def _solve(image: Pixels, trimap: Pixels, whole: int, tile: int) -> Floats:
    """H x W in [0, 1]."""
    alpha = trimap / float(FOREGROUND)
    # What lies further from the unknown pixels is in none of their equations.
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
            # On its border a tile keeps the alpha that is there: windows reach one pixel further.
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
    """The smallest box of `within`, of which `is_unknown` is the part, with all that counts."""
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
    """The solution at half the size, enlarged. A pixel is known if all four of its parts are."""
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
    from pymatting import cf_laplacian, cg, ichol

    unknown = is_unknown.reshape(-1)
    laplacian = cf_laplacian(image / 255.0, is_known=~is_unknown)[unknown]
    matrix, known = laplacian[:, unknown], ~unknown
    found = alpha.reshape(-1).copy()
    right = -laplacian[:, known].dot(found[known])
    # ichol prints on standard output that it tries again, which is none of the caller's output.
    with contextlib.redirect_stdout(io.StringIO()):
        preconditioner = ichol(matrix)
    found[unknown] = cg(matrix, right, x0=found[unknown], M=preconditioner)
    return found.clip(0, 1).reshape(alpha.shape)
