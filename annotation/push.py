"""Photos, and what is known of them, to a project: nothing twice, whatever was interrupted before.

A task is recognised by its photo's id and sha256. Solved alphas go to tasks that are there, as
predictions to be approved.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from annotation.files.companions import Companions, pair, read_fitting
from annotation.files.photos import Photo, Problem, image_bytes, scan_photos
from annotation.form.regions import labels_xml
from annotation.form.tasks import prediction_of, task_of
from annotation.server.client import Client, RefusedError, ServerError, UnsureError
from annotation.server.project import TRIES, Project, TaskSummary, existing_project, make_project
from manifests.annotations import Annotation, read_annotations, solved_path
from manifests.decoding import MAX_PIXELS
from manifests.pictures import read_alpha, read_trimap
from manifests.pixels import decode_alpha
from manifests.sources import Subject

MODEL = "pushed"
_BATCH_BYTES = 24_000_000  # of JSON in one import: the server takes 250 MB, in one piece of memory
_BATCH_TASKS = 50

Advance = Callable[[int], None]  # gets how many are done in all
Progress = Callable[[int], Advance]  # gets how many there are


@dataclass(frozen=True)
class Sources:
    """What to push. `root`: the folder that the server shows as local files; None: upload."""

    photos: Path
    alphas: Path | None = None
    trimaps: Path | None = None
    labels: Path | None = None
    root: Path | None = None


@dataclass(frozen=True)
class Pushed:
    """How many tasks (or predictions) were made and were there already, and what went wrong."""

    url: str
    created: int
    kept: int
    problems: tuple[Problem, ...]


@dataclass
class _Batch:
    """Tasks as JSON, by their identity, that wait for one import."""

    tasks: dict[tuple[str, str], bytes] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        size = sum(map(len, self.tasks.values()))
        return size >= _BATCH_BYTES or len(self.tasks) >= _BATCH_TASKS


def push(client: Client, title: str, sources: Sources, begin: Progress) -> Pushed:
    """Every photo of a folder to the project of that title, which is made if there is none.

    A photo with a fault, or with a faulty companion, is a problem, and the others are pushed.
    Raises ServerError if the server refuses or does not answer, ValueError if a folder cannot be
    used.
    """
    root = _shown_root(sources)
    photos, problems = scan_photos(sources.photos)
    companions, more = pair(photos, sources.alphas, sources.trimaps, sources.labels)
    if not photos and not problems:
        raise ValueError(f"{sources.photos}: holds no photo")
    project = make_project(client, title, labels_xml(), MODEL)
    if root is not None:
        project.serve_folder(sources.photos.resolve())
    problems = [*problems, *more]
    known = project.summaries()
    uploads = project.uploads()
    advance = begin(len(photos))
    batch, created, kept = _Batch(), 0, 0
    newest = max((row.id for row in known), default=0)
    for number, photo in enumerate(photos, 1):
        found = _known(photo, companions[photo.id], known)
        if found is None:
            try:
                batch.tasks[photo.id, photo.sha256] = _task(
                    project, photo, companions[photo.id], root, uploads
                )
                created += 1
            except (OSError, ValueError) as error:
                problems.append(Problem(photo.file, str(error)))
        elif isinstance(found, Problem):
            problems.append(found)
        else:
            kept += 1
        if batch.is_full or number == len(photos):
            _import(project, batch)
            advance(number)
    if created:
        problems += _settle_duplicates(project, newest)
    return Pushed(project.url, created, kept, tuple(problems))


def _shown_root(sources: Sources) -> Path | None:
    """Where URLs of local files begin. Raises ValueError if the photos do not lie below it."""
    if sources.root is None:
        return None
    root, photos = sources.root.resolve(), sources.photos.resolve()
    if root == photos or not photos.is_relative_to(root):
        raise ValueError(
            f"--local-files {root}: the photos have to lie in a folder below it, {photos} does not"
        )
    return root


def identity(row: TaskSummary) -> tuple[str, str]:
    """What identifies a task: its photo's id and sha256."""
    return str(row.data.get("photo")), str(row.data.get("photo_sha256"))


def _known(
    photo: Photo, given: Companions, rows: Sequence[TaskSummary]
) -> TaskSummary | Problem | None:
    """The task of a photo; None if there is no task yet; a Problem if none can be made."""
    for row in rows:
        name, sha256 = identity(row)
        if name != photo.id:
            continue
        if sha256 != photo.sha256:
            reason = f"task {row.id} has another photo of this name; rename it, or delete the task"
            return Problem(photo.file, reason)
        for file, pushed in ((given.alpha, "alpha_sha256"), (given.trimap, "trimap_sha256")):
            if file and hashlib.sha256(file.read_bytes()).hexdigest() != row.data.get(pushed):
                reason = f"task {row.id} was made without {file}, or with another; to begin it anew"
                return Problem(photo.file, f"{reason} with this one, delete the task")
        other = [
            f"{label} {value!r} instead of {row.data.get(label)!r}"
            for label in ("subject", "transparency", "licence")
            if (value := getattr(given, label)) and value != row.data.get(label)
        ]
        if other:
            reason = (
                f"now has {', '.join(other)}, but its task {row.id} keeps what it was made with"
            )
            return Problem(photo.file, f"{reason}; to begin it anew, delete the task")
        return row
    return None


