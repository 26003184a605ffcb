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
from annotation.form.choose import choose
from annotation.form.regions import (
    CHOICES,
    STROKES,
    BadAnnotationError,
    RegionLabel,
    labels_xml,
    read_content,
)
from annotation.form.results import Painted, SkippedError, read_chosen, read_result, record_of
from annotation.form.tasks import prediction_of, read_task, task_of
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
    found = read_result(read_task(pushed), annotation(result, "prediction", parent_prediction=40))
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


def test_choices_and_people() -> None:
    choices = [chosen("subject", "human"), chosen("transparency", "Little")]
    result = [painted("Alpha", picture()), *choices, chosen("review", "approved")]
    given = ("non-human", "Medium")
    pushed = task(subject="non-human", transparency="Medium")
    for author, name in (
        (4, "user 4"),
        ({"id": 4, "email": "a@b.c"}, "a@b.c"),
        ({"id": 5, "email": ""}, "user 5"),
        ({"id": 5, "email": "\ud800"}, "?"),
        (None, ""),
    ):
        found = read_result(read_task(pushed), annotation(result, completed_by=author))
        assert found.author == name
        assert (found.state, found.subject, found.transparency) == ("approved", "human", "Little")
    for regions, words in (
        (result, (21, "alpha", "approved", "user 4", "human", "Little")),
        (result[:1], (21, "alpha", "submitted", "user 4", "non-human", "Medium")),
        (result[3:], (21, None, "approved", "user 4", "unlabelled", "")),
        ([painted("Unknown", picture())], (21, "trimap", "submitted", "user 4", *given)),
    ):
        chosen_ = read_chosen(read_task(pushed), annotation(regions))
        assert (chosen_.annotation_id, chosen_.kind, chosen_.state, chosen_.author) == words[:4]
        assert (chosen_.subject, chosen_.transparency) == words[4:]
        assert chosen_.time == "2026-11-22T11:30:00.123456Z"


@pytest.mark.parametrize(
    "time", ["2026-11-22T12:30:00.5+01:00", "2026-11-22T11:30:00.500000", "2026-11-22T11:30:00.5Z"]
)
def test_times_are_utc(time: str) -> None:
    found = read_result(
        read_task(task()), annotation([painted("Alpha", picture())], updated_at=time)
    )
    assert found.time == "2026-11-22T11:30:00.500000Z"


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


def value_with(**fields: Any) -> Task:
    value: Task = painted("Alpha", picture())["value"]
    return {"value": value | fields}


RLE = encode_brush(picture())
WRONG_REGIONS: list[tuple[dict[str, Any], str]] = [
    (value_with(brushlabels=["Subject"]), r"labelled \['Subject'\], expected one of Alpha"),
    (value_with(brushlabels=["Alpha", "Unknown"]), "labelled"),
    (value_with(brushlabels=[]), "labelled"),
    (value_with(brushlabels=[["Alpha"]]), "labelled"),
    (value_with(format="png"), "format 'png'"),
    (value_with(rle=RLE[:-5]), r"Alpha region cannot be decoded: .*ends"),
    (value_with(rle=[0, 1, 1, 2, 3]), "cannot be decoded"),
    (value_with(rle=None), "cannot be decoded: .* NoneType"),
    (value_with(rle=encode_brush(np.zeros((6, 8), np.uint8))), "192 values"),
    (value_with(touches=[{"type": "add"}]), "draft"),
    ({"value": None}, "not a region"),
    ({"type": "rectanglelabels"}, "'rectanglelabels'"),
    ({"type": ["brushlabels"]}, "of type"),
    ({"from_name": "bitmask"}, "from 'bitmask', not from 'brush'"),
    ({"from_name": "tag"}, r"nothing was painted \(brushlabels of 'tag': not ours, and not read"),
    ({"to_name": "img"}, "'img'"),
    ({"original_width": 8}, "for 6 x 8, the photo 6 x 9"),
    ({"original_height": None}, "for None x 9"),
    ({"image_rotation": 90}, "turned by 90"),
    ({"origin": "guess"}, "origin 'guess'"),
]


@pytest.mark.parametrize(("fields", "reason"), WRONG_REGIONS)
def test_a_wrong_region_is_named(fields: dict[str, Any], reason: str) -> None:
    region = painted("Alpha", picture()) | fields
    with pytest.raises(BadAnnotationError, match=reason):
        read_result(read_task(task()), annotation([region], None))


