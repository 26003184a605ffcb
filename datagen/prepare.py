"""Each source decoded and resized once, then memory-mapped by every worker.

A working copy is named after the source's checksum and the canvas, so it never goes stale; all
workers of a machine share its pages. It is a cache: it may be deleted at any time between runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from datagen.resize import Premultiplied, known_distance, resize_cutout, resize_photo
from manifests.pixels import Pixels
from manifests.sources import Background, Box, Foreground
from manifests.storage import writing

# Pixels of context around the subject's box in the working copy: the Lanczos kernel reaches 3,
# the bicubic one of the second resampling 2.
MARGIN = 4

_MASS_CELLS = 32


@dataclass(frozen=True)
class Cutout:
    """The working copy of a foreground: its subject's box with a margin, fitted to the canvas."""

    rgba: Premultiplied  # h x w x 4
    known: Pixels  # h x w, see `resize.known_distance`
    mass: NDArray[np.int64]  # 32 x 32 parts per million of the subject's opacity over h x w


def fit_factor(box: Box, size: int) -> float:
    """The factor <= 1 that makes the subject's box fit a canvas of `size` pixels."""
    return min(1.0, size / box.height, size / box.width)


def source_margin(box: Box, size: int) -> int:
    """The margin of the working copy in whole pixels of the source."""
    return int(np.ceil(MARGIN / fit_factor(box, size)))


def working_shape(box: Box, size: int) -> tuple[int, int]:
    """(height, width) of a foreground's working copy, margins included."""
    fit, margin = fit_factor(box, size), 2 * source_margin(box, size)
    return max(1, round((box.height + margin) * fit)), max(1, round((box.width + margin) * fit))


def background_shape(height: int, width: int, size: int, cover: float) -> tuple[int, int, float]:
    """(height, width, scale) of a background's working copy: it covers a canvas of `size` pixels.

    It is reduced until its short side is `cover` canvases long, kept as it is if it is smaller
    than that, and enlarged (scale above 1) only if it would not cover the canvas.
    """
    scale = min(1.0, cover * size / min(height, width))
    scale = max(scale, size / min(height, width))
    return max(size, round(height * scale)), max(size, round(width * scale)), scale


def prepare_cutout(cutout: Pixels, box: Box, size: int) -> Cutout:
    """The working copy of an H x W x 4 straight RGBA cut-out."""
    margin = source_margin(box, size)
    padded = _crop(cutout, box, margin)
    height, width = working_shape(box, size)
    rgba = resize_cutout(padded, height, width)
    known = known_distance(padded[..., 3], height, width)
    opacity = rgba[..., 3].astype(np.float64)
    mass = cv2.resize(opacity, (_MASS_CELLS, _MASS_CELLS), interpolation=cv2.INTER_AREA)
    # Whole numbers, so that sums over them are the same on every machine. A subject so thin that
    # 16 bits lose it still has a place: its box.
    parts = np.rint(mass / max(mass.sum(), 1e-9) * 1e6).astype(np.int64)
    return Cutout(rgba, known, parts if parts.any() else np.ones_like(parts))


def _crop(cutout: Pixels, box: Box, margin: int) -> Pixels:
    """The box and `margin` pixels around it; beyond the frame alpha is 0."""
    height, width = cutout.shape[:2]
    top, left = box.top - margin, box.left - margin
    bottom, right = box.top + box.height + margin, box.left + box.width + margin
    inside = cutout[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    sides = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    return cv2.copyMakeBorder(inside, *sides, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))


def cutout_path(cache: Path, source: Foreground, size: int) -> Path:
    return cache / "foregrounds" / f"{source.sha256[:32]}-{size}.npy"


def background_path(cache: Path, source: Background, size: int, cover: float) -> Path:
    return cache / "backgrounds" / f"{source.sha256[:32]}-{size}-{cover:g}.npy"


def save_cutout(path: Path, cutout: Cutout) -> None:
    """One file, so that it is there or not; the three arrays follow each other."""
    with writing(path) as part, part.open("wb") as file:
        for array in (cutout.mass, cutout.known, cutout.rgba):
            np.save(file, array)


def load_cutout(path: Path) -> Cutout:
    """Map a working copy; its pixels are read from disk when they are used."""
    with path.open("rb") as file:
        mass = np.load(file)
        known, rgba = _map_next(path, file), _map_next(path, file)
    return Cutout(rgba, known, mass)


def save_background(path: Path, photo: Pixels) -> None:
    with writing(path) as part, part.open("wb") as file:
        np.save(file, photo)


def load_background(path: Path) -> Pixels:
    """Map a background's working copy, h x w x 3."""
    return np.load(path, mmap_mode="r")


def prepare_background(photo: Pixels, size: int, cover: float) -> Pixels:
    """The working copy of an H x W x 3 photo."""
    height, width, _ = background_shape(*photo.shape[:2], size, cover)
    return resize_photo(photo, height, width)


def _map_next(path: Path, file: BinaryIO) -> NDArray[Any]:
    """Map the array whose header starts where `file` stands, and step over it."""
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    array = np.memmap(path, dtype, "r", file.tell(), shape)
    file.seek(array.nbytes, 1)
    return array
