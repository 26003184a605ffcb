"""What one task amounts to: its state, who worked on it and how long, how far they agree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from annotation.bad import BadAnnotation, bad_annotation, bad_task, id_of, person_of
from annotation.files.failures import failure
from annotation.form.choose import NOTHING_TO_APPROVE, approvals, choose
from annotation.form.regions import BadAnnotationError, Json
from annotation.form.results import Chosen, Painted, SkippedError, read_chosen, read_result
from annotation.form.tasks import Task, read_task
from annotation.server.ahead import Ahead
from annotation.server.faults import ends_session
from annotation.server.project import Project, TaskSummary
from annotation.server.tabs import ALPHA, JUDGED
from manifests.annotations import Kind, State


@dataclass(frozen=True)
class Agreement:
    """Two people's annotations of one task and kind; the mean absolute difference of their alphas,
    0..255 (of trimaps: of 0, 128 and 255)."""

    photo: str
    url: str  # the task in the browser
    task: int
    annotations: tuple[int, int]
    authors: tuple[str, str]
    kind: str
    difference: float


@dataclass(frozen=True)
class Work:
    """One annotation: by whom, whether something was painted (else it only judges), whether it is
    the approved result of its task, and how long it took, in seconds; None if nobody knows."""

    author: str
    is_painted: bool
    is_approved: bool
    seconds: float | None


@dataclass(frozen=True)
class Counted:
    """One task. `kind` is that of its result, "" if it has none; `is_settled`: it has an alpha, and
    somebody has approved or rejected something of it; `bad`: what cannot be used."""

    state: str
    subject: str
    transparency: str
    kind: str = ""
    work: tuple[Work, ...] = ()
    pairs: tuple[Agreement, ...] = ()
    is_settled: bool = False
    bad: tuple[BadAnnotation, ...] = ()


def as_json(counted: Counted) -> Json:
    """To be kept; `counted_of` reads it."""
    return asdict(counted)


def counted_of(kept: object) -> Counted | None:
    """A task as `as_json` wrote it; None if it is damaged."""
    if not isinstance(kept, Mapping):
        return None
    try:
        values = dict(kept)
        values["work"] = tuple(Work(**one) for one in values["work"])
        values["pairs"] = tuple(
            Agreement(**one | {name: tuple(one[name]) for name in ("annotations", "authors")})
            for one in values["pairs"]
        )
        return Counted(**values | {"is_settled": bool(values["is_settled"]), "bad": ()})
    except (TypeError, ValueError, KeyError):
        return None


def count_task(project: Project, ahead: Ahead, row: TaskSummary) -> Counted:
    """Count a task. Whatever happens to it ends this task and no other, unless it would meet all
    of them."""
    if row.annotations == 0:
        return Counted("skipped" if row.skipped else "new", *cell_of(row))
    try:
        found = ahead.find_task(row)
        if found is None:
            raise BadAnnotationError("it was deleted on the server while it was counted")
        return replace(_count(project, row, read_task(found)), is_settled=_is_settled(found))
    except Exception as error:
        if ends_session(error, 401):
            raise
        fault = bad_task(project, row.id, row.data.get("file"), failure("", error).reason)
        return Counted("bad", *cell_of(row), bad=(fault,))


def _is_settled(task: Json) -> bool:
    """Whether the tab of what waits for approval hides a task that has an alpha."""
    judged = _words(task.get("annotations")).intersection(JUDGED)
    return bool(judged) and ALPHA in _words(task.get("predictions"))


def _words(found: object) -> set[str]:
    """The labels and choices in annotations or predictions, which may be malformed."""
    words = set[str]()
    for one in _objects(found):
        for region in _objects(one.get("result")):
            value = region.get("value")
            for chosen in value.values() if isinstance(value, Mapping) else ():
                if isinstance(chosen, list) and chosen and isinstance(chosen[0], str):
                    words.update(map(str, chosen))
    return words


def _objects(found: object) -> list[Mapping[str, Any]]:
    listed = found if isinstance(found, list) else []
    return [one for one in listed if isinstance(one, Mapping)]


def cell_of(row: TaskSummary) -> tuple[str, str]:
    """Subject and transparency as they were pushed."""
    return str(row.data.get("subject", "")), str(row.data.get("transparency", ""))


def _count(project: Project, row: TaskSummary, task: Task) -> Counted:
    bad: list[BadAnnotation] = []

    def refuse(annotation: object, reason: str) -> None:
        who = (id_of(annotation), person_of(annotation))
        bad.append(bad_annotation(project, row.id, task.data.file, *who, reason))

    found: list[tuple[Chosen, Json]] = []
    for annotation in task.annotations:
        try:
            found.append((read_chosen(task, annotation), annotation))
        except SkippedError:
            continue
        except BadAnnotationError as error:
            refuse(annotation, str(error))
    painted = [(chosen, annotation) for chosen, annotation in found if chosen.kind]
    reviews = [chosen for chosen, _ in found if not chosen.kind]
    result, _ = choose([chosen for chosen, _ in painted], reviews)
    if result is None:
        approved = approvals(reviews)
        for annotation in task.annotations:
            if id_of(annotation) in approved:
                refuse(annotation, NOTHING_TO_APPROVE)
        state = "bad" if approved or not reviews else str(State.REJECTED)
        return Counted(state, *cell_of(row), work=_work(found, None), bad=tuple(bad))
    is_shared = len({chosen.author for chosen, _ in painted}) > 1
    return Counted(
        state=str(result.state),
        subject=str(result.subject),
        transparency=result.transparency,
        kind=str(result.kind),
        work=_work(found, result),
        pairs=_pairs(project, task, [one for _, one in painted]) if is_shared else (),
        bad=tuple(bad),
    )


def _work(found: Sequence[tuple[Chosen, Json]], result: Chosen | None) -> tuple[Work, ...]:
    approved = result.annotation_id if result and result.state is State.APPROVED else None
    return tuple(
        Work(
            author=chosen.author,
            is_painted=chosen.kind is not None,
            is_approved=chosen.annotation_id == approved,
            seconds=_seconds(annotation.get("lead_time")),
        )
        for chosen, annotation in found
    )


def _seconds(lead_time: object) -> float | None:
    """How long an annotator had a task open, as the browser measured it."""
    if not isinstance(lead_time, int | float) or isinstance(lead_time, bool):
        return None
    return float(lead_time) if 0 <= lead_time < math.inf else None


def _pairs(project: Project, task: Task, annotations: Sequence[Json]) -> tuple[Agreement, ...]:
    """Every two people's annotations of one kind: a trimap and the alpha solved from it agree."""
    read: list[Painted] = []
    for annotation in annotations:
        try:
            read.append(read_result(task, annotation))
        except BadAnnotationError:
            continue  # pull names it
    return tuple(
        Agreement(
            photo=task.data.file,
            url=project.task_url(task.id),
            task=task.id,
            annotations=(first.annotation_id, second.annotation_id),
            authors=(first.author, second.author),
            kind=str(first.kind),
            difference=_difference(first, second),
        )
        for first, second in itertools.combinations(read, 2)
        if first.kind is second.kind and first.author != second.author
    )


def _difference(first: Painted, second: Painted) -> float:
    levels = 1.0 if first.kind is Kind.ALPHA else 127.5
    return levels * float(np.mean(np.abs(first.pixels.astype(np.int16) - second.pixels)))