ANNA = {"id": 4, "email": "anna@example.org"}
ALPHA = painted("Alpha", picture())
WRONG_RESULTS: list[tuple[Any, str]] = [
    (None, "NoneType, expected a list"),
    ([], "nothing was painted"),
    ([chosen("subject", "human")], "nothing was painted"),
    (["x"], "not a region"),
    ([ALPHA, painted("Unknown", picture())], "Alpha and Unknown regions"),
    ([ALPHA, chosen("subject")], r"subject is \[\], expected one of human"),
    ([ALPHA, chosen("brush", "human")], "choices come from 'brush'"),
    ([{"type": "relation", "from_id": "x"}], r"nothing was painted \(relation of None"),
    ([painted("Foreground", picture(0))], "its Foreground has no pixel: nothing was painted"),
    ([painted("Alpha", picture(0))], "its Alpha has no pixel: nothing was painted"),
    ([ALPHA, chosen("subject", "human", "non-human")], "subject is"),
    ([ALPHA, chosen("subject", "human"), chosen("subject", "non-human")], "both human and non"),
]


@pytest.mark.parametrize(("result", "reason"), WRONG_RESULTS)
def test_a_wrong_result_is_named(result: Any, reason: str) -> None:
    with pytest.raises(BadAnnotationError, match=reason):
        read_result(read_task(task()), annotation([]) | {"result": result})


def test_what_is_not_ours_is_passed_over() -> None:
    """Interfaces may have more controls than ours, and annotators use them."""
    others: list[Any] = [
        {"type": "relation", "from_id": "x1", "to_id": "x2", "direction": "right"},
        {"type": "textarea", "from_name": "remark", "to_name": "image", "value": {"text": ["hm"]}},
        {"type": "rating", "from_name": "stars", "to_name": "image", "value": {"rating": 3}},
        {"type": "number", "from_name": "stars", "to_name": "video", "value": 3},
        chosen("weather", "rain", "snow"),
        painted("Cat", picture(3), from_name="cats"),
    ]
    for where in ([ALPHA, *others], [*others, ALPHA]):
        found = read_result(read_task(task()), annotation(where, None))
        assert (found.pixels == picture()).all()
        assert found.notes == ()
        assert read_chosen(read_task(task()), annotation(where, None)).kind is Kind.ALPHA


def test_an_extra_choice_is_noted_and_what_was_pushed_stays() -> None:
    pushed = read_task(task(subject="human"))
    extra = [chosen("subject", "cat"), chosen("review", "nearly")]
    found = read_result(pushed, annotation([ALPHA, *extra]))
    assert (found.subject, found.state) == (Subject.HUMAN, State.SUBMITTED)
    assert found.notes == (
        "subject 'cat' is not one of human, non-human, and not read",
        "review 'nearly' is not one of approved, rejected, and not read",
    )


def test_what_the_server_made_of_a_prediction_is_a_prediction() -> None:
    """Regions have no origin after *Create Annotations From Predictions* in the data manager."""
    pushed = task(picture(100))
    regions = pushed["predictions"][0]["result"]
    assert "origin" not in regions[0]
    found = read_result(read_task(pushed), annotation(regions, None, parent_prediction=40))
    assert (found.origin, found.model, found.changed_share) == (Origin.PREDICTION, "pushed", 0)
    other = [painted("Alpha", picture(101))]
    del other[0]["origin"]
    found = read_result(read_task(pushed), annotation(other, None, parent_prediction=40))
    assert (found.origin, found.changed_share) == (Origin.PREDICTION_CHANGED, 6 / 54)
    found = read_result(read_task(pushed), annotation(other, None))
    assert (found.origin, found.changed_share) == (Origin.MANUAL, 1.0)


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
    notes = read_result(read_task(task()), annotation(result)).notes
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


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": "21"}, "id is '21'"),
        ({"id": 2**63}, "id is 9223"),
        ({"updated_at": "yesterday"}, "time is 'yesterday'"),
        ({"updated_at": None, "created_at": None}, "time is None"),
        ({"updated_at": "0001-01-01T00:00:00+14:00"}, "time is"),
    ],
)
def test_a_wrong_annotation_is_named(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadAnnotationError, match=reason):
        read_result(read_task(task()), annotation([ALPHA], **fields))


def test_a_pushed_prediction_is_decoded_once() -> None:
    """However many annotations grew from it."""
    found = read_task(task(picture(100)))
    (prediction,) = found.predictions
    grown = annotation([painted("Alpha", picture(101))], "prediction", parent_prediction=40)
    assert read_result(found, grown).changed_share == 6 / 54
    assert prediction.content is prediction.content
    prediction.json["result"].clear()
    assert read_result(found, grown).changed_share == 6 / 54


def test_an_annotation_or_a_list_of_them_of_another_form_is_named() -> None:
    for read in (read_result, read_chosen):
        with pytest.raises(BadAnnotationError, match="it is list, expected a JSON object"):
            read(read_task(task()), [])  # type: ignore[arg-type]
    with pytest.raises(BadAnnotationError, match="annotations are int, not a list"):
        read_task(task() | {"annotations": 7})


