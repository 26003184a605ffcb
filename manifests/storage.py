"""The one way in which files are written: beside, then renamed. Presence means whole."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PART = ".part-"


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it at the end; removed if the body raises.

    The name is unique, because a task may run twice at once; whichever ends last wins, with the
    same bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{_PART}{uuid.uuid4().hex[:12]}-{path.name}")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole small file, atomically."""
    with writing(path) as part, part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sweep(folder: Path) -> int:
    """Remove what killed writers left below `folder`; returns how many files."""
    parts = list(folder.rglob(f"{_PART}*")) if folder.is_dir() else []
    for part in parts:
        part.unlink(missing_ok=True)
    return len(parts)
