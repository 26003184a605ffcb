"""The loops over pixels that Numba compiles, for placing and compositing.

Whole numbers decide every pixel, so that every machine gives the same bytes.
"""

from __future__ import annotations

import math

import numpy as np

from datagen.sample.tiles import BIAS, COLOUR_BIAS, COLOUR_BITS, SIDE, TILE
from manifests.compiled import compiled

# Coordinates have 32 binary places. Alpha is sampled with 8 of them, so that the weights of its
# four pixels are multiples of 1/65536, and colours with 5, for weights in 1/1024, which moves them
# by at most 1/32 of a pixel of the working copy.
PLACES, _OF_ALPHA, _OF_COLOUR = 32, 8, 5
_HALF = 1 << (PLACES - _OF_ALPHA - 1)  # rounds to the places of alpha
_TILE_LENGTH = TILE << PLACES
_TILE_PIXELS = SIDE * SIDE
_SIDE = np.uint64(SIDE)

# The three colours of a word are added up at once, each in 20 bits: 10 of its own, 10 of a weight.
# The sum is in 1/2048 of a level.
_COLOURS, _ROUNDED = (
    np.uint64(n * (1 + (1 << 20) + (1 << 40))) for n in (2**COLOUR_BITS - 1, 1024)
)
_LEVELS = np.uint64(2**9 - 1)
_1, _2, _3, _10, _11, _16, _31, _51 = (np.uint64(n) for n in (1, 2, 3, 10, 11, 16, 31, 51))
_ALPHA = np.uint64(0xFFFF)
_SHARE_ONE, _SHARE_HALF = np.uint64(1 << 16), np.uint64(1 << 15)


@compiled
def gather(
    index, colours, alphas, known, band, share, to_copy, from_copy, clear, solid, colour, alpha
):
    """Tile by tile, so that the pixels that are read next are next to each other in memory.

    Arrays are flat and their indices unsigned, which spares the question whether they are negative.
    """
    pairs, soft_tiles = np.uint64(colours.shape[3]), known.shape[0]
    band = np.uint64(band)
    colours, alphas, known = colours.reshape(-1), alphas.reshape(-1), known.reshape(-1)
    shape, width = alpha.shape, alpha.shape[1]
    colour, alpha = colour.reshape(-1), alpha.reshape(-1)
    x_right, x_down, x_start = to_copy[0]
    y_right, y_down, y_start = to_copy[1]
    x_start, y_start = x_start + _HALF, y_start + _HALF
    for tile_row in range(index.shape[0]):
        for tile_column in range(index.shape[1]):
            tile = index[tile_row, tile_column]
            if tile < 0:
                continue
            rows, columns = _span(from_copy, tile_row, tile_column, shape)
            for row in range(rows[0], rows[1]):
                y = y_start + row * y_down + columns[0] * y_right - tile_row * _TILE_LENGTH
                x = x_start + row * x_down + columns[0] * x_right - tile_column * _TILE_LENGTH
                first, end = _run(y, y_right, x, x_right, columns[1] - columns[0])
                y, x = y + first * y_right, x + first * x_right
                for column in range(columns[0] + first, columns[0] + end):
                    at = np.uint64(tile * _TILE_PIXELS + (y >> PLACES) * SIDE + (x >> PLACES))
                    level = 255
                    if tile < soft_tiles:
                        level = _level(alphas, known, at, pairs, band, y, x, share, clear, solid)
                    if level > 0:
                        to = np.uint64(row * width + column)
                        alpha[to] = level
                        to *= _3
                        straight = _straight(colours, at, pairs, band, y, x, share)
                        colour[to], colour[to + _1], colour[to + _2] = straight
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
def _level(alphas, known, at, pairs, band, y, x, share, clear, solid):
    """Alpha at a position in a soft tile, as a level from 0 to 255."""
    weights = _weights(y, x, _OF_ALPHA)
    total = (
        weights[0] * np.uint64(known[at])
        + weights[1] * np.uint64(known[at + _1])
        + weights[2] * np.uint64(known[at + _SIDE])
        + weights[3] * np.uint64(known[at + _SIDE + _1])
    )
    distance = np.int64((total + (_SHARE_ONE >> _1)) >> _16)
    if distance >= clear:
        return 0
    if distance <= solid:
        return 255
    at, below = at * pairs + band, (at + _SIDE) * pairs + band
    found = (alphas[at], alphas[at + pairs], alphas[below], alphas[below + pairs])
    lower, upper = np.uint64(0), np.uint64(0)
    for number in range(4):
        word = np.uint64(found[number])
        lower += (word & _ALPHA) * weights[number]
        upper += (word >> _16) * weights[number]
    mixed = lower * (_SHARE_ONE - share) + upper * share
    own = np.int64((mixed + (_1 << np.uint64(31))) >> np.uint64(32)) - BIAS
    return min(max((own + 32) >> 6, 0), 255)


@compiled
def _straight(words, at, pairs, band, y, x, share):
    """The straight colour at a position.

    The weights of the bands are rounded, too. They add up to 1, and two bands differ little.
    """
    weights = _weights(y, x, _OF_COLOUR)
    at, below = at * pairs + band, (at + _SIDE) * pairs + band
    found = (words[at], words[at + pairs], words[below], words[below + pairs])
    total = _ROUNDED
    for number in range(4):
        upper = (weights[number] * share + _SHARE_HALF) >> _16
        total += (found[number] & _COLOURS) * (weights[number] - upper)
        total += (found[number] >> _10 & _COLOURS) * upper
    return (
        _level_of(total >> _11 & _LEVELS),
        _level_of(total >> _31 & _LEVELS),
        _level_of(total >> _51),
    )


@compiled
def _level_of(biased):
    return min(max(np.int64(biased) - COLOUR_BIAS // 2, 0), 255)


@compiled
def blend_into(image, foreground, alpha, top, left):
    """Eq. (1), rounded to nearest; `image` holds the background before.

    No pixel is an exception, so that many are computed at once.
    """
    height, width = alpha.shape
    fronts = np.empty((width, 3), np.uint16)  # alpha for each of the colours
    for row in range(height):
        for column in range(width):
            for channel in range(3):
                fronts[column, channel] = alpha[row, column]
        pixels = image[top + row].reshape(-1)[3 * left : 3 * (left + width)]
        _blend_row(pixels, foreground[row].reshape(-1), fronts.reshape(-1))


@compiled
def _blend_row(pixels, colours, fronts):
    for at in range(pixels.size):
        front = fronts[at]
        behind = np.uint16(255) - front
        total = np.uint16(front * colours[at] + behind * pixels[at] + np.uint16(128))
        # total / 255, rounded exactly, because total is at most 255 * 255 + 128
        pixels[at] = np.uint16(total + (total >> np.uint16(8))) >> np.uint16(8)


@compiled
def soft_blocks(alpha):
    """Many columns at once, then eight of them together."""
    height, width = alpha.shape
    found = np.zeros(((height + 7) // 8, (width + 7) // 8), np.bool_)
    is_soft = np.empty(width, np.bool_)
    for block in range(found.shape[0]):
        is_soft[:] = False
        for row in range(8 * block, min(8 * block + 8, height)):
            for column in range(width):
                is_soft[column] |= (alpha[row, column] > 0) & (alpha[row, column] < 255)
        for column in range(width):
            found[block, column // 8] |= is_soft[column]
    return found
