"""Working copies: each source is decoded and resized once, then memory-mapped by every worker.

A foreground is resampled twice: here by Lanczos, and for each sample by a bilinear warp. That is as
sharp as a single resampling if the first step keeps exactly the frequencies that the output can
hold, is denser than the output, and is sharpened by what the bilinear kernel blurs at that density.
That blur is small, so it can be corrected in advance. The frequencies that the output can hold
depend on the down-scale that is drawn, so a working copy has bands, on one grid, for some
down-scales, and a sample mixes the two bands around its own. `tests/bench/sharpness.py` measures
the result.

Working copies are a cache, named after the source's checksum and the settings that they depend on.
The cache may be deleted between two runs. A file ends with a checksum of its bytes, which a process
compares when it first uses the file: a wrong bit here would be a wrong pixel in many samples, whose
own checksums would be right.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from datagen.sample.colour import packed
from datagen.sample.resize import (
    KNOWN_ZERO,
    Axis,
    distance_threshold,
    known_distance,
    resize_cutout,
    resize_photo,
    sharpened,
)
from datagen.sample.tiles import SIDE, TILE, Tiles, tiled
from datagen.settings import Settings
from manifests.checksums import DamagedError
from manifests.frame import cut_by_frame
from manifests.pixels import Pixels
from manifests.sources import Background, Box, Foreground
from manifests.storage import writing

# Pixels of a working copy per pixel of the output, and the largest ratio of the down-scales of two
# neighbouring bands. Worst of 61 real foregrounds in four views: root mean square error 5.1 levels
# (2.0 on average), gradient energy 0.986 to 1.026, geometry right to 0.018 pixels.
_OVERSAMPLING = 1.75
_BAND_RATIO = 1.25
_BAND_MARGIN = 1.012  # a little aliasing is better than a little blur

_KERNEL_REACH = 6  # output pixels around the subject's box; the reach of the two kernels

# The soft part of the source counts as far if it is at least 1 pixel of the canvas away, less this
# slack, which covers the rounding of `known_distance` and of coordinates (1/256 pixel).
DISTANCE_SLACK = 0.15

_MASS_CELLS = 32

_CHECKSUM_BYTES = 4
_DAMAGED = "the working copy is damaged; check the disk, then remove the file"
_whole = set[tuple[Path, int]]()  # the files, with their inodes, that this process has checked


@dataclass(frozen=True)
class Grid:
    """The grid of a working copy, in pixels of the source, and the down-scales of its bands."""

    rows: Axis  # `band` is that of the last band
    columns: Axis
    scales: tuple[float, ...]  # at least 2, rising

    def mixture(self, scale: float) -> tuple[int, float]:
        """The lower one of the two bands for a down-scale, and the share of the other one."""
        lower = max(0, sum(known < scale for known in self.scales[:-1]) - 1)
        low, high = self.scales[lower : lower + 2]
        return lower, min(max((scale - low) / (high - low), 0.0), 1.0) if high > low else 1.0


@dataclass(frozen=True)
class WorkingCopy:
    """A foreground ready to be placed: its subject's box with a margin."""

    grid: Grid
    tiles: Tiles
    mass: NDArray[np.int64]  # 32 x 32 parts per million of the subject's opacity over its box
    cut: NDArray[np.bool_]  # 4: whether the frame cuts the subject at top, bottom, left, right


@dataclass(frozen=True)
class PreparedForeground:
    """A foreground with its working copy."""

    source: Foreground
    copy: WorkingCopy


@dataclass(frozen=True)
class PreparedBackground:
    """A background with its working copy, h x w x 2, see `colour.packed`."""

    source: Background
    photo: Pixels


def fit_factor(box: Box, size: int) -> float:
    """The factor <= 1 that makes the subject's box fit a canvas of `size` pixels."""
    return min(1.0, size / box.height, size / box.width)


@lru_cache(maxsize=4096)
def grid_of(box: Box, settings: Settings) -> Grid:
    """The grid of a foreground's working copy."""
    low, high = settings.scale_min, settings.scale_max
    steps = max(1, math.ceil(round(math.log(high / low) / math.log(_BAND_RATIO), 6)))
    scales = tuple(round(low * (high / low) ** (n / steps), 9) for n in range(steps + 1))
    fit = fit_factor(box, settings.size)
    step = round(1 / (_band(fit * high) * _OVERSAMPLING), 9)
    margin = math.ceil(_KERNEL_REACH / _band(fit * low))
    rows, columns = (
        Axis(first - margin, step, _band(fit * high), math.ceil((length + 2 * margin) / step))
        for first, length in ((box.top, box.height), (box.left, box.width))
    )
    return Grid(rows, columns, scales)


def _band(scale: float) -> float:
    return round(min(1.0, _BAND_MARGIN * scale), 9)


