"""Functions on pixels for which NumPy and OpenCV are too slow or too coarse.

The loops are in `loops`. They are imported when they are first needed, because Numba, which
compiles them, takes a while to import.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.sample.tiles import Tiles
from manifests.pixels import Pixels


def gather(
    tiles: Tiles,
    band: int,
    upper_share: float,
    to_copy: NDArray[np.float64],
    limits: tuple[int, int],
    colour: Pixels,
    alpha: Pixels,
) -> None:
    """Sample a working copy bilinearly at every pixel of a part of the canvas.

    band, upper_share: two bands are mixed, this one and the next; the share of the next one.
    to_copy: 2 x 3, maps (column, row, 1) of the part to (x, y) in the working copy, where the
    centre of the first pixel is (0, 0). limits: in soft tiles, alpha is 0 where the interpolated
    `known` is at least the first one, and 255 where it is at most the second one. Straight colours
    are written to `colour` (h x w x 3, uint8), and alpha to `alpha` (h x w, uint8), where alpha is
    above 0.
    """
    from datagen.sample import loops

    fixed = np.rint(to_copy * 2.0**loops.PLACES).astype(np.int64)
    linear = np.linalg.inv(to_copy[:, :2])
    from_copy = np.column_stack([linear, -linear @ to_copy[:, 2]])
    share = np.uint64(round(upper_share * 2**16))
    loops.gather(
        *(tiles.index, tiles.colours, tiles.alphas, tiles.known),
        *(band, share, fixed, from_copy),
        *limits,
        colour,
        alpha,
    )


def blend_into(image: Pixels, foreground: Pixels, alpha: Pixels, top: int, left: int) -> None:
    """Eq. (1): I = alpha F + (1 - alpha) B, rounded to nearest; `image` holds B, and then I.

    image: H x W x 3 uint8; foreground, alpha: h x w x 3 and h x w uint8, of the part of the image
    whose first pixel is (top, left).
    """
    from datagen.sample import loops

    loops.blend_into(image, foreground, alpha, top, left)


def soft_blocks(alpha: Pixels) -> NDArray[np.bool_]:
    """Which blocks of 8 x 8 pixels hold soft alpha, 0 < alpha < 255: blocks down x across.

    alpha: H x W uint8. A block at the border may be cut.
    """
    from datagen.sample import loops

    return np.asarray(loops.soft_blocks(alpha), np.bool_)
