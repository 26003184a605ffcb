"""Solved alphas to the tasks of their trimaps, as predictions to be approved: none twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from annotation.files.failures import Failure, failure
from annotation.form.tasks import prediction_of
from annotation.previews import show_alpha
from annotation.push import Progress, Pushed, identity
from annotation.server.client import Client
from annotation.server.faults import ends_session
from annotation.server.find import existing_project
from annotation.server.project import Project, TaskSummary
from annotation.server.tabs import make_tabs
from manifests.annotations import Annotation, read_annotations, solved_path
from manifests.decoding import MAX_PIXELS
from manifests.pictures import read_photo
from manifests.pixels import decode_alpha, pixels_sha256
from manifests.sources import Subject


def push_solved(client: Client, title: str, pulled: Path, begin: Progress) -> Pushed:
    """The solved alphas of a pull folder to their tasks, as predictions; none twice.

    Raises FileNotFoundError if nothing was solved there, ServerError as `push` does.
    """
    rows = read_annotations(solved_path(pulled))
    project = existing_project(client, title)
    known = {row.id: row for row in project.summaries()}
    uploads = project.uploads()
    advance = begin(len(rows))
    created, failed = 0, list[Failure]()
    for number, row in enumerate(rows, 1):
        try:
            created += _push_alpha(project, row, pulled, known, uploads)
        except Exception as error:
            if ends_session(error, 401, 403):
                raise
            failed.append(failure(row.photo_file, error))
        advance(number)
    make_tabs(project)
    kept = len(rows) - created - len(failed)
    return Pushed(project.url, created, kept, tuple(failed))


def _push_alpha(
    project: Project,
    solved: Annotation,
    pulled: Path,
    known: Mapping[int, TaskSummary],
    uploads: dict[str, str],
) -> bool:
    """Whether a task got an alpha that it did not have; either way, it shows it now."""
    task = known.get(solved.task_id)
    if task is None or identity(task) != (solved.photo_id, solved.photo_sha256):
        where = project.task_url(solved.task_id)
        raise ValueError(
            f"its task ({where}) is no longer there, or is for another photo now; push the photo "
            "and pull again"
        )
    subject = "" if solved.subject is Subject.UNLABELLED else str(solved.subject)
    alpha = decode_alpha((pulled / solved.path).read_bytes(), MAX_PIXELS)
    if pixels_sha256(alpha) != solved.pixels_sha256:
        raise ValueError(
            f"{pulled / solved.path}: is not the alpha that was solved; remove it and repeat "
            "`annotate solve`, or bring in your own with `annotate solve --alphas`"
        )
    prediction = prediction_of(
        solved.model, alpha, subject=subject, transparency=solved.transparency
    )
    is_new = project.add_prediction(task.id, prediction)
    solution = {
        "solved_sha256": solved.pixels_sha256,
        "solved_trimap_sha256": solved.pushed_sha256,
    }
    if any(task.data.get(name) != value for name, value in solution.items()):
        image = read_photo(pulled / solved.photo_path)
        show_alpha(project, uploads, task, image, alpha, **solution)
    return is_new
