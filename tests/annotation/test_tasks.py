"""Tasks, predictions and annotations: what is written comes back, what is wrong is named."""

from __future__ import annotations

import copy
import dataclasses
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from annotation.files.photos import Photo, photo_id
from annotation.form.brush import encode_brush
from annotation.form.interface import labels_xml
from annotation.form.records import record_of
from annotation.form.regions import (
    CHOICES,
    FILL,
    STROKES,
    BadAnnotationError,
    RegionLabel,
    read_content,
)
from annotation.form.results import read_result
from annotation.form.tasks import prediction_of, read_task, task_of
from annotation.settings import Gaps
from manifests.annotations import Annotation, Kind, Origin, State
from manifests.pixels import Pixels, pixels_sha256
from manifests.sources import Subject
from tests.annotation.test_brush import data_url
from tests.strategies import few, many, soft_alphas, trimaps

Task = dict[str, Any]


def photo(height: int, width: int) -> Photo:
    file = "people/Anna B.jpg"
    return Photo(photo_id(file), file, Path(file), "ab" * 32, height, width, True)


def task(alpha: Pixels | None = None, trimap: Pixels | None = None, **labels: str) -> Task:
    """A task as the server gives it, pushed with an alpha or a trimap of its size."""
    shape = next((pixels.shape for pixels in (alpha, trimap) if pixels is not None), (6, 9))
    made = task_of(photo(*shape), "/u/1.jpg", "cd" * 32, alpha=alpha, trimap=trimap, **labels)
    made |= {"id": 7, "project": 3, "annotations": [], "drafts": []}
    for number, prediction in enumerate(made.get("predictions", []), 40):
        prediction |= {"id": number, "created_at": "2026-11-22T10:00:00.000000Z"}
    found: Task = json.loads(json.dumps(made))
    return found


def annotation(result: list[Any], origin: str | None = "manual", **fields: Any) -> Task:
    """An annotation as the server gives it."""
    result = copy.deepcopy(result)
    for region in result:
        if origin is not None:
            region["origin"] = origin
    return {
        "id": 21,
        "completed_by": 4,
        "was_cancelled": False,
        "created_at": "2026-11-22T11:00:00.123456Z",
        "updated_at": "2026-11-22T11:30:00.123456Z",
        "parent_prediction": None,
        "result": result,
    } | fields


def untouched(pushed: Task) -> Task:
    prediction = pushed["predictions"][0]
    return annotation(prediction["result"], "prediction", parent_prediction=prediction["id"])


def painted(label: str, alpha: Pixels, **fields: Any) -> Task:
    """A brush region as the browser gives it."""
    height, width = alpha.shape
    return {
        "id": "x1",
        "type": "brushlabels",
        "from_name": "brush",
        "to_name": "image",
        "origin": "manual",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_brush(alpha), "brushlabels": [label]},
    } | fields


def chosen(control: str, *values: str) -> Task:
    value = {"choices": list(values)}
    return {"type": "choices", "from_name": control, "to_name": "image", "value": value}


def picture(level: int = 255) -> Pixels:
    alpha = np.zeros((6, 9), np.uint8)
    alpha[2:4, 3:6] = level
    return alpha


ANNA = {"id": 4, "email": "anna@example.org"}
ALPHA = painted("Alpha", picture())


@given(soft_alphas(), st.sampled_from(CHOICES["subject"]), st.sampled_from(CHOICES["transparency"]))
@many
def test_an_untouched_alpha_comes_back(alpha: Pixels, subject: str, transparency: str) -> None:
    pushed = task(alpha, subject=subject, transparency=transparency, licence="CC0")
    if not alpha.any():
        with pytest.raises(BadAnnotationError, match="its Alpha has no pixel: nothing was painted"):
            read_result(read_task(pushed), untouched(pushed))
        return
    found = read_result(read_task(pushed), untouched(pushed))
    assert (found.pixels == alpha).all()
    assert found.kind is Kind.ALPHA
    assert (found.origin, found.changed_share) == (Origin.PREDICTION, 0.0)
    assert found.pushed_sha256 == pixels_sha256(alpha)
    assert (found.subject, found.transparency, found.model) == (subject, transparency, "pushed")
    assert (found.task_id, found.annotation_id, found.state) == (7, 21, State.SUBMITTED)
    assert (found.author, found.time) == ("user 4", "2026-11-22T11:30:00.123456Z")
    assert found.data == read_task(pushed).data
    assert found.data.file == "people/Anna B.jpg"
    assert found.data.licence == "CC0"


@given(trimaps())
@many
def test_an_untouched_trimap_comes_back(trimap: Pixels) -> None:
    pushed = task(trimap=trimap)
    if not trimap.any():
        assert "predictions" not in pushed, "there is nothing to paint"
        return
    found = read_result(read_task(pushed), untouched(pushed))
    assert (found.pixels == trimap).all()
    assert (found.kind, found.changed_share) == (Kind.TRIMAP, 0.0)
    assert found.pushed_sha256 == pixels_sha256(trimap)


