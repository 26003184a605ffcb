"""What is wrong with a task, an annotation or a region is named, whatever it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.form.brush import encode_brush
from annotation.form.regions import BadAnnotationError
from annotation.form.results import SkippedError, read_chosen, read_result
from annotation.form.tasks import read_task
from tests.annotation.test_tasks import (
    ALPHA,
    Task,
    annotation,
    chosen,
    painted,
    picture,
    task,
    untouched,
)
from tests.strategies import many


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
