"""Label files: CSV tables in which people say what the sources are, one file per row.

`annotate export` writes foregrounds.csv, `datagen` reads it and backgrounds.csv, and
`annotate push` reads such a table of photos. The columns in KNOWN have a meaning; all others are
the user's own and keep their names.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

from manifests.matching import composed
from manifests.storage import writing

FOREGROUND_LABELS, BACKGROUND_LABELS = "foregrounds.csv", "backgrounds.csv"
KNOWN = frozenset({"file", "subject", "transparency", "split"})  # found in any case

Value = TypeVar("Value", bound=StrEnum)


class LabelFileError(ValueError):
    """The label file as a whole cannot be used."""


class LabelTable(NamedTuple):
    """The cells as they stand in the file; `rows` are (line number, cells), without blank lines."""

    columns: list[str]
    rows: list[tuple[int, list[str]]]


class LabelRow(NamedTuple):
    """One row: its cells by column, without outer spaces. `file` is the path in the column of that
    name, in Unicode's composed form (NFC), "" if the cell is empty; `fault` says what is wrong with
    the row, "" if nothing is."""

    line: int
    file: str
    cells: dict[str, str]
    fault: str


def read_table(data: bytes) -> LabelTable:
    """A CSV file (UTF-8, with or without a byte order mark) as it stands.

    Raises LabelFileError if the bytes are not such a table, or if there is no header.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelFileError(
            f"is not UTF-8 (byte {error.start} is {data[error.start]:#04x}); save it as UTF-8"
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise LabelFileError(f"is not a CSV table at line {reader.line_num} ({error})") from error
    return LabelTable(rows[0][1], rows[1:]) if rows else LabelTable([], [])


def read_rows(data: bytes, required: Sequence[str], known: Iterable[str] = KNOWN) -> list[LabelRow]:
    """The rows of a label file, in its order.

    required: the columns that must be there, "file" among them; known: those whose names are
    taken in any case. Raises LabelFileError as `read_table` does, or for a missing or repeated
    column.
    """
    table = read_table(data)
    if not table.columns:
        raise LabelFileError(f"is empty; expected the columns {', '.join(required)}")
    columns = [cell.strip() for cell in table.columns]
    columns = [cell.casefold() if cell.casefold() in known else cell for cell in columns]
    missing = [column for column in required if column not in columns]
    if missing:
        raise LabelFileError(
            f"has no column {', '.join(missing)}; its columns are {', '.join(columns)}"
        )
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise LabelFileError(f"has the column {', '.join(map(repr, twice))} more than once")
    lines: dict[str, int] = {}
    rows = []
    for line, given in table.rows:
        cells = dict(zip(columns, map(str.strip, given), strict=False))
        file = composed(PurePosixPath(cells["file"]).as_posix()) if cells.get("file") else ""
        fault = ""
        if not file:
            fault = "names no file"
        elif len(given) != len(columns):
            fault = f"has {len(given)} cells, the header {len(columns)}"
        elif file in lines:
            fault = f"names a file of line {lines[file]} again; leave one of them"
        rows.append(LabelRow(line, file, cells, fault))
        lines.setdefault(file, line)
    return rows


def value_of(cells: Mapping[str, str], column: str, values: type[Value]) -> Value | None:
    """A cell as one of the values, in any case and with any of ' -_' inside; None if it is empty or
    there is no such column. Raises ValueError for any other text."""
    cell = cells.get(column, "")
    if not cell:
        return None
    for value in values:
        if _bare(value) == _bare(cell):
            return value
    allowed = ", ".join(repr(str(value)) for value in values)
    raise ValueError(f"has {cell!r} in column {column!r}, expected one of {allowed}")


def _bare(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter not in " -_")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a label file of two or more columns, atomically; a row's missing cells are empty."""
    with writing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        for cells in (columns, *([row.get(column, "") for column in columns] for row in rows)):
            file.write(",".join(map(_quoted, cells)) + "\n")


def _quoted(cell: str) -> str:
    """As csv.writer does, which before Python 3.13 left a carriage return bare."""
    is_plain = not any(letter in cell for letter in ',"\r\n')
    return cell if is_plain else '"' + cell.replace('"', '""') + '"'
