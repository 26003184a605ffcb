"""Faults of disks, and limits that are too low: what a run meets is told, and can be mended."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.conftest import finish
from tests.faults.files import interrupted
from tests.faults.trial import Disturb, Trial, disturbed

_TASKS = 40  # of a run, and some more
_LARGE = "size=1g"


@contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """A disk of its own at a folder, which is made."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", _LARGE, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


def full(of: str, trial: Trial) -> str:
    """A disk has little room left from some moment on: that of the shards, of the working copies,
    or of the temporary files of a set in a store."""
    place = trial.stack.enter_context(disk(trial.folder / "disk"))
    if of == "shards":
        trial.out = place / "shards"
    copies = (place if of == "working copies" else trial.folder) / "copies"

    def fill() -> None:
        found = os.statvfs(place)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        _remount(place, f"size={used + 4096 * trial.dice.randrange(1, 40)}")

    before = tempfile.tempdir
    tempfile.tempdir = str(place) if of == "temporary files" else before
    try:
        trial.here(disturbed(trial.dice.randrange(_TASKS), fill), copies=copies)
    finally:
        tempfile.tempdir = before
        _remount(place, _LARGE)
    return ""


def read_only(trial: Trial) -> str:
    """A run that was interrupted finds that its disk cannot be written to."""
    place = trial.stack.enter_context(disk(trial.folder / "disk"))
    trial.out = place / "shards"
    trial.here(interrupted(trial))
    _remount(place, "ro")
    failed = trial.here()
    _remount(place, "rw")
    return "" if "Read-only file system" in failed else f"not told: {failed}"


def unchangeable(trial: Trial) -> str:
    """From some moment on, nothing can be added to a folder of the set, or removed from it."""
    out = trial.folder / "shards"
    closed = list[Path]()

    def close() -> None:
        folders = [path for path in out.rglob("*") if path.is_dir()]
        closed.append(trial.dice.choice([out, *folders]))
        subprocess.run(["chattr", "+i", str(closed[0])], check=True)

    try:
        trial.here(disturbed(trial.dice.randrange(_TASKS), close))
    finally:
        for folder in closed:
            subprocess.run(["chattr", "-i", str(folder)], check=True)
    return ""


def limited(what: str, least: int, most: int, trial: Trial) -> str:
    """The run may have less than it needs of something."""
    finish(trial.machine(f"--{what}", str(trial.dice.randrange(least, most))))
    return ""


ON_DISKS: dict[str, Disturb] = {
    "disk full: shards": partial(full, "shards"),
    "disk full: working copies": partial(full, "working copies"),
    "read-only disk": read_only,
    "read-only folder": unchangeable,
    "low limit: open files": partial(limited, "files", 4, 16),
    "low limit: memory": partial(limited, "bytes", 1 << 10, 200 << 20),
}
