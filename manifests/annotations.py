"""An alpha or a trimap for a photo, who made it and from what: one row of annotations.parquet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pyarrow.parquet as pq

from manifests.names import path_below, plain_name
from manifests.parquet import read_parquet, table_errors
from manifests.sources import Subject
from manifests.storage import writing
from manifests.tables import from_table, to_table


class Kind(StrEnum):
    ALPHA = "alpha"
    TRIMAP = "trimap"


class Origin(StrEnum):
    """What an annotation was made from."""

    PREDICTION = "prediction"  # taken as it was pushed, or made by a model
    PREDICTION_CHANGED = "prediction-changed"
    MANUAL = "manual"


class State(StrEnum):
    SUBMITTED = "submitted"  # not reviewed yet
    APPROVED = "approved"
    REJECTED = "rejected"


class Author(StrEnum):
    PERSON = "person"
    MODEL = "model"


@dataclass(frozen=True)
class Annotation:
    """One alpha or trimap for one photo, with its provenance.

    Paths are below the table's folder, with '/' between the parts. `sha256` are those of a
    file's bytes, `pixels_sha256` those of the array (see `manifests.pixels`), so that
    what was pushed, solved and approved can be followed from row to row.
    """

    photo_id: str
    photo_file: str  # the photo's path below the folder that was pushed
    photo_sha256: str
    photo_path: str  # the picture as the annotators saw it
    height: int
    width: int
    kind: Kind
    path: str
    sha256: str
    pixels_sha256: str
    state: State
    accepted: bool  # the result of its task; others are kept to measure agreement
    author_kind: Author
    author: str  # an e-mail address, or the name of a model
    time: str  # ISO 8601, UTC
    origin: Origin
    model: str  # version of the prediction that it was made from, or ""
    pushed_sha256: str  # pixels of that prediction; of a solved alpha: of its trimap; "" if unknown
    changed_share: float  # share of pixels that differ from it; 1: nothing was pushed, -1: unknown
    subject: Subject
    transparency: str  # a Transparency, or "" if nobody chose one
    licence: str  # of the photo
    project: str
    project_id: int
    task_id: int
    annotation_id: int


def annotations_path(root: Path) -> Path:
    return root / "annotations.parquet"


def solved_path(root: Path) -> Path:
    """The rows of alphas that were solved from the trimaps of the same folder."""
    return root / "solved.parquet"


def write_annotations(path: Path, rows: Iterable[Annotation]) -> None:
    """Write a table, atomically."""
    with writing(path) as part:
        pq.write_table(to_table(Annotation, rows), part, compression="zstd")


def read_annotations(path: Path) -> list[Annotation]:
    """The rows of a table.

    Raises FileNotFoundError if it is missing, ValueError that names the file if it is malformed
    or if a row names a file that is not below the table's folder.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; `annotate pull --out` makes it")
    with table_errors(str(path)):
        rows = from_table(Annotation, read_parquet(path))
        for row in rows:
            plain_name(row.photo_id)
            for below in (row.path, row.photo_path):
                path_below(below)
        return rows
