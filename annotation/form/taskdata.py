"""The data of a task, which describe its photo: written by push, checked when they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annotation.files.photos import MAX_SIDE, is_photo_id
from annotation.form.regions import CHOICES, BadAnnotationError, Json
from manifests.names import sha256_text


@dataclass(frozen=True)
class TaskData:
    """The description of a photo in its task; written by `task_of`, and all strings and integers.

    `photo_sha256` is that of the original file, `image_sha256` that of the bytes that the server
    shows; `alpha_sha256` and `trimap_sha256` those of the pushed file, "" if there was none.
    `solved_sha256` and `solved_trimap_sha256` are those of the pixels of the solved alpha that the
    task shows, and of its trimap.
    A task is known again by `photo` and `photo_sha256`.
    """

    photo: str
    file: str
    photo_sha256: str
    image_sha256: str
    height: int
    width: int
    alpha_sha256: str = ""
    trimap_sha256: str = ""
    subject: str = ""
    transparency: str = ""
    licence: str = ""
    solved_sha256: str = ""
    solved_trimap_sha256: str = ""


_LATER = ("solved_sha256", "solved_trimap_sha256")  # earlier versions wrote none
_OPTIONAL = ("alpha_sha256", "trimap_sha256", *_LATER)


def read_data(task: Json) -> TaskData:
    """The data of a task. Raises BadAnnotationError if push did not make the task."""
    data = task.get("data")
    if not isinstance(data, Mapping):
        raise BadAnnotationError("the task has no data")
    if not is_photo_id(data.get("photo")):
        raise BadAnnotationError(f"its photo {data.get('photo')!r} is not an id as push makes them")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(TaskData):
        value = data.get(field.name, "" if field.name in _LATER else None)
        values[field.name] = value
        if field.name in ("height", "width"):
            if type(value) is not int or not 0 < value <= MAX_SIDE:
                raise BadAnnotationError(f"its data has {field.name} = {value!r}")
        elif not isinstance(value, str) or value != value.encode("utf-8", "replace").decode():
            raise BadAnnotationError(f"its data has {field.name} = {value!r}, expected a text")
        elif field.name.endswith("sha256"):
            if value or field.name not in _OPTIONAL:
                _check_sha256(field.name, value)
        elif field.name in CHOICES and value and value not in CHOICES[field.name]:
            raise BadAnnotationError(f"its data has {field.name} = {value!r}")
    return TaskData(**values)


def _check_sha256(name: str, value: str) -> None:
    try:
        sha256_text(value)
    except ValueError as error:
        raise BadAnnotationError(f"its data has {name} = {error}") from error


def read_number(values: Json, name: str) -> int:
    """A number that the server gave a task or an annotation. Raises BadAnnotationError."""
    found = values.get(name)
    if type(found) is not int or not 0 <= found < 2**63:
        raise BadAnnotationError(f"its {name} is {found!r}, expected a number")
    return found