def test_a_skipped_task_is_no_fault() -> None:
    for read in (read_result, read_chosen):
        with pytest.raises(SkippedError):
            read(read_task(task()), annotation([], was_cancelled=True))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("photo", "../../etc/passwd"),
        ("photo", "a/b-0123456789"),
        ("photo", "C:con-0123456789"),
        ("photo", "x-0123456789\n"),
        ("photo", None),
        ("photo_sha256", ""),
        ("photo_sha256", "AB" * 32),
        ("image_sha256", "ab"),
        ("file", 3),
        ("file", "half a letter \ud800"),
        ("height", 0),
        ("height", 5000),
        ("width", True),
        ("width", "9"),
        ("subject", "cat"),
        ("licence", None),
    ],
)
def test_wrong_data_is_named(field: str, value: object) -> None:
    pushed = task()
    pushed["data"][field] = value
    with pytest.raises(BadAnnotationError, match=field):
        read_task(pushed)
    del pushed["data"][field]
    with pytest.raises(BadAnnotationError, match=field):
        read_result(read_task(pushed), annotation([ALPHA]))


def test_a_task_without_data_is_named() -> None:
    with pytest.raises(BadAnnotationError, match="no data"):
        read_task({"id": 3})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.data(), anything)
@many
def test_nothing_but_a_named_fault_comes_of_nonsense(data: st.DataObject, value: Any) -> None:
    """One value anywhere in a task and its annotation becomes another."""
    pushed = task(picture(7), subject="human")
    found = untouched(pushed) | {
        "result": [*untouched(pushed)["result"], chosen("review", "approved")]
    }
    holder: Any = {"task": pushed, "annotation": found}
    while True:
        keys = sorted(holder) if isinstance(holder, dict) else range(len(holder))
        key = data.draw(st.sampled_from(list(keys)))
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.integers(0, 3)) == 0:
            break
        holder = inner
    if key in ("task", "annotation"):
        return
    holder[key] = value
    try:
        result = read_result(read_task(pushed), found)
    except BadAnnotationError as error:
        assert str(error)
        return
    assert result.pixels.shape == (6, 9)


def annotated(number: int, time: str, state: str) -> Painted:
    found = read_result(read_task(task()), annotation([ALPHA], id=number))
    return dataclasses.replace(found, time=time, state=State(state))


@pytest.mark.parametrize(
    ("states", "result"),
    [
        (["submitted"], 0),
        (["submitted", "submitted"], 1),
        (["approved", "submitted"], 0),
        (["approved", "rejected"], 1),
        (["approved", "rejected", "submitted"], 2),
        (["rejected", "approved", "submitted"], 1),
        (["approved", "approved"], 1),
        (["submitted", "rejected"], 1),
    ],
)
def test_which_of_several_counts(states: list[str], result: int) -> None:
    found = [annotated(n, f"2026-11-22T0{n}:00:00Z", state) for n, state in enumerate(states)]
    best, others = choose(found[::-1])
    assert best is found[result]
    assert others == [one for one in found if one is not best]


@pytest.mark.parametrize(
    ("said", "result", "state"),
    [
        (["approved", "rejects"], 0, "rejected"),
        (["submitted", "rejects"], 0, "rejected"),
        (["submitted", "approves"], 0, "approved"),
        (["approved", "rejects", "approves"], 0, "approved"),
        (["approved", "submitted", "rejects"], 1, "submitted"),
        (["submitted", "submitted", "approves"], 1, "approved"),
        (["approved", "rejects", "submitted"], 2, "submitted"),
        (["rejects", "submitted"], 1, "submitted"),
    ],
)
def test_a_review_is_about_what_was_there(said: list[str], result: int, state: str) -> None:
    """`rejects` and `approves` are annotations without any region."""
    found, reviews = [], []
    for number, word in enumerate(said):
        time = f"2026-11-22T0{number}:00:00Z"
        if word in ("rejects", "approves"):
            judgement = "rejected" if word == "rejects" else "approved"
            choices = [chosen("review", judgement), chosen("transparency", "Highly")]
            review = annotation(choices, id=number, updated_at=time)
            reviews.append(read_chosen(read_task(task()), review))
        else:
            found.append(annotated(number, time, word))
    best, others = choose(found, reviews)
    assert best is not None
    assert (best.annotation_id, best.state) == (result, state)
    assert (best.transparency == "Highly") == (state != "submitted")
    assert len(others) == len(found) - 1


def test_a_task_without_annotations_has_no_result() -> None:
    assert choose([]) == (None, [])


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
    assert [image.get("name") for image in root.iter("Image")] == ["image"]
    assert [image.get("value") for image in root.iter("Image")] == ["$image"]
    assert [brush.get("name") for brush in root.iter("BrushLabels")] == [STROKES["brushlabels"]]
    assert [label.get("value") for label in root.iter("Label")] == list(RegionLabel)
    choices = {
        control.get("name"): tuple(str(choice.get("value")) for choice in control.iter("Choice"))
        for control in root.iter("Choices")
    }
    assert choices == CHOICES
    assert {control.get("toName") for control in root.iter() if control.get("toName")} == {"image"}
