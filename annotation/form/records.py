"""Checked annotations -> rows of the table: pure, no network."""

from __future__ import annotations

from annotation.form.results import Painted
from manifests.annotations import Annotation, Author
from manifests.pixels import pixels_sha256


def record_of(
    painted: Painted,
    *,
    project: str,
    project_id: int,
    path: str,
    sha256: str,
    photo_path: str,
    accepted: bool,
) -> Annotation:
    """The row of an annotation whose pixels are in a file: `path` below the table's folder, with
    '/' between the parts, and the sha256 of its bytes; `photo_path` likewise the photo's."""
    data = painted.data
    return Annotation(
        photo_id=data.photo,
        photo_file=data.file,
        photo_sha256=data.photo_sha256,
        photo_path=photo_path,
        height=data.height,
        width=data.width,
        kind=painted.kind,
        path=path,
        sha256=sha256,
        pixels_sha256=pixels_sha256(painted.pixels),
        state=painted.state,
        accepted=accepted,
        author_kind=Author.PERSON,
        author=painted.author,
        time=painted.time,
        origin=painted.origin,
        model=painted.model,
        pushed_sha256=painted.pushed_sha256,
        changed_share=painted.changed_share,
        subject=painted.subject,
        transparency=painted.transparency,
        licence=data.licence,
        project=project,
        project_id=project_id,
        task_id=painted.task_id,
        annotation_id=painted.annotation_id,
    )
