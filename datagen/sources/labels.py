"""What people say of the sources: `foregrounds.csv`, `backgrounds.csv` -> one Label per file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

from manifests.sources import Split, Subject, Transparency

FOREGROUND_LABELS, BACKGROUND_LABELS = "foregrounds.csv", "backgrounds.csv"

Value = TypeVar("Value", bound=StrEnum)


@dataclass(frozen=True)
class Label:
    """One row. None where the cell is empty or the column is not asked for; `others` is the JSON
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


class LabelFileError(ValueError):
    """The label file as a whole cannot be used."""


def find_labels(folder: Path, name: str) -> Path | None:
    """The label file in the folder or, where there is none, beside it."""
    beside = folder.resolve().parent / name
    return next((path for path in (folder / name, beside) if path.is_file()), None)


def read_labels(data: bytes, required: Sequence[str]) -> Labels:
    """The rows of a CSV file (UTF-8, with or without a byte order mark).

    required: the columns that must be there, of `file`, `subject` and `transparency`; `split` is
    read where there is one. Raises LabelFileError if the file is not such a table.
    """
    table = _table(data)
    if not table:
        raise LabelFileError(f"is empty; expected the columns {', '.join(required)}")
    _, header = table[0]
    columns = [cell.strip() for cell in header]
    # Known columns are found in any case; the others keep their names.
    known = {"file", "subject", "transparency", "split"}
    columns = [cell.casefold() if cell.casefold() in known else cell for cell in columns]
    missing = [column for column in required if column not in columns]
    if missing:
        raise LabelFileError(
            f"has no column {', '.join(missing)}; its columns are {', '.join(columns)}"
        )
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise LabelFileError(f"has the column {', '.join(map(repr, twice))} more than once")
    return _rows(table[1:], columns)


def _table(data: bytes) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not blank."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelFileError(
            f"is not UTF-8 (byte {error.start} is {data[error.start]:#04x}); save it as UTF-8"
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise LabelFileError(f"is no CSV table at line {reader.line_num} ({error})") from error


def _rows(table: list[tuple[int, list[str]]], columns: list[str]) -> Labels:
    labels = Labels({}, [])
    lines: dict[str, int] = {}
    for line, cells in table:
        row = dict(zip(columns, map(str.strip, cells), strict=False))
        file = PurePosixPath(row["file"]).as_posix() if row.get("file") else ""
        try:
            if not file:
                raise ValueError("names no file")
            if len(cells) != len(columns):
                raise ValueError(f"has {len(cells)} cells, the header {len(columns)}")
            if file in lines:
                raise ValueError(f"names a file of line {lines[file]} again; leave one of them")
            labels.rows[file] = _label(row)
        except ValueError as error:
            labels.faults.append((file, f"line {line} {error}"))
        lines.setdefault(file, line)
    for file, _ in labels.faults:
        labels.rows.pop(file, None)
    return labels


def _label(row: dict[str, str]) -> Label:
    subject = _value(row, "subject", Subject)
    transparency = _value(row, "transparency", Transparency)
    split = _value(row, "split", Split) or Split.TRAIN
    known = ("file", "subject", "transparency", "split")
    others = {column: cell for column, cell in row.items() if column not in known}
    return Label(subject, transparency, split, json.dumps(others, ensure_ascii=False))


def _value(row: dict[str, str], column: str, values: type[Value]) -> Value | None:
    """The cell as one of the values, in any case and with any of ' -_' inside; None if empty."""
    cell = row.get(column, "")
    if not cell:
        return None
    for value in values:
        if _bare(value) == _bare(cell):
            return value
    allowed = ", ".join(repr(str(value)) for value in values)
    raise ValueError(f"has {cell!r} in column {column!r}, expected one of {allowed}")


def _bare(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter not in " -_")
