"""Label Studio's results, a list of regions and choices <-> alpha or trimap.

The server does not check what a browser or script sends it, so everything is checked here. Names
of the labelling interface are those of labels.xml.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import cv2
import numpy as np

from annotation.form.bitmask import decode_bitmask
from annotation.form.brush import decode_brush, encode_brush
from annotation.form.outlines import draw_polygon, fill, read_point
from manifests.annotations import Kind, Origin, State
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels
from manifests.sources import Subject, Transparency

Json = Mapping[str, Any]

IMAGE = "image"  # the object tag; also the key of the picture's URL in a task's data
PREVIEW = "preview"  # likewise, of what is shown beside it; a path without its first '/'
# type of a region -> its control
STROKES = {"brushlabels": "brush", "bitmasklabels": "bitmask", "polygonlabels": "polygon"}
FILL = "fill"  # a control of key points; each fills what is around it as foreground
SUBJECT, TRANSPARENCY, REVIEW = "subject", "transparency", "review"  # controls of choices
CHOICES: Mapping[str, tuple[str, ...]] = {
    SUBJECT: (Subject.HUMAN, Subject.NON_HUMAN),
    TRANSPARENCY: tuple(Transparency),
    REVIEW: (State.APPROVED, State.REJECTED),
}


class RegionLabel(StrEnum):
    """What a region is."""

    ALPHA = "Alpha"
    FOREGROUND = "Foreground"
    UNKNOWN = "Unknown"


class BadAnnotationError(ValueError):
    """A malformed annotation or task; the message is the reason."""


class Choices(NamedTuple):
    """What was chosen, by control. `notes`: in words, what was chosen and is not one of ours."""

    values: Mapping[str, str]
    notes: tuple[str, ...]


class Content(NamedTuple):
    """The content of regions: an alpha (0..255) or a trimap (codes), H x W.

    origins: those of the regions that name one. gap: of a trimap, the share of the pixels beside
    what was painted as foreground that nobody painted.
    """

    kind: Kind
    pixels: Pixels
    origins: frozenset[Origin]
    gap: float


def stroke(label: RegionLabel, alpha: Pixels) -> dict[str, Any]:
    """A brush region, H x W, 0..255."""
    height, width = alpha.shape
    return {
        "id": label.lower(),
        "type": "brushlabels",
        "from_name": STROKES["brushlabels"],
        "to_name": IMAGE,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_brush(alpha), "brushlabels": [str(label)]},
    }


def choice(control: str, value: str) -> dict[str, Any]:
    """The choice of a value. Raises ValueError if the interface has no such value."""
    if value not in CHOICES[control]:
        raise ValueError(f"{control} {value!r}, expected one of {', '.join(CHOICES[control])}")
    return {
        "id": control,
        "type": "choices",
        "from_name": control,
        "to_name": IMAGE,
        "value": {"choices": [value]},
    }


def read_content(result: object, height: int, width: int) -> Content:
    """The regions of a result for a photo of this size.

    Several regions of one label are one: the larger value counts, because a stroke that was begun
    without selecting the region before makes a second one. Where Unknown and Foreground overlap, or
    Foreground is partial (a brush has soft rims), the trimap is unknown. A Fill is Foreground up to
    what is painted around it. What comes from controls that are not ours is passed over. Raises
    BadAnnotationError.
    """
    layers: dict[RegionLabel, Pixels] = {}
    origins = set()
    points = []
    for region in _painted(result):
        if region.get("from_name") == FILL:
            points.append(_read_fill(region, height, width))
        else:
            label, pixels = _read_region(region, height, width)
            layers[label] = np.maximum(layers[label], pixels) if label in layers else pixels
        if region.get("origin"):  # those that scripts and the server itself make have none
            origins.add(_origin_of(region))
    if points:
        _fill(layers, points, (height, width))
    if not layers:
        raise BadAnnotationError(f"it has no region: nothing was painted{_foreign(result)}")
    if not any(pixels.any() for pixels in layers.values()):
        names = " and ".join(sorted(layers))
        raise BadAnnotationError(f"its {names} has no pixel: nothing was painted")
    if RegionLabel.ALPHA not in layers:
        trimap, gap = _trimap(layers)
        return Content(Kind.TRIMAP, trimap, frozenset(origins), gap)
    if len(layers) > 1:
        names = " and ".join(sorted(layers))
        raise BadAnnotationError(
            f"it has {names} regions: an alpha and a trimap; click Solve, or remove one kind"
        )
    return Content(Kind.ALPHA, layers[RegionLabel.ALPHA], frozenset(origins), 0.0)


def read_choices(result: object) -> Choices:
    """The choices of a result; no pixel is decoded. Raises BadAnnotationError."""
    values: dict[str, str] = {}
    notes: list[str] = []
    for region in _ours(result):
        if region.get("type") == "choices":
            notes += _take_choice(region, values)
    return Choices(values, tuple(notes))


def read_kind(result: object) -> Kind | None:
    """Alpha or trimap, by the labels of the regions; None if nothing was painted. No pixel is
    decoded, and the regions are not checked further. Raises BadAnnotationError."""
    labels = [region["value"].get(str(region.get("type"))) for region in _painted(result)]
    if not labels:
        return None
    return Kind.ALPHA if [RegionLabel.ALPHA] in labels else Kind.TRIMAP


def _painted(result: object) -> list[Json]:
    return [region for region in _ours(result) if region.get("type") != "choices"]


def _ours(result: object) -> list[Json]:
    """What comes from a control of ours. Relations, remarks, ratings and whatever else somebody
    added to the interface do not concern us."""
    ours = [region for region in _entries(result) if _is_ours(region)]
    for region in ours:
        if not isinstance(region.get("value"), Mapping):
            raise BadAnnotationError("its result holds something that is not a region")
        if region.get("to_name") != IMAGE:
            raise BadAnnotationError(f"a region is of {region.get('to_name')!r}, not of {IMAGE!r}")
    return ours


def _entries(result: object) -> list[Json]:
    if not isinstance(result, list):
        raise BadAnnotationError(f"its result is {type(result).__name__}, expected a list")
    if not all(isinstance(entry, Mapping) for entry in result):
        raise BadAnnotationError("its result holds something that is not a region")
    return result


def _is_ours(entry: Json) -> bool:
    control = entry.get("from_name")
    return isinstance(control, str) and control in {*CHOICES, *STROKES.values(), FILL}


def _foreign(result: object) -> str:
    """What was passed over, as the end of a sentence; "" if nothing was."""
    found = {
        f"{entry.get('type')} of {entry.get('from_name')!r}"
        for entry in _entries(result)
        if not _is_ours(entry)
    }
    return f" ({', '.join(sorted(found))}: not ours, and not read)" if found else ""


def _trimap(layers: Mapping[RegionLabel, Pixels]) -> tuple[Pixels, float]:
    """(the trimap, the share of the pixels beside the foreground that nobody painted)."""
    nothing = np.zeros_like(next(iter(layers.values())))
    foreground = layers.get(RegionLabel.FOREGROUND, nothing)
    unknown = layers.get(RegionLabel.UNKNOWN, nothing)
    trimap = np.full(nothing.shape, BACKGROUND, np.uint8)
    trimap[foreground == 255] = FOREGROUND
    trimap[(unknown > 0) | ((foreground > 0) & (foreground < 255))] = UNKNOWN
    is_painted = (foreground > 0).astype(np.uint8)
    beside = (cv2.dilate(is_painted, np.ones((3, 3), np.uint8)) > 0) & (is_painted == 0)
    gap = float((unknown[beside] == 0).mean()) if beside.any() else 0.0
    return trimap, gap


def _take_choice(region: Json, values: dict[str, str]) -> list[str]:
    """Adds a choice to `values`; what is not one of ours is returned in words instead."""
    control, chosen = region.get("from_name"), region["value"].get("choices")
    if not isinstance(control, str) or control not in CHOICES:
        raise BadAnnotationError(f"choices come from {control!r}, expected {', '.join(CHOICES)}")
    expected = ", ".join(CHOICES[control])
    if not isinstance(chosen, list) or len(chosen) != 1 or not isinstance(chosen[0], str):
        raise BadAnnotationError(f"{control} is {chosen!r}, expected one of {expected}")
    if chosen[0] not in CHOICES[control]:
        return [f"{control} {chosen[0]!r} is not one of {expected}, and not read"]
    if values.setdefault(control, chosen[0]) != chosen[0]:
        raise BadAnnotationError(f"{control} is both {values[control]} and {chosen[0]}")
    return []


def _fill(
    layers: dict[RegionLabel, Pixels], points: list[tuple[int, int]], shape: tuple[int, int]
) -> None:
    """Adds to the foreground what the points fill."""
    nothing = np.zeros(shape, np.uint8)
    is_painted = np.any([nothing > 0, *(pixels > 0 for pixels in layers.values())], axis=0)
    try:
        filled = fill(is_painted, points)
    except ValueError as error:
        raise BadAnnotationError(f"a Fill cannot be used: {error}") from error
    before = layers.get(RegionLabel.FOREGROUND, nothing)
    layers[RegionLabel.FOREGROUND] = np.where(filled, np.uint8(255), before)


def _read_fill(region: Json, height: int, width: int) -> tuple[int, int]:
    if region.get("type") != "keypointlabels":
        raise BadAnnotationError(f"a Fill is {region.get('type')!r}, not a key point")
    _check_place(region, height, width)
    try:
        return read_point(region["value"], height, width)
    except ValueError as error:
        raise BadAnnotationError(f"a Fill cannot be used: {error}") from error


def _check_place(region: Json, height: int, width: int) -> None:
    size = (region.get("original_height"), region.get("original_width"))
    if size != (height, width):
        found = f"{size[0]} x {size[1]}"
        raise BadAnnotationError(f"a region is for {found}, the photo {height} x {width}")
    if region.get("image_rotation"):
        raise BadAnnotationError(f"the picture was turned by {region['image_rotation']} degrees")


def _read_region(region: Json, height: int, width: int) -> tuple[RegionLabel, Pixels]:
    kind, value = region.get("type"), region["value"]
    if not isinstance(kind, str) or kind not in STROKES:
        raise BadAnnotationError(f"a region of type {kind!r}, expected {', '.join(STROKES)}")
    if region.get("from_name") != STROKES[kind]:
        found = region.get("from_name")
        raise BadAnnotationError(f"a region comes from {found!r}, not from {STROKES[kind]!r}")
    labels = value.get(kind)
    if not isinstance(labels, list) or len(labels) != 1 or labels[0] not in tuple(RegionLabel):
        expected = ", ".join(RegionLabel)
        raise BadAnnotationError(f"a region is labelled {labels!r}, expected one of {expected}")
    _check_place(region, height, width)
    if value.get("touches"):
        raise BadAnnotationError("strokes are not merged yet: it is a draft, submit it")
    try:
        if kind == "bitmasklabels":
            url = value.get("imageDataURL")
            return RegionLabel(labels[0]), decode_bitmask(url, height, width)
        if kind == "polygonlabels":
            return RegionLabel(labels[0]), draw_polygon(value.get("points"), height, width)
        if value.get("format") != "rle":
            raise ValueError(f"format {value.get('format')!r}, expected 'rle'")
        return RegionLabel(labels[0]), decode_brush(value.get("rle"), height, width)
    except ValueError as error:
        raise BadAnnotationError(f"its {labels[0]} region cannot be decoded: {error}") from error


def _origin_of(region: Json) -> Origin:
    found = region.get("origin")
    if found not in tuple(Origin):
        raise BadAnnotationError(f"a region has the origin {found!r}")
    # Of a region that a backend suggested the browser says "manual"; what tells it is the score.
    is_suggested = found == Origin.MANUAL and region.get("score") is not None
    return Origin.PREDICTION_CHANGED if is_suggested else Origin(found)
