"""The loops over pixels that Numba compiles, for crude masks and their errors.

Whole numbers only, so that every machine gives the same bytes.
"""

from __future__ import annotations

import numpy as np

from manifests.compiled import compiled

LANES = 4  # of the counts
_ALL_1, _ALL_2, _ALL_255 = (np.uint64(n * 0x01010101_01010101) for n in (1, 2, 255))
FAR = 15_000  # pixels; more than between any two of one column


@compiled
def joint_histogram(alpha, mask, trimap, eights):
    """LANES x 2 x 3 x 256 counts, to be added up; the arrays are flat.

    eights: the beginnings of the arrays as words of eight pixels; where those are equal, they are
    counted at once. Other neighbours are often equal, too. Counted in one place, each would have to
    wait for the one before.
    """
    counts = np.zeros((LANES, 2, 3, 256), np.int64)
    alphas, masks, trimaps = eights
    for word in range(alphas.size):
        if alphas[word] == 0 and masks[word] == 0 and trimaps[word] == 0:
            counts[0, 0, 0, 0] += 8
        elif alphas[word] == _ALL_255 and masks[word] == _ALL_1 and trimaps[word] == _ALL_2:
            counts[0, 1, 2, 255] += 8
        else:
            for at in range(8 * word, 8 * word + 8):
                counts[at % LANES, mask[at], trimap[at], alpha[at]] += 1
    for at in range(8 * alphas.size, alpha.size):
        counts[0, mask[at], trimap[at], alpha[at]] += 1
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
    """The rows of the nearest marked pixels in each pixel's column: up to it, and from it on."""
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


@compiled
def distances(is_taken, noise, centre, axis, stretch, ragged):
    """How far the cells of `is_taken` are from a centre, in no unit, row by row.

    axis: (right, down), in 1/64. Across it, distances count `stretch` / 8 times. The noise, 0..255,
    adds `ragged` / 128 of a distance's square, more or less.
    """
    far = np.empty(is_taken.size, np.int64)
    found = 0
    along, across = axis
    for row in range(is_taken.shape[0]):
        for column in range(is_taken.shape[1]):
            if is_taken[row, column]:
                down, right = row - centre[0], column - centre[1]
                long = along * right + across * down
                short = (across * right - along * down) * stretch // 8
                weight = 256 + ((ragged * (np.int64(noise[row, column]) - 128)) >> 6)
                far[found] = (long * long + short * short) * max(weight, 16)
                found += 1
    return far[:found]
