"""Functions that Numba compiles, and where it keeps them.

Numba keeps what it compiled on disk. It compares only the time of the one file in which a function
is, and not of those from which the function has constants; and it names the code of a function
before it writes it, so that what is compiled next may be found where what was compiled before is.
So each version of the sources has a folder of its own here, and each function is called with arrays
of one kind only (a test holds this). Where neither the installation nor the user's cache can be
written to, there is a folder that belongs to this user.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from manifests.scratch import caches_of_user, make_own, own_path

_PLACE = "NUMBA_CACHE_DIR"


def compiled(function: Any) -> Any:
    """A decorator: the function is compiled when it is first called, once for each machine."""
    import numba
    from numba.core import config

    # Numba asks for the folder now, and not when it compiles.
    usual, config.CACHE_DIR = config.CACHE_DIR, str(_folder(Path(function.__code__.co_filename)))
    try:
        return numba.njit(cache=True, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = usual


@cache
def _folder(source: Path) -> Path:
    """Where the compiled functions of a file are kept."""
    name = f"compiled-{code_digest([source.parent, Path(__file__).parent])}"
    said = os.environ.get(_PLACE)
    usual = [source.parent / "__pycache__", caches_of_user() / "matting"]
    for place in [Path(said)] if said else usual:
        if _is_writable(place):
            return place / name
    os.environ[_PLACE] = str(own := _own_folder())  # for the processes that this one starts
    return own / name


def code_digest(folders: Iterable[Path]) -> str:
    """A name for the version of the Python files in some folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def keep_compiled(sources: Iterable[Path]) -> None:
    """See that Numba can keep what it compiles of these folders, which are of another library.

    Call it before Numba is imported. An environment variable says where, so that the processes that
    this one starts use it, too.
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
    folder = own_path("matting-compiled")
    return folder if make_own(folder) else Path(tempfile.mkdtemp(prefix="matting-compiled-"))
