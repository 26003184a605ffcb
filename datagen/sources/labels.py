"""What people say of the sources: `foregrounds.csv`, `backgrounds.csv` -> one Label per file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from manifests.labels import KNOWN, read_rows, value_of
from manifests.sources import Split, Subject, Transparency


@dataclass(frozen=True)
class Label:
    """One row. None where the cell is empty or there is no such column; `others` is the JSON
    object of the columns that have no meaning here."""

    subject: Subject | None = None
    transparency: Transparency | None = None
    split: Split = Split.TRAIN
    others: str = "{}"


class Labels(NamedTuple):
    """`rows` by file; `faults` are (file, or "" where none is named, what is wrong with its row).
    A file with a fault has no row."""

    rows: dict[str, Label]
    faults: list[tuple[str, str]]


def find_labels(folder: Path, name: str) -> Path | None:
    """The label file in the folder or, where there is none, beside it."""
    beside = folder.resolve().parent / name
    return next((path for path in (folder / name, beside) if path.is_file()), None)


def read_labels(data: bytes, required: Sequence[str]) -> Labels:
    """The rows of a label file.

    required: the columns that must be there, of `file`, `subject` and `transparency`; `split` is
    read where there is one. Raises LabelFileError if the file is not such a table.
    """
    labels = Labels({}, [])
    for row in read_rows(data, required):
        try:
            if row.fault:
                raise ValueError(row.fault)
            labels.rows[row.file] = _label(row.cells)
        except ValueError as error:
            labels.faults.append((row.file, f"line {row.line} {error}"))
    for file, _ in labels.faults:
        labels.rows.pop(file, None)
    return labels


def _label(cells: Mapping[str, str]) -> Label:
    others = {column: cell for column, cell in cells.items() if column not in KNOWN}
    return Label(
        subject=value_of(cells, "subject", Subject),
        transparency=value_of(cells, "transparency", Transparency),
        split=value_of(cells, "split", Split) or Split.TRAIN,
        others=json.dumps(others, ensure_ascii=False),
    )
