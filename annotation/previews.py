"""What is shown beside the editor: an alpha on several backgrounds, or the photo without paint."""

from __future__ import annotations

from collections.abc import Iterable

from annotation.form.preview import encode_preview
from annotation.form.regions import IMAGE, PREVIEW
from annotation.form.tasks import preview_path
from annotation.server.project import Project, TaskSummary
from manifests.pixels import Pixels, pixels_sha256


def preview_name(alpha: Pixels) -> str:
    """The name of the upload that shows an alpha; the server cuts longer ones."""
    return f"{pixels_sha256(alpha)[:28]}.jpg"


def upload_preview(project: Project, uploads: dict[str, str], image: Pixels, alpha: Pixels) -> str:
    """The URL path of what shows an alpha, sent unless it is among `uploads`, where it is noted."""
    name = preview_name(alpha)
    url = uploads.get(name) or project.upload(name, encode_preview(image, alpha))
    uploads[name] = url
    return url


def show_alpha(
    project: Project,
    uploads: dict[str, str],
    task: TaskSummary,
    image: Pixels,
    alpha: Pixels,
    **fields: str,
) -> None:
    """Let a task show an alpha; `fields` of its data are set with it."""
    url = upload_preview(project, uploads, image, alpha)
    project.set_data(task, **{PREVIEW: preview_path(url)}, **fields)


def show_photos(project: Project, tasks: Iterable[TaskSummary]) -> None:
    """Let the tasks of earlier versions, which know of no preview, show their photo there."""
    for task in tasks:
        if PREVIEW not in task.data and isinstance(task.data.get(IMAGE), str):
            project.set_data(task, **{PREVIEW: preview_path(task.data[IMAGE])})
