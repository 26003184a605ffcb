"""The loops over pixels that Numba compiles, for `sampling`.

Whole numbers only, so that every machine gives the same bytes.
"""

from __future__ import annotations

import math

import numpy as np

from datagen.sample.resize import OPAQUE
from datagen.sample.tiles import BIAS, SIDE, TILE
from manifests.compiled import compiled

# Coordinates have 32 binary places, of which a sample uses 8. The weights of its four pixels are
# then multiples of 1/65536.
PLACES, _USED = 32, 8
_HALF = 1 << (PLACES - _USED - 1)  # rounds to the places that are used
_TILE_LENGTH = TILE << PLACES
_TILE_PIXELS = SIDE * SIDE
_LAST_USED = (1 << _USED) - 1
_ONE = np.uint64(1 << 16)

# Arithmetic on two 16-bit values at once, each in 32 bits of a word: the first and the third of a
# pixel, or, after a shift, the second and the fourth.
_PAIR = np.uint64(0x0000FFFF_0000FFFF)
_HALVES = np.uint64(0x00008000_00008000)
_8, _16, _48 = np.uint64(8), np.uint64(16), np.uint64(48)
_VALUE = np.uint64(0xFFFF)
_1_SHORT, _8_SHORT, _255_SHORT = np.uint32(1), np.uint32(8), np.uint32(255)

LANES = 4  # of the counts
FAR = 15_000  # pixels; more than between any two of one column


@compiled
def gather(index, words, known, band, share, to_copy, from_copy, clear, solid, colour, alpha):
    """Tile by tile, so that the pixels that are read next are next to each other in memory."""
    bands = words.shape[3]
    words, known = words.reshape(-1), known.reshape(-1)
    x_right, x_down, x_start = to_copy[0]
    y_right, y_down, y_start = to_copy[1]
    x_start, y_start = x_start + _HALF, y_start + _HALF
    for tile_row in range(index.shape[0]):
        for tile_column in range(index.shape[1]):
            tile = index[tile_row, tile_column]
            if tile < 0:
                continue
            rows, columns = _span(from_copy, tile_row, tile_column, alpha.shape)
            for row in range(rows[0], rows[1]):
                y = y_start + row * y_down + columns[0] * y_right - tile_row * _TILE_LENGTH
                x = x_start + row * x_down + columns[0] * x_right - tile_column * _TILE_LENGTH
                for column in range(columns[0], columns[1]):
                    if 0 <= y < _TILE_LENGTH and 0 <= x < _TILE_LENGTH:
                        at = tile * _TILE_PIXELS + (y >> PLACES) * SIDE + (x >> PLACES)
                        weights = _weights(y, x)
                        distance = _distance(known, at, weights)
                        if distance < clear:
                            red, green, blue, own = _mixed(
                                words, at * bands + band, bands, weights, share
                            )
                            level = 255 if distance <= solid else _level(own)
                            if level > 0:
                                alpha[row, column] = level
                                colour[row, column, 0] = _straight(red, own)
                                colour[row, column, 1] = _straight(green, own)
                                colour[row, column, 2] = _straight(blue, own)
                    y += y_right
                    x += x_right


@compiled
def _span(from_copy, tile_row, tile_column, shape):
    """The rows and the columns of the part that contain a tile, as (first, end)."""
    middle_y, middle_x = (tile_row + 0.5) * TILE, (tile_column + 0.5) * TILE
    column = from_copy[0, 0] * middle_x + from_copy[0, 1] * middle_y + from_copy[0, 2]
    row = from_copy[1, 0] * middle_x + from_copy[1, 1] * middle_y + from_copy[1, 2]
    across = TILE / 2 * (abs(from_copy[0, 0]) + abs(from_copy[0, 1])) + 1
    down = TILE / 2 * (abs(from_copy[1, 0]) + abs(from_copy[1, 1])) + 1
    return (
        (max(0, math.floor(row - down)), min(shape[0], math.ceil(row + down) + 1)),
        (max(0, math.floor(column - across)), min(shape[1], math.ceil(column + across) + 1)),
    )


@compiled
def _weights(y, x):
    """The weights of the pixels at (0, 0), (0, 1), (1, 0), (1, 1) from a position."""
    down = np.uint64(y >> (PLACES - _USED) & _LAST_USED)
    right = np.uint64(x >> (PLACES - _USED) & _LAST_USED)
    both = down * right
    only_down, only_right = (down << _8) - both, (right << _8) - both
    return _ONE - only_down - only_right - both, only_right, only_down, both


