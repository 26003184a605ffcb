"""Which file is meant by a name that people wrote, in a table or for a file in another folder."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple


class Matches(NamedTuple):
    """Which file each name means. `unclear` are the names that could mean several files, or one
    that another name could mean, too, with these files."""

    files: dict[str, str]
    unclear: dict[str, list[str]]


def match_names(names: Sequence[str], files: Sequence[str]) -> Matches:
    """Find the files (paths below a folder) that people mean by the names, each no more than once.

    The file of exactly this name is meant, or else one whose name differs only in how accents are
    written; or else in its ending, which either may lack; or else in upper and lower case. Each
    time it has to be the only one, and the name the only one for it.
    """
    found = Matches({}, {})
    for named, filed in _WRITINGS:
        if len(found.files) == len(names):
            break
        candidates, rivals = _by_writing(files, filed), _by_writing(names, named)
        taken = set(found.files.values())
        for name in names:
            if name in found.files or name in found.unclear:
                continue
            meant = candidates.get(named(name), [])
            if len(meant) == len(rivals[named(name)]) == 1 and meant[0] not in taken:
                found.files[name] = meant[0]
            elif meant:
                found.unclear[name] = meant
    return found


def _by_writing(names: Iterable[str], write: Callable[[str], str]) -> dict[str, list[str]]:
    written: dict[str, list[str]] = defaultdict(list)
    for name in names:
        written[write(name)].append(name)
    return written


def composed(name: str) -> str:
    """macOS stores an accent as a letter of its own; here it is one with the letter below it."""
    return unicodedata.normalize("NFC", name)


def _stem(name: str) -> str:
    """The name without its ending, if it has one."""
    path = PurePosixPath(composed(name))
    return path.with_suffix("").as_posix() if path.suffix else path.as_posix()


def _folded(name: str) -> str:
    return composed(composed(name).casefold())


def _folded_stem(name: str) -> str:
    return _folded(_stem(name))


# How a name and a file are written when they are compared, from the strictest comparison on
_WRITINGS: tuple[tuple[Callable[[str], str], Callable[[str], str]], ...] = (
    (str, str),
    (composed, composed),
    (composed, _stem),
    (_stem, _stem),
    (_folded, _folded),
    (_folded, _folded_stem),
    (_folded_stem, _folded_stem),
)
