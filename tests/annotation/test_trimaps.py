"""Painted trimaps: gaps, polygons, fills; what a reviewer sees, and what an approval approves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.form.gaps import close_gaps, gaps_of
from annotation.form.interface import is_earlier, labels_xml, missing_parts
from annotation.form.preview import draw_preview
from annotation.form.regions import BadAnnotationError, RegionLabel, choice, read_content, stroke
from annotation.form.results import read_chosen, read_result, read_results
from annotation.form.tasks import prediction_of, read_task
from annotation.settings import Gaps
from manifests.annotations import Kind, Origin, State
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels, pixels_sha256
from tests.annotation.pulled import photo_of, soft_alpha
from tests.annotation.test_tasks import annotation, task
from tests.strategies import many, trimaps

SHAPE = (40, 60)


def placed(kind: str, control: str, **value: Any) -> dict[str, Any]:
    """A region as the browser gives it."""
    return {
        "id": "x",
        "type": kind,
        "from_name": control,
        "to_name": "image",
        "original_width": SHAPE[1],
        "original_height": SHAPE[0],
        "image_rotation": 0,
        "value": value,
    }


def polygon(label: str, *points: tuple[float, float]) -> dict[str, Any]:
    """points: (column, row) in pixels."""
    percent = [[100 * x / SHAPE[1], 100 * y / SHAPE[0]] for x, y in points]
    return placed("polygonlabels", "polygon", points=percent, closed=True, polygonlabels=[label])


def fill_at(row: float, column: float) -> dict[str, Any]:
    where = {"x": 100 * column / SHAPE[1], "y": 100 * row / SHAPE[0], "width": 0.3}
    return placed("keypointlabels", "fill", **where, keypointlabels=["Fill"])


def ring() -> Pixels:
    """A closed border, three pixels wide."""
    found = np.zeros(SHAPE, np.uint8)
    found[8:32, 10:50] = 255
    found[11:29, 13:47] = 0
    return found


def test_a_polygon_covers_the_pixels_whose_middle_it_holds() -> None:
    unknown = polygon("Unknown", (10, 8), (50, 8), (50, 32), (10, 32))
    foreground = polygon("Foreground", (20, 12), (40, 12), (40, 28), (20, 28))
    found = read_content([unknown, foreground], *SHAPE)
    expected = np.zeros(SHAPE, np.uint8)
    expected[8:32, 10:50] = UNKNOWN
    assert found.kind is Kind.TRIMAP
    assert (found.pixels == expected).all()  # where both are, the unknown wins
    alone = read_content([foreground], *SHAPE).pixels == FOREGROUND
    assert alone[12:28, 20:40].all()
    assert alone.sum() == 16 * 20


def test_a_fill_goes_up_to_what_is_painted() -> None:
    found = read_content([stroke(RegionLabel.UNKNOWN, ring()), fill_at(20, 30)], *SHAPE).pixels
    assert (found[11:29, 13:47] == FOREGROUND).all()
    assert ((found == UNKNOWN) == (ring() > 0)).all()
    assert (found == BACKGROUND).sum() == found.size - 24 * 40


def test_a_fill_that_runs_out_is_named() -> None:
    is_open = ring()
    is_open[20, 10:13] = 0
    with pytest.raises(BadAnnotationError, match="a Fill cannot be used: it runs out"):
        read_content([stroke(RegionLabel.UNKNOWN, is_open), fill_at(20, 30)], *SHAPE)


@pytest.mark.parametrize(
    ("region", "reason"),
    [
        (polygon("Unknown", (1, 1), (2, 2)), "three points or more"),
        (polygon("Unknown", (1, 1), (2, 2), (float("nan"), 3)), "not on the photo"),
        (fill_at(5, 3) | {"value": {"x": "5", "y": 3}}, "no point"),
        (fill_at(5, 3) | {"value": {"x": 10**400, "y": 3}}, "not on the photo"),
        (polygon("Unknown", (1, 1), (2, 2), (1e9, 3)), "not on the photo"),
        (polygon("Cat", (1, 1), (2, 2), (3, 9)), "labelled"),
        (fill_at(50, 3), "not on the photo"),
        (fill_at(5, 3) | {"type": "brushlabels"}, "not a key point"),
        (fill_at(5, 3) | {"original_width": 9}, "the photo 40 x 60"),
    ],
)
def test_what_is_no_region_is_refused(region: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadAnnotationError, match=reason):
        read_content([stroke(RegionLabel.UNKNOWN, ring()), region], *SHAPE)


@given(trimaps())
@many
def test_only_background_beside_the_foreground_becomes_unknown(trimap: Pixels) -> None:
    closed = close_gaps(trimap)
    is_changed = closed != trimap
    assert (closed[is_changed] == UNKNOWN).all()
    assert (trimap[is_changed] == BACKGROUND).all()
    assert not gaps_of(closed).any()
    assert (close_gaps(trimap, trimap) == trimap).all()  # what was pushed like this was meant so


def test_gaps_of_an_annotator_are_unknown_unless_asked_otherwise() -> None:
    inside = np.zeros(SHAPE, np.uint8)
    inside[12:28, 14:46] = 255  # a pixel away from the ring
    result = [stroke(RegionLabel.UNKNOWN, ring()), stroke(RegionLabel.FOREGROUND, inside)]
    pushed = read_task(task(trimap=np.zeros(SHAPE, np.uint8)))
    gap = (ring() == 0) & (inside == 0)
    gap[:11], gap[29:], gap[:, :13], gap[:, 47:] = False, False, False, False
    assert gap.any()
    assert (read_result(pushed, annotation(result)).pixels[gap] == UNKNOWN).all()
    as_before = read_result(pushed, annotation(result), Gaps.BACKGROUND)
    assert (as_before.pixels[gap] == BACKGROUND).all()
    assert "beside its Foreground" in as_before.notes[0]


def test_a_pushed_trimap_without_a_border_stays_as_it_is() -> None:
    trimap = np.zeros(SHAPE, np.uint8)
    trimap[10:20, 10:20] = FOREGROUND
    trimap[25:30, 25:30] = UNKNOWN
    pushed = task(trimap=trimap)
    (prediction,) = pushed["predictions"]
    same = annotation(prediction["result"], "prediction", parent_prediction=prediction["id"])
    assert (read_result(read_task(pushed), same).pixels == trimap).all()
    more = np.zeros(SHAPE, np.uint8)
    more[30:35, 40:50] = 255
    painted = [*prediction["result"], stroke(RegionLabel.FOREGROUND, more)]
    changed = annotation(painted, "prediction", parent_prediction=prediction["id"])
    found = read_result(read_task(pushed), changed)
    assert (found.pixels[:30] == trimap[:30])[:, :38].all()
    assert (found.pixels[30:35, 39] == UNKNOWN).all()
    assert found.origin is Origin.PREDICTION_CHANGED


def solved_task(trimap: Pixels, alpha: Pixels) -> dict[str, Any]:
    """A task as it is after `push --solved`."""
    made = task(trimap=np.zeros(trimap.shape, np.uint8))
    solved = prediction_of("closed-form", alpha)
    made["predictions"] = [solved | {"id": 50, "created_at": "2026-11-22T11:10:00Z"}]
    made["data"] |= {
        "solved_sha256": pixels_sha256(alpha),
        "solved_trimap_sha256": pixels_sha256(trimap),
    }
    return made


def test_an_approved_trimap_approves_the_alpha_that_was_solved_from_it() -> None:
    alpha = soft_alpha()
    painted = np.full(alpha.shape, UNKNOWN, np.uint8)
    painted[:, :4], painted[18:22, 18:22] = BACKGROUND, FOREGROUND
    result = [*prediction_of("", trimap=painted)["result"], choice("review", "approved")]
    done = annotation(result)
    trimap, solved = read_results(read_task(solved_task(painted, alpha)), done)
    assert (trimap.kind, trimap.state) == (Kind.TRIMAP, State.SUBMITTED)
    assert (solved.kind, solved.state) == (Kind.ALPHA, State.APPROVED)
    assert (solved.origin, solved.model, solved.changed_share) == (
        Origin.PREDICTION,
        "closed-form",
        0.0,
    )
    assert (solved.pixels == alpha).all()
    assert read_chosen(read_task(solved_task(painted, alpha)), done).kind is Kind.ALPHA


def test_a_trimap_that_was_painted_on_since_approves_no_alpha() -> None:
    alpha = soft_alpha()
    painted = np.full(alpha.shape, UNKNOWN, np.uint8)
    painted[:, :4] = BACKGROUND
    result = [*prediction_of("", trimap=painted)["result"], choice("review", "approved")]
    other = painted.copy()
    other[0, 0] = UNKNOWN
    (found,) = read_results(read_task(solved_task(other, alpha)), annotation(result))
    assert (found.kind, found.state) == (Kind.TRIMAP, State.APPROVED)
    assert read_chosen(read_task(solved_task(other, alpha)), annotation(result)).kind is Kind.TRIMAP


def test_a_preview_shows_the_cutout_on_three_grounds_and_the_alpha() -> None:
    alpha = soft_alpha()
    height, width = alpha.shape
    found = draw_preview(photo_of(alpha), alpha)
    assert found.shape == (2 * height, 2 * width, 3)
    board, black = found[:height, :width], found[:height, width:]
    colour, grey = found[height:, :width], found[height:, width:]
    assert (grey == alpha[..., None]).all()
    assert (black[alpha == 0] == 0).all()
    assert len(np.unique(board[alpha == 0], axis=0)) == 2
    assert len(np.unique(colour[alpha == 0], axis=0)) == 1
    is_opaque = alpha == 255
    for picture in (board, black, colour):
        assert (picture[is_opaque] == photo_of(alpha)[is_opaque]).all()


@given(st.integers(1, 60), st.integers(1, 60))
@many
def test_a_preview_of_any_size_is_small_enough(height: int, width: int) -> None:
    alpha = np.full((height, width), 200, np.uint8)
    found = draw_preview(np.full((height, width, 3), 90, np.uint8), alpha, side=20)
    assert max(found.shape) <= 40


def test_what_an_interface_lacks() -> None:
    ours = labels_xml()
    assert missing_parts(ours, ours) == ([], [])
    needed, others = missing_parts('<View><Image name="image" value="$image"/></View>', ours)
    assert "BrushLabels brush" in needed
    assert "PolygonLabels polygon" in others
    assert not is_earlier(ours)
    assert not is_earlier("<View>")
