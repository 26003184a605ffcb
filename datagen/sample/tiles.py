"""A working copy in tiles: what is clear is left out, and what is near is near in memory.

A tile has TILE x TILE pixels and repeats the first row and column of its neighbours, so that a
bilinear sample needs one tile only. The values of two neighbouring bands are in one word, because
a sample mixes them.

- Colours are straight, in 1/2 of a level with `COLOUR_BIAS` added: red of the lower and of the
  upper band, then green, then blue, in 10 bits each.
- Alpha is in 1/64 of a level with `BIAS` added, so that overshoots below 0 fit, too: 16 bits for
  the lower and 16 for the upper band. An opaque tile has no alphas.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from datagen.sample.resize import PER_LEVEL, Premultiplied
from manifests.pixels import Pixels

TILE = 32
SIDE = TILE + 1

BIAS = 256 * PER_LEVEL  # values from -256 to 767 levels fit
COLOUR_BIAS = 128 * 2  # values from -128 to 383 levels fit
COLOUR_BITS = 10
COLOUR_MOST = 2**COLOUR_BITS - 2  # leaves room for rounding

_CLEAR = 255  # of `known_distance`: nothing is near

# A colour under less alpha than this is mostly rounding and the lobes of the kernels. It is
# replaced by the mean of the pixels around, weighted by their alpha.
_FAINT = 16 * PER_LEVEL
_AROUND = 5  # pixels of the working copy, on a side

Words = NDArray[np.uint64]


@dataclass(frozen=True)
class Tiles:
    """The tiles of a working copy that are not clear; soft tiles come before opaque ones."""

    index: NDArray[np.int32]  # tiles down x tiles across: the number of a tile, -1 if it is clear
    colours: Words  # tiles x SIDE x SIDE x (bands - 1)
    alphas: NDArray[np.uint32]  # soft tiles x SIDE x SIDE x (bands - 1)
    known: Pixels  # soft tiles x SIDE x SIDE, see `resize.known_distance`


def tiled(bands: Sequence[Premultiplied], known: Pixels, clear: int, opaque: int) -> Tiles:
    """Cut a working copy into tiles.

    bands: at least two of h x w x 4; known: h x w. A tile is clear if `known` is at least `clear`
    everywhere in it, and opaque if it is at most `opaque`.
    """
    down, across = (-(-length // TILE) for length in known.shape)
    missing = (down * TILE + 1 - known.shape[0], across * TILE + 1 - known.shape[1])
    around = ((0, missing[0]), (0, missing[1]))
    known = np.pad(known, around, constant_values=_CLEAR)
    straight = [_colours(band) for band in bands]
    colours = np.stack([_colour_words(*two) for two in pairwise(straight)], axis=-1)
    own = [_alphas(band) for band in bands]
    alphas = np.stack([low | high << np.uint32(16) for low, high in pairwise(own)], axis=-1)
    colours = np.pad(colours, (*around, (0, 0)))
    alphas = np.pad(alphas, (*around, (0, 0)), constant_values=BIAS | BIAS << 16)
    parts = {(row, column): _part(row, column) for row in range(down) for column in range(across)}
    opaque_parts = {at: part for at, part in parts.items() if known[part].max() <= opaque}
    soft_parts = {
        at: part
        for at, part in parts.items()
        if at not in opaque_parts and known[part].min() < clear
    }
    index = np.full((down, across), -1, np.int32)
    for number, at in enumerate([*soft_parts, *opaque_parts]):
        index[at] = number
    return Tiles(
        _fixed(index),
        _stacked(colours, [*soft_parts.values(), *opaque_parts.values()]),
        _stacked(alphas, soft_parts.values()),
        _stacked(known, soft_parts.values()),
    )


def _part(row: int, column: int) -> tuple[slice, slice]:
    top, left = row * TILE, column * TILE
    return slice(top, top + SIDE), slice(left, left + SIDE)


def _stacked(pixels: NDArray[Any], parts: Collection[tuple[slice, slice]]) -> NDArray[Any]:
    tiles = np.array([pixels[part] for part in parts], pixels.dtype)
    return _fixed(tiles.reshape(len(parts), SIDE, SIDE, *pixels.shape[2:]))


def _fixed(values: NDArray[Any]) -> NDArray[Any]:
    """Read-only, as the arrays of a file are: for Numba, other arrays would be of another kind."""
    values.flags.writeable = False
    return values


def _alphas(pixels: Premultiplied) -> NDArray[np.uint32]:
    return np.clip(pixels[..., 3].astype(np.int32) + BIAS, 0, 2**16 - 1).astype(np.uint32)


def _colours(pixels: Premultiplied) -> Words:
    """The straight colours, h x w x 3, of premultiplied pixels."""
    values = np.maximum(pixels, 0).astype(np.float64)  # whole numbers, so that sums are exact
    around = cv2.boxFilter(values, -1, (_AROUND, _AROUND), normalize=False)
    is_faint = values[..., 3:] < _FAINT
    wide = np.where(is_faint, around, values).astype(np.int64)
    alpha = np.maximum(wide[..., 3:], 1)
    halves = (2 * 255 * wide[..., :3] + alpha // 2) // alpha
    return np.asarray(np.clip(halves + COLOUR_BIAS, 0, COLOUR_MOST), np.uint64)


def _colour_words(lower: Words, upper: Words) -> Words:
    """Two h x w x 3 -> h x w"""
    both = lower | upper << np.uint64(COLOUR_BITS)
    places = np.arange(3, dtype=np.uint64) * np.uint64(2 * COLOUR_BITS)
    return np.asarray(np.bitwise_or.reduce(both << places, axis=-1), np.uint64)
