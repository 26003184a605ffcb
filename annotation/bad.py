"""What cannot be used of a project, or only with care, named so that a person finds it.

A line has the photo, the annotator and the link to the task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from annotation.form.results import author_of
from annotation.server.project import Project


@dataclass(frozen=True)
class BadAnnotation:
    """An annotation or, with annotation 0, a whole task: what is wrong with it, and its place.

    photo: the file that was pushed, "" if the task does not say. url: the task in the browser.
    """

    project: str
    task: int
    annotation: int
    reason: str
    photo: str
    author: str
    url: str

    @property
    def line(self) -> str:
        """All of it in one line."""
        where = f"annotation {self.annotation}" if self.annotation else "the whole task"
        who = f" by {self.author}" if self.author else ""
        return f"{self.photo or f'task {self.task}'}: {where}{who}: {self.reason} ({self.url})"


def bad_task(project: Project, task: int, photo: object, reason: str) -> BadAnnotation:
    """A whole task. `photo` is what its data says, unchecked."""
    return bad_annotation(project, task, photo, 0, "", reason)


def bad_annotation(
    project: Project, task: int, photo: object, annotation: int, author: str, reason: str
) -> BadAnnotation:
    """An annotation of a task. `photo` is what its data says, unchecked."""
    file = photo if isinstance(photo, str) else ""
    return BadAnnotation(
        project.title, task, annotation, reason, file, author, project.task_url(task)
    )


def id_of(annotation: object) -> int:
    """The number of an annotation as the server sends it; 0 if it has none."""
    found = annotation.get("id") if isinstance(annotation, Mapping) else 0
    return found if isinstance(found, int) else 0


def person_of(annotation: object) -> str:
    """Who made an annotation as the server sends it; "" if nobody knows."""
    return author_of(annotation.get("completed_by")) if isinstance(annotation, Mapping) else ""
