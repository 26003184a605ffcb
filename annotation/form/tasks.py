"""Photos with an alpha or a trimap <-> Label Studio's tasks and annotations: pure, no network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
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
    RegionLabel,
    choice,
    read_choices,
    read_content,
    read_kind,
    stroke,
)
from annotation.form.taskdata import TaskData, read_data
from manifests.annotations import Annotation, Author, Kind, Origin, State
from manifests.pixels import FOREGROUND, UNKNOWN, Pixels, pixels_sha256
from manifests.sources import Subject

__all__ = [
    "BadAnnotationError",
    "Chosen",
    "Painted",
    "SkippedError",
    "Task",
    "TaskData",
    "author_of",
    "prediction_of",
    "read_chosen",
    "read_result",
    "read_task",
    "record_of",
    "task_of",
]


class SkippedError(BadAnnotationError):
    """The annotator skipped the task: not an error, but there is no result."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What an annotator was shown to begin with. `json` is the server's, unchecked."""

    json: Json
    height: int
    width: int

    @cached_property
    def content(self) -> Content | None:
        """Decoded once, however many annotations grew from it; None if it cannot be read: others
        may have put it there, and the annotation itself is checked."""
        try:
            return read_content(self.json.get("result"), self.height, self.width)
        except BadAnnotationError:
            return None


@dataclass(frozen=True, eq=False)
class Task:
    """A task whose data has been checked. `image` is where the server shows the photo; it, the
    annotations and the predictions are the server's, unchecked."""

    id: int
    data: TaskData
    image: object
    annotations: Sequence[Json]
    predictions: Sequence[Prediction]


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


@dataclass(frozen=True, eq=False)
class Painted:
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
        result.append(stroke(RegionLabel.ALPHA, alpha))
    if trimap is not None:
        for label, code in ((RegionLabel.FOREGROUND, FOREGROUND), (RegionLabel.UNKNOWN, UNKNOWN)):
            is_code = trimap == code
            if is_code.any():
                result.append(stroke(label, np.where(is_code, 255, 0).astype(np.uint8)))
    for control, value in ((SUBJECT, subject), (TRANSPARENCY, transparency)):
        if value:
            result.append(choice(control, value))
    return {"model_version": model_version, "result": result}


def read_task(task: Json) -> Task:
    """A task as the server sends it: its data checked, its annotations and predictions not yet.

    task: its JSON, with its `predictions` in full. Raises BadAnnotationError if push did not make
    it, or if it was spoiled since.
    """
    data = read_data(task)
    annotations = task.get("annotations") or []
    if not isinstance(annotations, list):
        raise BadAnnotationError(f"its annotations are {type(annotations).__name__}, not a list")
    listed = task.get("predictions")
    return Task(
        id=_number(task, "id"),
        data=data,
        image=task["data"].get(IMAGE),
        annotations=annotations,
        predictions=[
            Prediction(one, data.height, data.width)
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, Mapping)
        ],
    )


def read_result(task: Task, annotation: Json) -> Painted:
    """An annotation of a task, checked, with its pixels.

    Raises SkippedError if the task was skipped, else BadAnnotationError with the reason if the
    annotation is malformed.
    """
    _check_finished(annotation)
    data = task.data
    content = read_content(annotation.get("result"), data.height, data.width)
    pushed = _pushed(task, annotation, content.origins)
    before = pushed.content if pushed else None
    origin = _origin(content.origins)
    share, sha256 = 1.0 if origin is Origin.MANUAL else -1.0, ""
    if before is not None:
        sha256 = pixels_sha256(before.pixels)
        same_kind = before.kind is content.kind
        share = float(np.mean(before.pixels != content.pixels)) if same_kind else 1.0
        # A region that was removed leaves no trace in the origins of the others.
        if origin is Origin.PREDICTION and share > 0:
            origin = Origin.PREDICTION_CHANGED
    chosen = _chosen(annotation, content.kind, content.choices, data)
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
        pushed_sha256=sha256,
        changed_share=share,
        subject=chosen.subject,
        transparency=chosen.transparency,
    )


def read_chosen(task: Task, annotation: Json) -> Chosen:
    """What was chosen in an annotation; no pixel is decoded. Raises as `read_result` does, but
    accepts an annotation that only judges."""
    _check_finished(annotation)
    result = annotation.get("result")
    kind, choices = read_kind(result), read_choices(result)
    if kind is None and REVIEW not in choices:
        raise BadAnnotationError("it has no region: nothing was painted")
    return _chosen(annotation, kind, choices, task.data)


def _check_finished(annotation: object) -> None:
    if not isinstance(annotation, Mapping):
        raise BadAnnotationError(f"it is {type(annotation).__name__}, expected a JSON object")
    if annotation.get("was_cancelled"):
        raise SkippedError("the annotator skipped the task")


def _chosen(
    annotation: Json, kind: Kind | None, choices: Mapping[str, str], data: TaskData
) -> Chosen:
    """What a person who painted did not choose stays as it was pushed."""
    pushed = {SUBJECT: data.subject, TRANSPARENCY: data.transparency} if kind else {}
    said = {**pushed, **choices}
    return Chosen(
        annotation_id=_number(annotation, "id"),
        kind=kind,
        state=State(said.get(REVIEW, State.SUBMITTED)),
        author=author_of(annotation.get("completed_by")),
        time=_time(annotation.get("updated_at") or annotation.get("created_at")),
        subject=Subject(said.get(SUBJECT) or Subject.UNLABELLED),
        transparency=said.get(TRANSPARENCY, ""),
    )


def _origin(origins: frozenset[Origin]) -> Origin:
    return next(iter(origins)) if len(origins) == 1 else Origin.PREDICTION_CHANGED


def _pushed(task: Task, annotation: Json, origins: frozenset[Origin]) -> Prediction | None:
    """The prediction that an annotation grew from; None if there was none, or it was removed.

    An annotation that was copied, or whose prediction was removed, names no prediction. Its
    regions still show that there was one, and it is the latest that can have been it.
    """
    parent = annotation.get("parent_prediction")
    if parent is None and origins == {Origin.MANUAL}:
        return None
    time = str(annotation.get("created_at") or "")
    earlier = [one for one in task.predictions if str(one.json.get("created_at") or "") <= time]
    named = [one for one in task.predictions if one.json.get("id") == parent]
    # The server promises no order of the predictions.
    return max(earlier if parent is None else named, key=_age, default=None)


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


def _number(values: Json, name: str) -> int:
    found = values.get(name)
    if type(found) is not int or not 0 <= found < 2**63:
        raise BadAnnotationError(f"its {name} is {found!r}, expected a number")
    return found


def record_of(
    painted: Painted,
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
    data = painted.data
    return Annotation(
        photo_id=data.photo,
        photo_file=data.file,
        photo_sha256=data.photo_sha256,
        photo_path=photo_path,
        height=data.height,
        width=data.width,
        kind=painted.kind,
        path=path,
        sha256=sha256,
        pixels_sha256=pixels_sha256(painted.pixels),
        state=painted.state,
        accepted=accepted,
        author_kind=Author.PERSON,
        author=painted.author,
        time=painted.time,
        origin=painted.origin,
        model=painted.model,
        pushed_sha256=painted.pushed_sha256,
        changed_share=painted.changed_share,
        subject=painted.subject,
        transparency=painted.transparency,
        licence=data.licence,
        project=project,
        project_id=project_id,
        task_id=painted.task_id,
        annotation_id=painted.annotation_id,
    )
