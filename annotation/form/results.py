"""Label Studio's annotations -> alphas, trimaps and judgements, checked: pure, no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from annotation.form.gaps import close_gaps
from annotation.form.regions import (
    REVIEW,
    SUBJECT,
    TRANSPARENCY,
    BadAnnotationError,
    Choices,
    Content,
    Json,
    read_choices,
    read_content,
    read_kind,
)
from annotation.form.taskdata import TaskData, read_number
from annotation.form.tasks import Prediction, Task
from annotation.settings import Gaps
from manifests.annotations import Kind, Origin, State
from manifests.pixels import Pixels, pixels_sha256
from manifests.sources import Subject

_CHANGED = Origin.PREDICTION_CHANGED
_GAP = 0.01  # share of the pixels around a subject that may be missed by a brush


class SkippedError(BadAnnotationError):
    """The annotator skipped the task, which is not an error."""


@dataclass(frozen=True)
class Chosen:
    """The choices of an annotation. With `kind` None nothing was painted: it only judges what
    others painted before, and what it does not choose stays as it is."""

    annotation_id: int
    kind: Kind | None
    state: State
    author: str
    time: str
    subject: Subject
    transparency: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Painted:
    """An annotation that has been checked. `pixels` is an alpha or a trimap, see `kind`; the other
    fields mean what they mean in `manifests.annotations.Annotation`.

    notes: what a person should know who uses it, in words.
    """

    task_id: int
    annotation_id: int
    data: TaskData
    kind: Kind
    pixels: Pixels
    state: State
    author: str
    time: str
    origin: Origin
    model: str
    pushed_sha256: str
    changed_share: float
    subject: Subject
    transparency: str
    notes: tuple[str, ...] = ()


def read_result(task: Task, annotation: Json, gaps: Gaps = Gaps.UNKNOWN) -> Painted:
    """An annotation of a task, checked, with its pixels.

    gaps: what the pixels beside a painted foreground are that nobody painted; what comes back as it
    was pushed stays as it is. Raises SkippedError if the task was skipped, else BadAnnotationError
    with the reason if the annotation is malformed.
    """
    _check_finished(annotation)
    data = task.data
    content = read_content(annotation.get("result"), data.height, data.width)
    pushed = _pushed(task, annotation, content)
    before = pushed.content if pushed else None
    share = _changed_share(content, before)
    origin = _origin(content.origins, share, annotation.get("parent_prediction"))
    if before is None and origin is Origin.MANUAL:
        share = 1.0
    choices = read_choices(annotation.get("result"))
    chosen = _chosen(annotation, content.kind, choices, data)
    notes = chosen.notes
    # What comes back as it was pushed was meant so.
    if content.kind is Kind.TRIMAP and origin is not Origin.PREDICTION:
        if gaps is Gaps.UNKNOWN:
            content = content._replace(pixels=_closed(content, before))
            share = _changed_share(content, before) if before else share
        elif content.gap > _GAP:
            notes = (*notes, _gap_note(content.gap))
    return Painted(
        task_id=task.id,
        annotation_id=chosen.annotation_id,
        data=data,
        kind=content.kind,
        pixels=content.pixels,
        state=chosen.state,
        author=chosen.author,
        time=chosen.time,
        origin=origin,
        model=_text(pushed.json.get("model_version")) if pushed else "",
        pushed_sha256=pixels_sha256(before.pixels) if before else "",
        changed_share=share,
        subject=chosen.subject,
        transparency=chosen.transparency,
        notes=notes,
    )


def read_results(task: Task, annotation: Json, gaps: Gaps = Gaps.UNKNOWN) -> list[Painted]:
    """An annotation of a task as `read_result` gives it, and what it approves besides.

    Whoever approves a trimap whose solved alpha was shown beside it approves that alpha: then the
    trimap counts as submitted, and the alpha is the latter of the two.
    """
    painted = read_result(task, annotation, gaps)
    solved = _approved(task, annotation, painted.kind, painted.state)
    if solved is None or solved.content is None:
        return [painted]
    alpha = solved.content.pixels
    approved = replace(
        painted,
        kind=Kind.ALPHA,
        pixels=alpha,
        origin=Origin.PREDICTION,
        model=_text(solved.json.get("model_version")),
        pushed_sha256=pixels_sha256(alpha),
        changed_share=0.0,
        notes=(),
    )
    return [replace(painted, state=State.SUBMITTED), approved]


def _approved(task: Task, annotation: Json, kind: Kind | None, state: State) -> Prediction | None:
    """The alpha that was solved from an approved trimap, and that its task shows; None if the
    annotation is no approved trimap, or was painted on since."""
    data = task.data
    if kind is not Kind.TRIMAP or state is not State.APPROVED or not data.solved_sha256:
        return None
    trimap = read_content(annotation.get("result"), data.height, data.width)
    pushed = _pushed(task, annotation, trimap)
    kept = trimap.pixels, _closed(trimap, pushed.content if pushed else None)
    if data.solved_trimap_sha256 not in map(pixels_sha256, kept):
        return None
    solved = [
        one
        for one in task.predictions
        if one.content is not None and pixels_sha256(one.content.pixels) == data.solved_sha256
    ]
    return max(solved, key=_age, default=None)


def _closed(content: Content, before: Content | None) -> Pixels:
    pushed = before.pixels if before and before.kind is Kind.TRIMAP else None
    return close_gaps(content.pixels, pushed)


def read_chosen(task: Task, annotation: Json) -> Chosen:
    """What was chosen in an annotation; no pixel is decoded, but to see which alpha an approved
    trimap approves. Raises as `read_result` does, but accepts an annotation that only judges."""
    _check_finished(annotation)
    result = annotation.get("result")
    kind, choices = read_kind(result), read_choices(result)
    if kind is None and REVIEW not in choices.values:
        read_content(result, task.data.height, task.data.width)  # says what there is instead
    chosen = _chosen(annotation, kind, choices, task.data)
    is_alpha = _approved(task, annotation, kind, chosen.state) is not None
    return replace(chosen, kind=Kind.ALPHA) if is_alpha else chosen


def _changed_share(content: Content, before: Content | None) -> float:
    """The share of pixels that differ from those that were pushed; -1 if they are unknown."""
    if before is None:
        return -1.0
    return float(np.mean(before.pixels != content.pixels)) if before.kind is content.kind else 1.0


def _gap_note(gap: float) -> str:
    return (
        f"{gap:.0%} of the pixels beside its Foreground were painted neither Foreground nor "
        "Unknown, and count as background; paint Unknown over the gap"
    )


def _check_finished(annotation: object) -> None:
    if not isinstance(annotation, Mapping):
        raise BadAnnotationError(f"it is {type(annotation).__name__}, expected a JSON object")
    if annotation.get("was_cancelled"):
        raise SkippedError("the annotator skipped the task")


def _chosen(annotation: Json, kind: Kind | None, choices: Choices, data: TaskData) -> Chosen:
    """What a person who painted did not choose stays as it was pushed."""
    pushed = {SUBJECT: data.subject, TRANSPARENCY: data.transparency} if kind else {}
    said = {**pushed, **choices.values}
    return Chosen(
        annotation_id=read_number(annotation, "id"),
        kind=kind,
        state=State(said.get(REVIEW, State.SUBMITTED)),
        author=author_of(annotation.get("completed_by")),
        time=_time(annotation.get("updated_at") or annotation.get("created_at")),
        subject=Subject(said.get(SUBJECT) or Subject.UNLABELLED),
        transparency=said.get(TRANSPARENCY, ""),
        notes=choices.notes,
    )


def _origin(origins: frozenset[Origin], share: float, parent: object) -> Origin:
    """What an annotation was made from. Changed pixels count more than what the regions say: one
    that was removed leaves no trace in the origins of the others, and those of annotations that the
    server itself made from predictions (in its data manager) have no origin."""
    if share == 0:
        return Origin.PREDICTION
    if not origins:
        origins = frozenset({Origin.MANUAL if parent is None else Origin.PREDICTION})
    if origins == {Origin.MANUAL}:
        return Origin.MANUAL
    return Origin.PREDICTION if origins == {Origin.PREDICTION} and share < 0 else _CHANGED


def _pushed(task: Task, annotation: Json, content: Content) -> Prediction | None:
    """The prediction that an annotation grew from; None if there was none, or it was removed.

    An annotation that was copied or solved while it was painted, or whose prediction was removed,
    names no prediction. Its regions still show that there was one: the one with the same pixels,
    else the latest that can have been it.
    """
    parent = annotation.get("parent_prediction")
    if parent is None:
        if content.origins <= {Origin.MANUAL}:
            return None
        same = [one for one in task.predictions if _is_same(one.content, content)]
        if same:
            return max(same, key=_age)
    time = str(annotation.get("created_at") or "")
    earlier = [one for one in task.predictions if str(one.json.get("created_at") or "") <= time]
    named = [one for one in task.predictions if one.json.get("id") == parent]
    # The server promises no order of the predictions.
    return max(earlier if parent is None else named, key=_age, default=None)


def _is_same(one: Content | None, other: Content) -> bool:
    return one is not None and one.kind is other.kind and np.array_equal(one.pixels, other.pixels)


def _age(prediction: Prediction) -> tuple[str, int]:
    """What sorts the predictions of a task from the oldest to the latest."""
    number = prediction.json.get("id")
    time = str(prediction.json.get("created_at") or "")
    return time, number if isinstance(number, int) else 0


def author_of(completed_by: object) -> str:
    """An e-mail address where there is one, else "user 7"; "" if the account was removed."""
    if isinstance(completed_by, Mapping):
        email, completed_by = completed_by.get("email"), completed_by.get("id")
        if isinstance(email, str) and email:
            return _text(email)
    return f"user {completed_by}" if type(completed_by) is int else ""


def _text(value: object) -> str:
    """A text that a table can hold: JSON may bring halves of letters."""
    return str(value or "").encode("utf-8", "replace").decode("utf-8")


def _time(text: object) -> str:
    try:
        moment = datetime.fromisoformat(str(text))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadAnnotationError(f"its time is {text!r}") from error
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
