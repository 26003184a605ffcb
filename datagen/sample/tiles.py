"""A working copy in tiles: what is clear is left out, and what is near is near in memory.

A pixel is one 64-bit word per band: red, green, blue and alpha in 16 bits each, from the lowest
bits up, in 1/64 of a level and with `BIAS` added, so that overshoots below 0 fit, too. A tile has
TILE x TILE pixels and repeats the first row and column of its neighbours, so that a bilinear sample
needs one tile only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.sample.resize import PER_LEVEL, Premultiplied
from manifests.pixels import Pixels

TILE = 32
SIDE = TILE + 1

BIAS = 256 * PER_LEVEL  # values from -256 to 767 levels fit

_CLEAR = 255  # of `known_distance`: nothing is near


@dataclass(frozen=True)
class Tiles:
    """The tiles of a working copy that are not clear."""

    index: NDArray[np.int32]  # tiles down x tiles across: the number of a tile, -1 if it is clear
    words: NDArray[np.uint64]  # tiles x SIDE x SIDE x bands
    known: Pixels  # tiles x SIDE x SIDE, see `resize.known_distance`


def tiled(bands: Sequence[Premultiplied], known: Pixels, clear_from: int) -> Tiles:
    """Cut a working copy into tiles.

    bands: h x w x 4 each; known: h x w; clear_from: a tile is clear if `known` is at least this
    everywhere in it.
    """
    down, across = (-(-length // TILE) for length in known.shape)
    missing = (down * TILE + 1 - known.shape[0], across * TILE + 1 - known.shape[1])
    around = ((0, missing[0]), (0, missing[1]))
    words = np.stack([_words(band) for band in bands], axis=-1)
    words = np.pad(words, (*around, (0, 0)), constant_values=_word_of_nothing())
    known = np.pad(known, around, constant_values=_CLEAR)
    index = np.full((down, across), -1, np.int32)
    kept: list[tuple[slice, slice]] = []
    for row in range(down):
        for column in range(across):
            part = _part(row, column)
            if known[part].min() < clear_from:
                index[row, column] = len(kept)
                kept.append(part)
    shape = (len(kept), SIDE, SIDE)
    return Tiles(
        index,
        np.array([words[part] for part in kept], np.uint64).reshape(*shape, len(bands)),
        np.array([known[part] for part in kept], np.uint8).reshape(shape),
    )


def _part(row: int, column: int) -> tuple[slice, slice]:
    top, left = row * TILE, column * TILE
    return slice(top, top + SIDE), slice(left, left + SIDE)


def _words(pixels: Premultiplied) -> NDArray[np.uint64]:
    biased = np.clip(pixels.astype(np.int32) + BIAS, 0, 2**16 - 1)
    return np.ascontiguousarray(biased, "<u2").view("<u8")[..., 0].astype(np.uint64)


def _word_of_nothing() -> np.uint64:
    nothing: np.uint64 = _words(np.zeros((1, 1, 4), np.int16))[0, 0]
    return nothing
