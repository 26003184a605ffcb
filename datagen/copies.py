"""Working copies: made of the sources, and used by the samples.

Either all machines share one folder of them, which is filled before the first shard is begun. Or
each machine has a folder of its own, in which a copy is made when a sample first needs it, and from
which those go that were used least recently when there are too many bytes. Any number of processes
may share such a folder, for the same set or for others. In both, a copy that is missing or damaged
is made again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from datagen.cache import copy_path, make_copies_folder, on_this_machine
from datagen.room import check_shared
from datagen.sample.working_copies import (
    PreparedBackground,
    PreparedForeground,
    load_background,
    load_foreground,
    prepare_cutout,
    prepare_photo,
    save_background,
    save_foreground,
)
from datagen.settings import Settings
from datagen.sources.folders import SourceFolders, read_background, read_foreground
from manifests.checksums import DamagedError
from manifests.sources import Background, Foreground
from manifests.storage import PART

Prepared = TypeVar("Prepared", PreparedForeground, PreparedBackground)

_HOUR = 3600 * 10**9  # nanoseconds
_TRIES = 20  # to use a copy before another process has removed it for want of room


@dataclass(frozen=True)
class Copies:
    """Where a machine finds working copies.

    folder: one that all machines share, or the `folder_of_each_machine`.
    makers: the sources, from which missing copies are made; None: no copy is missing.
    most_bytes: how much may be in a machine's own folder; 0: all machines share the folder.
    """

    folder: Path
    makers: SourceFolders | None = None
    most_bytes: int = 0

    @property
    def here(self) -> Path:
        return on_this_machine(self.folder)

    def check(self) -> None:
        """Raise NotSharedError if all machines should have this folder, and this one has not."""
        if self.most_bytes:
            make_copies_folder(self.folder)
        else:
            check_shared(self.here)

    def foreground(self, source: Foreground, settings: Settings) -> PreparedForeground:
        """Raises what `read_foreground` raises if the copy has to be made, and DamagedError if the
        disk does not keep what is written to it."""
        return self._used(lambda: load_foreground(self.here, source, settings), source, settings)

    def background(self, source: Background, settings: Settings) -> PreparedBackground:
        """Raises what `read_background` raises if the copy has to be made, and DamagedError."""
        return self._used(lambda: load_background(self.here, source, settings), source, settings)

    def _used(
        self,
        load: Callable[[], Prepared],
        source: Foreground | Background,
        settings: Settings,
    ) -> Prepared:
        if self.makers is None:
            return load()
        path = copy_path(self.here, source, settings)
        for trial in range(_TRIES):
            try:
                if self.most_bytes:
                    with suppress(PermissionError):  # another user's
                        os.utime(path)  # used just now
                return load()  # what is mapped stays readable when it is removed
            except FileNotFoundError:
                pass
            except DamagedError:
                if trial:  # what was just made is damaged, too
                    raise
                path.unlink(missing_ok=True)
            _make(self.makers, settings, self.here, source)
            if self.most_bytes:
                make_room(self.here, self.most_bytes)
        raise ValueError(
            f"{self.here}: has no room for the working copies of one sample; "
            "allow a larger --cache-size"
        )


def make_room(folder: Path, most_bytes: int) -> None:
    """Remove the copies that were used least recently until the others fit.

    First go those that were used in the future: since then, the clock was set back. What killed
    processes left unfinished counts as well, and goes in its turn, but not in its first hour, in
    which it may still be written.
    """
    found = []
    for path in (*folder.rglob("*.raw"), *folder.rglob(f"{PART}*")):
        try:
            status = path.stat()
        except FileNotFoundError:  # another process has removed it
            continue
        found.append((status.st_mtime_ns, status.st_size, path))
    total, now = sum(size for _, size, _ in found), time.time_ns()
    for used, size, path in sorted(found, key=lambda one: (one[0] <= now, one[0])):
        if total <= most_bytes:
            return
        if path.name.startswith(PART) and now - used < _HOUR:
            continue
        path.unlink(missing_ok=True)
        total -= size


def prepare_source(
    folders: SourceFolders, settings: Settings, cache: Path, source: Foreground | Background
) -> None:
    """Make the working copy of one source if it is missing."""
    check_shared(cache)
    _make(folders, settings, cache, source)


def _make(
    folders: SourceFolders, settings: Settings, copies: Path, source: Foreground | Background
) -> None:
    path = copy_path(copies, source, settings)
    if path.exists():
        return
    if isinstance(source, Foreground):
        save_foreground(path, prepare_foreground(folders, source, settings).copy)
    else:
        save_background(path, prepare_background(folders, source, settings).photo)


def prepare_foreground(
    folders: SourceFolders, source: Foreground, settings: Settings
) -> PreparedForeground:
    """Read a scanned foreground again and prepare it. Raises what `read_foreground` raises."""
    cutout = read_foreground(folders, source)
    return PreparedForeground(source, prepare_cutout(cutout, source.box, settings))


def prepare_background(
    folders: SourceFolders, source: Background, settings: Settings
) -> PreparedBackground:
    """Read a scanned background again and prepare it. Raises what `read_background` raises."""
    return PreparedBackground(source, prepare_photo(read_background(folders, source), settings))
