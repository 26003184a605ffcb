"""A painted trimap -> alpha: closed-form matting, or the alphas of a model, in files.

    DIR/trimaps/ID.png, DIR/photos/ID.*  ->  DIR/solved/ID.png and its row in DIR/solved.parquet

A row names the trimap from which its alpha was solved, so that an alpha is solved again only when
the trimap or the method changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from annotation.files.companions import doubts, read_fitting
from annotation.files.failures import Failure, failure
from classical.closed_form import check_solvable, closed_form, impose
from manifests.annotations import (
    Annotation,
    Author,
    Kind,
    Origin,
    State,
    annotations_path,
    read_annotations,
    solved_path,
    write_annotations,
)
from manifests.pictures import read_alpha, read_photo, read_trimap
from manifests.pixels import (
    BACKGROUND,
    FOREGROUND,
    UNKNOWN,
    Pixels,
    encode_alpha,
    pixels_sha256,
)
from manifests.storage import cannot_write, write_bytes

CLOSED_FORM = "closed-form"


@dataclass(frozen=True)
class Solved:
    """How many alphas were solved, how many were up to date, and which photos were left out.

    warnings: alphas of a model that are used although they are probably not meant as they are.
    """

    written: int
    kept: int
    failed: tuple[Failure, ...]
    warnings: tuple[Failure, ...] = ()


def solve_folder(
    out: Path,
    method: str = CLOSED_FORM,
    on_done: Callable[[int], None] = lambda _: None,
    alphas: Path | None = None,
) -> Solved:
    """Solve every accepted trimap of a pull folder that is not solved yet, nor rejected.

    alphas: a folder with ID.png from a model, whose name `method` then is; their values count
    where the trimap is unknown. on_done is called after each photo with their number so far. Raises
    FileNotFoundError or ValueError if the folder has no readable table, or method and alphas do not
    belong together.
    """
    if alphas is not None and method == CLOSED_FORM:
        raise ValueError(f"alphas in files: give the name of their model, not {method!r}")
    if alphas is None and method != CLOSED_FORM:
        raise ValueError(
            f"method {method!r}: {CLOSED_FORM}, or the name of a model with its alphas"
        )
    rows = read_annotations(annotations_path(out))
    known = {row.photo_id: row for row in _known(out)}
    trimaps = [
        row
        for row in rows
        if row.accepted and row.kind is Kind.TRIMAP and row.state is not State.REJECTED
    ]
    written, failed, warnings = 0, list[Failure](), list[Failure]()
    for number, row in enumerate(trimaps, 1):
        try:
            before = known.get(row.photo_id)
            if before is not None and not _is_solved(out, row, before, method):
                before = None
            made = before
            if made is None or alphas is not None:  # a model's alphas change under one name
                given = _given(alphas, row) if alphas is not None else None
                made = _solve(out, row, method, given, before)
                if given is not None:
                    warnings += doubts(given.alpha, given.path)
            if made is not before:
                known[row.photo_id] = made
                write_annotations(solved_path(out), known.values())
                written += 1
        except Exception as error:
            if cannot_write(error):
                raise
            failed.append(failure(row.photo_file, error))
        on_done(number)
    return Solved(written, len(trimaps) - written - len(failed), tuple(failed), tuple(warnings))


def warm_solver() -> Callable[[Pixels, Pixels], Pixels]:
    """`closed_form`, compiled: the first solution takes some 30 s longer than all others."""
    trimap = np.repeat(np.array([BACKGROUND, UNKNOWN, FOREGROUND], np.uint8), 64).reshape(12, 16)
    closed_form(np.arange(3 * trimap.size, dtype=np.uint8).reshape(*trimap.shape, 3), trimap)
    return closed_form


def _known(out: Path) -> list[Annotation]:
    return read_annotations(solved_path(out)) if solved_path(out).exists() else []


def _is_solved(out: Path, trimap: Annotation, before: Annotation, method: str) -> bool:
    """Whether an earlier alpha is of this trimap and method, and its file as it was written."""
    path = out / before.path
    return (
        (before.pushed_sha256, before.model) == (trimap.pixels_sha256, method)
        and path.is_file()
        and hashlib.sha256(path.read_bytes()).hexdigest() == before.sha256
    )


class _Given(NamedTuple):
    """An alpha of a model, and its file."""

    alpha: Pixels
    path: Path


def _given(alphas: Path, row: Annotation) -> _Given:
    path = alphas / f"{row.photo_id}.png"
    return _Given(read_fitting(read_alpha, path, row.height, row.width), path)


def _solve(
    out: Path, row: Annotation, method: str, given: _Given | None, before: Annotation | None
) -> Annotation:
    """Writes the alpha of one trimap; its row, which is `before` if it has the same pixels."""
    trimap = read_fitting(read_trimap, out / row.path, row.height, row.width)
    if given is None:
        image = read_photo(out / row.photo_path)
        if image.shape[:2] != trimap.shape:
            size = f"{image.shape[0]} x {image.shape[1]}"
            raise ValueError(f"{out / row.photo_path} is {size}, its trimap {trimap.shape}")
        alpha = closed_form(image, trimap)
    else:
        check_solvable(trimap)
        alpha = impose(given.alpha, trimap)
    if before is not None and before.pixels_sha256 == pixels_sha256(alpha):
        return before
    data = encode_alpha(alpha)
    path = f"solved/{row.photo_id}.png"
    write_bytes(out / path, data)
    return replace(
        row,
        kind=Kind.ALPHA,
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        pixels_sha256=pixels_sha256(alpha),
        state=State.SUBMITTED,
        accepted=False,
        author_kind=Author.MODEL,
        author=method,
        time=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        origin=Origin.PREDICTION,
        model=method,
        pushed_sha256=pixels_sha256(trimap),
        changed_share=float((trimap == UNKNOWN).mean()),
    )
