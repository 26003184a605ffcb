"""Annotations from a project to a folder: exact, checked, and only what changed since.

    DIR/annotations.parquet   a row for each valid annotation
    DIR/photos/ID.png         the picture as annotators saw it (or .jpg)
    DIR/alphas/ID.png         the result of a task, or
    DIR/trimaps/ID.png
    DIR/others/ID.7.png       its other annotations
    DIR/pull.json             which tasks were seen, and in what state

All names are made of ids that push gave and of numbers, never of a text of the server.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from PIL import Image

from annotation.files.folder import Folder, is_file
from annotation.form.choose import NOTHING_TO_APPROVE, approvals, choose
from annotation.form.regions import BadAnnotationError
from annotation.form.tasks import (
    Chosen,
    Painted,
    SkippedError,
    Task,
    read_chosen,
    read_result,
    read_task,
    record_of,
)
from annotation.server.client import Client, RefusedError
from annotation.server.project import Project, TaskSummary, existing_project
from annotation.settings import Wanted
from manifests.annotations import Annotation, Kind, State
from manifests.pixels import encode_alpha, encode_trimap
from manifests.storage import write_bytes

_PHOTO_KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg"}
_SAVE_EVERY = 25  # tasks; an interruption loses at most as many

Advance = Callable[[int], None]
Progress = Callable[[int], Advance]


@dataclass(frozen=True)
class BadAnnotation:
    """A malformed annotation or, with annotation 0, a whole malformed task."""

    project: str
    task: int
    annotation: int
    reason: str


@dataclass(frozen=True)
class Pulled:
    """Tasks by what was done with them, and what was malformed."""

    tasks: int
    fetched: int
    unchanged: int
    rows: int
    approved: int
    bad: tuple[BadAnnotation, ...]


def pull(client: Client, title: str, root: Path, wanted: Wanted, begin: Progress) -> Pulled:
    """All annotations of a project that are wanted, to a folder.

    Malformed annotations are named in the result, and the rest is pulled; what an earlier pull
    brought of a task that is now malformed as a whole is kept. Raises ServerError if the server
    refuses or does not answer, ValueError if the folder holds another project. However it ends, the
    folder is consistent.
    """
    project = existing_project(client, title)
    folder = Folder(root, project, wanted)
    folder.load()
    listed = list(project.summaries())
    advance = begin(len(listed))
    bad: list[BadAnnotation] = []
    fetched = 0
    try:
        folder.forget({row.id for row in listed})
        for number, row in enumerate(listed, 1):
            if row.annotations + row.skipped == 0:
                folder.put(row.id, [])
                folder.see(row, is_whole=True)
            elif not folder.is_unchanged(row):
                task = project.find_task(row.id)
                found, faults = _pull_task(project, folder, row, task) if task else ([], [])
                if found is not None:
                    folder.put(row.id, found)
                folder.see(row, is_whole=task is not None and not faults)
                bad += faults
                fetched += 1
                if fetched % _SAVE_EVERY == 0:
                    folder.save()
            advance(number)
    finally:
        folder.save()
    rows = [one for task in folder.rows.values() for one in task if one.accepted]
    approved = sum(one.state is State.APPROVED for one in rows)
    return Pulled(len(listed), fetched, len(listed) - fetched, len(rows), approved, tuple(bad))


def _pull_task(
    project: Project, folder: Folder, listed: TaskSummary, json: Mapping[str, Any]
) -> tuple[list[Annotation] | None, list[BadAnnotation]]:
    """(the rows of one task, None if it failed as a whole; its faults); its files are written."""
    faults: list[tuple[int, str]] = []
    try:
        task = read_task(json)
        owner = folder.owner(task.data.photo)
        if owner not in (None, listed.id):
            raise BadAnnotationError(f"task {owner} is for the same photo; delete one of them")
        painted, reviews, faults = _read(task)
        photo_path = _photo(project, folder.root, task) if painted else ""
    except (BadAnnotationError, RefusedError) as error:
        reasons = [(0, str(error)), *faults]
        return None, [BadAnnotation(project.title, listed.id, *one) for one in reasons]
    result, others = choose(painted, reviews)
    rows = []
    for one in [*([result] if result else []), *others]:
        if folder.wanted == Wanted.ALL or one.state is State.APPROVED:
            rows.append(_write(project, folder.root, one, photo_path, accepted=one is result))
    return rows, [BadAnnotation(project.title, listed.id, *one) for one in faults]


def _read(task: Task) -> tuple[list[Painted], list[Chosen], list[tuple[int, str]]]:
    """(what was painted in a task, what reviews say of it, (annotation, why it is refused))."""
    painted, reviews = list[Painted](), list[Chosen]()
    faults: list[tuple[int, str]] = []
    for annotation in task.annotations:
        try:
            chosen = read_chosen(task, annotation)
            if chosen.kind is None:
                reviews.append(chosen)
            else:
                painted.append(read_result(task, annotation))
        except SkippedError:
            continue
        except BadAnnotationError as error:
            faults.append((id_of(annotation), str(error)))
    if not painted:
        faults += [(number, NOTHING_TO_APPROVE) for number in approvals(reviews)]
    return painted, reviews, faults


def id_of(annotation: object) -> int:
    """The number of an annotation as the server sends it; 0 if it has none."""
    found = annotation.get("id") if isinstance(annotation, Mapping) else 0
    return found if isinstance(found, int) else 0


def _write(
    project: Project, root: Path, one: Painted, photo_path: str, accepted: bool
) -> Annotation:
    is_alpha = one.kind is Kind.ALPHA
    data = encode_alpha(one.pixels) if is_alpha else encode_trimap(one.pixels)
    name = one.data.photo
    path = f"{'alphas' if is_alpha else 'trimaps'}/{name}.png"
    if not accepted:
        path = f"others/{name}.{one.annotation_id}.png"
    write_bytes(root / path, data)
    return record_of(
        one,
        project=project.title,
        project_id=project.id,
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        photo_path=photo_path,
        accepted=accepted,
    )


def _photo(project: Project, root: Path, task: Task) -> str:
    """The picture as annotators saw it, fetched once; its path below the folder.

    Raises BadAnnotationError if the server shows another one than push sent.
    """
    data, url = task.data, task.image
    for extension in _PHOTO_KINDS.values():
        path = root / "photos" / f"{data.photo}.{extension}"
        if is_file(path, data.image_sha256):
            return f"photos/{path.name}"
    if not isinstance(url, str) or not _is_ours(url):
        raise BadAnnotationError(f"its picture is at {url!r}, not where push puts pictures")
    try:
        content = project.client.get_bytes(url)
    except ValueError as error:
        raise BadAnnotationError(f"its picture is at {url[:80]!r}: {error}") from error
    kind = next((kind for start, kind in _PHOTO_KINDS.items() if content.startswith(start)), "")
    if not kind or _sha256(content) != data.image_sha256:
        raise BadAnnotationError("the server shows another picture than the one that was pushed")
    width, height = _size(content)
    if (width, height) != (data.width, data.height):
        raise BadAnnotationError(
            f"its picture is {height} x {width}, its data has {data.height} x {data.width}"
        )
    name = f"photos/{data.photo}.{kind}"
    write_bytes(root / name, content)
    return name


def _size(content: bytes) -> tuple[int, int]:
    """(width, height) of a picture, not decoded. Raises BadAnnotationError if it is not one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large sizes: the task's data has the right one
            with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as image:
                return image.size
    except Exception as error:  # Pillow raises whatever damaged bytes lead it to
        raise BadAnnotationError(f"its picture cannot be read ({error})") from error


def _is_ours(url: str) -> bool:
    """Whether a picture's URL is a path of the same server, so that the token stays there."""
    shown = ("/data/upload/", "/data/local-files/?d=")
    return url.startswith(shown) and ".." not in unquote(url).split("/")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
