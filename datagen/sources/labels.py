"""Labels of the sources: `foregrounds.csv` or `backgrounds.csv` -> one Label per file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from manifests.labels import (
    BACKGROUND_LABELS,
    FOREGROUND_LABELS,
    KNOWN,
    LabelFileError,
    read_rows,
    value_of,
)
from manifests.sources import Split, Subject, Transparency
from manifests.storage import Location, Url, exists


@dataclass(frozen=True)
class Label:
    """One row. A field is None if its cell is empty or its column is missing; `others` is a JSON
    object of all other columns."""

    subject: Subject | None = None
    transparency: Transparency | None = None
    split: Split = Split.TRAIN
    others: str = "{}"


class Labels(NamedTuple):
    """`rows` by file. `faults` are pairs: the file ("" if the row names none), and what is wrong
    with its row. A file with a fault is not in `rows`, even if another of its rows is right."""

    rows: dict[str, Label]
    faults: list[tuple[str, str]]


def find_labels(folder: Location, name: str) -> Location | None:
    """The label file of a folder: in it, beside it, or beside what it is a link to.

    In a store it has exactly this name, because only a listing of all files would show others.

    A file of exactly this name wins over one that differs in upper and lower case. Raises
    LabelFileError if there are several of the latter and none of the former.
    """
    if isinstance(folder, Url):
        places = (folder / name, folder.parent / name)
        return next((place for place in places if exists(place)), None)
    for home in (folder, folder.absolute().parent, folder.resolve().parent):
        if (home / name).is_file():
            return home / name
        found = _in_any_case(home, name)
        if len(found) > 1:
            raise LabelFileError(f"has {', '.join(found)}; leave one of them, as {name}")
        if found:
            return home / found[0]
    return None


def is_label_file(name: str) -> bool:
    """Is this the name of a label file, in any case?"""
    return name.casefold() in (FOREGROUND_LABELS, BACKGROUND_LABELS)


def _in_any_case(folder: Path, name: str) -> list[str]:
    try:
        files = sorted(path for path in folder.iterdir() if path.name.casefold() == name)
    except OSError:  # the folder above may be unreadable
        return []
    return [path.name for path in files if path.is_file()]


def read_labels(data: bytes, required: Sequence[str]) -> Labels:
    """The rows of a label file.

    required: the columns that must be there, of `file`, `subject` and `transparency`; `split` is
    read where there is one. Rows that name a label file are passed over. Raises LabelFileError if
    the file is not such a table.
    """
    labels = Labels({}, [])
    for row in read_rows(data, required):
        if is_label_file(row.file):  # `ls > backgrounds.csv` lists that file, too
            continue
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
