"""The folder of pulled annotations: its table, and the state in which each task was seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from annotation.server.project import Project, TaskSummary
from annotation.settings import Gaps
from manifests.annotations import (
    Annotation,
    annotations_path,
    read_annotations,
    write_annotations,
)
from manifests.documents import parse_object
from manifests.storage import write_bytes


@dataclass
class Folder:
    """The folder that is pulled to: its rows by task, and the state in which each was seen."""

    root: Path
    project: Project
    wanted: str  # which annotations, for a folder that was pulled with others before
    gaps: Gaps = Gaps.UNKNOWN  # likewise
    rows: dict[int, list[Annotation]] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    origin: tuple[str, int] | None = None  # title and number of the project that was pulled last
    _owners: dict[str, int] = field(default_factory=dict)  # of photos' ids

    @property
    def memory(self) -> Path:
        return self.root / "pull.json"

    def load(self) -> None:
        """Read what an earlier pull left. If its table or pull.json is missing, every task is new.

        Raises ValueError if one of them is damaged.
        """
        table = annotations_path(self.root)
        for row in read_annotations(table) if table.exists() else ():
            self.rows.setdefault(row.task_id, []).append(row)
            self._owners.setdefault(row.photo_id, row.task_id)
        if not self.memory.exists():
            return
        try:
            memory = parse_object(self.memory.read_bytes())
            seen = {str(task): str(state) for task, state in dict(memory.get("seen", {})).items()}
            if "project_id" in memory:  # it is missing where an earlier version pulled
                self.origin = str(memory["project"]), int(memory["project_id"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"{self.memory}: damaged ({error!r}); remove it") from error
        if (memory.get("state"), memory.get("gaps")) == (self.wanted, self.gaps) and table.exists():
            self.seen = seen

    def check(self, listed: Sequence[TaskSummary]) -> None:
        """Refuse a folder of another project. A project keeps its number when it is renamed; one of
        another server may have the same number, but not the same photos in the same tasks.

        Raises ValueError.
        """
        numbers = {row.project_id for rows in self.rows.values() for row in rows}
        titles = {row.project for rows in self.rows.values() for row in rows}
        if self.origin is not None:
            titles.add(self.origin[0])
            numbers.add(self.origin[1])
        ours = (self.project.title, self.project.id)
        photos = {row.id: row.data.get("photo") for row in listed}
        is_same = numbers <= {ours[1]} and (
            titles <= {ours[0]}
            or not self.rows
            or any(photos.get(task) == rows[0].photo_id for task, rows in self.rows.items())
        )
        if not is_same:
            theirs = f"{' and '.join(sorted(titles))} (project {', '.join(map(str, numbers))})"
            raise ValueError(
                f"{self.root}: holds {theirs}, this is {ours[0]} (project {ours[1]}); give "
                "another --out"
            )
        for task, rows in self.rows.items():
            self.rows[task] = [replace(row, project=ours[0]) for row in rows]

    def save(self) -> None:
        """Write the table, then pull.json: every task that pull.json names is in the table."""
        rows = [row for task in sorted(self.rows) for row in self.rows[task]]
        write_annotations(annotations_path(self.root), rows)
        memory = {
            "project": self.project.title,
            "project_id": self.project.id,
            "state": self.wanted,
            "gaps": self.gaps,
            "seen": self.seen,
        }
        write_bytes(self.memory, json.dumps(memory, indent=1).encode())

    def is_seen(self, row: TaskSummary) -> bool:
        """Whether a task is as it was seen."""
        return self.seen.get(str(row.id)) == row.state

    def is_unchanged(self, row: TaskSummary) -> bool:
        """Whether a task is as it was seen, and its files are as they were written."""
        if not self.is_seen(row):
            return False
        rows = self.rows.get(row.id, [])
        files = {one.path: one.sha256 for one in rows}
        files |= {one.photo_path: str(row.data.get("image_sha256")) for one in rows}
        return all(is_file(self.root / name, sha256) for name, sha256 in files.items())

    def owner(self, photo: str) -> int | None:
        """The task whose results have the names of a photo's id."""
        return self._owners.get(photo)

    def put(self, task: int, rows: list[Annotation]) -> None:
        """Replace the rows of a task, and remove those of its files that no row names any more."""
        old = self.rows.pop(task, [])
        for one in old:
            if self._owners.get(one.photo_id) == task:
                del self._owners[one.photo_id]
        for one in rows:
            self._owners.setdefault(one.photo_id, task)
        if rows:
            self.rows[task] = rows
        if old:  # a photo's second task, made when the first was deleted, has the same names
            used = {one.path for task_rows in self.rows.values() for one in task_rows}
            for name in {one.path for one in old} - used:
                (self.root / name).unlink(missing_ok=True)

    def see(self, row: TaskSummary, is_whole: bool) -> None:
        """Remember the state of a task. One with faults is fetched, and reported, again."""
        self.seen.pop(str(row.id), None)
        if is_whole:
            self.seen[str(row.id)] = row.state

    def forget(self, there: set[int]) -> None:
        """Forget the state of tasks that are no longer on the server; their rows stay."""
        known = set(map(str, there))
        self.seen = {task: state for task, state in self.seen.items() if task in known}


def is_file(path: Path, sha256: str) -> bool:
    """Whether there is a file with these bytes. One that cannot be read counts as missing: it is
    written anew, or that fails with its name."""
    try:
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False
