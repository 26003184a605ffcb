"""Working copies: each source is decoded and resized once, then memory-mapped by every worker.

A foreground is resampled twice: here by Lanczos, and for each sample by a bilinear warp. That is as
sharp as a single resampling if the first step keeps exactly the frequencies that the output can
hold, has twice the density of the output, and is sharpened by what the bilinear kernel blurs at
that density. That blur is small, so it can be corrected in advance. The frequencies that the output
can hold depend on the down-scale that is drawn, so there is a copy for each part of its range.
`tests/bench/sharpness.py` measures the result.

Working copies are a cache, named after the source's checksum and the settings that they depend on.
The cache may be deleted between two runs.
"""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datagen.sample.resize import (
    Axis,
    Premultiplied,
    known_distance,
    resize_cutout,
    resize_photo,
    sharpened,
)
from datagen.settings import Settings
from manifests.pixels import Pixels
from manifests.sources import Background, Box, Foreground
from manifests.storage import writing

# Pixels of a working copy per pixel of the output, and the range of down-scales for one copy.
# Worst of the real foregrounds in four views: root mean square error 5.2 levels, geometry right to
# 0.014 pixels. With 1.8 instead of 2.0 it was 5.6 levels and 0.045 pixels.
_OVERSAMPLING = 2.0
_LEVEL_RANGE = 1.05
_BAND_MARGIN = 1.012  # a little aliasing is better than a little blur

_KERNEL_REACH = 6  # output pixels around the subject's box; the reach of the two kernels

_MASS_CELLS = 32

# The frame cuts a subject at a side if this share of the box's side is opaque at the frame. This is
# so for a person who ends at the lower edge, and not for a leaf in a tight crop.
_CUT_SHARE = 0.1


@dataclass(frozen=True)
class Grid:
    """The grid of one working copy, in pixels of the source; for down-scales up to `scale_max`."""

    scale_max: float
    rows: Axis
    columns: Axis


@dataclass(frozen=True)
class Copy:
    """One working copy of a foreground; h x w are the lengths of its grid."""

    grid: Grid
    rgba: Premultiplied  # h x w x 4
    known: Pixels  # h x w, see `resize.known_distance`


@dataclass(frozen=True)
class WorkingCopies:
    """A foreground ready to be placed: its subject's box with a margin, at several scales."""

    copies: tuple[Copy, ...]  # by rising scale
    mass: NDArray[np.int64]  # 32 x 32 parts per million of the subject's opacity over its box
    cut: NDArray[np.bool_]  # 4: whether the frame cuts the subject at top, bottom, left, right

    def copy_for(self, scale: float) -> Copy:
        """The copy for a down-scale."""
        return next(c for c in self.copies if scale <= c.grid.scale_max + 1e-6)


@dataclass(frozen=True)
class PreparedForeground:
    """A foreground with its working copies."""

    source: Foreground
    copies: WorkingCopies


@dataclass(frozen=True)
class PreparedBackground:
    """A background with its working copy, h x w x 3."""

    source: Background
    photo: Pixels


def fit_factor(box: Box, size: int) -> float:
    """The factor <= 1 that makes the subject's box fit a canvas of `size` pixels."""
    return min(1.0, size / box.height, size / box.width)


@lru_cache(maxsize=4096)
def grids_of(box: Box, settings: Settings) -> tuple[Grid, ...]:
    """The grids of a foreground's working copies."""
    low, high = settings.scale_min, settings.scale_max
    count = max(1, math.ceil(math.log(high / low) / math.log(_LEVEL_RANGE)))
    edges = [low * (high / low) ** (number / count) for number in range(count + 1)]
    fit = fit_factor(box, settings.size)
    found = []
    for lower, upper in pairwise(edges):
        band = round(min(1.0, _BAND_MARGIN * fit * math.sqrt(lower * upper)), 9)
        step = round(1 / (band * _OVERSAMPLING), 9)
        margin = math.ceil(_KERNEL_REACH / band)
        found.append(
            Grid(
                round(upper, 9),
                _axis(box.top, box.height, margin, step, band),
                _axis(box.left, box.width, margin, step, band),
            )
        )
    return tuple(found)


def _axis(first: int, length: int, margin: int, step: float, band: float) -> Axis:
    return Axis(first - margin, step, band, math.ceil((length + 2 * margin) / step))


def prepare_cutout(cutout: Pixels, box: Box, settings: Settings) -> WorkingCopies:
    """The working copies of an H x W x 4 straight RGBA cut-out."""
    fit = fit_factor(box, settings.size)
    copies = []
    for grid in grids_of(box, settings):
        margin = box.top - int(grid.rows.start)
        padded = _crop(cutout, box, margin)
        rows = grid.rows._replace(start=0.0)
        columns = grid.columns._replace(start=0.0)
        rgba = sharpened(resize_cutout(padded, rows, columns))
        copies.append(Copy(grid, rgba, known_distance(padded[..., 3], rows, columns, fit)))
    alpha = cutout[..., 3]
    return WorkingCopies(tuple(copies), _mass(alpha, box), _cut_by_frame(alpha, box))


