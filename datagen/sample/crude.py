"""A simulated mask of a segmentation network, and the crude trimap that is made from it.

A network sees the picture through cells of 4 to 16 pixels. Its opinion, the estimated opacity of
each cell, is smooth, slightly misplaced, and blind to thin structures. Sometimes it misses a piece
of the subject, or takes a piece of the background for the subject. Here the opinion is alpha,
averaged over cells and then disturbed. Only the last step, a bilinear enlargement and a threshold,
works on every pixel. All lengths are relative to the subject's size, so that the same recipe has
the same effect on a small subject.

Pixels are computed in integers only (8-bit resampling, integer distances), so that the bytes do
not depend on the width of the machine's vector units.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from classical.band import band_trimap
from datagen.sample.crude_errors import NEIGHBOURS
from datagen.sample.crude_recipe import FARTHEST, SUBJECT_SIZE
from manifests.pixels import Pixels
from manifests.samples import CrudeRecipe, Piece

BEND_CELLS = (5, 14)  # grid sizes of the two octaves of the noise that bends the edges
OUTLINE_CELLS = (8, 24)  # the same for the noise in the outlines of lost and swallowed pieces
CONTRAST = 3  # factor by which the opinion has more contrast than alpha where alpha is soft


def crude_mask(alpha: Pixels, recipe: CrudeRecipe) -> Pixels:
    """H x W uint8 alpha -> H x W uint8 of 0 and 1: where the network sees the subject.

    The mask is where the smoothed alpha is above 0.5. For subjects whose alpha is low everywhere
    (glass, smoke, a net), it is where the smoothed alpha is above half of the subject's own peak,
    since a network sees an object there, too.
    """
    mask = np.zeros(alpha.shape, np.uint8)
    half = _resized(_even(alpha), 0.5, cv2.INTER_AREA)
    highest = int(cv2.minMaxLoc(half)[1])
    box = cv2.boundingRect(cv2.threshold(half, min(12, highest // 4), 1, cv2.THRESH_BINARY)[1])
    if box[2] == 0:
        return mask
    size = 2.0 * math.sqrt(box[2] * box[3])
    cell = max(1, round(recipe.stride * size / SUBJECT_SIZE / 2))  # in pixels of `half`
    left, right = _reach(box[0], box[2], size, half.shape[1])
    top, bottom = _reach(box[1], box[3], size, half.shape[0])
    cells = _cells(_decided(half[top:bottom, left:right], recipe.soft), cell)
    opinion = _opinion(cells, recipe, size / (2 * cell))

    cropped, down, right = _around_subject(opinion)
    top, left = 2 * (top + cell * down), 2 * (left + cell * right)
    enlarged = _resized(cropped, 2 * cell, cv2.INTER_LINEAR)
    part = mask[top : top + enlarged.shape[0], left : left + enlarged.shape[1]]
    inside = cv2.threshold(enlarged, 127, 1, cv2.THRESH_BINARY)[1]
    part[:] = inside[: part.shape[0], : part.shape[1]]
    return mask


def _resized(image: Pixels, factor: float, interpolation: int) -> Pixels:
    """Resize by a whole number, or halve even sides; both are exact in whole numbers."""
    resized = cv2.resize(image, None, fx=factor, fy=factor, interpolation=interpolation)
    return np.asarray(resized, np.uint8)


def _around_subject(opinion: Pixels) -> tuple[Pixels, int, int]:
    """The smallest part with all cells above 127 and a margin of one cell; its top and left."""
    left, top, width, height = cv2.boundingRect(
        cv2.threshold(opinion, 127, 1, cv2.THRESH_BINARY)[1]
    )
    top, left, bottom, right = max(0, top - 1), max(0, left - 1), top + height + 1, left + width + 1
    return opinion[top:bottom, left:right], top, left


def _even(alpha: Pixels) -> Pixels:
    """Repeat the last row or column if their number is odd, so that it becomes even."""
    down, right = alpha.shape[0] % 2, alpha.shape[1] % 2
    if not (down or right):
        return alpha
    return np.asarray(cv2.copyMakeBorder(alpha, 0, down, 0, right, cv2.BORDER_REPLICATE), np.uint8)


def _reach(start: int, length: int, size: float, limit: int) -> tuple[int, int]:
    """(first, end) of a side of the box with its margin, in half pixels, within `limit`."""
    margin = round(FARTHEST * size / 2)
    return max(0, start - margin), min(limit, start + length + margin)


def _cells(half: Pixels, cell: int) -> Pixels:
    """Means over cell x cell pixels; the last row and column are filled with repeated pixels."""
    down, right = -half.shape[0] % cell, -half.shape[1] % cell
    if down or right:
        half = np.asarray(cv2.copyMakeBorder(half, 0, down, 0, right, cv2.BORDER_REPLICATE))
    shape = (half.shape[1] // cell, half.shape[0] // cell)
    return np.asarray(cv2.resize(half, shape, interpolation=cv2.INTER_AREA), np.uint8)


def _opinion(cells: Pixels, recipe: CrudeRecipe, size: float) -> Pixels:
    """Mean alpha per cell -> the opinion per cell; above 127 is subject. `size` is in cells.

    The order matters: pieces are lost and swallowed before the smoothing, so that their outlines
    are as soft as all others.
    """
    rng = np.random.Generator(np.random.PCG64(recipe.noise_seed))
    down, right, change = (_noise(rng, cells.shape, BEND_CELLS) for _ in range(3))
    outline = _noise(rng, cells.shape, OUTLINE_CELLS)
    certainty = _stretched(cells, recipe.blur)
    subject = (certainty > 127).view(np.uint8)
    area = cv2.countNonZero(subject)
    if area:
        certainty[_holes(subject, recipe.hole_share * area)] = 255
        for piece, value in ((recipe.lost, 0), (recipe.swallowed, 255)):
            if piece.share > 0.0:
                is_taken = subject.view(bool) if value == 0 else ~subject.view(bool)
                certainty[_grown(subject, is_taken, piece, outline, size)] = value
    moved = _moved(certainty, recipe, down, right, size)
    smooth = _smoothed(moved, recipe.blur)
    added = (round(recipe.noise) * (change.astype(np.int16) - 128)) >> 7
    return np.clip(smooth + added + round(recipe.level), 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], sides: tuple[int, int]) -> Pixels:
    """Smooth noise over the cells, levels 0..255 around 128; the coarse octave has more weight."""
    coarse, fine = (rng.integers(0, 256, (n, n), dtype=np.uint8) for n in sides)
    enlarged = cv2.resize(coarse, fine.shape, interpolation=cv2.INTER_LINEAR)
    both = (2 * enlarged.astype(np.uint16) + fine) // 3
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(both.astype(np.uint8), size, interpolation=cv2.INTER_LINEAR))


def _decided(half: Pixels, soft: float) -> Pixels:
    """Raise the contrast of soft alpha; the level `soft` times the subject's peak becomes 128.

    Hard edges stay where they are. Hair, fur and haze become mostly subject or mostly background.
    """
    peak = _peak(half[::3, ::3].copy())  # a ninth of the pixels is enough to find the peak
    levels = (np.arange(256) * 255 // peak - round(255 * soft)) * CONTRAST + 128
    return np.asarray(cv2.LUT(half, np.clip(levels, 0, 255).astype(np.uint8)), np.uint8)


def _stretched(cells: Pixels, blur: float) -> Pixels:
    """Scale the cells so that the smoothed level reaches 255 where the subject is densest."""
    peak = _peak(_smoothed(cells, blur))
    levels = np.minimum(np.arange(256) * 255 // peak, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(cells, levels), np.uint8)


def _smoothed(cells: Pixels, sigma: float) -> Pixels:
    smooth = cv2.GaussianBlur(cells, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smooth, np.uint8)


def _peak(image: Pixels) -> int:
    """The highest level (1..255) that at least 2 % of the pixels above 0 reach."""
    counts = cv2.calcHist([image], [0], None, [256], [0, 256]).ravel().astype(np.int64)[1:]
    reached = np.cumsum(counts[::-1])
    return max(1, 255 - int(np.searchsorted(reached, max(1, int(reached[-1]) // 50))))


def _holes(subject: Pixels, largest: float) -> NDArray[np.bool_]:
    """Background that does not touch the grid's border, in parts of at most `largest` cells."""
    filled = cv2.copyMakeBorder(subject, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0,))
    cv2.floodFill(filled, None, (0, 0), (1,))
    holes = 1 - filled[1:-1, 1:-1]
    left, top, width, height = cv2.boundingRect(holes)
    if width:
        part = holes[top : top + height, left : left + width]
        _, labels = cv2.connectedComponents(part, connectivity=4)
        is_small = np.bincount(labels.ravel()) <= largest
        is_small[0] = False  # what is no hole
        part[...] = is_small[labels]
    return np.asarray(holes.view(np.bool_))


