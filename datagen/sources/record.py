"""One file -> its record, or a Problem. Runs in any worker, since it keeps no state."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from datagen.sources.labels import Label
from datagen.sources.listing import Problem, shown
from datagen.sources.transparency import measure_transparency
from manifests.doubts import Doubt, cutout_doubts, lossy_format_of, photo_doubts
from manifests.frame import cut_by_frame
from manifests.pictures import PictureError, read_cutout, read_file, read_photo
from manifests.pixels import pixels_sha256
from manifests.sources import Background, Box, Foreground, Subject
from manifests.storage import Location

# Long side over short side of a background. It is enlarged until it covers the canvas, so that a
# strip of 1 x 30,000 pixels would become a working copy of 57 GB.
MAX_ASPECT = 20


Source = TypeVar("Source", Foreground, Background)


class ToScan(NamedTuple):
    """One file to scan. `earlier` is its record from an earlier run, if there is one."""

    name: str
    alpha_name: str
    label: Label
    earlier: Foreground | Background | None


class Scanned(NamedTuple, Generic[Source]):
    """The record of one file, or its Problem; `warnings` are doubts about its pixels."""

    result: Source | Problem
    warnings: tuple[Problem, ...] = ()


def scan_foreground(
    folder: Location, alpha_folder: Location | None, file: ToScan
) -> Scanned[Foreground]:
    """The record of one cut-out, or a Problem if it cannot be used.

    An unchanged file keeps its earlier record. It is not decoded, so that there are no warnings.
    """
    try:
        data = read_file(folder / file.name)
        alpha_data = None if alpha_folder is None else read_file(alpha_folder / file.alpha_name)
        sha256 = hashlib.sha256(data + (alpha_data or b"")).hexdigest()
        earlier = file.earlier
        if isinstance(earlier, Foreground) and (earlier.sha256, earlier.alpha_id) == (
            sha256,
            file.alpha_name,
        ):
            kept = _relabelled(earlier, file.label)
            if kept is not None:
                return Scanned(kept)
        rgba = read_cutout(data, alpha_data)
    except PictureError as error:
        return Scanned(Problem(shown(folder, file.name), error.kind, error.reason))
    record = foreground_of(file.name, sha256, rgba, file.label, file.alpha_name)
    lossy = lossy_format_of((alpha_data or b"")[:16])
    doubts = [*cutout_doubts(rgba, lossy), *_cut_across(rgba[..., 3], record.box)]
    return Scanned(record, _named(doubts, folder, file))


def _cut_across(alpha: NDArray[np.uint8], box: Box) -> list[Doubt]:
    top, bottom, left, right = cut_by_frame(alpha, box).tolist()
    opposite = {"top and bottom": top and bottom, "left and right": left and right}
    sides = [name for name, are_cut in opposite.items() if are_cut]
    if not sides:
        return []
    reason = (
        f"the frame of its photo cuts it at {' and at '.join(sides)}; a sample hides one of two "
        "opposite sides, and may show the other as a straight edge"
    )
    return [Doubt("cut", reason)]


def _named(doubts: Sequence[Doubt], folder: Location, file: ToScan) -> tuple[Problem, ...]:
    name = shown(folder, file.name)
    return tuple(Problem(name, doubt.kind, doubt.reason) for doubt in doubts)


def foreground_of(
    name: str, sha256: str, rgba: NDArray[np.uint8], label: Label, alpha_name: str = ""
) -> Foreground:
    """The record of a cut-out, H x W x 4 straight RGBA with some alpha above 0."""
    alpha = rgba[..., 3]
    return Foreground(
        id=name,
        sha256=sha256,
        pixels_sha256=pixels_sha256(rgba),
        height=rgba.shape[0],
        width=rgba.shape[1],
        box=_box(alpha),
        subject=label.subject or Subject.UNLABELLED,
        transparency=label.transparency or measure_transparency(alpha),
        transparency_measured=label.transparency is None,
        soft_share=float(((alpha > 0) & (alpha < 255)).mean()),
        split=label.split,
        labels=label.others,
        alpha_id=alpha_name,
    )


def scan_background(folder: Location, file: ToScan) -> Scanned[Background]:
    """The record of one photo, or a Problem if it cannot be used; see `scan_foreground`."""
    try:
        data = read_file(folder / file.name)
        sha256 = hashlib.sha256(data).hexdigest()
        label = file.label
        if isinstance(file.earlier, Background) and file.earlier.sha256 == sha256:
            return Scanned(replace(file.earlier, split=label.split, labels=label.others))
        colour = read_photo(data)
        record = background_of(file.name, sha256, colour, label)
    except PictureError as error:
        return Scanned(Problem(shown(folder, file.name), error.kind, error.reason))
    return Scanned(record, _named(photo_doubts(colour), folder, file))


def background_of(name: str, sha256: str, colour: NDArray[np.uint8], label: Label) -> Background:
    """The record of a photo, H x W x 3. Raises PictureError ('too-thin') for a long, thin strip."""
    _refuse_thin(colour)
    return Background(
        id=name,
        sha256=sha256,
        pixels_sha256=pixels_sha256(colour),
        height=colour.shape[0],
        width=colour.shape[1],
        split=label.split,
        labels=label.others,
    )


def _refuse_thin(colour: NDArray[np.uint8]) -> None:
    height, width = colour.shape[:2]
    if max(height, width) > MAX_ASPECT * min(height, width):
        reason = f"is too thin to cover a canvas: {height} x {width} px, one side more than "
        raise PictureError("too-thin", f"{reason}{MAX_ASPECT} times the other; crop it")


def _relabelled(earlier: Foreground, label: Label) -> Foreground | None:
    """The earlier record with the present label.

    None if the transparency is no longer labelled: it has to be measured, which needs the pixels.
    """
    if label.transparency is None and not earlier.transparency_measured:
        return None
    return replace(
        earlier,
        subject=label.subject or Subject.UNLABELLED,
        transparency=label.transparency or earlier.transparency,
        transparency_measured=label.transparency is None,
        split=label.split,
        labels=label.others,
    )


def _box(alpha: NDArray[np.uint8]) -> Box:
    rows = np.flatnonzero(alpha.any(axis=1))
    columns = np.flatnonzero(alpha.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return Box(top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1)
