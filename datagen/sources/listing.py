"""A folder -> the names of its files, with a Problem for everything in it that is not a file."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from manifests.names import file_below
from manifests.storage import Location, Url, files_below


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file: `kind` is a short fixed word, `reason` a text for people."""

    file: str
    kind: str
    reason: str


_OF_SYSTEMS = {"Thumbs.db", "desktop.ini"}  # Windows writes them into folders of pictures


class Listing(NamedTuple):
    """What is below a folder. `names` are paths below it with '/' between the parts, sorted;
    `hidden` are the files and folders that were left out because their name begins with '.', or
    because an operating system writes them."""

    names: list[str]
    problems: list[Problem]
    hidden: list[str]


class _Folders(NamedTuple):
    """Folders still to be read. Links are read last, so that a folder is found by its own name."""

    real: list[str]
    linked: list[str]


def shown(folder: Location, name: str = "") -> str:
    """The path of a file as text that JSON can hold; bytes that are not UTF-8 become \\xNN."""
    if isinstance(folder, Url):
        return str(folder / name if name else folder)
    return os.fsencode(folder / name).decode("utf-8", "backslashreplace")


def list_folder(folder: Location) -> Listing:
    """Everything below `folder`; links are followed. No file is opened: a pipe would block."""
    listing = Listing([], [], [])
    if isinstance(folder, Url):
        return _list_store(folder, listing)
    folders = _Folders([""], [])
    read: dict[tuple[int, int], str] = {}
    while folders.real or folders.linked:
        name = folders.real.pop() if folders.real else folders.linked.pop(0)
        try:
            found = (folder / name).stat()
            earlier = read.setdefault((found.st_dev, found.st_ino), name)
            if earlier != name:
                listing.problems.append(_second_visit(folder, name, earlier))
                continue
            with os.scandir(folder / name) as entries:
                for entry in entries:
                    _take(entry, folder, name, listing, folders)
        except OSError as error:
            listing.problems.append(_os_problem(shown(folder, name), error))
    for names in (listing.names, listing.hidden):
        names.sort()
    listing.problems.sort(key=lambda problem: (problem.file, problem.kind))
    return listing


def _list_store(folder: Url, listing: Listing) -> Listing:
    """The same of a store, which has names of any kind and no folders."""
    for name in sorted(files_below(folder)):
        if not name or name.endswith("/"):  # some tools make such a file where a folder should be
            continue
        if any(part.startswith(".") and part not in {".", ".."} for part in name.split("/")):
            listing.hidden.append(name)
            continue
        try:
            listing.names.append(file_below(name))
        except ValueError as error:
            listing.problems.append(
                Problem(shown(folder, name), "file-name", f"{error}; rename it")
            )
    return listing


def _take(
    entry: os.DirEntry[str], folder: Path, parent: str, listing: Listing, folders: _Folders
) -> None:
    """Add one entry of the folder `parent` to the lists."""
    name = f"{parent}/{entry.name}" if parent else entry.name
    if entry.name.startswith(".") or entry.name in _OF_SYSTEMS:
        listing.hidden.append(shown(Path(name)))
        return
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        reason = "its name is not UTF-8, as records and JSON require; rename it"
        listing.problems.append(Problem(shown(folder, name), "file-name", reason))
        return
    try:
        is_link = entry.is_symlink()
        # Most file systems give the type with the name. Only links have to be looked up.
        mode = entry.stat().st_mode if is_link else 0
        if entry.is_dir(follow_symlinks=False) or stat.S_ISDIR(mode):
            (folders.linked if is_link else folders.real).append(name)
        elif entry.is_file(follow_symlinks=False) or stat.S_ISREG(mode):
            listing.names.append(name)
        else:
            reason = "is a pipe, socket or device, not a file; move it away"
            listing.problems.append(Problem(shown(folder, name), "not-a-file", reason))
    except OSError as error:
        listing.problems.append(_os_problem(shown(folder, name), error))


def _second_visit(folder: Path, name: str, earlier: str) -> Problem:
    where = shown(folder, earlier)
    if not earlier or name.startswith(earlier + "/"):
        reason = f"is a link back to {where}, the folder that it is in; remove it"
        return Problem(shown(folder, name), "link-loop", reason)
    reason = f"is the same folder as {where}, whose files would count twice; remove the link"
    return Problem(shown(folder, name), "linked-twice", reason)


def _os_problem(file: str, error: OSError) -> Problem:
    if error.errno == errno.ELOOP:
        return Problem(file, "link-loop", "is a link that leads back to itself; remove it")
    if error.errno == errno.ENOENT:
        return Problem(file, "broken-link", "is a link to a file that is not there; remove it")
    reason = f"cannot be read ({error.strerror}); check its permissions"
    return Problem(file, "unreadable", reason)
