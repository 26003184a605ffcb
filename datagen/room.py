"""Room on the disk of a shard set."""

from __future__ import annotations

import errno
import os
from pathlib import Path


class FullDiskError(RuntimeError):
    """The disk of the shard set is full."""


def raise_if_full(reason: str, out: Path) -> None:
    """Raise FullDiskError if a task failed for want of room: all others would fail, too."""
    for number in (errno.ENOSPC, errno.EDQUOT):
        if os.strerror(number) in reason:
            raise FullDiskError(
                f"{out}: its disk, {disk_of(out)}, is full ({os.strerror(number)}); make room and "
                "type the same command again"
            )


def disk_of(path: Path) -> Path:
    """The folder where the disk of `path` is mounted; `path` may be missing."""
    path = _existing(path).resolve()
    while not path.is_mount():
        path = path.parent
    return path


def free_bytes(path: Path) -> int:
    """Free space of the disk for `path`, which may be missing."""
    found = os.statvfs(_existing(path))
    return found.f_bavail * found.f_frsize


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
