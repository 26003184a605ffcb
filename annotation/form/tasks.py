"""Photos with an alpha or a trimap <-> Label Studio's tasks and annotations: pure, no network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from annotation.files.photos import Photo
from annotation.form.regions import (
    IMAGE,
    REVIEW,
    SUBJECT,
    TRANSPARENCY,
    BadAnnotationError,
    Content,
    Json,
    Label,
    choice,
    read_choices,
    read_content,
    read_kind,
    stroke,
)
from annotation.form.taskdata import TaskData, read_data
from manifests.annotations import Annotation, Author, Kind, Origin, State, pixels_sha256
from manifests.pixels import FOREGROUND, UNKNOWN, Pixels
from manifests.sources import Subject

__all__ = [
    "Annotated",
    "BadAnnotationError",
    "Chosen",
    "SkippedError",
    "TaskData",
    "prediction_of",
    "read_chosen",
    "read_data",
    "read_result",
    "record_of",
    "task_of",
]


class SkippedError(BadAnnotationError):
    """The annotator skipped the task: nothing is wrong, but there is no result."""


@dataclass(frozen=True)
class Chosen:
    """What an annotation says in words. With `kind` None nothing was painted: it only judges what
    others painted before, and what it does not choose stays as it is."""

    annotation_id: int
    kind: Kind | None
    state: State
    author: str
    time: str
    subject: Subject
    transparency: str


@dataclass(frozen=True, eq=False)
class Annotated:
    """An annotation that has been checked. `pixels` is an alpha or a trimap, see `kind`; the other
    fields mean what they mean in `manifests.annotations.Annotation`."""

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


def task_of(
    photo: Photo,
    image_url: str,
    image_sha256: str,
    *,
    alpha: Pixels | None = None,
    trimap: Pixels | None = None,
    alpha_sha256: str = "",
    trimap_sha256: str = "",
    subject: str = "",
    transparency: str = "",
    licence: str = "",
    model_version: str = "pushed",
) -> dict[str, Any]:
    """The task to import: its data, and a prediction if there is anything to begin with."""
    data = TaskData(
        photo=photo.id,
        file=photo.file,
        photo_sha256=photo.sha256,
        image_sha256=image_sha256,
        height=photo.height,
        width=photo.width,
        alpha_sha256=alpha_sha256,
        trimap_sha256=trimap_sha256,
        subject=subject,
        transparency=transparency,
        licence=licence,
    )
    task: dict[str, Any] = {"data": {IMAGE: image_url, **dataclasses.asdict(data)}}
    found = prediction_of(model_version, alpha, trimap, subject, transparency)
    for pixels in (alpha, trimap):
        if pixels is not None and pixels.shape != (photo.height, photo.width):
            raise ValueError(f"{photo.file}: {photo.height} x {photo.width}, not {pixels.shape}")
    return task | ({"predictions": [found]} if found["result"] else {})


def prediction_of(
    model_version: str,
    alpha: Pixels | None = None,
    trimap: Pixels | None = None,
    subject: str = "",
    transparency: str = "",
) -> dict[str, Any]:
    """A prediction: a soft `Alpha` region, or `Foreground` and `Unknown` regions, and choices."""
    if alpha is not None and trimap is not None:
        raise ValueError("a prediction is an alpha or a trimap, not both")
    result = []
    if alpha is not None:
        result.append(stroke(Label.ALPHA, alpha))
    if trimap is not None:
        for label, code in ((Label.FOREGROUND, FOREGROUND), (Label.UNKNOWN, UNKNOWN)):
            is_code = trimap == code
            if is_code.any():
                result.append(stroke(label, np.where(is_code, 255, 0).astype(np.uint8)))
    for control, value in ((SUBJECT, subject), (TRANSPARENCY, transparency)):
        if value:
            result.append(choice(control, value))
    return {"model_version": model_version, "result": result}


def read_result(task: Json, annotation: Json, users: Mapping[int, str] | None = None) -> Annotated:
    """An annotation of a task, checked.

    task: the JSON of the task, with its `predictions` in full; users: e-mail addresses by id,
    for servers that give the id alone. Raises SkippedError if the task was skipped, else
    BadAnnotationError with the reason if the annotation cannot be believed.
    """
    data = read_data(task)
    _check_finished(annotation)
    content = read_content(annotation.get("result"), data.height, data.width)
    pushed, model = _pushed(task, annotation, content.origins)
    before = _content_or_none(pushed, data)
    origin = _origin(content.origins)
    share, sha256 = 1.0 if origin is Origin.MANUAL or pushed is None else -1.0, ""
    if before is not None:
        sha256 = pixels_sha256(before.pixels)
        same_kind = before.kind is content.kind
        share = float(np.mean(before.pixels != content.pixels)) if same_kind else 1.0
        # A region that was removed leaves no trace in the origins of the others.
        if origin is Origin.PREDICTION and share > 0:
            origin = Origin.PREDICTION_CHANGED
    chosen = _chosen(annotation, content.kind, content.choices, data, users or {})
    return Annotated(
        task_id=_number(task, "id"),
        annotation_id=chosen.annotation_id,
        data=data,
        kind=content.kind,
        pixels=content.pixels,
        state=chosen.state,
        author=chosen.author,
        time=chosen.time,
        origin=origin,
        model=model,
        pushed_sha256=sha256,
        changed_share=share,
        subject=chosen.subject,
        transparency=chosen.transparency,
    )


def read_chosen(task: Json, annotation: Json, users: Mapping[int, str] | None = None) -> Chosen:
    """What an annotation says in words; no pixel is decoded. Raises as `read_result` does, but not
    if a judgement is all that there is."""
    data = read_data(task)
    _check_finished(annotation)
    result = annotation.get("result")
    kind, choices = read_kind(result), read_choices(result)
    if kind is None and REVIEW not in choices:
        raise BadAnnotationError("it has no region: nothing was painted")
    return _chosen(annotation, kind, choices, data, users or {})


def _check_finished(annotation: Json) -> None:
    if annotation.get("was_cancelled"):
        raise SkippedError("the annotator skipped the task")


def _chosen(
    annotation: Json,
    kind: Kind | None,
    choices: Mapping[str, str],
    data: TaskData,
    users: Mapping[int, str],
) -> Chosen:
    """What nobody chose who painted is as it was pushed."""
    pushed = {SUBJECT: data.subject, TRANSPARENCY: data.transparency} if kind else {}
    said = {**pushed, **choices}
    return Chosen(
        annotation_id=_number(annotation, "id"),
        kind=kind,
        state=State(said.get(REVIEW, State.SUBMITTED)),
        author=_author(annotation.get("completed_by"), users),
        time=_time(annotation.get("updated_at") or annotation.get("created_at")),
        subject=Subject(said.get(SUBJECT) or Subject.UNLABELLED),
        transparency=said.get(TRANSPARENCY, ""),
    )


def _origin(origins: frozenset[Origin]) -> Origin:
    return next(iter(origins)) if len(origins) == 1 else Origin.PREDICTION_CHANGED


def _pushed(task: Json, annotation: Json, origins: frozenset[Origin]) -> tuple[Json | None, str]:
    """(the prediction that an annotation grew from, its version); None if it grew from none.

    An annotation that was copied, or whose prediction was removed, names no prediction; its
    regions still say that there was one, and it is the latest that can have been it.
    """
    parent = annotation.get("parent_prediction")
    if parent is None and origins == {Origin.MANUAL}:
        return None, ""
    listed = task.get("predictions")
    known = [p for p in listed if isinstance(p, Mapping)] if isinstance(listed, list) else []
    time = str(annotation.get("created_at") or "")
    earlier = [p for p in known if str(p.get("created_at") or "") <= time]
    named = [p for p in known if parent is not None and p.get("id") == parent]
    # The server lists them in no order that it promises.
    found = max(named or (earlier if parent is None else []) or [{}], key=_age)
    return found, _text(found.get("model_version"))


def _age(prediction: Json) -> tuple[str, int]:
    """What sorts the predictions of a task from the oldest to the latest."""
    number = prediction.get("id")
    return str(prediction.get("created_at") or ""), number if isinstance(number, int) else 0


def _content_or_none(prediction: Json | None, data: TaskData) -> Content | None:
    if not prediction:
        return None
    try:
        return read_content(prediction.get("result"), data.height, data.width)
    except BadAnnotationError:
        return None  # others may have put it there; the annotation itself is checked


def _author(completed_by: object, users: Mapping[int, str]) -> str:
    """An e-mail address where there is one, else "user 7"; "" if the account was removed."""
    if isinstance(completed_by, Mapping):
        email, completed_by = completed_by.get("email"), completed_by.get("id")
        if isinstance(email, str) and email:
            return _text(email)
    if type(completed_by) is not int:
        return ""
    return users.get(completed_by, f"user {completed_by}")


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


def _number(values: Json, name: str) -> int:
    found = values.get(name)
    if type(found) is not int or not 0 <= found < 2**63:
        raise BadAnnotationError(f"its {name} is {found!r}, expected a number")
    return found


def record_of(
    annotated: Annotated,
    *,
    project: str,
    project_id: int,
    path: str,
    sha256: str,
    photo_path: str,
    accepted: bool,
) -> Annotation:
    """The row of an annotation whose pixels lie in a file: `path` below the table's folder, with
    '/' between the parts, and the sha256 of its bytes; `photo_path` likewise the photo's."""
    data = annotated.data
    return Annotation(
        photo_id=data.photo,
        photo_file=data.file,
        photo_sha256=data.photo_sha256,
        photo_path=photo_path,
        height=data.height,
        width=data.width,
        kind=annotated.kind,
        path=path,
        sha256=sha256,
        pixels_sha256=pixels_sha256(annotated.pixels),
        state=annotated.state,
        accepted=accepted,
        author_kind=Author.PERSON,
        author=annotated.author,
        time=annotated.time,
        origin=annotated.origin,
        model=annotated.model,
        pushed_sha256=annotated.pushed_sha256,
        changed_share=annotated.changed_share,
        subject=annotated.subject,
        transparency=annotated.transparency,
        licence=data.licence,
        project=project,
        project_id=project_id,
        task_id=annotated.task_id,
        annotation_id=annotated.annotation_id,
    )
