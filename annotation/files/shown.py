"""The picture of a photo as annotators saw it: fetched from the server once, and checked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import unquote

from annotation.files.folder import is_file
from annotation.form.regions import BadAnnotationError
from annotation.form.tasks import Task
from annotation.server.project import Project
from manifests.pictures import PictureError, read_header
from manifests.storage import write_bytes

_KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg"}


def shown_picture(project: Project, root: Path, task: Task) -> str:
    """The picture as annotators saw it, fetched once; its path below the folder.

    Raises BadAnnotationError if the server shows another one than push sent.
    """
    data, url = task.data, task.image
    for extension in _KINDS.values():
        name = f"photos/{data.photo}.{extension}"
        if is_file(root / name, data.image_sha256):
            return name
    path = picture_path(url, project.files)
    if path is None:
        raise BadAnnotationError(f"its picture is at {url!r}, not where push puts pictures")
    try:
        content = project.client.get_bytes(path)
    except ValueError as error:
        raise BadAnnotationError(f"its picture is at {path[:80]!r}: {error}") from error
    kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), "")
    if not kind or _sha256(content) != data.image_sha256:
        raise BadAnnotationError("the server shows another picture than the one that was pushed")
    height, width = _size(content)
    if (height, width) != (data.height, data.width):
        raise BadAnnotationError(
            f"its picture is {height} x {width}, its data has {data.height} x {data.width}"
        )
    name = f"photos/{data.photo}.{kind}"
    write_bytes(root / name, content)
    return name


def picture_path(url: object, files: str) -> str | None:
    """The path of a picture on the server that we talk to; None if its URL leads elsewhere, where
    the token must not go.

    files: where browsers find the server's files. Below a path, tasks that were pushed with
    the address of the server itself have URLs without it.
    """
    if not isinstance(url, str) or ".." in unquote(url).split("/"):
        return None
    for start in (f"{files}/", "/data/"):
        path = url.removeprefix(start)
        if path != url and path.startswith(("upload/", "local-files/?d=")):
            return f"/data/{path}"
    return None


def _size(content: bytes) -> tuple[int, int]:
    """(height, width) of a picture, not decoded. Raises BadAnnotationError if it is not one."""
    try:
        header = read_header(content)
    except PictureError as error:
        raise BadAnnotationError(f"its picture {error.reason}") from error
    return header.height, header.width


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
