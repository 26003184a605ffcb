"""Where the working copies of a run are, and which of them are there already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache as once
from pathlib import Path

from datagen.resume import WORK, RefusedError
from datagen.sample.working_copies import background_path, foreground_path
from datagen.settings import Settings
from datagen.versions import libraries
from manifests.compiled import code_digest
from manifests.scratch import make_own, own_path
from manifests.sources import Background, Foreground
from manifests.storage import Location, Url, is_below, make_folder

_KEPT = Path("matting-copies")  # stands for the folder of each machine and user

# Packages, beside libraries, on which the bytes of a working copy depend.
_CODE = ("datagen/sample", "datagen/sources", "manifests")


def copies_folder(out: Location, kept: Path | None) -> Path:
    """Where the working copies of the shard set `out` are.

    kept: a folder in which they stay, for any number of sets, even at the same time; None: they are
    removed with the set's work, or, if the set is in a store, they stay with the temporary files.

    The name of a copy says its source and its settings. The name of this folder says which code and
    which libraries made the copies in it, so that those of another version are never used.
    """
    return on_this_machine(folder_of_each_machine(out, kept))


def folder_of_each_machine(out: Location, kept: Path | None) -> Path:
    """Likewise; relative to where each machine has its temporary files if it is there."""
    name = f"copies-{version_of_copies()}"
    if kept is None:
        if isinstance(out, Url):
            return _KEPT / name
        kept = out / WORK
    return kept.absolute() / name


def on_this_machine(folder: Path) -> Path:
    """What `folder_of_each_machine` means here."""
    return own_path(str(_KEPT)) / folder.relative_to(_KEPT) if _is_of_user(folder) else folder


def make_copies_folder(folder: Path) -> None:
    """Make what `folder_of_each_machine` means here. Raises ValueError if it is another user's."""
    if _is_of_user(folder) and not make_own(own := own_path(str(_KEPT))):
        raise ValueError(f"{own}: is not yours alone; name a --cache, or set TMPDIR")
    make_folder(on_this_machine(folder))


def _is_of_user(folder: Path) -> bool:
    return folder.is_relative_to(_KEPT)


def refuse_cache(out: Location, kept: Path, sources: Iterable[Location | None]) -> None:
    """Raise RefusedError if the folder for working copies is inside one of another purpose."""
    for folder in (out, *sources):
        if folder is not None and is_below(kept, folder):
            raise RefusedError(f"{kept}: is inside {folder}; name another --cache")


def copy_path(copies: Path, source: Foreground | Background, settings: Settings) -> Path:
    """The file of a source's working copy."""
    if isinstance(source, Foreground):
        return foreground_path(copies, source, settings)
    return background_path(copies, source, settings)


def sizes_there(
    copies: Path, sources: Iterable[Foreground | Background], settings: Settings
) -> list[int]:
    """The sizes of those working copies that are there, in bytes."""
    paths = {copy_path(copies, source, settings) for source in sources}
    return [path.stat().st_size for path in paths if path.exists()]


@once
def version_of_copies() -> str:
    root = Path(__file__).parents[1]
    code = code_digest(root / package for package in _CODE)
    return hashlib.sha256(f"{json.dumps(libraries())} {code}".encode()).hexdigest()[:16]
