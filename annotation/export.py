"""Approved alphas -> foregrounds: RGBA files with the subject's own colours, and foregrounds.csv.

The soft pixels of a photo still hold its background; what is exported holds the colours that
multi-level estimation (Germer et al. 2020) gives for the foreground only. The frame stays that of
the photo, so that a foreground, its photo and its alpha can be laid over each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from annotation.files.companions import read_fitting
from annotation.files.failures import Failure, failure
from annotation.files.photos import is_photo_id
from classical.colours import cutout_of
from manifests.annotations import Annotation, Kind, State, annotations_path, read_annotations
from manifests.labels import FOREGROUND_LABELS, LabelFileError, read_table, write_table
from manifests.pictures import read_alpha, read_photo
from manifests.pixels import Pixels, encode_cutout
from manifests.sources import Subject
from manifests.storage import cannot_write, write_bytes

COLUMNS = (
    *("file", "subject", "transparency", "licence", "author", "origin", "model"),
    *("changed_share", "time", "photo", "photo_sha256", "alpha_sha256", "sha256"),
    *("project", "project_id", "task_id", "annotation_id"),
)
_RIM = 8  # pixels around the subject that keep a colour, for programs that resample it straight

Cells = Mapping[str, str]  # of one row, by column
Project = tuple[str, str]  # title and number


@dataclass(frozen=True)
class Exported:
    """How many foregrounds were written, were up to date already, and were removed because they are
    no longer approved.

    trimaps: the photos whose approved result is a trimap: there is no alpha to export yet.
    """

    written: int
    kept: int
    removed: int
    trimaps: tuple[str, ...]
    failed: tuple[Failure, ...]


def cutout(image: Pixels, alpha: Pixels) -> Pixels:
    """H x W x 3 and its alpha H x W -> H x W x 4, straight colours; the alpha as it is.

    Opaque pixels keep the photo's colour; those further than a rim from the subject are black.
    """
    rgba = cutout_of(image, alpha)
    side = 2 * _RIM + 1
    near = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((side, side), np.uint8))
    rgba[near == 0] = 0
    return rgba


def export_folder(
    pulled: Path, out: Path, on_done: Callable[[int], None] = lambda _: None
) -> Exported:
    """Write every approved alpha of a pull folder as `out`/ID.png, and their labels.

    Files that are up to date are kept, and so are the rows of other projects and of other people.
    A foreground of the same project that is no longer approved is removed. on_done is called after
    each photo with the number of photos done. Raises FileNotFoundError or ValueError if the table
    of the pull folder or the label file of `out` cannot be read.
    """
    annotations = read_annotations(annotations_path(pulled))
    results = [row for row in annotations if row.accepted and row.state is State.APPROVED]
    approved = [row for row in results if row.kind is Kind.ALPHA]
    columns, rows = _read_labels(out / FOREGROUND_LABELS)
    projects = _projects(rows, annotations)
    written, removed, failed = 0, 0, list[Failure]()
    try:
        for number, row in enumerate(approved, 1):
            try:
                written += _take(pulled, out, row, rows, projects)
            except Exception as error:
                if cannot_write(error):
                    raise
                failed.append(failure(row.photo_file, error))
            on_done(number)
        kept = len(approved) - written - len(failed)
        for name in _stale(rows, projects, approved):
            try:
                _remove(out / name, rows[name])
                del rows[name]
                removed += 1
            except Exception as error:
                if cannot_write(error):
                    raise
                failed.append(failure(name, error))
    finally:  # after an interruption, too: the next export has to know what was written
        if rows or (out / FOREGROUND_LABELS).exists():
            write_table(out / FOREGROUND_LABELS, columns, (rows[name] for name in sorted(rows)))
    trimaps = tuple(row.photo_file for row in results if row.kind is Kind.TRIMAP)
    return Exported(written, kept, removed, trimaps, tuple(failed))


def _take(
    pulled: Path,
    out: Path,
    row: Annotation,
    rows: dict[str, dict[str, str]],
    projects: set[Project],
) -> bool:
    """Bring one foreground and its row up to date. Returns whether a file was written."""
    if not is_photo_id(row.photo_id):
        raise ValueError(f"{row.photo_id!r} is not a photo id as push makes them; pull again")
    name = f"{row.photo_id}.png"
    before = rows.get(name, {})
    if before.get("project") and _project_of(before) not in projects:
        title, number = _project_of(before)
        raise ValueError(
            f"{out / name} is from project {title!r} ({number}), whose photo has the same name; "
            "export to another folder"
        )
    is_new = not _is_exported(out / name, row, before)
    sha256 = _export(pulled, out / name, row) if is_new else before["sha256"]
    rows[name] = before | _labels_of(row, sha256)
    return is_new


def _projects(rows: Mapping[str, Cells], annotations: Sequence[Annotation]) -> set[Project]:
    """The projects of the annotations, by all titles under which they were exported.

    A project keeps its number when it is renamed. One of another server may have the same number,
    but not the same photo of the same name.
    """
    pulled = {f"{row.photo_id}.png": row for row in annotations}
    return {(row.project, str(row.project_id)) for row in annotations} | {
        _project_of(cells)
        for name, cells in rows.items()
        if name in pulled
        and cells.get("project_id") == str(pulled[name].project_id)
        and cells.get("photo_sha256") == pulled[name].photo_sha256
    }


def _project_of(cells: Cells) -> Project:
    return cells.get("project", ""), cells.get("project_id", "")


def _stale(
    rows: Mapping[str, Cells], projects: set[Project], approved: Sequence[Annotation]
) -> list[str]:
    """Files that were exported from these projects, but are no longer approved."""
    names = {f"{row.photo_id}.png" for row in approved}
    return [
        name
        for name, cells in rows.items()
        if name not in names
        and is_photo_id(name.removesuffix(".png"))
        and _project_of(cells) in projects
    ]


def _remove(path: Path, row: Cells) -> None:
    """Removes a foreground as it was written. Raises ValueError if somebody changed it."""
    if _sha256(path) not in (row.get("sha256"), None):
        raise ValueError("it is no longer approved, but was changed by hand: remove it")
    path.unlink(missing_ok=True)


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _is_exported(path: Path, row: Annotation, before: Cells) -> bool:
    same = (before.get("alpha_sha256"), before.get("photo_sha256"))
    found = _sha256(path)
    same_sources = same == (row.sha256, row.photo_sha256)
    return same_sources and found is not None and found == before.get("sha256")


def _export(pulled: Path, path: Path, row: Annotation) -> str:
    """Writes one cut-out; returns the sha256 of its bytes."""
    if _sha256(pulled / row.path) != row.sha256:
        raise ValueError(
            f"{pulled / row.path} is missing, or was changed since it was pulled; pull again"
        )
    alpha = read_fitting(read_alpha, pulled / row.path, row.height, row.width)
    if not alpha.any() or alpha.min() == 255:
        raise ValueError(f"its alpha is {alpha.flat[0]} everywhere, so nothing is cut out")
    image = read_photo(pulled / row.photo_path)
    if image.shape[:2] != alpha.shape:
        size = f"{image.shape[0]} x {image.shape[1]}"
        raise ValueError(f"{pulled / row.photo_path} is {size}, its alpha {alpha.shape}")
    data = encode_cutout(cutout(image, alpha))
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def _labels_of(row: Annotation, sha256: str) -> dict[str, str]:
    return {
        "file": f"{row.photo_id}.png",
        "subject": "" if row.subject is Subject.UNLABELLED else row.subject,
        "transparency": row.transparency,
        "licence": row.licence,
        "author": row.author,
        "origin": row.origin,
        "model": row.model,
        "changed_share": f"{row.changed_share:.6g}",
        "time": row.time,
        "photo": row.photo_file,
        "photo_sha256": row.photo_sha256,
        "alpha_sha256": row.sha256,
        "sha256": sha256,
        "project": row.project,
        "project_id": str(row.project_id),
        "task_id": str(row.task_id),
        "annotation_id": str(row.annotation_id),
    }


def _read_labels(path: Path) -> tuple[list[str], dict[str, dict[str, str]]]:
    """(columns, rows by file) of the label file; no rows if there is no such file."""
    if not path.exists():
        return list(COLUMNS), {}
    try:
        columns, lines = read_table(path.read_bytes())
        if "file" not in columns:
            found = ", ".join(columns) or "none"
            raise LabelFileError(f"has no column file; its columns are {found}")
        rows = {}
        for line, cells in lines:
            if len(cells) != len(columns):
                raise LabelFileError(
                    f"line {line} has {len(cells)} cells, the header {len(columns)}"
                )
            row = dict(zip(columns, cells, strict=True))
            rows[row["file"]] = row
    except (OSError, LabelFileError) as error:
        raise ValueError(f"{path}: {error}; correct it or export to another folder") from error
    return [*columns, *(name for name in COLUMNS if name not in columns)], rows
