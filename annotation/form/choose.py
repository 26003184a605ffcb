"""Which annotation of a task is its result, and what reviewers say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from annotation.form.results import Chosen, Painted
from manifests.annotations import State
from manifests.sources import Subject

NOTHING_TO_APPROVE = "it approves, but this task has no valid alpha or trimap to approve"

Judged = TypeVar("Judged", Painted, Chosen)


def choose(
    painted: Sequence[Judged], reviews: Sequence[Chosen] = ()
) -> tuple[Judged | None, list[Judged]]:
    """(the result of a task, its other annotations in the order of time).

    The latest that was approved counts, unless it was rejected later; else the latest. A review
    in which nothing was painted is about what was the result when it was made.
    """
    ordered = sorted(painted, key=_moment)
    for review in sorted(reviews, key=_moment):
        result = _result([one for one in ordered if _moment(one) < _moment(review)])
        ordered = [_reviewed(one, review) if one is result else one for one in ordered]
    result = _result(ordered)
    return result, [one for one in ordered if one is not result]


def approvals(reviews: Sequence[Chosen]) -> list[int]:
    """The ids of the reviews that approve."""
    return [review.annotation_id for review in reviews if review.state is State.APPROVED]


def _moment(one: Painted | Chosen) -> tuple[str, int]:
    return one.time, one.annotation_id


def _result(ordered: Sequence[Judged]) -> Judged | None:
    if not ordered:
        return None
    judged = [one for one in ordered if one.state is not State.SUBMITTED]
    return judged[-1] if judged and judged[-1].state is State.APPROVED else ordered[-1]


def _reviewed(one: Judged, review: Chosen) -> Judged:
    is_labelled = review.subject is not Subject.UNLABELLED
    return replace(
        one,
        state=review.state,
        subject=review.subject if is_labelled else one.subject,
        transparency=review.transparency or one.transparency,
    )
