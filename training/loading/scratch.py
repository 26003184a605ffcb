"""A temporary folder that goes with its process, even one that was killed."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "matting-"
_ALIVE = "alive"  # locked as long as the folder's process lives; the system unlocks it


@contextmanager
def scratch() -> Iterator[Path]:
    """A new folder, removed at the end. What killed processes left is removed on the way."""
    for old in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_ALIVE}"):
        _remove_if_left(old)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name)
        with (folder / "new").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            (folder / "new").rename(folder / _ALIVE)  # locked before it can be found
            yield folder


def _remove_if_left(alive: Path) -> None:
    try:
        with alive.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(alive.parent, ignore_errors=True)
    except OSError:
        return  # in use, another user's, or gone by now
