"""pymatting, imported where it is used and with a place for what it compiles.

It compiles itself when it is first imported, for about half a minute, and keeps the result on
disk: beside its own files, or in the user's cache folder. Where neither can be written, it cannot
even be imported, so it is given a folder that belongs to this user.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

_PLACE = "NUMBA_CACHE_DIR"


def load() -> Any:
    """The module pymatting."""
    if "pymatting" not in sys.modules and _PLACE not in os.environ and not _has_a_place():
        os.environ[_PLACE] = str(_own_folder())
    import pymatting

    return pymatting


def quiet() -> contextlib.AbstractContextManager[object]:
    """While this is entered, pymatting's remarks on standard output are dropped.

    It prints when a factorisation needs another try; standard output belongs to the command.
    """
    return contextlib.redirect_stdout(io.StringIO())


def _has_a_place() -> bool:
    """Whether what is compiled can be kept where numba would keep it by itself."""
    spec = importlib.util.find_spec("pymatting")
    beside: list[str] = list(spec.submodule_search_locations or ()) if spec else []
    caches = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    user = Path(os.environ.get("XDG_CACHE_HOME") or caches).expanduser()
    return any(map(_is_writable, [*map(Path, beside), user]))


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which itself may have to be made first."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _own_folder() -> Path:
    """A folder that nobody else can write to, because the code in it is run."""
    folder = Path(tempfile.gettempdir()) / f"classical-matting-{os.getuid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        if is_ours and not found.st_mode & 0o022:
            return folder
    return Path(tempfile.mkdtemp(prefix="classical-matting-"))