def _crop(cutout: Pixels, box: Box, margin: int) -> Pixels:
    """The box and `margin` pixels around it; beyond the frame alpha is 0."""
    height, width = cutout.shape[:2]
    top, left = box.top - margin, box.left - margin
    bottom, right = box.top + box.height + margin, box.left + box.width + margin
    inside = cutout[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    sides = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    padded = cv2.copyMakeBorder(inside, *sides, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    return np.asarray(padded, np.uint8)


def _mass(alpha: Pixels, box: Box) -> NDArray[np.int64]:
    inside = alpha[box.top : box.top + box.height, box.left : box.left + box.width]
    cells = (_MASS_CELLS, _MASS_CELLS)
    mass = cv2.resize(inside.astype(np.float64), cells, interpolation=cv2.INTER_AREA)
    # Whole numbers, so that sums over them are the same on every machine.
    parts = np.rint(mass / max(mass.sum(), 1e-9) * 1e6).astype(np.int64)
    return parts if parts.any() else np.ones_like(parts)


def _cut_by_frame(alpha: Pixels, box: Box) -> NDArray[np.bool_]:
    """Whether the frame cuts the subject at (top, bottom, left, right)."""
    sides = (
        (box.top == 0, alpha[0], box.width),
        (box.top + box.height == alpha.shape[0], alpha[-1], box.width),
        (box.left == 0, alpha[:, 0], box.height),
        (box.left + box.width == alpha.shape[1], alpha[:, -1], box.height),
    )
    return np.array([at and (line >= 128).sum() >= _CUT_SHARE * long for at, line, long in sides])


def background_shape(height: int, width: int, settings: Settings) -> tuple[int, int, float]:
    """(height, width, scale) of a background's working copy: it covers the canvas.

    A photo is reduced until its short side is `background_cover` times the canvas. A smaller photo
    is kept as it is, or enlarged (scale above 1) if it would not cover the canvas.
    """
    size, short = settings.size, min(height, width)
    scale = max(min(1.0, settings.background_cover * size / short), size / short)
    return max(size, round(height * scale)), max(size, round(width * scale)), scale


def prepare_photo(photo: Pixels, settings: Settings) -> Pixels:
    """The working copy of an H x W x 3 photo."""
    height, width, _ = background_shape(photo.shape[0], photo.shape[1], settings)
    return resize_photo(photo, height, width)


def foreground_path(cache: Path, source: Foreground, settings: Settings) -> Path:
    scales = f"{settings.scale_min:g}-{settings.scale_max:g}-{_OVERSAMPLING:g}"
    return cache / "foregrounds" / f"{source.sha256[:32]}-{settings.size}-{scales}.raw"


def background_path(cache: Path, source: Background, settings: Settings) -> Path:
    cover = f"{settings.background_cover:g}"
    return cache / "backgrounds" / f"{source.sha256[:32]}-{settings.size}-{cover}.raw"


def save_foreground(path: Path, copies: WorkingCopies) -> None:
    """Write the arrays one after the other, without headers, into one file."""
    with writing(path) as part, part.open("wb") as file:
        file.write(copies.mass.data)  # ndarray.tofile would hide the reason of a disk error
        for copy in copies.copies:
            file.write(copy.rgba.data)
        for copy in copies.copies:
            file.write(copy.known.data)
        file.write(copies.cut.data)


def load_foreground(cache: Path, source: Foreground, settings: Settings) -> PreparedForeground:
    """Map the working copies of a foreground; pixels are read from disk when they are used.

    The shapes follow from the box and the settings, because parsing headers would take longer than
    mapping.
    """
    grids = grids_of(source.box, settings)
    shapes = [(grid.rows.length, grid.columns.length) for grid in grids]
    areas = [height * width for height, width in shapes]
    sizes = [8 * _MASS_CELLS**2, *(8 * area for area in areas), *areas]
    mapped = _map(foreground_path(cache, source, settings))
    mass, *planes, cut = np.split(mapped, np.cumsum(sizes))
    copies = [
        Copy(grid, rgba.view(np.int16).reshape(*shape, 4), known.reshape(shape))
        for grid, shape, rgba, known in zip(
            grids, shapes, planes[: len(grids)], planes[len(grids) :], strict=True
        )
    ]
    of_box = mass.view(np.int64).reshape(_MASS_CELLS, -1)
    return PreparedForeground(source, WorkingCopies(tuple(copies), of_box, cut.view(np.bool_)))


def save_background(path: Path, photo: Pixels) -> None:
    with writing(path) as part, part.open("wb") as file:
        file.write(np.ascontiguousarray(photo).data)


def load_background(cache: Path, source: Background, settings: Settings) -> PreparedBackground:
    """Map the working copy of a background."""
    height, width, _ = background_shape(source.height, source.width, settings)
    mapped = _map(background_path(cache, source, settings))
    return PreparedBackground(source, mapped.reshape(height, width, 3))


def _map(path: Path) -> Pixels:
    """Map the bytes of a file without reading them; five times as fast as numpy.memmap."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, np.uint8)
