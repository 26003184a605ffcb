"""Annotations from a project to a folder: exact, checked, and only what changed since.

    DIR/annotations.parquet   a row for each valid annotation
    DIR/photos/ID.png         the picture as annotators saw it (or .jpg)
    DIR/alphas/ID.png         the result of a task, or
    DIR/trimaps/ID.png
    DIR/others/ID.7.png       its other annotations
    DIR/pull.json             which tasks were seen, and in what state

All names are made of ids that push gave and of numbers, never of a text of the server. What was
pulled stays when the server no longer has it, until somebody asks for its removal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from annotation.bad import BadAnnotation, bad_annotation, bad_task, id_of
from annotation.files.failures import failure
from annotation.files.folder import Folder, is_file
from annotation.files.shown import shown_picture
from annotation.form.choose import choose
from annotation.form.records import record_of
from annotation.form.regions import IMAGE, BadAnnotationError
from annotation.form.results import Painted
from annotation.form.tasks import Task, read_task
from annotation.found import Found, find
from annotation.server.ahead import Ahead
from annotation.server.client import Client
from annotation.server.faults import ServerError, ends_session
from annotation.server.find import existing_project
from annotation.server.miscounts import counted_summaries
from annotation.server.project import Project, TaskSummary
from annotation.settings import Gaps, Wanted
from manifests.annotations import Annotation, Kind, State
from manifests.pixels import encode_alpha, encode_trimap
from manifests.storage import write_bytes

_SAVE_EVERY = 25  # tasks, or a twentieth of all: what the end of the machine loses at most
_KEPT = "what was pulled of it is kept; --prune removes it"

Advance = Callable[[int], None]
Progress = Callable[[int], Advance]


@dataclass(frozen=True)
class Pulled:
    """Tasks by what was done with them, what was malformed, and what the server no longer has.

    approved_trimaps: how many of the approved results are trimaps, which are not exported. bad:
    what cannot be used; warnings: what can, with care. gone: what is kept although it is no longer
    on the server. removed: how many annotations of that kind were removed instead, because somebody
    asked for it.
    """

    tasks: int
    fetched: int
    unchanged: int
    rows: int
    approved: int
    approved_trimaps: int
    bad: tuple[BadAnnotation, ...]
    warnings: tuple[BadAnnotation, ...]
    gone: tuple[BadAnnotation, ...]
    removed: int


def pull(
    client: Client,
    title: str,
    root: Path,
    wanted: Wanted,
    begin: Progress,
    *,
    prune: bool = False,
    gaps: Gaps = Gaps.UNKNOWN,
) -> Pulled:
    """All annotations of a project that are wanted, to a folder.

    Malformed annotations are named in the result, and the rest is pulled; what an earlier pull
    brought of them is kept. So is what an earlier pull brought and the server no longer has, and it
    is named too; with `prune` it is removed. Raises ServerError if the server refuses, does not
    answer, or the project is deleted meanwhile, ValueError if the folder holds another project.
    However it ends, the folder is consistent.
    """
    project = existing_project(client, title)
    folder = Folder(root, project, wanted, gaps)
    folder.load()
    listed = counted_summaries(project)
    folder.check(listed)
    changed = [row for row in listed if not (folder.is_seen(row) or _is_empty(folder, row))]
    work = _Work(project, folder, Ahead(project, changed), prune, {row.id for row in listed})
    advance = begin(len(listed))
    fetched = saved = 0
    try:
        work.settle_missing()
        for number, row in enumerate(listed, 1):
            if _is_empty(folder, row):
                folder.see(row, is_whole=True)
            elif not folder.is_unchanged(row):
                is_whole = work.take(row)
                folder.see(row, is_whole)
                fetched += 1
                if fetched - saved >= max(_SAVE_EVERY, len(folder.rows) // 20):
                    folder.save()
                    saved = fetched
            advance(number)
    finally:
        folder.save()
    rows = [one for task in folder.rows.values() for one in task if one.accepted]
    approved = [one for one in rows if one.state is State.APPROVED]
    return Pulled(
        tasks=len(listed),
        fetched=fetched,
        unchanged=len(listed) - fetched,
        rows=len(rows),
        approved=len(approved),
        approved_trimaps=sum(one.kind is Kind.TRIMAP for one in approved),
        bad=tuple(work.bad),
        warnings=tuple(work.warnings),
        gone=tuple(work.gone),
        removed=work.removed,
    )


def _is_empty(folder: Folder, row: TaskSummary) -> bool:
    """Whether there is nothing of a task, neither on the server nor in the folder. The server may
    miscount where several write at once, so one that has changed since it was seen is read."""
    is_new = row.id not in folder.rows and str(row.id) not in folder.seen
    return row.annotations + row.skipped == 0 and is_new


@dataclass
class _Work:
    """One pull. `there`: the tasks that the server lists."""

    project: Project
    folder: Folder
    ahead: Ahead
    prune: bool
    there: set[int]
    bad: list[BadAnnotation] = field(default_factory=list)
    warnings: list[BadAnnotation] = field(default_factory=list)
    gone: list[BadAnnotation] = field(default_factory=list)
    removed: int = 0

    def settle_missing(self) -> None:
        """The tasks that the folder holds and the server no longer lists."""
        for task in sorted(self.folder.rows.keys() - self.there):
            self._settle(task, "the task was deleted on the server")
        self.folder.forget(self.there)

    def _settle(self, task: int, reason: str) -> None:
        """A task that the server no longer has."""
        rows = self.folder.rows.get(task, [])
        if self.prune:
            self.folder.put(task, [])
            self.removed += len(rows)
        elif rows:
            self.gone.append(bad_task(self.project, task, rows[0].photo_file, f"{reason}; {_KEPT}"))

    def take(self, listed: TaskSummary) -> bool:
        """Pull one task; whether all of it is well, so that it need not be fetched again.

        Whatever happens to it ends this task and no other, unless it would meet all of them.
        """
        try:
            return self._take(listed)
        except Exception as error:
            if ends_session(error, 401):
                raise
            reason = failure("", error).reason
            self.bad.append(bad_task(self.project, listed.id, listed.data.get("file"), reason))
            return False

    def _take(self, listed: TaskSummary) -> bool:
        json = self.ahead.find_task(listed)
        if json is None:
            if not self.project.is_there():
                raise ServerError(
                    f"{self.project.url}: the project {self.project.title!r} was deleted while it "
                    "was pulled; what was pulled is kept"
                )
            self._settle(listed.id, "the task was deleted on the server")
            return False
        task = read_task(json)
        self._check_owner(task.data.photo, listed.id)
        found = find(self.project, task, self.folder.gaps)
        self.bad += found.refused
        warnings = found.noted + self._unseen(listed)
        self.warnings += warnings
        root = self.folder.root
        picture = shown_picture(self.project, root, task) if found.painted else ""
        kept = self._kept(listed.id, task, found)
        result, others = choose(found.painted, found.reviews)
        is_wanted = self.folder.wanted == Wanted.ALL
        chosen = [
            one
            for one in ([result] if result else []) + others
            if is_wanted or one.state is State.APPROVED
        ]
        if result in chosen:
            kept = [_set_aside(root, row) for row in kept]
        rows = [_write(self.project, root, one, picture, accepted=one is result) for one in chosen]
        self.folder.put(listed.id, [*rows, *kept])
        return not (found.refused or warnings or kept)

    def _unseen(self, listed: TaskSummary) -> list[BadAnnotation]:
        """A task whose picture is where browsers do not find it, as below a path."""
        url = str(listed.data.get(IMAGE))
        if url.startswith(self.project.files):
            return []
        reason = (
            f"annotators see no picture: it is looked for at {url[:80]!r}, but the server's files "
            f"are below {self.project.files!r}; delete the task, and push again"
        )
        return [bad_task(self.project, listed.id, listed.data.get("file"), reason)]

    def _check_owner(self, photo: str, task: int) -> None:
        owner = self.folder.owner(photo)
        if owner in (None, task):
            return
        if owner in self.there:
            other = self.project.task_url(owner)
            raise BadAnnotationError(f"{other} is for the same photo; delete one of them")
        raise BadAnnotationError(
            "the results of an earlier task for the same photo, which was deleted on the server, "
            "are kept; --prune removes them, and takes those of this task"
        )

    def _kept(self, number: int, task: Task, found: Found) -> list[Annotation]:
        """What an earlier pull brought of a task and the server no longer has, if it is kept.

        An annotation that is malformed now is kept as it was; it is named as malformed.
        """
        there = {id_of(one) for one in task.annotations}
        usable = {one.annotation_id for one in found.painted}
        faulty = {one.annotation for one in found.refused}
        kept = []
        for row in self.folder.rows.get(number, []):
            if row.annotation_id in usable:
                continue
            if row.annotation_id in faulty:
                kept.append(row)
            elif self.prune:
                self.removed += 1
            else:
                kept.append(row)
                how = "has no region or was skipped" if row.annotation_id in there else "is gone"
                reason = f"it {how} on the server now; {_KEPT}"
                self.gone.append(
                    bad_annotation(
                        self.project, number, row.photo_file, row.annotation_id, row.author, reason
                    )
                )
        return kept


def _set_aside(root: Path, row: Annotation) -> Annotation:
    """The row of a kept annotation that is no longer the result, its file among the others."""
    path = _other_path(row.photo_id, row.annotation_id)
    if row.path == path:
        return row
    if not is_file(root / path, row.sha256):  # else an interrupted pull has done it
        write_bytes(root / path, (root / row.path).read_bytes())
    return replace(row, path=path, accepted=False)


def _other_path(photo: str, annotation: int) -> str:
    return f"others/{photo}.{annotation}.png"


def _write(
    project: Project, root: Path, one: Painted, photo_path: str, accepted: bool
) -> Annotation:
    is_alpha = one.kind is Kind.ALPHA
    data = encode_alpha(one.pixels) if is_alpha else encode_trimap(one.pixels)
    name = one.data.photo
    path = f"{'alphas' if is_alpha else 'trimaps'}/{name}.png"
    if not accepted:
        path = _other_path(name, one.annotation_id)
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
