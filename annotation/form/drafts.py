"""What somebody paints at the moment -> a trimap; a solved alpha in its place: pure, no network.

Label Studio keeps work that is not submitted as a draft, in which a brush region is what it was
before and a list of strokes on it. Submitted regions hold no strokes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.form.brush import decode_brush
from annotation.form.gaps import close_gaps
from annotation.form.regions import (
    FILL,
    STROKES,
    BadAnnotationError,
    Json,
    RegionLabel,
    read_content,
    read_kind,
    stroke,
)
from manifests.annotations import Kind
from manifests.pixels import BACKGROUND, Pixels, trimap_of

_BITS = 4  # after the point, in the coordinates of OpenCV's lines


class Drawn(NamedTuple):
    """What is painted at the moment, H x W: the trimap to solve, and where its solution counts.

    alpha: what there is elsewhere, if somebody paints on an alpha; None if nothing is kept.
    """

    trimap: Pixels
    is_painted: NDArray[np.bool_]
    alpha: Pixels | None

    @classmethod
    def alone(cls, trimap: Pixels) -> Drawn:
        """A trimap with nothing else."""
        return cls(trimap, np.ones(trimap.shape, bool), None)

    def with_solution(self, solved: Pixels) -> Pixels:
        """The alpha, H x W, 0..255: `solved`, the solution of the trimap, where that counts."""
        return solved if self.alpha is None else np.where(self.is_painted, solved, self.alpha)


def read_drawn(result: object, height: int, width: int) -> Drawn:
    """The regions of a draft or an annotation, to be solved; gaps in what was painted are unknown.

    What is painted on an alpha corrects it: elsewhere the trimap is that of the alpha, which stays
    as it is. Raises BadAnnotationError if nothing is painted that can be solved.
    """
    if not isinstance(result, list):
        raise BadAnnotationError("it holds no regions")
    regions = [_merged(one, height, width) for one in result]
    under = [one for one in regions if _is_alpha(one)]
    strokes = [one for one in regions if not _is_alpha(one)]
    if not under:
        return Drawn.alone(close_gaps(read_content(strokes, height, width).pixels))
    if read_kind(strokes) is None:
        raise BadAnnotationError(
            "it is an alpha already; paint Unknown over what is wrong in it, and click again"
        )
    alpha = read_content(under, height, width).pixels
    painted, before = read_content(strokes, height, width).pixels, trimap_of(alpha)
    trimap = close_gaps(np.where(painted == BACKGROUND, before, painted), before)
    return Drawn(trimap, (painted != BACKGROUND) | (trimap != before), alpha)


def _is_alpha(region: object) -> bool:
    return read_kind([region]) is Kind.ALPHA


def in_place(result: object, alpha: Pixels) -> list[dict[str, Any]]:
    """Regions that take the place of what was painted: the alpha instead of one of them, nothing
    instead of the others. The browser puts a region in the place of the one with the same id."""
    ids = dict.fromkeys(
        str(region["id"])
        for region in (result if isinstance(result, list) else ())
        if isinstance(region, Mapping) and "id" in region
        if region.get("from_name") in {*STROKES.values(), FILL}
    )
    nothing = np.zeros_like(alpha)
    made = []
    for number, name in enumerate(ids or ("alpha",)):
        pixels = nothing if number else alpha
        made.append({**stroke(RegionLabel.ALPHA, pixels), "id": name, "score": 1.0})
    return made


def _merged(region: object, height: int, width: int) -> object:
    """A brush region with its strokes drawn; anything else as it is."""
    if not isinstance(region, Mapping) or region.get("type") != "brushlabels":
        return region
    value = region.get("value")
    if not isinstance(value, Mapping) or not value.get("touches"):
        return region
    labels = value.get("brushlabels")
    label = labels[0] if isinstance(labels, list) and labels else None
    if label not in tuple(RegionLabel):
        return region  # whoever reads it says what is wrong
    try:
        rle = value.get("rle")
        pixels = decode_brush(rle, height, width) if rle else np.zeros((height, width), np.uint8)
        for touch in value["touches"]:
            _draw(pixels, touch)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise BadAnnotationError(f"a stroke cannot be drawn: {error}") from error
    return {**region, "value": stroke(RegionLabel(label), pixels)["value"]}


def _draw(pixels: Pixels, touch: Json) -> None:
    """One stroke of the brush or the eraser; its points are (x, y, x, y, ...) in percent of the
    photo's sides, its width in percent of the photo's width."""
    height, width = pixels.shape
    flat = np.asarray(touch["relativePoints"], np.float64)
    thickness = float(touch["relativeStrokeWidth"]) * width / 100
    if flat.size < 2 or flat.size % 2 or not np.isfinite(flat).all() or (abs(flat) > 1000).any():
        raise ValueError("its points are malformed")
    if not 0 < thickness < math.hypot(height, width):
        raise ValueError(f"its width is {thickness}")
    points = flat.reshape(-1, 2) * (width / 100, height / 100) - 0.5
    fixed = np.rint(points * (1 << _BITS)).astype(np.int32)
    level = 0 if touch.get("type") == "eraser" else 255
    cv2.polylines(pixels, [fixed], False, level, max(1, round(thickness)), shift=_BITS)
    radius = round(thickness / 2 * (1 << _BITS))
    for x, y in fixed:  # the ends are round
        cv2.circle(pixels, (int(x), int(y)), radius, level, -1, shift=_BITS)