def prepare_cutout(cutout: Pixels, box: Box, settings: Settings) -> WorkingCopy:
    """The working copy of an H x W x 4 straight RGBA cut-out."""
    fit, grid = fit_factor(box, settings.size), grid_of(box, settings)
    padded = _crop(cutout, box, box.top - int(grid.rows.start))
    rows, columns = grid.rows._replace(start=0.0), grid.columns._replace(start=0.0)
    bands = []
    for scale in grid.scales:
        band = _band(fit * scale)
        resized = resize_cutout(padded, rows._replace(band=band), columns._replace(band=band))
        bands.append(sharpened(resized))
    known = known_distance(padded[..., 3], rows, columns, fit)
    farthest = distance_threshold(1 / grid.scales[0] - DISTANCE_SLACK)
    tiles = tiled(bands, known, KNOWN_ZERO + farthest, KNOWN_ZERO - farthest)
    alpha = cutout[..., 3]
    return WorkingCopy(grid, tiles, _mass(alpha, box), cut_by_frame(alpha, box))


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
    return packed(resize_photo(photo, height, width))


def foreground_path(cache: Path, source: Foreground, settings: Settings) -> Path:
    scales = f"{settings.scale_min}-{settings.scale_max}-{_OVERSAMPLING}"
    return cache / "foregrounds" / f"{source.sha256[:32]}-{settings.size}-{scales}.raw"


def background_path(cache: Path, source: Background, settings: Settings) -> Path:
    cover = settings.background_cover
    return cache / "backgrounds" / f"{source.sha256[:32]}-{settings.size}-{cover}.raw"


def save_foreground(path: Path, copy: WorkingCopy) -> None:
    """Write the arrays one after the other, without headers, into one file."""
    tiles = copy.tiles
    counts = np.array([len(tiles.colours), len(tiles.known)], np.int64)
    arrays = (counts, copy.mass, tiles.colours, tiles.alphas, tiles.index, tiles.known, copy.cut)
    _save(path, arrays)


def load_foreground(cache: Path, source: Foreground, settings: Settings) -> PreparedForeground:
    """Map the working copy of a foreground.

    The shapes follow from the box, the settings and two counts, because parsing headers would take
    longer than mapping. Raises FileNotFoundError, and DamagedError if the file has changed.
    """
    grid = grid_of(source.box, settings)
    mapped = _map(foreground_path(cache, source, settings))
    count, soft = mapped[:16].view(np.int64).tolist()
    tiles_down, tiles_across = (-(-axis.length // TILE) for axis in (grid.rows, grid.columns))
    pairs = len(grid.scales) - 1
    shapes: tuple[tuple[type, tuple[int, ...]], ...] = (
        (np.int64, (2,)),
        (np.int64, (_MASS_CELLS, _MASS_CELLS)),
        (np.uint64, (count, SIDE, SIDE, pairs)),
        (np.uint32, (soft, SIDE, SIDE, pairs)),
        (np.int32, (tiles_down, tiles_across)),
        (np.uint8, (soft, SIDE, SIDE)),
        (np.bool_, (4,)),
    )
    arrays: list[NDArray[Any]] = []
    at = 0
    for kind, shape in shapes:
        arrays.append(np.frombuffer(mapped, kind, math.prod(shape), at).reshape(shape))
        at += arrays[-1].nbytes
    _, mass, colours, alphas, index, known, cut = arrays
    tiles = Tiles(index, colours, alphas, known)
    return PreparedForeground(source, WorkingCopy(grid, tiles, mass, cut))


def save_background(path: Path, photo: Pixels) -> None:
    _save(path, [np.ascontiguousarray(photo)])


def load_background(cache: Path, source: Background, settings: Settings) -> PreparedBackground:
    """Map the working copy of a background. Raises what `load_foreground` raises."""
    height, width, _ = background_shape(source.height, source.width, settings)
    mapped = _map(background_path(cache, source, settings))
    return PreparedBackground(source, mapped.reshape(height, width + width % 2, 2))


def _save(path: Path, arrays: Iterable[NDArray[Any]]) -> None:
    checksum = 0
    with writing(path) as part, part.open("wb") as file:
        for array in arrays:
            file.write(array.data)  # ndarray.tofile would hide the reason of a disk error
            checksum = isal_zlib.crc32(array.data, checksum)
        file.write(checksum.to_bytes(_CHECKSUM_BYTES, "little"))


def _map(path: Path) -> Pixels:
    """Map the content of a file; five times as fast as numpy.memmap."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size <= _CHECKSUM_BYTES:  # nor could it be mapped if it were empty
            raise DamagedError(f"{path}: {_DAMAGED}")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    content = np.frombuffer(mapped, np.uint8)[:-_CHECKSUM_BYTES]
    if (path, status.st_ino) not in _whole:
        said = int.from_bytes(mapped[-_CHECKSUM_BYTES:], "little")
        if isal_zlib.crc32(content.data) != said:
            raise DamagedError(f"{path}: {_DAMAGED}")
        _whole.add((path, status.st_ino))
    return content
