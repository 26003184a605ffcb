"""A working copy in tiles: what is clear is left out, and what is near is near in memory.

A tile has TILE x TILE pixels and repeats the first row and column of its neighbours, so that a
bilinear sample needs one tile only. There are two kinds of tiles, and both hold words of 64 bits.

- In a soft tile, a pixel is one word per band: premultiplied red, green and blue, and alpha, in 16
  bits each, from the lowest bits up, in 1/64 of a level and with `BIAS` added, so that overshoots
  below 0 fit, too.
- An opaque tile is opaque wherever it is sampled. A pixel is one word per pair of neighbouring
  bands: straight red of the lower and of the upper band, then green, then blue, in 10 bits each, in
  1/2 of a level and with `COLOUR_BIAS` added.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.sample.resize import PER_LEVEL, Premultiplied
from manifests.pixels import Pixels

TILE = 32
SIDE = TILE + 1

BIAS = 256 * PER_LEVEL  # values from -256 to 767 levels fit
COLOUR_BIAS = 128 * 2  # values from -128 to 383 levels fit
COLOUR_BITS = 10

_CLEAR = 255  # of `known_distance`: nothing is near

Words = NDArray[np.uint64]


@dataclass(frozen=True)
class Tiles:
    """The tiles of a working copy that are not clear."""

    # tiles down x tiles across: the number of a tile, -1 if it is clear. The numbers of opaque
    # tiles follow those of soft tiles.
    index: NDArray[np.int32]
    soft: Words  # tiles x SIDE x SIDE x bands
    known: Pixels  # the same tiles x SIDE x SIDE, see `resize.known_distance`
    opaque: Words  # tiles x SIDE x SIDE x (bands - 1)


def tiled(bands: Sequence[Premultiplied], known: Pixels, clear: int, opaque: int) -> Tiles:
    """Cut a working copy into tiles.

    bands: at least two of h x w x 4; known: h x w. A tile is clear if `known` is at least `clear`
    everywhere in it, and opaque if it is at most `opaque`.
    """
    down, across = (-(-length // TILE) for length in known.shape)
    missing = (down * TILE + 1 - known.shape[0], across * TILE + 1 - known.shape[1])
    around = ((0, missing[0]), (0, missing[1]))
    known = np.pad(known, around, constant_values=_CLEAR)
    words = np.stack([_soft_words(band) for band in bands], axis=-1)
    nothing = _soft_words(np.zeros((1, 1, 4), np.int16))[0, 0]
    words = np.pad(words, (*around, (0, 0)), constant_values=nothing)
    colours = [_colours(band) for band in bands]
    pairs = [_pairs(*two) for two in pairwise(colours)]
    pairs_of_all = np.pad(np.stack(pairs, axis=-1), (*around, (0, 0)))
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
        index,
        _stacked(words, soft_parts.values()),
        _stacked(known, soft_parts.values()),
        _stacked(pairs_of_all, opaque_parts.values()),
    )


def _part(row: int, column: int) -> tuple[slice, slice]:
    top, left = row * TILE, column * TILE
    return slice(top, top + SIDE), slice(left, left + SIDE)


def _stacked(pixels: NDArray[Any], parts: Collection[tuple[slice, slice]]) -> NDArray[Any]:
    tiles = np.array([pixels[part] for part in parts], pixels.dtype)
    return tiles.reshape(len(parts), SIDE, SIDE, *pixels.shape[2:])


def _soft_words(pixels: Premultiplied) -> Words:
    """h x w x 4 -> h x w"""
    biased = np.clip(pixels.astype(np.int32) + BIAS, 0, 2**16 - 1)
    words: Words = np.ascontiguousarray(biased, "<u2").view("<u8")[..., 0].astype(np.uint64)
    return words


def _colours(pixels: Premultiplied) -> Words:
    """The straight colours, h x w x 3, as opaque tiles hold them."""
    wide = pixels.astype(np.int64)
    alpha = np.maximum(wide[..., 3:], 1)
    halves = (2 * 255 * wide[..., :3] + alpha // 2) // alpha
    return np.asarray(np.clip(halves + COLOUR_BIAS, 0, 2**COLOUR_BITS - 1), np.uint64)


def _pairs(lower: Words, upper: Words) -> Words:
    """Two h x w x 3 -> h x w"""
    both = lower | upper << np.uint64(COLOUR_BITS)
    places = np.arange(3, dtype=np.uint64) * np.uint64(2 * COLOUR_BITS)
    return np.asarray(np.bitwise_or.reduce(both << places, axis=-1), np.uint64)