def _grown(
    subject: Pixels, is_taken: NDArray[np.bool_], piece: Piece, noise: Pixels, size: float
) -> NDArray[np.bool_]:
    """The cells of the piece: those of `is_taken` nearest to its centre, as many as its share."""
    from datagen.sample import crude_loops

    piece_cells = np.zeros(subject.shape, np.bool_)
    inside = cv2.erode(subject, NEIGHBOURS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    # Here the frame counts as an edge: subjects that it cuts lose pieces there, too.
    edge = np.flatnonzero(subject != inside)
    count = round(piece.share * cv2.countNonZero(subject))
    available = np.count_nonzero(is_taken)
    if not 0 < count <= available:
        return piece_cells
    start = min(int(piece.place * edge.size), edge.size - 1)  # `place` may be rounded up to 1
    row, column = divmod(int(edge[start]), subject.shape[1])
    # The axis in whole sixty-fourths, so that the last bit of the maths library has no effect.
    along, across = round(64 * math.cos(piece.angle)), round(64 * math.sin(piece.angle))
    row += round(piece.away * size * across / 64)
    column += round(piece.away * size * along / 64)
    stretch, ragged = round(8 * piece.length), round(256 * piece.ragged)
    far = crude_loops.distances(is_taken, noise, (row, column), (along, across), stretch, ragged)
    is_near = far <= np.partition(far, count - 1)[count - 1]
    piece_cells.reshape(-1)[np.flatnonzero(is_taken)[is_near]] = True
    return piece_cells


def _moved(
    certainty: Pixels, recipe: CrudeRecipe, noise_y: Pixels, noise_x: Pixels, size: float
) -> Pixels:
    """Shifted and warped by recipe.shift and recipe.warp; the border is repeated.

    A network leaves no gap between the frame and a subject that the frame cuts.
    """
    from datagen.sample import crude_loops

    down, right, warp = (round(32 * part * size) for part in (*recipe.shift, recipe.warp))
    moved = crude_loops.moved(certainty, noise_y, noise_x, (down, right), warp)
    return np.asarray(moved, np.uint8)


def crude_trimap(mask: Pixels, recipe: CrudeRecipe) -> Pixels:
    """The trimap that a mask leads to, with the band of the recipe."""
    return band_trimap(mask, recipe.inner, recipe.outer)
