"""What the annotations of a task amount to: what was painted, what reviews say, what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field

from annotation.bad import BadAnnotation, bad_annotation, id_of, person_of
from annotation.files.failures import failure
from annotation.form.choose import NOTHING_TO_APPROVE, approvals
from annotation.form.regions import BadAnnotationError
from annotation.form.results import Chosen, Painted, SkippedError, read_chosen, read_results
from annotation.form.tasks import Task
from annotation.server.project import Project
from annotation.settings import Gaps


@dataclass(frozen=True)
class Found:
    """The annotations of a task. `refused` are those that cannot be used, `noted` those that can,
    with what a person should know."""

    painted: list[Painted] = field(default_factory=list)
    reviews: list[Chosen] = field(default_factory=list)
    refused: list[BadAnnotation] = field(default_factory=list)
    noted: list[BadAnnotation] = field(default_factory=list)


def find(project: Project, task: Task, gaps: Gaps) -> Found:
    """Every annotation of a task, decoded. What happens to one ends that one and no other."""
    found = Found()

    def name(annotation: object, reason: str) -> BadAnnotation:
        who = (id_of(annotation), person_of(annotation))
        return bad_annotation(project, task.id, task.data.file, *who, reason)

    for annotation in task.annotations:
        try:
            chosen = read_chosen(task, annotation)
            painted = read_results(task, annotation, gaps) if chosen.kind else []
        except SkippedError:
            continue
        except BadAnnotationError as error:
            found.refused.append(name(annotation, str(error)))
            continue
        except Exception as error:
            found.refused.append(name(annotation, failure("", error).reason))
            continue
        if painted:
            found.painted.extend(painted)
        else:
            found.reviews.append(chosen)
        noted = [one.notes for one in painted] or [chosen.notes]
        found.noted.extend(name(annotation, note) for notes in noted for note in notes)
    if not found.painted:
        approving = approvals(found.reviews)
        for annotation in task.annotations:
            if id_of(annotation) in approving:
                found.refused.append(name(annotation, NOTHING_TO_APPROVE))
    return found
