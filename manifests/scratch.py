"""Where temporary files are: above all a folder that several processes share, while they live.

The process that made it removes it. If that process is killed, the next one that makes such a
folder removes it instead.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import sys
import tempfile
import weakref
from pathlib import Path
from typing import IO
from uuid import uuid4

_PREFIX = "matting-"
_ALIVE = "alive"  # locked by each process that uses the folder; the system unlocks it at its end


def caches_of_user() -> Path:
    """The folder in which a user's programs keep what they can make again; it may be missing."""
    usual = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or usual).expanduser()


def own_path(name: str) -> Path:
    """The path of a user's own folder among the temporary files; see `make_own`."""
    return Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"


def make_own(folder: Path) -> bool:
    """Make a folder that nobody else can write to; False if somebody else has made it."""
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        return is_ours and not found.st_mode & 0o022
    return False


class Scratch:
    """A folder in `parent` (by default where the system wants temporary files).

    It is made when `folder()` is first called, and only its owner can enter it.

    Copies of the object in other processes, forked or pickled, mean the same folder. It is removed
    by `close()`, or when the original object is no longer referenced.
    """

    def __init__(self, parent: Path | None = None) -> None:
        # A short name, because the path of a socket has at most 107 bytes
        self._folder = (parent or Path(tempfile.gettempdir())) / f"{_PREFIX}{uuid4().hex[:12]}"
        self._locks: list[IO[str]] = []  # at most one
        self._maker = os.getpid()
        weakref.finalize(self, _leave, self._folder, self._locks, self._maker)

    def folder(self) -> Path:
        """Raises OSError if the machine has no room for it."""
        if not self._locks or not self._folder.exists():
            _remove_orphans(self._folder.parent)
            _release(self._locks)
            self._locks.append(_lock(self._folder))
        return self._folder

    def close(self) -> None:
        """Remove the folder; `folder()` would make it again."""
        _leave(self._folder, self._locks, self._maker)

    def __getstate__(self) -> tuple[Path, int]:
        return self._folder, self._maker

    def __setstate__(self, state: tuple[Path, int]) -> None:
        self._folder, self._maker = state
        self._locks = []
        weakref.finalize(self, _release, self._locks)


def _lock(folder: Path) -> IO[str]:
    """Make the folder if it is missing, and mark it as used by this process."""
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        alive = folder / _ALIVE
        try:
            file = alive.open("a")
        except FileNotFoundError:  # removed just now: see below
            continue
        fcntl.flock(file, fcntl.LOCK_SH)
        if alive.exists() and os.path.samestat(os.fstat(file.fileno()), alive.stat()):
            return file
        file.close()  # before it was locked, another process took it for an orphan


def _release(locks: list[IO[str]]) -> None:
    while locks:
        locks.pop().close()


def _leave(folder: Path, locks: list[IO[str]], maker: int) -> None:
    if os.getpid() == maker:
        shutil.rmtree(folder, ignore_errors=True)
    _release(locks)


def _remove_orphans(parent: Path) -> None:
    """Remove the folders that killed processes left."""
    for alive in parent.glob(f"{_PREFIX}*/{_ALIVE}"):
        try:
            with alive.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(alive.parent, ignore_errors=True)
        except OSError:
            continue  # in use, of another user, or gone by now
