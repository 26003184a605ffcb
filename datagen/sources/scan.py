"""Folders of sources -> records, with a Problem for every file that cannot be used.

Each file is read once and decoded fully, in the parallel map that the caller gives. The map returns
records and Problems; it neither raises nor returns pixels.
"""

from __future__ import annotations

import functools
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from datagen.sources.alphas import match_alphas
from datagen.sources.labelled import Labelled, read_labelled
from datagen.sources.labels import Label, is_label_file
from datagen.sources.listing import Listing, Problem, list_folder, shown
from datagen.sources.record import Scanned, Source, ToScan, scan_background, scan_foreground
from datagen.sources.survey import survey
from manifests.labels import BACKGROUND_LABELS, FOREGROUND_LABELS
from manifests.sources import Background, Foreground
from manifests.storage import Location, Url, is_below

__all__ = ["ParallelMap", "Problem", "Scan", "list_images", "scan"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class ParallelMap(Protocol):
    """Like the builtin map over one sequence; the results are in the order of the items. `function`
    can be pickled; items and results are small."""

    def __call__(
        self, function: Callable[[Item], Result], items: Sequence[Item], /
    ) -> Iterable[Result]: ...


@dataclass(frozen=True)
class Scan:
    """The sources in two folders. `problems` and `warnings` name files by their paths.

    left_out: sources without a problem that are not wanted, by their ids.
    """

    foregrounds: tuple[Foreground, ...]
    backgrounds: tuple[Background, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    left_out: tuple[Problem, ...] = ()


def scan(
    foreground_folder: Location,
    background_folder: Location,
    alpha_folder: Location | None = None,
    parallel_map: ParallelMap = map,
    *,
    known_foregrounds: Mapping[str, Foreground] | None = None,
    known_backgrounds: Mapping[str, Background] | None = None,
) -> Scan:
    """Every source of both folders, as a record or a Problem, and warnings on the records.

    alpha_folder: the folder with an alpha file for each foreground, matched by its name; None if
    alpha is in the images. known_*: records of an earlier scan by id; a file whose bytes are
    unchanged is not decoded again.
    """
    problems: list[Problem] = []
    warnings: list[Problem] = []
    foregrounds: list[Foreground] = []
    backgrounds: list[Background] = []
    names = _names(foreground_folder, alpha_folder, problems, warnings)
    alphas = _alphas(names, foreground_folder, alpha_folder, problems, warnings)
    labelled = read_labelled(foreground_folder, FOREGROUND_LABELS, names)
    files = _to_scan(names, alphas, labelled, known_foregrounds or {})
    function = functools.partial(scan_foreground, foreground_folder, alpha_folder)
    _sort(parallel_map(function, files), labelled, foregrounds, problems, warnings)
    if names and not labelled.rows:
        reason = f"no {FOREGROUND_LABELS} labels any of its images: subjects are 'unlabelled', "
        reason += "transparency is measured from alpha"
        warnings.append(Problem(shown(foreground_folder), "no-labels", reason))

    names = _names(background_folder, None, problems, warnings)
    labelled = read_labelled(background_folder, BACKGROUND_LABELS, names)
    files = _to_scan(names, dict.fromkeys(names, ""), labelled, known_backgrounds or {})
    photo = functools.partial(scan_background, background_folder)
    _sort(parallel_map(photo, files), labelled, backgrounds, problems, warnings)

    warnings += survey(foregrounds, backgrounds, foreground_folder, background_folder)
    for folder, records in ((foreground_folder, foregrounds), (background_folder, backgrounds)):
        if not records and _is_folder(folder):
            reason = "holds no usable image; give a folder with images in it"
            problems.append(Problem(shown(folder), "no-sources", reason))
    return Scan(
        tuple(foregrounds), tuple(backgrounds), tuple(_ordered(problems)), tuple(_ordered(warnings))
    )


def list_images(folder: Location) -> tuple[list[str], list[Problem]]:
    """The sorted paths of all files below `folder` that should be images; Problems for the rest."""
    listing = _listing(folder)
    return listing.names, listing.problems


def _listing(folder: Location) -> Listing:
    if not _is_folder(folder):
        reason = "is not a folder that can be read; name another"
        return Listing([], [Problem(shown(folder), "missing-folder", reason)], [])
    listing = list_folder(folder)
    return listing._replace(names=[name for name in listing.names if not is_label_file(name)])


def _is_folder(path: Location) -> bool:
    if isinstance(path, Url):  # a store has only files
        return True
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:  # Path.is_dir raises if a folder above it may not be entered
        return False


def _names(
    folder: Location, inner: Location | None, problems: list[Problem], warnings: list[Problem]
) -> list[str]:
    """The files of a folder, without those below `inner` if that is inside it."""
    listing = _listing(folder)
    problems += listing.problems
    if listing.hidden:
        first = ", ".join(listing.hidden[:5]) + (", ..." if len(listing.hidden) > 5 else "")
        reason = f"{len(listing.hidden)} hidden files or folders are left out: {first}"
        warnings.append(Problem(shown(folder), "hidden", reason))
    if inner is None or not is_below(inner, folder):
        return listing.names
    if isinstance(inner, Path) and isinstance(folder, Path):
        prefix = inner.resolve().relative_to(folder.resolve()).as_posix() + "/"
    else:
        prefix = str(inner).removeprefix(str(folder)).strip("/") + "/"
    return [name for name in listing.names if not name.startswith(prefix)]


def _alphas(
    names: Sequence[str],
    folder: Location,
    alpha_folder: Location | None,
    problems: list[Problem],
    warnings: list[Problem],
) -> dict[str, str]:
    """The alpha file of each name that has exactly one; '' if alpha is in the image."""
    if alpha_folder is None:
        return dict.fromkeys(names, "")
    alpha_names = _names(alpha_folder, None, problems, warnings)
    if not _is_folder(alpha_folder):
        return {}
    alphas, faults = match_alphas(names, alpha_names)
    problems += [replace(fault, file=shown(folder, fault.file)) for fault in faults]
    for name in sorted(set(alpha_names) - set(alphas.values())):
        reason = "belongs to no foreground"
        warnings.append(Problem(shown(alpha_folder, name), "unused-alpha", reason))
    return alphas


def _to_scan(
    names: Iterable[str],
    alphas: Mapping[str, str],
    labelled: Labelled,
    known: Mapping[str, Foreground] | Mapping[str, Background],
) -> list[ToScan]:
    return [
        ToScan(name, alphas[name], labelled.rows.get(name, Label()), known.get(name))
        for name in names
        if name in alphas
    ]


def _sort(
    scanned: Iterable[Scanned[Source]],
    labelled: Labelled,
    records: list[Source],
    problems: list[Problem],
    warnings: list[Problem],
) -> None:
    """Add each result to its list. A file with a wrong label is among the problems already."""
    problems += labelled.problems
    warnings += labelled.warnings
    for result, doubts in scanned:
        warnings += doubts
        if isinstance(result, Problem):
            problems.append(result)
        elif result.id not in labelled.faulty:
            records.append(result)


def _ordered(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.file, problem.kind, problem.reason))
