"""Folders of a run that are whole if they are there, on this machine or in a store.

On a machine a folder is written under another name and renamed. In a store a folder is there when
one of its files is, the one that is sent last and removed first.
"""

from __future__ import annotations

import filecmp
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from manifests.storage import PART, Location, Url, files_below, make_folder, remove, sync, writing

Place = TypeVar("Place", Path, Location)


def numbered(parent: Place, last: str) -> list[Place]:
    """The whole folders below `parent` whose names are numbers, in the order of the names.

    last: the name of the file that is sent last.
    """
    if isinstance(parent, Url):
        names = {name.removesuffix(f"/{last}") for name in files_below(parent)}
    else:
        names = {path.name for path in parent.iterdir()} if parent.is_dir() else set()
    return [parent / name for name in sorted(names) if name.isdecimal()]


@contextmanager
def writing_folder(target: Location, last: str) -> Iterator[Path]:
    """An empty folder for what `target` will hold when the body ends; in place of an older one.

    If the body raises, nothing has happened. Where the folders differ in `last` alone, that file
    takes the place of the other, so that there is a whole folder at any time; else there may be
    none if this process is killed in between. In a store the older folder has to have files of the
    same names.
    """
    if isinstance(target, Url):
        with tempfile.TemporaryDirectory(prefix=PART) as folder:
            yield Path(folder)
            for path in sorted(Path(folder).iterdir(), key=lambda path: path.name == last):
                with writing(target / path.name) as part:
                    path.rename(part)
        return
    make_folder(target.parent)
    part = _part_beside(target)
    part.mkdir()
    try:
        yield part
        for path in (*part.iterdir(), part):
            sync(path)
        if target.exists() and _differ_only_in(last, part, target):
            (part / last).replace(target / last)
            sync(target)
            shutil.rmtree(part)
        elif target.exists():
            old = _part_beside(target)
            target.rename(old)
            part.rename(target)
            shutil.rmtree(old)
        else:
            part.rename(target)
        sync(target.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _differ_only_in(name: str, folder: Path, other: Path) -> bool:
    names = {path.name for path in folder.iterdir()}
    if names != {path.name for path in other.iterdir()}:
        return False
    _, different, unread = filecmp.cmpfiles(folder, other, names - {name}, shallow=False)
    return not different and not unread


def remove_folder(folder: Location, last: str) -> None:
    """One that is half removed is not there any more."""
    if isinstance(folder, Url):
        remove(folder / last)
        for name in files_below(folder):
            remove(folder / name)
    else:
        part = _part_beside(folder)
        folder.rename(part)
        shutil.rmtree(part)


def sweep(parent: Location, last: str) -> None:
    """Remove what killed processes have left in `parent`."""
    if isinstance(parent, Url):
        whole = {folder.name for folder in numbered(parent, last)}
        for name in files_below(parent):
            if name.partition("/")[0] not in whole:
                remove(parent / name)
    else:
        for part in parent.glob(f"{PART}*"):
            shutil.rmtree(part, ignore_errors=True)


def _part_beside(path: Path) -> Path:
    return path.with_name(f"{PART}{uuid.uuid4().hex[:12]}")
