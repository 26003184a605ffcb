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
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from annotation.bad import BadAnnotation, bad_annotation, bad_task, id_of, person_of
from annotation.files.folder import Folder, is_file
from annotation.files.shown import shown_picture
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
from annotation.server.client import Client, RefusedError, ServerError
from annotation.server.project import Project, TaskSummary, existing_project
from annotation.settings import Wanted
from manifests.annotations import Annotation, Kind, State
from manifests.pixels import encode_alpha, encode_trimap
from manifests.storage import write_bytes

_SAVE_EVERY = 25  # tasks; an interruption loses at most as many
_KEPT = "what was pulled of it is kept; --prune removes it"

Advance = Callable[[int], None]
Progress = Callable[[int], Advance]


@dataclass(frozen=True)
class Pulled:
    """Tasks by what was done with them, what was malformed, and what the server no longer has.

    gone: what is kept although it is no longer on the server. removed: how many annotations of
    that kind were removed instead, because somebody asked for it.
    """

    tasks: int
    fetched: int
    unchanged: int
    rows: int
    approved: int
    bad: tuple[BadAnnotation, ...]
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
) -> Pulled:
    """All annotations of a project that are wanted, to a folder.

    Malformed annotations are named in the result, and the rest is pulled; what an earlier pull
    brought of them is kept. So is what an earlier pull brought and the server no longer has, and it
    is named too; with `prune` it is removed. Raises ServerError if the server refuses, does not
    answer, or the project is deleted meanwhile, ValueError if the folder holds another project.
    However it ends, the folder is consistent.
    """
    project = existing_project(client, title)
    folder = Folder(root, project, wanted)
    folder.load()
    listed = project.summaries()
    folder.check(listed)
    work = _Work(project, folder, prune, {row.id for row in listed})
    advance = begin(len(listed))
    fetched = 0
    try:
        work.settle_missing()
        for number, row in enumerate(listed, 1):
            if row.annotations + row.skipped == 0 and row.id not in folder.rows:
                folder.see(row, is_whole=True)
            elif not folder.is_unchanged(row):
                is_whole = work.take(row)
                folder.see(row, is_whole)
                fetched += 1
                if fetched % _SAVE_EVERY == 0:
                    folder.save()
            advance(number)
    finally:
        folder.save()
    rows = [one for task in folder.rows.values() for one in task if one.accepted]
    return Pulled(
        tasks=len(listed),
        fetched=fetched,
        unchanged=len(listed) - fetched,
        rows=len(rows),
        approved=sum(one.state is State.APPROVED for one in rows),
        bad=tuple(work.bad),
        gone=tuple(work.gone),
        removed=work.removed,
    )


@dataclass
class _Work:
    """One pull. `there`: the tasks that the server lists."""

    project: Project
    folder: Folder
    prune: bool
    there: set[int]
    bad: list[BadAnnotation] = field(default_factory=list)
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
        """Pull one task; whether it was pulled as a whole, so that it need not be fetched again."""
        photo = listed.data.get("file")
        json = self.project.find_task(listed.id)
        if json is None:
            if not self.project.is_there():
                raise ServerError(
                    f"{self.project.url}: the project {self.project.title!r} was deleted while it "
                    "was pulled; what was pulled is kept"
                )
            self._settle(listed.id, "the task was deleted on the server")
            return False
        faults: list[BadAnnotation] = []
        try:
            task = read_task(json)
            self._check_owner(task.data.photo, listed.id)
            painted, reviews, faults = _read(self.project, task)
            picture = shown_picture(self.project, self.folder.root, task) if painted else ""
        except (BadAnnotationError, RefusedError) as error:
            self.bad += [bad_task(self.project, listed.id, photo, str(error)), *faults]
            return False
        kept = self._kept(listed.id, task, painted, {one.annotation for one in faults})
        result, others = choose(painted, reviews)
        is_wanted = self.folder.wanted == Wanted.ALL
        chosen = [
            one
            for one in ([result] if result else []) + others
            if is_wanted or one.state is State.APPROVED
        ]
        if result in chosen:
            kept = [_set_aside(self.folder.root, row) for row in kept]
        rows = [
            _write(self.project, self.folder.root, one, picture, accepted=one is result)
            for one in chosen
        ]
        self.folder.put(listed.id, [*rows, *kept])
        self.bad += faults
        return not faults and not kept

    def _check_owner(self, photo: str, task: int) -> None:
        owner = self.folder.owner(photo)
        if owner in (None, task):
            return
        if owner in self.there:
            raise BadAnnotationError(f"task {owner} is for the same photo; delete one of them")
        raise BadAnnotationError(
            f"the results of task {owner}, which was deleted on the server, are kept for the same "
            "photo; --prune removes them, and takes those of this task"
        )

    def _kept(
        self, number: int, task: Task, painted: Iterable[Painted], faulty: set[int]
    ) -> list[Annotation]:
        """What an earlier pull brought of a task and the server no longer has, if it is kept.

        An annotation that is malformed now is kept as it was; it is named as malformed.
        """
        there = {id_of(one) for one in task.annotations}
        usable = {one.annotation_id for one in painted}
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


def _read(project: Project, task: Task) -> tuple[list[Painted], list[Chosen], list[BadAnnotation]]:
    """(what was painted in a task, what reviews say of it, what is refused)."""
    painted, reviews = list[Painted](), list[Chosen]()
    faults: list[BadAnnotation] = []

    def refuse(annotation: object, reason: str) -> None:
        who = (id_of(annotation), person_of(annotation))
        faults.append(bad_annotation(project, task.id, task.data.file, *who, reason))

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
            refuse(annotation, str(error))
    if not painted:
        approving = approvals(reviews)
        for annotation in task.annotations:
            if id_of(annotation) in approving:
                refuse(annotation, NOTHING_TO_APPROVE)
    return painted, reviews, faults


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
