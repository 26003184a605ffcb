"""Annotations from a project to a folder: exact, checked, and only what changed since.

    DIR/annotations.parquet   a row for each annotation that is believed
    DIR/photos/ID.png         the picture as annotators saw it (or .jpg)
    DIR/alphas/ID.png         the result of a task, or
    DIR/trimaps/ID.png
    DIR/others/ID.7.png       its other annotations
    DIR/pull.json             which tasks were seen, in what state

Every name in it follows from ids that push gave and numbers; none is the server's.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from PIL import Image

from annotation.client import Client, RefusedError
from annotation.project import Project, Row, existing_project
from annotation.regions import BadAnnotationError
from annotation.taskdata import TaskData, read_data
from annotation.tasks import Annotated, SkippedError, choose, read_result, record_of
from manifests.annotations import (
    Annotation,
    Kind,
    State,
    annotations_path,
    read_annotations,
    write_annotations,
)
from manifests.pixels import encode_alpha, encode_trimap
from manifests.storage import write_bytes

_PHOTO_KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg"}
_SAVE_EVERY = 25  # tasks: what an interruption may cost

Advance = Callable[[int], None]
Progress = Callable[[int], Advance]


class Wanted(StrEnum):
    """Which annotations to pull."""

    APPROVED = "approved"
    ALL = "all"


@dataclass(frozen=True)
class Bad:
    """An annotation (or, with annotation 0, a whole task) that was not believed."""

    project: str
    task: int
    annotation: int
    reason: str


@dataclass(frozen=True)
class Pulled:
    """Tasks by what was done, and what could not be believed."""

    tasks: int
    fetched: int
    unchanged: int
    rows: int
    approved: int
    bad: tuple[Bad, ...]


@dataclass
class _Folder:
    """The folder that is pulled to: its rows by task, and the state in which each was seen."""

    root: Path
    project: Project
    wanted: Wanted
    rows: dict[int, list[Annotation]] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)

    @property
    def memory(self) -> Path:
        return self.root / "pull.json"

    def load(self) -> None:
        """What an earlier pull left. Raises ValueError if it was of another project."""
        if not self.memory.exists():
            if annotations_path(self.root).exists():
                raise ValueError(f"{self.root}: holds annotations that pull did not put there")
            return
        try:
            memory = json.loads(self.memory.read_bytes())
            origin, wanted, seen = memory["project"], memory["state"], dict(memory["seen"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.memory}: damaged ({error!r}); remove it") from error
        if origin != self._origin():
            raise ValueError(
                f"{self.root}: holds {origin}, this is {self._origin()}; give another --out"
            )
        for row in read_annotations(annotations_path(self.root)):
            self.rows.setdefault(row.task_id, []).append(row)
        if wanted == self.wanted:
            self.seen = {str(task): str(state) for task, state in seen.items()}

    def _origin(self) -> str:
        return f"{self.project.title} (project {self.project.id})"

    def save(self) -> None:
        """The table first: what pull.json says was seen is in it."""
        rows = [row for task in sorted(self.rows) for row in self.rows[task]]
        write_annotations(annotations_path(self.root), rows)
        memory = {"project": self._origin(), "state": self.wanted, "seen": self.seen}
        write_bytes(self.memory, json.dumps(memory, indent=1).encode())

    def is_unchanged(self, row: Row) -> bool:
        if self.seen.get(str(row.id)) != _state(row):
            return False
        files = {name for one in self.rows.get(row.id, []) for name in (one.path, one.photo_path)}
        return all((self.root / name).is_file() for name in files)

    def put(self, row: Row, rows: list[Annotation], is_whole: bool) -> None:
        """Take a task's rows for those that it had; its files that are no result any more go."""
        old = {one.path for one in self.rows.pop(row.id, [])}
        for name in old - {one.path for one in rows}:
            (self.root / name).unlink(missing_ok=True)
        if rows:
            self.rows[row.id] = rows
        self.seen.pop(str(row.id), None)
        if is_whole:  # else it is fetched, and its faults are named, again next time
            self.seen[str(row.id)] = _state(row)


def _state(row: Row) -> str:
    return f"{row.updated} {row.annotations} {row.skipped}"


