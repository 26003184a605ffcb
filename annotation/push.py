"""Photos, and what is known of them, to a project: nothing twice, whatever was interrupted before.

A task is recognised by its photo's id and sha256. What happens to one photo ends that photo and no
other; it is named in the result.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from annotation.files.companions import Companions, doubts, pair, read_fitting
from annotation.files.failures import Failure, failure
from annotation.files.photos import Photo, image_bytes, scan_photos
from annotation.form.interface import labels_xml
from annotation.form.regions import IMAGE, PREVIEW
from annotation.form.tasks import task_of
from annotation.previews import show_alpha, show_photos, upload_preview
from annotation.server.client import Client
from annotation.server.faults import RefusedError, ServerError, UnsureError, ends_session
from annotation.server.find import make_project, settle_project
from annotation.server.once import TRIES
from annotation.server.project import Project, TaskSummary
from annotation.server.tabs import make_tabs
from manifests.pictures import read_alpha, read_photo, read_trimap
from manifests.pixels import Pixels

MODEL = "pushed"
_BATCH_BYTES = 24_000_000  # of JSON in one import: the server takes 250 MB, in one piece of memory
_BATCH_TASKS = 50
_GENERAL = (401, 403, 404)  # refusals that meet every photo: of the token, and of the project

Advance = Callable[[int], None]  # gets how many are done in all
Progress = Callable[[int], Advance]  # gets how many there are
Identity = tuple[str, str]  # of a task: its photo's id and sha256


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
    """How many tasks (or predictions) were made and were there already, and what was left out.

    warnings: alphas that were pushed although they were probably not meant like this.
    """

    url: str
    created: int
    kept: int
    failed: tuple[Failure, ...]
    warnings: tuple[Failure, ...] = ()


@dataclass
class _Push:
    """One push. `known`: the tasks that were there before, by their photo's id; `waiting`: photos,
    and their tasks as JSON, that wait for one import, by their identity; `shown`: known tasks that
    got a preview."""

    project: Project
    root: Path | None
    known: Mapping[str, TaskSummary]
    uploads: dict[str, str]
    waiting: dict[Identity, tuple[str, bytes]] = field(default_factory=dict)
    shown: set[int] = field(default_factory=set)
    created: int = 0
    kept: int = 0
    failed: list[Failure] = field(default_factory=list)
    warnings: list[Failure] = field(default_factory=list)

    def take(self, photo: Photo, given: Companions) -> None:
        """Let a photo wait for the next import, unless it has a task or cannot have one."""
        try:
            row = self.known.get(photo.id)
            if row is not None:
                _check_task(self.project, photo, given, row)
                if PREVIEW not in row.data and given.alpha:  # an earlier version made it
                    image, before = read_photo(photo.path), _alpha(photo, given.alpha)
                    show_alpha(self.project, self.uploads, row, image, before)
                    self.shown.add(row.id)
                self.kept += 1
                return
            alpha = _alpha(photo, given.alpha) if given.alpha else None
            data = _new_task(self.project, photo, given, alpha, self.root, self.uploads)
            self.waiting[photo.id, photo.sha256] = photo.file, data
            if alpha is not None and given.alpha is not None:
                self.warnings += doubts(alpha, given.alpha)
        except Exception as error:
            if ends_session(error, *_GENERAL):
                raise
            self.failed.append(failure(photo.file, error))

    @property
    def is_full(self) -> bool:
        size = sum(len(data) for _, data in self.waiting.values())
        return size >= _BATCH_BYTES or len(self.waiting) >= _BATCH_TASKS

    def send(self) -> None:
        """Make the tasks that wait. If the server refuses them together, one by one, so that those
        that it refuses are named."""
        batch, self.waiting = self.waiting, {}
        try:
            self._import(batch)
        except RefusedError as error:
            if ends_session(error, *_GENERAL):
                raise
            for identity, (file, data) in batch.items():
                try:
                    self._import({identity: (file, data)})
                except RefusedError as refusal:
                    if ends_session(refusal, *_GENERAL):
                        raise
                    self.failed.append(failure(file, refusal))

    def _import(self, batch: Mapping[Identity, tuple[str, bytes]]) -> None:
        """Make the tasks of a batch; after a broken connection only those that are missing."""
        last: ServerError | None = None
        pauses = self.project.client.pauses()
        missing = dict(batch)
        for _ in range(TRIES):
            if not missing:
                break
            try:
                self.project.add_tasks([data for _, data in missing.values()])
            except UnsureError as error:
                last = error
                self.project.client.settled(error, lambda: not self._missing(batch))
                missing = self._missing(batch)
                time.sleep(next(pauses))
            else:
                missing = {}
        if missing:
            raise ServerError(
                f"{len(missing)} tasks could not be imported in {TRIES} tries; {last}"
            )
        self.created += len(batch)

    def _missing(
        self, batch: Mapping[Identity, tuple[str, bytes]]
    ) -> dict[Identity, tuple[str, bytes]]:
        there = {identity(row) for row in self.project.summaries()}
        return {name: task for name, task in batch.items() if name not in there}


def push(client: Client, title: str, sources: Sources, begin: Progress) -> Pushed:
    """Every photo of a folder to the project of that title, which is made if it does not exist.

    A photo that cannot be pushed, or whose companion is malformed, is named in the result, and the
    others are pushed. Raises ServerError if the server refuses everything or does not answer,
    ValueError if a folder cannot be used.
    """
    root = _shown_root(sources)
    photos, failed = scan_photos(sources.photos)
    companions, more = pair(photos, sources.alphas, sources.trimaps, sources.labels)
    failed += more
    if not photos and not failed:
        raise ValueError(f"{sources.photos}: holds no photo")
    project = make_project(client, title, labels_xml(), MODEL)
    if root is not None:
        project.serve_folder(sources.photos.resolve())
    known = project.summaries()
    oldest = {identity(row)[0]: row for row in reversed(known)}
    work = _Push(project, root, oldest, project.uploads(), failed=failed)
    advance = begin(len(photos))
    for number, photo in enumerate(photos, 1):
        work.take(photo, companions[photo.id])
        if work.is_full or number == len(photos):
            work.send()
            advance(number)
    if work.created:
        newest = max((row.id for row in known), default=0)
        failed += _settle_duplicates(project, newest)
    show_photos(project, (row for row in known if row.id not in work.shown))
    make_tabs(project)
    settle_project(project)
    warnings = [Failure(project.url, note) for note in project.notes]
    return Pushed(project.url, work.created, work.kept, tuple(failed), (*warnings, *work.warnings))


def _shown_root(sources: Sources) -> Path | None:
    """Where URLs of local files begin. Raises ValueError if the photos are not below it."""
    if sources.root is None:
        return None
    root, photos = sources.root.resolve(), sources.photos.resolve()
    if root == photos or not photos.is_relative_to(root):
        raise ValueError(
            f"--local-files {root}: the photos have to be in a folder below it, {photos} is not"
        )
    return root


def identity(row: TaskSummary) -> Identity:
    """What identifies a task: its photo's id and sha256."""
    return str(row.data.get("photo")), str(row.data.get("photo_sha256"))