@given(st.lists(st.tuples(st.sampled_from(["Foreground", "Unknown"]), soft_alphas()), min_size=1))
@few
def test_regions_make_a_trimap(painting: list[tuple[str, Pixels]]) -> None:
    """Unknown wins; partial Foreground is unknown; the order does not matter."""
    shape = painting[0][1].shape
    layers = [(label, np.resize(alpha, shape)) for label, alpha in painting]
    result = [painted(label, alpha) for label, alpha in layers]
    if not any(alpha.any() for _, alpha in layers):
        with pytest.raises(BadAnnotationError, match="has no pixel: nothing was painted"):
            read_content(result, *shape)
        return
    found = read_content(result, *shape).pixels
    assert (read_content(result[::-1], *shape).pixels == found).all()
    for at in np.ndindex(shape):
        unknown = any(alpha[at] > 0 for label, alpha in layers if label == "Unknown")
        solid = max([int(alpha[at]) for label, alpha in layers if label == "Foreground"], default=0)
        expected = 1 if unknown or 0 < solid < 255 else 2 if solid == 255 else 0
        assert found[at] == expected


@given(soft_alphas(), st.integers(0, 2**32 - 1))
@few
def test_several_alpha_regions_are_one(alpha: Pixels, seed: int) -> None:
    other = np.random.default_rng(seed).integers(0, 256, alpha.shape, np.uint8)
    assume(alpha.any() or other.any())
    result = [painted("Alpha", alpha), painted("Alpha", other)]
    assert (read_content(result, *alpha.shape).pixels == np.maximum(alpha, other)).all()


def test_a_stroke_counts_as_changed_pixels() -> None:
    pushed = task(picture(100))
    after = picture(100)
    after[2, 3:6] = 255
    result = [painted("Alpha", after, origin="prediction-changed")]
    found = read_result(read_task(pushed), annotation(result, None, parent_prediction=40))
    assert found.origin is Origin.PREDICTION_CHANGED
    assert found.changed_share == 3 / 54
    assert found.pushed_sha256 == pixels_sha256(picture(100))


def test_changed_pixels_count_more_than_the_origin() -> None:
    pushed = task(picture(100))
    result = [painted("Alpha", picture(101), origin="prediction")]
    found = read_result(read_task(pushed), annotation(result, None, parent_prediction=40))
    assert (found.origin, found.changed_share) == (Origin.PREDICTION_CHANGED, 6 / 54)


def test_a_removed_region_is_a_change() -> None:
    trimap = np.repeat(np.array([0, 1, 2], np.uint8), 18).reshape(6, 9)
    pushed = task(trimap=trimap)
    result = [r for r in untouched(pushed)["result"] if r["id"] == "foreground"]
    removed = annotation(result, "prediction", parent_prediction=40)
    found = read_result(read_task(pushed), removed, Gaps.BACKGROUND)
    assert (found.origin, found.changed_share) == (Origin.PREDICTION_CHANGED, 1 / 3)


def test_painted_from_nothing() -> None:
    found = read_result(read_task(task()), annotation([painted("Alpha", picture())]))
    assert (found.origin, found.changed_share, found.pushed_sha256) == (Origin.MANUAL, 1.0, "")
    assert (found.subject, found.transparency, found.model) == (Subject.UNLABELLED, "", "")


