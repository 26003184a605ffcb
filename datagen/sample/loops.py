"""The loops over pixels that Numba compiles, for placing and compositing.

Whole numbers decide every pixel, so that every machine gives the same bytes.
"""

from __future__ import annotations

import math

import numpy as np

from datagen.sample.resize import OPAQUE
from datagen.sample.tiles import BIAS, COLOUR_BIAS, COLOUR_BITS, SIDE, TILE
from manifests.compiled import compiled

# Coordinates have 32 binary places. A sample uses 8 of them, so that the weights of its four pixels
# are multiples of 1/65536. In an opaque tile it uses 5, for weights in 1/1024, which moves colours
# by at most 1/32 of a pixel of the working copy.
PLACES, _USED, _USED_OPAQUE = 32, 8, 5
_HALF = 1 << (PLACES - _USED - 1)  # rounds to the places that are used
_TILE_LENGTH = TILE << PLACES
_TILE_PIXELS = SIDE * SIDE

# Arithmetic on two or three values at once, each in its own part of a word. In a word of a soft
# tile, these are the first and the third value of a pixel, or, after a shift, the second and the
# fourth. In a word of an opaque tile, they are the colours in the lower or in the upper band.
_PAIR = np.uint64(0x0000FFFF_0000FFFF)
_HALVES = np.uint64(0x00008000_00008000)
_COLOUR = np.uint64(2**COLOUR_BITS - 1)
_COLOURS = _COLOUR | _COLOUR << np.uint64(20) | _COLOUR << np.uint64(40)
_WEIGHTED = np.uint64(2**20 - 1)  # a colour times a weight
_1, _10, _16, _20, _40, _48 = (np.uint64(n) for n in (1, 10, 16, 20, 40, 48))
_VALUE = np.uint64(0xFFFF)
_SHARE_ONE = np.uint64(1 << 16)


@compiled
def gather(
    index, soft, known, opaque, band, share, to_copy, from_copy, clear, solid, colour, alpha
):
    """Tile by tile, so that the pixels that are read next are next to each other in memory."""
    bands, soft_tiles = soft.shape[3], soft.shape[0]
    soft, known, opaque = soft.reshape(-1), known.reshape(-1), opaque.reshape(-1)
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
                first, end = _run(y, y_right, x, x_right, columns[1] - columns[0])
                y, x = y + first * y_right, x + first * x_right
                first, end = columns[0] + first, columns[0] + end
                if tile < soft_tiles:
                    start = tile * _TILE_PIXELS
                    for column in range(first, end):
                        at = start + (y >> PLACES) * SIDE + (x >> PLACES)
                        own, pixel = _soft(soft, known, at, bands, band, y, x, share, clear, solid)
                        if own > 0:
                            alpha[row, column] = own
                            colour[row, column, 0] = pixel[0]
                            colour[row, column, 1] = pixel[1]
                            colour[row, column, 2] = pixel[2]
                        y += y_right
                        x += x_right
                else:
                    start = (tile - soft_tiles) * _TILE_PIXELS
                    for column in range(first, end):
                        at = start + (y >> PLACES) * SIDE + (x >> PLACES)
                        pixel = _opaque(opaque, at, bands - 1, band, y, x, share)
                        alpha[row, column] = 255
                        colour[row, column, 0] = pixel[0]
                        colour[row, column, 1] = pixel[1]
                        colour[row, column, 2] = pixel[2]
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
def _run(y, y_step, x, x_step, length):
    """The steps, as (first, end) of `length`, at which a straight line is inside its tile."""
    by_y, by_x = _run_along(y, y_step, length), _run_along(x, x_step, length)
    first = max(by_y[0], by_x[0])
    return first, max(first, min(by_y[1], by_x[1]))


@compiled
def _run_along(start, step, length):
    last = start + (length - 1) * step
    if 0 <= start < _TILE_LENGTH and 0 <= last < _TILE_LENGTH:
        return 0, length
    if step == 0:
        return 0, 0
    if step < 0:  # the same, seen from the other end of the tile
        start, step = _TILE_LENGTH - 1 - start, -step
    first = _steps_to_zero(start, step) if start < 0 else 0
    return first, min(length, _steps_to_zero(start - _TILE_LENGTH, step))


