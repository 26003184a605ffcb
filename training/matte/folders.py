"""Folders of pictures: images, alphas and trimaps that belong together by their names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from manifests.masks import is_mask
from manifests.matching import match_names
from manifests.pictures import ENDINGS, PictureError, is_picture
from manifests.pixels import Pixels

_SHOWN = 8  # names in one message


@dataclass(frozen=True)
class Matched:
    """Files that belong together: one of each folder; `name` is the stem of the first."""

    name: str
    files: tuple[Path, ...]  # in the order of the folders


def match_folders(folders: Mapping[str, Path], extras: bool = False) -> list[Matched]:
    """Pictures that mean the same by their stems in all the folders, sorted by stem.

    Stems that are equal belong together. So do those that differ only in how accents are written,
    or in upper and lower case, where that is unambiguous (see `manifests.matching`).

    folders: what they hold ("images", "trimaps") -> where; the first one decides which stems.
        "masks" may be JSON files, too.
    extras: whether the others may hold more than the first does.
    Only files directly in a folder count, whose name does not begin with a dot and which are
    pictures by `is_picture`. Raises PictureError for a folder without pictures, for two files of
    one stem in a folder, and for stems that are missing in one of the folders.
    """
    found = {kind: by_stem(kind, folder) for kind, folder in folders.items()}
    first, *others = folders
    files = {stem: [file] for stem, file in found[first].items()}
    for other in others:
        partners = _partners(found[first], found[other], folders[other])
        _check_partners(found[first].keys() - partners.keys(), first, other, folders)
        if not extras:
            missing = found[other].keys() - set(partners.values())
            _check_partners(missing, other, first, folders)
        for stem, partner in partners.items():
            files[stem].append(found[other][partner])
    return [Matched(stem, tuple(files[stem])) for stem in sorted(files)]


def _partners(ours: Mapping[str, Path], theirs: Mapping[str, Path], folder: Path) -> dict[str, str]:
    """Which of their stems each of our stems means."""
    same = {stem: stem for stem in ours if stem in theirs}
    # With one ending, so that what follows a dot in a stem is not taken for an ending
    names = {f"{stem}.png": stem for stem in ours if stem not in same}
    files = {f"{stem}.png": stem for stem in theirs if stem not in same}
    found, unclear = match_names(list(names), list(files))
    for name, meant in unclear.items():
        listing = listed([theirs[files[file]].name for file in meant])
        reason = f"{ours[names[name]].name} could mean {listing}, or another file could; rename one"
        raise PictureError("folder", reason, str(folder))
    return same | {names[name]: files[file] for name, file in found.items()}


def by_stem(kind: str, folder: Path) -> dict[str, Path]:
    """Stem -> file of the pictures in a folder. `kind` is what errors call them."""
    stems: dict[str, list[Path]] = defaultdict(list)
    is_wanted = is_mask if kind == "masks" else is_picture
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        reason = f"cannot be read as a folder of {kind} ({error})"
        raise PictureError("folder", reason, str(folder)) from error
    for path in paths:
        if path.name[0] != "." and path.is_file() and is_wanted(path):
            stems[path.stem].append(path)
    for files in stems.values():
        if len(files) > 1:
            names = ", ".join(path.name for path in files)
            reason = f"{names} have the same stem; keep one of the {kind}"
            raise PictureError("folder", reason, str(folder))
    if not stems:
        reason = f"no {kind} in it: no picture files ({', '.join(ENDINGS)})"
        raise PictureError("folder", reason, str(folder))
    return {stem: files[0] for stem, files in stems.items()}


def _check_partners(missing: set[str], kind: str, other: str, folders: Mapping[str, Path]) -> None:
    if missing:
        names = listed(sorted(missing))
        reason = (
            f"no {other} for {len(missing)} of the {kind} in {folders[kind]}: {names}; "
            f"add them, or move these {kind} away"
        )
        raise PictureError("folder", reason, str(folders[other]))


def listed(values: Sequence[object]) -> str:
    shown = ", ".join(map(str, values[:_SHOWN]))
    return f"{shown} and {len(values) - _SHOWN} more" if len(values) > _SHOWN else shown


def check_sizes(pictures: Mapping[Path, Pixels]) -> None:
    """Raise PictureError with the files and their sizes if heights or widths differ."""
    if len({pixels.shape[:2] for pixels in pictures.values()}) > 1:
        sizes = ", ".join(f"{path} is {p.shape[0]} x {p.shape[1]}" for path, p in pictures.items())
        reason = f"{sizes} (height x width); they must be of one size"
        raise PictureError("size-mismatch", reason)
