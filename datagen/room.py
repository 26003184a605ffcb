"""The disk of a shard set: its room, and whether the machine of a worker has it at all."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from pathlib import Path

from manifests.storage import Location, Url

_SHARED = "do all machines share this folder?"


class NotSharedError(ValueError):
    """A worker's machine lacks the folder of the shard set."""


class FullDiskError(RuntimeError):
    """The disk of the shard set is full, or too small."""


def check_shared(folder: Path) -> None:
    """Raise NotSharedError if the driver's folder is missing on this machine."""
    if not folder.is_dir():
        raise NotSharedError(f"{folder}: is missing on {socket.gethostname()}; {_SHARED}")


def raise_if_hopeless(reason: str, out: Location) -> None:
    """Raise what made a task fail if all others would fail for the same reason.

    FullDiskError for want of room, NotSharedError for a machine without the folder.
    """
    if _SHARED in reason:
        raise NotSharedError(reason)
    for number in (errno.ENOSPC, errno.EDQUOT):
        if os.strerror(number) in reason:
            if isinstance(out, Url):  # shards are made here, then sent
                out = Path(tempfile.gettempdir())
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
