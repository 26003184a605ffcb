"""Functions that Numba compiles, and where it keeps them.

Numba keeps what it compiled beside the source or in the user's cache folder. Where it can write to
neither, it refuses to work, so it is given a folder that belongs to this user.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from manifests.scratch import caches_of_user

_PLACE = "NUMBA_CACHE_DIR"


def compiled(function: Any) -> Any:
    """A decorator: the function is compiled when it is first called, once for each machine."""
    keep_compiled([Path(__file__).parents[1]])
    import numba

    return numba.njit(cache=True, error_model="numpy")(function)


def keep_compiled(sources: Iterable[Path]) -> None:
    """See that Numba can keep what it compiles of these folders. Call it before Numba is imported.

    An environment variable says where, so that the processes that this one starts use it, too.
    """
    if "numba" not in sys.modules and _PLACE not in os.environ and not _has_a_place(sources):
        os.environ[_PLACE] = str(_own_folder())


def _has_a_place(sources: Iterable[Path]) -> bool:
    return any(map(_is_writable, [*sources, caches_of_user()]))


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which itself may have to be made first."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _own_folder() -> Path:
    """A folder that nobody else can write to, because the code in it is run."""
    folder = Path(tempfile.gettempdir()) / f"matting-compiled-{os.getuid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        if is_ours and not found.st_mode & 0o022:
            return folder
    return Path(tempfile.mkdtemp(prefix="matting-compiled-"))
