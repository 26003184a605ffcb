"""The picture of a photo as annotators saw it: fetched from the server once, and checked."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from urllib.parse import unquote

from PIL import Image

from annotation.files.folder import is_file
from annotation.form.regions import BadAnnotationError
from annotation.form.tasks import Task
from annotation.server.project import Project
from manifests.storage import write_bytes

_KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg"}


def shown_picture(project: Project, root: Path, task: Task) -> str:
    """The picture as annotators saw it, fetched once; its path below the folder.

    Raises BadAnnotationError if the server shows another one than push sent.
    """
    data, url = task.data, task.image
    for extension in _KINDS.values():
        path = root / "photos" / f"{data.photo}.{extension}"
        if is_file(path, data.image_sha256):
            return f"photos/{path.name}"
    if not isinstance(url, str) or not _is_ours(url):
        raise BadAnnotationError(f"its picture is at {url!r}, not where push puts pictures")
    try:
        content = project.client.get_bytes(url)
    except ValueError as error:
        raise BadAnnotationError(f"its picture is at {url[:80]!r}: {error}") from error
    kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), "")
    if not kind or _sha256(content) != data.image_sha256:
        raise BadAnnotationError("the server shows another picture than the one that was pushed")
    width, height = _size(content)
    if (width, height) != (data.width, data.height):
        raise BadAnnotationError(
            f"its picture is {height} x {width}, its data has {data.height} x {data.width}"
        )
    name = f"photos/{data.photo}.{kind}"
    write_bytes(root / name, content)
    return name


def _size(content: bytes) -> tuple[int, int]:
    """(width, height) of a picture, not decoded. Raises BadAnnotationError if it is not one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large sizes: the task's data has the right one
            with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as image:
                return image.size
    except Exception as error:  # Pillow raises whatever damaged bytes lead it to
        raise BadAnnotationError(f"its picture cannot be read ({error})") from error


def _is_ours(url: str) -> bool:
    """Whether a picture's URL is a path of the same server, so that the token stays there."""
    shown = ("/data/upload/", "/data/local-files/?d=")
    return url.startswith(shown) and ".." not in unquote(url).split("/")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