@compiled
def _distance(known, at, weights):
    total = (
        weights[0] * np.uint64(known[at])
        + weights[1] * np.uint64(known[at + 1])
        + weights[2] * np.uint64(known[at + SIDE])
        + weights[3] * np.uint64(known[at + SIDE + 1])
    )
    return np.int64((total + (_ONE >> np.uint64(1))) >> _16)


@compiled
def _mixed(words, at, bands, weights, share):
    """(red, green, blue, alpha), premultiplied, in 1/64 of a level, rounded to nearest."""
    even, odd = _HALVES, _HALVES
    for offset, weight in (
        (0, weights[0]),
        (bands, weights[1]),
        (bands * SIDE, weights[2]),
        (bands * (SIDE + 1), weights[3]),
    ):
        of_upper = (weight * share) >> _16
        of_lower = weight - of_upper
        lower, upper = words[at + offset], words[at + offset + 1]
        even += (lower & _PAIR) * of_lower + (upper & _PAIR) * of_upper
        odd += (lower >> _16 & _PAIR) * of_lower + (upper >> _16 & _PAIR) * of_upper
    return (
        np.int64(even >> _16 & _VALUE) - BIAS,
        np.int64(odd >> _16 & _VALUE) - BIAS,
        np.int64(even >> _48) - BIAS,
        np.int64(odd >> _48) - BIAS,
    )


@compiled
def _level(own):
    """1/64 of a level -> a level from 0 to 255."""
    return min(max((own + 32) >> 6, 0), 255)


@compiled
def _straight(value, own):
    """A premultiplied value over its alpha, as a level from 0 to 255."""
    if own == OPAQUE:  # the same without a division
        return _level(value)
    weight = np.uint32(max(own, 1))
    return min((np.uint32(255 * max(value, 0)) + (weight >> _1_SHORT)) // weight, _255_SHORT)


@compiled
def blend(foreground, background, alpha, image):
    """Eq. (1), rounded to nearest, into `image`."""
    for row in range(alpha.shape[0]):
        for column in range(alpha.shape[1]):
            front = np.uint32(alpha[row, column])
            behind = np.uint32(255) - front
            for channel in range(3):
                if front == 0:
                    image[row, column, channel] = background[row, column, channel]
                elif behind == 0:
                    image[row, column, channel] = foreground[row, column, channel]
                else:
                    total = (
                        front * np.uint32(foreground[row, column, channel])
                        + behind * np.uint32(background[row, column, channel])
                        + np.uint32(128)
                    )
                    # total / 255, rounded exactly, because total is at most 255 * 255 + 128
                    image[row, column, channel] = (total + (total >> _8_SHORT)) >> _8_SHORT


@compiled
def joint_histogram(alpha, mask, trimap):
    """LANES x 2 x 3 x 256 counts, to be added up.

    Neighbours are often equal. Counted in one place, each would have to wait for the one before.
    """
    counts = np.zeros((LANES, 2, 3, 256), np.int64)
    for row in range(alpha.shape[0]):
        for column in range(alpha.shape[1]):
            at = (mask[row, column], trimap[row, column], alpha[row, column])
            counts[column % LANES, at[0], at[1], at[2]] += 1
    return counts


@compiled
def nearest_squared(marked, places):
    """The squared distances of some pixels from the nearest one that is marked.

    places: the numbers of the pixels, counted row by row.
    """
    width = marked.shape[1]
    above, below = _marked_rows(marked)
    squares = np.empty(places.size, np.int64)
    for number, place in enumerate(places):
        row, column = place // width, place % width
        nearest = _squared_along_column(above, below, row, column)
        for away in range(1, width):
            if away * away >= nearest:
                break
            if column >= away:
                there = _squared_along_column(above, below, row, column - away)
                nearest = min(nearest, away * away + there)
            if column + away < width:
                there = _squared_along_column(above, below, row, column + away)
                nearest = min(nearest, away * away + there)
        squares[number] = nearest
    return squares


@compiled
def _marked_rows(marked):
    """The rows of the nearest marked pixels in the same column: up to each pixel, and from it on."""
    height, width = marked.shape
    above, below = np.empty((2, height, width), np.int16)
    last = np.full(width, -FAR, np.int16)
    for row in range(height):
        for column in range(width):
            last[column] = np.int16(row) if marked[row, column] else last[column]
            above[row, column] = last[column]
    last[:] = FAR
    for row in range(height - 1, -1, -1):
        for column in range(width):
            last[column] = np.int16(row) if marked[row, column] else last[column]
            below[row, column] = last[column]
    return above, below


@compiled
def _squared_along_column(above, below, row, column):
    return min(row - above[row, column], below[row, column] - row) ** 2