def test_an_alpha_instead_of_the_pushed_trimap() -> None:
    pushed = task(trimap=picture() // 255 * 2)
    result = annotation([painted("Alpha", picture())], parent_prediction=40)
    found = read_result(read_task(pushed), result)
    assert (found.kind, found.changed_share) == (Kind.ALPHA, 1.0)


def test_the_prediction_meant_is_the_parent_or_else_the_latest_before() -> None:
    pushed = task(picture(9))
    for number, hour, level in ((41, 12, 50), (42, 14, 60)):
        later = prediction_of("closed-form", picture(level))
        later |= {"id": number, "created_at": f"2026-11-22T{hour}:00:00Z"}
        pushed["predictions"].append(later)
    result = [painted("Alpha", picture(60), origin="prediction")]
    named = read_result(read_task(pushed), annotation(result, None, parent_prediction=42))
    assert (named.model, named.changed_share) == ("closed-form", 0.0)
    result = [painted("Alpha", picture(50), origin="prediction")]
    fields = {"created_at": "2026-11-22T13:00:00Z"}
    copied = read_result(read_task(pushed), annotation(result, None, **fields))
    assert (copied.model, copied.changed_share) == ("closed-form", 0.0)
    pushed["predictions"].reverse()  # the server promises no order
    copied = read_result(read_task(pushed), annotation(result, None, **fields))
    assert (copied.model, copied.changed_share) == ("closed-form", 0.0)
    lost = read_result(read_task(pushed), annotation(result, None, parent_prediction=99, **fields))
    assert (lost.origin, lost.changed_share, lost.pushed_sha256) == (Origin.PREDICTION, -1.0, "")


def test_bitmasks_are_read_too() -> None:
    from PIL import Image

    alpha = picture(77)
    image = Image.fromarray(np.dstack([alpha, alpha, alpha, alpha]))
    value = {"imageDataURL": data_url(image), "bitmasklabels": ["Alpha"]}
    region = painted("Alpha", alpha, type="bitmasklabels", from_name="bitmask", value=value)
    assert (read_result(read_task(task()), annotation([region])).pixels == alpha).all()
    region["value"]["imageDataURL"] = data_url(image)[:-40]
    with pytest.raises(BadAnnotationError, match="Alpha region cannot be decoded: the bitmask"):
        read_result(read_task(task()), annotation([region]))


@given(st.integers(0, 12))
def test_the_gap_is_the_share_of_unpainted_pixels_beside_the_foreground(missing: int) -> None:
    foreground, unknown = np.zeros((2, 6, 9), np.uint8)
    foreground[2:4, 3:5] = 255  # has twelve neighbours
    unknown[1:5, 2:6] = 255
    unknown[2:4, 3:5] = 0
    for row, column in np.argwhere(unknown)[:missing]:
        unknown[row, column] = 0
    result = [painted("Foreground", foreground), painted("Unknown", unknown)]
    assert read_content(result, 6, 9).gap == pytest.approx(missing / 12)
    assert read_result(read_task(task()), annotation(result)).notes == ()
    notes = read_result(read_task(task()), annotation(result), Gaps.BACKGROUND).notes
    assert notes == () if missing == 0 else notes[0].startswith(f"{missing / 12:.0%} of the")
    trimap = np.where(foreground, 2, np.where(unknown, 1, 0)).astype(np.uint8)
    pushed = task(trimap=trimap)
    assert read_result(read_task(pushed), untouched(pushed)).notes == (), "it was meant so"


def test_the_soft_rim_of_a_brush_hides_no_gap() -> None:
    foreground, unknown = np.zeros((2, 6, 9), np.uint8)
    foreground[1:5, 2:6] = 40
    foreground[2:4, 3:5] = 255
    unknown[:, 8] = 255
    content = read_content([painted("Foreground", foreground), painted("Unknown", unknown)], 6, 9)
    assert content.gap == 1.0
    assert (content.pixels[1:5, 2:6] > 0).all()


def test_a_pushed_prediction_is_decoded_once() -> None:
    """However many annotations grew from it."""
    found = read_task(task(picture(100)))
    (prediction,) = found.predictions
    grown = annotation([painted("Alpha", picture(101))], "prediction", parent_prediction=40)
    assert read_result(found, grown).changed_share == 6 / 54
    assert prediction.content is prediction.content
    prediction.json["result"].clear()
    assert read_result(found, grown).changed_share == 6 / 54


def test_the_row_holds_everything() -> None:
    pushed = task(picture(9), subject="human", transparency="Medium", licence="CC BY 4.0")
    found = read_result(read_task(pushed), untouched(pushed) | {"completed_by": ANNA})
    row = record_of(
        found,
        project="Hair",
        project_id=3,
        path="alphas/x.png",
        sha256="ef" * 32,
        photo_path="photos/x.jpg",
        accepted=True,
    )
    assert {
        name: getattr(row, name)
        for name in ("photo_id", "photo_file", "photo_sha256", "height", "width", "licence")
    } == {
        "photo_id": photo_id("people/Anna B.jpg"),
        "photo_file": "people/Anna B.jpg",
        "photo_sha256": "ab" * 32,
        "height": 6,
        "width": 9,
        "licence": "CC BY 4.0",
    }
    assert row.pixels_sha256 == row.pushed_sha256 == pixels_sha256(picture(9))
    assert (row.author_kind, row.author) == ("person", "anna@example.org")
    assert len(dataclasses.fields(Annotation)) == len(vars(row))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: task(picture(), subject="cat"), "subject 'cat'"),
        (lambda: task(picture(), transparency="Glass"), "transparency 'Glass'"),
        (lambda: task(picture(), picture() // 255), "not both"),
        (
            lambda: task_of(photo(5, 9), "/u", "cd" * 32, alpha=picture()),
            r"5 x 9, not \(6, 9\)",
        ),
    ],
)
def test_what_cannot_be_pushed_is_refused(make: Callable[[], Task], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()


def test_the_interface_has_the_names_that_are_read() -> None:
    root = ET.fromstring(labels_xml())
    images = {image.get("name"): image.get("value") for image in root.iter("Image")}
    assert images == {"image": "$image", "preview": "/$[preview]"}
    labels = {
        control.get("name"): {str(label.get("value")) for label in control.iter("Label")}
        for control in root.iter()
        if control.tag.endswith("Labels")
    }
    assert labels == {
        STROKES["brushlabels"]: set(RegionLabel),
        STROKES["polygonlabels"]: {RegionLabel.FOREGROUND, RegionLabel.UNKNOWN},
        FILL: {"Fill"},
        "solve": {"Solve"},
    }
    hotkeys = [tag.get("hotkey") for tag in root.iter() if tag.tag in ("Label", "Choice")]
    assert None not in hotkeys
    assert len(set(hotkeys)) == len(hotkeys)
    choices = {
        control.get("name"): tuple(str(choice.get("value")) for choice in control.iter("Choice"))
        for control in root.iter("Choices")
    }
    assert choices == CHOICES
    assert {control.get("toName") for control in root.iter() if control.get("toName")} == {"image"}