def _task(
    project: Project, photo: Photo, given: Companions, root: Path | None, uploads: dict[str, str]
) -> bytes:
    """The task as JSON, its picture where the server can show it."""
    data, extension = image_bytes(photo)
    shown = hashlib.sha256(data).hexdigest()
    if root is not None and shown == photo.sha256:
        url = f"/data/local-files/?d={quote(photo.path.resolve().relative_to(root).as_posix())}"
    else:
        name = f"{shown[:32]}.{extension}"  # the server cuts names that are long
        url = uploads.get(name) or project.upload(name, data)
        uploads[name] = url
    size = (photo.height, photo.width)
    task = task_of(
        photo,
        url,
        shown,
        alpha=read_fitting(read_alpha, given.alpha, *size) if given.alpha else None,
        trimap=read_fitting(read_trimap, given.trimap, *size) if given.trimap else None,
        alpha_sha256=_sha256(given.alpha),
        trimap_sha256=_sha256(given.trimap),
        subject=given.subject,
        transparency=given.transparency,
        licence=given.licence,
        model_version=MODEL,
    )
    return json.dumps(task, separators=(",", ":")).encode()


def _sha256(path: Path | None) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""


def _import(project: Project, batch: _Batch) -> None:
    """Make the tasks of a batch, and empty it. After a broken connection only what is missing."""
    last: ServerError | None = None
    pauses = project.client.pauses()
    for _ in range(TRIES):
        if not batch.tasks:
            return
        try:
            project.add_tasks(list(batch.tasks.values()))
        except UnsureError as error:
            last = error
            project.client.settled(error, lambda: not _missing(project, batch))
            batch.tasks = _missing(project, batch)
            time.sleep(next(pauses))
        else:
            batch.tasks = {}
    if batch.tasks:
        raise ServerError(
            f"{len(batch.tasks)} tasks could not be imported in {TRIES} tries; {last}"
        )


def _missing(project: Project, batch: _Batch) -> dict[tuple[str, str], bytes]:
    there = {identity(row) for row in project.summaries()}
    return {name: task for name, task in batch.tasks.items() if name not in there}


def _settle_duplicates(project: Project, newest: int) -> Iterator[Problem]:
    """An import that seemed lost may have been carried out later.

    Of tasks for the same photo the oldest stays. A later one is deleted if this push made it and
    nobody has touched it; otherwise it is reported.
    """
    first: dict[tuple[str, str], TaskSummary] = {}
    for row in sorted(project.summaries(), key=lambda row: row.id):
        kept = first.setdefault(identity(row), row)
        if kept is row or "photo" not in row.data:
            continue
        if row.id > newest and not project.is_touched(row.id):
            project.delete_task(row.id)
        else:
            reason = f"tasks {kept.id} and {row.id} are for the same photo; delete one of them"
            yield Problem(str(row.data.get("file")), reason)


def push_solved(client: Client, title: str, pulled: Path, begin: Progress) -> Pushed:
    """The solved alphas of a pull folder to their tasks, as predictions; none twice.

    Raises FileNotFoundError if nothing was solved there, ServerError as `push` does.
    """
    rows = read_annotations(solved_path(pulled))
    project = existing_project(client, title)
    known = {row.id: row for row in project.summaries()}
    advance = begin(len(rows))
    created, problems = 0, []
    for number, row in enumerate(rows, 1):
        try:
            created += _push_alpha(project, row, pulled / row.path, known)
        except (OSError, ValueError, RefusedError) as error:
            problems.append(Problem(row.photo_file, str(error)))
        advance(number)
    kept = len(rows) - created - len(problems)
    return Pushed(project.url, created, kept, tuple(problems))


def _push_alpha(
    project: Project, solved: Annotation, path: Path, known: Mapping[int, TaskSummary]
) -> bool:
    task = known.get(solved.task_id)
    if task is None or identity(task) != (solved.photo_id, solved.photo_sha256):
        raise ValueError(f"task {solved.task_id} of {project.title!r} is not for this photo")
    subject = "" if solved.subject is Subject.UNLABELLED else str(solved.subject)
    alpha = decode_alpha(path.read_bytes(), MAX_PIXELS)
    prediction = prediction_of(
        solved.model, alpha, subject=subject, transparency=solved.transparency
    )
    return project.add_prediction(task.id, prediction)