def _check_task(project: Project, photo: Photo, given: Companions, row: TaskSummary) -> None:
    """Raises ValueError if the task of a photo was made with something else."""
    where = project.task_url(row.id)
    if identity(row)[1] != photo.sha256:
        raise ValueError(
            f"another photo of this name has a task ({where}); rename it, or delete the task"
        )
    for file, pushed in ((given.alpha, "alpha_sha256"), (given.trimap, "trimap_sha256")):
        if file and _sha256(file) != row.data.get(pushed):
            raise ValueError(
                f"its task ({where}) was made without {file}, or with another; to begin it anew "
                "with this one, delete the task"
            )
    other = [
        f"{label} {value!r} instead of {row.data.get(label)!r}"
        for label in ("subject", "transparency", "licence")
        if (value := getattr(given, label)) and value != row.data.get(label)
    ]
    if other:
        raise ValueError(
            f"now has {', '.join(other)}, but its task ({where}) keeps what it was made with; to "
            "begin it anew, delete the task"
        )
    if not str(row.data.get(IMAGE)).startswith(project.files):
        raise ValueError(
            f"annotators see no picture in its task ({where}): it is looked for at "
            f"{str(row.data.get(IMAGE))[:80]!r}, but the server's files are below "
            f"{project.files!r} now; delete the task, and push again"
        )


def _alpha(photo: Photo, path: Path) -> Pixels:
    return read_fitting(read_alpha, path, photo.height, photo.width)


def _new_task(
    project: Project,
    photo: Photo,
    given: Companions,
    alpha: Pixels | None,
    root: Path | None,
    uploads: dict[str, str],
) -> bytes:
    """The task as JSON, its picture where the server can show it."""
    data, extension = image_bytes(photo)
    shown = hashlib.sha256(data).hexdigest()
    if root is not None and shown == photo.sha256:
        below = photo.path.resolve().relative_to(root).as_posix()
        url = f"{project.files}/local-files/?d={quote(below)}"
    else:
        name = f"{shown[:32]}.{extension}"  # the server cuts names that are long
        url = uploads.get(name) or project.upload(name, data)
        uploads[name] = url
    size = photo.height, photo.width
    shows = upload_preview(project, uploads, read_photo(data), alpha) if alpha is not None else ""
    task = task_of(
        photo,
        url,
        shown,
        alpha=alpha,
        trimap=read_fitting(read_trimap, given.trimap, *size) if given.trimap else None,
        alpha_sha256=_sha256(given.alpha),
        trimap_sha256=_sha256(given.trimap),
        subject=given.subject,
        transparency=given.transparency,
        licence=given.licence,
        model_version=MODEL,
        preview_url=shows,
    )
    return json.dumps(task, separators=(",", ":")).encode()


def _sha256(path: Path | None) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""


def _settle_duplicates(project: Project, newest: int) -> Iterator[Failure]:
    """An import that seemed lost may have been carried out later.

    Of tasks for the same photo the oldest stays. A later one is deleted if this push made it and
    nobody has touched it; otherwise it is named.
    """
    first: dict[Identity, TaskSummary] = {}
    for row in sorted(project.summaries(), key=lambda row: row.id):
        kept = first.setdefault(identity(row), row)
        if kept is row or "photo" not in row.data:
            continue
        if row.id > newest and not project.is_touched(row.id):
            project.delete_task(row.id)
        else:
            where = f"{project.task_url(kept.id)} and {project.task_url(row.id)}"
            reason = f"it has two tasks ({where}); delete one of them"
            yield Failure(str(row.data.get("file")), reason)
