"""The loops over pixels that Numba compiles, for crude masks and their errors.

Whole numbers only, so that every machine gives the same bytes.
"""

from __future__ import annotations

import numpy as np

from manifests.compiled import compiled

LANES = 4  # of the counts
_ALL_1, _ALL_2, _ALL_255 = (np.uint64(n * 0x01010101_01010101) for n in (1, 2, 255))
_5, _10, _31, _32, _512 = (np.uint32(n) for n in (5, 10, 31, 32, 512))
FAR = 15_000  # pixels; more than between any two of one column


@compiled
def joint_histogram(alpha, first, second, eights):
    """LANES x 3 x 3 x 256 counts, to be added up; the arrays are flat.

    eights: the beginnings of the arrays as words of eight pixels; where those are equal, they are
    counted at once. Other neighbours are often equal, too. Counted in one place, each would have to
    wait for the one before.
    """
    counts = np.zeros((LANES, 3, 3, 256), np.int64)
    alphas, firsts, seconds = eights
    for word in range(alphas.size):
        if alphas[word] == 0 and firsts[word] == 0 and seconds[word] == 0:
            counts[0, 0, 0, 0] += 8
        elif alphas[word] == _ALL_255 and seconds[word] == _ALL_2 and firsts[word] == _ALL_1:
            counts[0, 1, 2, 255] += 8
        elif alphas[word] == _ALL_255 and seconds[word] == _ALL_2 and firsts[word] == _ALL_2:
            counts[0, 2, 2, 255] += 8
        else:
            for at in range(8 * word, 8 * word + 8):
                counts[at % LANES, first[at], second[at], alpha[at]] += 1
    for at in range(8 * alphas.size, alpha.size):
        counts[0, first[at], second[at], alpha[at]] += 1
    return counts


@compiled
def edge(mask):
    """1 where the 3 x 3 pixels around have both values, 0 and 1; the image ends at its frame."""
    height, width = mask.shape
    found = np.empty((height, width), np.uint8)
    sums = np.empty(width + 2, np.uint8)  # of three rows; its ends are repeated
    for row in range(height):
        above, below = mask[max(row - 1, 0)], mask[min(row + 1, height - 1)]
        for column in range(width):
            sums[column + 1] = above[column] + mask[row, column] + below[column]
        sums[0], sums[width + 1] = sums[1], sums[width]
        for column in range(width):
            around = sums[column] + sums[column + 1] + sums[column + 2]
            found[row, column] = (around > 0) & (around < 9)
    return found


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
def moved(cells, noise_y, noise_x, shift, warp):
    """Bilinear samples of the cells, shifted by (down, right) and warped, in 1/32 of a cell.

    The noise, 0..255, warps by at most `warp`. The border is repeated.
    """
    height, width = cells.shape
    pixels, result = cells.reshape(-1), np.empty((height, width), np.uint8)
    ys, xs = np.empty((2, width), np.uint32)
    for row in range(height):
        for column in range(width):
            ys[column] = _moved_to(row, noise_y[row, column], shift[0], warp, height)
            xs[column] = _moved_to(column, noise_x[row, column], shift[1], warp, width)
        for column in range(width):
            y, x = ys[column], xs[column]
            down, right = y & _31, x & _31
            at = (y >> _5) * np.uint64(width) + (x >> _5)
            below, beside = np.uint64(down > 0) * np.uint64(width), np.uint64(right > 0)
            upper = (_32 - right) * pixels[at] + right * pixels[at + beside]
            lower = (_32 - right) * pixels[at + below] + right * pixels[at + below + beside]
            result[row, column] = ((_32 - down) * upper + down * lower + _512) >> _10
    return result


@compiled
def _moved_to(place, noise, shift, warp, length):
    moved = np.int32(32 * place - shift) + (np.int32(warp) * (np.int32(noise) - np.int32(128)) >> 7)
    return np.uint32(min(max(moved, np.int32(0)), np.int32(32 * (length - 1))))


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