@compiled
def _steps_to_zero(start, step):
    """How many steps up it takes from below 0 to 0 or more. A whole division takes much longer."""
    steps = np.int64(-start / step)
    while start + steps * step < 0:
        steps += 1
    while start + (steps - 1) * step >= 0:
        steps -= 1
    return steps


@compiled
def _weights(y, x, used):
    """The weights of the pixels at (0, 0), (0, 1), (1, 0), (1, 1), in 1/4**used."""
    one, last = np.uint64(1 << used), (1 << used) - 1
    down, right = np.uint64(y >> (PLACES - used) & last), np.uint64(x >> (PLACES - used) & last)
    both = down * right
    only_down, only_right = down * one - both, right * one - both
    return one * one - only_down - only_right - both, only_right, only_down, both


@compiled
def _opaque(words, at, pairs, band, y, x, share):
    """The straight colour at a position in an opaque tile."""
    weights = _weights(y, x, _USED_OPAQUE)
    at, below = at * pairs + band, (at + SIDE) * pairs + band
    found = (words[at], words[at + pairs], words[below], words[below + pairs])
    lower, upper = np.uint64(0), np.uint64(0)
    for number in range(4):
        lower += (found[number] & _COLOURS) * weights[number]
        upper += (found[number] >> _10 & _COLOURS) * weights[number]
    return (
        _mixed_colour(lower & _WEIGHTED, upper & _WEIGHTED, share),
        _mixed_colour(lower >> _20 & _WEIGHTED, upper >> _20 & _WEIGHTED, share),
        _mixed_colour(lower >> _40, upper >> _40, share),
    )


@compiled
def _mixed_colour(lower, upper, share):
    """A level from two values of the bands, in 1/2048 of a level."""
    mixed = lower * (_SHARE_ONE - share) + upper * share
    level = np.int64((mixed + (_1 << np.uint64(26))) >> np.uint64(27)) - COLOUR_BIAS // 2
    return min(max(level, 0), 255)


@compiled
def _soft(words, known, at, bands, band, y, x, share, clear, solid):
    """Alpha and the straight colour at a position in a soft tile."""
    weights = _weights(y, x, _USED)
    distance = _distance(known, at, weights)
    if distance >= clear:
        return 0, (0, 0, 0)
    red, green, blue, own = _mixed(words, at * bands + band, bands, weights, share)
    level = 255 if distance <= solid else _level(own)
    if own == OPAQUE:  # the same without a division
        return level, (_level(red), _level(green), _level(blue))
    weight = max(own, 1)
    inverse = np.int64((255 << 24) / weight)  # division is exactly rounded on every machine
    return level, (_times(red, inverse), _times(green, inverse), _times(blue, inverse))


@compiled
def _distance(known, at, weights):
    total = (
        weights[0] * np.uint64(known[at])
        + weights[1] * np.uint64(known[at + 1])
        + weights[2] * np.uint64(known[at + SIDE])
        + weights[3] * np.uint64(known[at + SIDE + 1])
    )
    return np.int64((total + (_SHARE_ONE >> _1)) >> _16)


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
def _level(value):
    """1/64 of a level -> a level from 0 to 255."""
    return min(max((value + 32) >> 6, 0), 255)


@compiled
def _times(value, inverse):
    """A premultiplied value times 255 / alpha in 1/2**24: a level from 0 to 255."""
    return min((max(value, 0) * inverse + (1 << 23)) >> 24, 255)


@compiled
def blend_into(image, foreground, alpha):
    """Eq. (1), rounded to nearest; `image` holds the background before."""
    for row in range(alpha.shape[0]):
        for column in range(alpha.shape[1]):
            front = np.uint32(alpha[row, column])
            if front == 0:
                continue
            behind = np.uint32(255) - front
            if behind == 0:
                for channel in range(3):
                    image[row, column, channel] = foreground[row, column, channel]
                continue
            for channel in range(3):
                total = (
                    front * np.uint32(foreground[row, column, channel])
                    + behind * np.uint32(image[row, column, channel])
                    + np.uint32(128)
                )
                # total / 255, rounded exactly, because total is at most 255 * 255 + 128
                image[row, column, channel] = (total + (total >> np.uint32(8))) >> np.uint32(8)
