"""What annotations say, and which of several is the result of a task."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from annotation.form.choose import choose
from annotation.form.results import Painted, read_chosen, read_result
from annotation.form.tasks import read_task
from manifests.annotations import Kind, Origin, State
from manifests.sources import Subject
from tests.annotation.test_tasks import (
    ALPHA,
    annotation,
    chosen,
    painted,
    picture,
    task,
)


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
