"""Photos with an alpha or a trimap <-> Label Studio's tasks and predictions: pure, no network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from annotation.files.photos import Photo
from annotation.form.regions import (
    IMAGE,
    PREVIEW,
    SUBJECT,
    TRANSPARENCY,
    BadAnnotationError,
    Content,
    Json,
    RegionLabel,
    choice,
    read_content,
    stroke,
)
from annotation.form.taskdata import TaskData, read_data, read_number
from manifests.pixels import FOREGROUND, UNKNOWN, Pixels


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
    preview_url: str = "",
) -> dict[str, Any]:
    """The task to import: its data, and a prediction if there is anything to begin with.

    preview_url: what is shown beside the photo; "": the photo without paint.
    """
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
    shown = {IMAGE: image_url, PREVIEW: preview_path(preview_url or image_url)}
    task: dict[str, Any] = {"data": {**shown, **dataclasses.asdict(data)}}
    found = prediction_of(model_version, alpha, trimap, subject, transparency)
    for pixels in (alpha, trimap):
        if pixels is not None and pixels.shape != (photo.height, photo.width):
            raise ValueError(f"{photo.file}: {photo.height} x {photo.width}, not {pixels.shape}")
    return task | ({"predictions": [found]} if found["result"] else {})


def preview_path(url: str) -> str:
    """A URL path as the interface takes it. The server counts as a field of its own what begins
    with '$', and takes uploads only for an interface with one field: hence /$[preview]."""
    return url.removeprefix("/")


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
        id=read_number(task, "id"),
        data=data,
        image=task["data"].get(IMAGE),
        annotations=annotations,
        predictions=[
            Prediction(one, data.height, data.width)
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, Mapping)
        ],
    )