def pull(client: Client, title: str, root: Path, wanted: Wanted, begin: Progress) -> Pulled:
    """All annotations of a project that are wanted, to a folder.

    What cannot be believed is in the result, and the rest is pulled. Raises ServerError if the
    server does not play along, ValueError if the folder holds something else. Whenever it ends,
    the folder is whole.
    """
    project = existing_project(client, title)
    folder = _Folder(root, project, wanted)
    folder.load()
    listed = list(project.rows())
    advance = begin(len(listed))
    bad: list[Bad] = []
    fetched = 0
    owners: dict[str, int] = {}
    try:
        for number, row in enumerate(listed, 1):
            if row.annotations + row.skipped == 0:
                folder.put(row, [], is_whole=True)
            elif not folder.is_unchanged(row):
                found, faults = _pull_task(project, folder, row, owners)
                folder.put(row, found, is_whole=not faults)
                bad += faults
                fetched += 1
                if fetched % _SAVE_EVERY == 0:
                    folder.save()
            for one in folder.rows.get(row.id, []):
                owners.setdefault(one.photo_id, row.id)
            advance(number)
        _forget(folder, {row.id for row in listed})
    finally:
        folder.save()
    rows = [one for task in folder.rows.values() for one in task if one.accepted]
    approved = sum(one.state is State.APPROVED for one in rows)
    return Pulled(len(listed), fetched, len(listed) - fetched, len(rows), approved, tuple(bad))


def _forget(folder: _Folder, there: set[int]) -> None:
    """Tasks that are no longer on the server are no longer in the folder."""
    for task in folder.rows.keys() - there:
        folder.put(Row(task, {}, "", 0, 0), [], is_whole=False)


def _pull_task(
    project: Project, folder: _Folder, row: Row, owners: Mapping[str, int]
) -> tuple[list[Annotation], list[Bad]]:
    """(the rows of one task, its faults); its files are written."""
    faults: list[Bad] = []
    task = project.task(row.id)
    try:
        data = read_data(task)
        owner = owners.get(data.photo, row.id)
        if owner != row.id:
            raise BadAnnotationError(f"task {owner} is for the same photo; delete one of them")
        believed: list[Annotated] = []
        for annotation in task.get("annotations") or ():
            try:
                believed.append(read_result(task, annotation))
            except SkippedError:
                continue
            except BadAnnotationError as error:
                faults.append(Bad(project.title, row.id, _id_of(annotation), str(error)))
        photo_path = _photo(project, folder.root, task, data) if believed else ""
    except (BadAnnotationError, RefusedError) as error:
        return [], [Bad(project.title, row.id, 0, str(error)), *faults]
    result, others = choose(believed)
    rows = []
    for one in [*([result] if result else []), *others]:
        if folder.wanted is Wanted.ALL or one.state is State.APPROVED:
            rows.append(_write(project, folder.root, one, photo_path, accepted=one is result))
    return rows, faults


def _id_of(annotation: Any) -> int:
    found = annotation.get("id") if isinstance(annotation, Mapping) else 0
    return found if isinstance(found, int) else 0


def _write(
    project: Project, root: Path, one: Annotated, photo_path: str, accepted: bool
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


def _photo(project: Project, root: Path, task: Mapping[str, Any], data: TaskData) -> str:
    """The picture as annotators saw it, fetched once; its path below the folder.

    Raises BadAnnotationError if the server shows another one than push sent.
    """
    for extension in _PHOTO_KINDS.values():
        path = root / "photos" / f"{data.photo}.{extension}"
        if path.is_file() and _sha256(path.read_bytes()) == data.image_sha256:
            return f"photos/{path.name}"
    url = task["data"].get("image")
    if not isinstance(url, str) or not _is_ours(url):
        raise BadAnnotationError(f"its picture is at {url!r}, not where push puts pictures")
    content = project.client.get_bytes(url)
    kind = next((kind for start, kind in _PHOTO_KINDS.items() if content.startswith(start)), "")
    if not kind or _sha256(content) != data.image_sha256:
        raise BadAnnotationError("the server shows another picture than the one that was pushed")
    with Image.open(io.BytesIO(content)) as image:
        if image.size != (data.width, data.height):
            found = f"{image.height} x {image.width}"
            raise BadAnnotationError(
                f"its picture is {found}, its data says {data.height} x {data.width}"
            )
    name = f"photos/{data.photo}.{kind}"
    write_bytes(root / name, content)
    return name


def _is_ours(url: str) -> bool:
    """Whether a picture's URL is a path of the same server, so that the token stays there."""
    shown = ("/data/upload/", "/data/local-files/?d=")
    return url.startswith(shown) and ".." not in unquote(url).split("/")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
