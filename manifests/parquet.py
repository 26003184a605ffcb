"""Parquet files, measured before they are read.

A few bytes of such a file can announce any number of rows, or stand for any number of copies of one
long text. So every number is held against the length of the file before anything is decoded, and
rows are decoded a few at a time:

- A file has at most `MAX_ROWS` rows and no more than it has bytes, and `MAX_COLUMNS` columns.
- Columns lie in the file, and their pages, whose headers are read here, lie in the columns.
- Pages hold their values plainly or by a dictionary; a cell has at most `_MAX_ITEMS` values.
- A compressed page decodes to at most `MAX_PAGE_BYTES`, and a table to `MAX_TABLE_BYTES`.
- Shards have neither compression nor dictionaries: a page decodes to no more than it has.

So a table takes at most 3 GB of memory, and a shard twice the size of a row group.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.thrift import Struct, read_struct

MAX_ROWS = 1 << 20
MAX_COLUMNS = 256
MAX_PAGE_BYTES = 1 << 25  # a writer ends a page after 1 MiB, but looks at each 1024th value only
MAX_TABLE_BYTES = 1 << 30
_MAX_FOOTER_BYTES = 1 << 25
_MAX_ITEMS = 64
_BATCH_BYTES, _BATCH_ROWS = 1 << 28, 1 << 16
_PAGE_HEADER_BYTES = 512, 1 << 16  # usual, and at most: it may hold the least and the largest value
_TAIL = 8  # the length of the footer, and PAR1

_TYPES = ("BYTE_ARRAY", "DOUBLE", "INT64", "BOOLEAN")  # the columns of records and streams
# Numbers of the Parquet format: pages, and encodings
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_PLAIN, _RLE = 0, 3
_BY_DICTIONARY = 2, 8

File = Path | bytes
Value = TypeVar("Value")


@contextmanager
def table_errors(name: str, what: str = "") -> Iterator[None]:
    """Whatever a damaged table raises becomes a ValueError that begins with the file's name.

    what: said after the name, "not a whole shard" for example.
    """
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
        reason = " ".join(str(error).split()) or repr(error)
        if reason.startswith(f"{name}: "):
            raise ValueError(reason) from error
        missing = "no " if isinstance(error, LookupError) else ""
        raise ValueError(f"{name}: {what}{': ' * bool(what)}{missing}{reason}") from error


def read_footer(file: File) -> pq.FileMetaData:
    """The footer of a file, measured. Raises as `read_parquet`."""
    with _opened(file) as source:
        return _footer(source)


def read_parquet(file: File, columns: Sequence[str] | None = None) -> pa.Table:
    """A table, or some of its columns.

    Raises ValueError, OSError or an ArrowException if the file is damaged, KeyError for a column
    that it lacks; see `table_errors`.
    """
    with _opened(file) as source:
        footer = _footer(source)
        batch_rows = _measure(source, footer, columns)
        # Not read_table, which takes a folder's name like a=b for a column
        with pq.ParquetFile(source, metadata=footer) as table:
            schema = table.schema_arrow
            names = schema.names if columns is None else list(columns)
            if missing := [name for name in names if name not in schema.names]:
                raise KeyError(f"column {', '.join(missing)}")
            schema = pa.schema([schema.field(name) for name in names], schema.metadata)
            batches, size = [], 0
            for batch in table.iter_batches(batch_rows, columns=names, use_threads=False):
                size += batch.nbytes
                if size > MAX_TABLE_BYTES:
                    raise ValueError(f"more than {MAX_TABLE_BYTES} bytes of values")
                batches.append(batch)
        return pa.Table.from_batches(batches, batches[0].schema if batches else schema)


def open_plain(path: Path, most_group_bytes: int) -> pq.ParquetFile:
    """Open a shard. most_group_bytes: what a row group may take.

    Raises ValueError, OSError or an ArrowException if the file is damaged.
    """
    with _opened(path) as source:
        footer = _footer(source)
        _measure(source, footer, None, most_group_bytes)
    return pq.ParquetFile(path, metadata=footer, memory_map=True)


@contextmanager
def _opened(file: File) -> Iterator[IO[bytes]]:
    with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as source:
        yield source


def _footer(source: IO[bytes]) -> pq.FileMetaData:
    length, announced = _tail(source)
    if announced > min(_MAX_FOOTER_BYTES, length - _TAIL):
        raise ValueError(f"a footer of {announced} bytes in a file of {length}")
    source.seek(0)
    footer = pq.read_metadata(source)
    if not 0 <= footer.num_rows <= min(MAX_ROWS, length):
        raise ValueError(f"{footer.num_rows} rows in a file of {length} bytes")
    if footer.num_columns > MAX_COLUMNS:
        raise ValueError(f"{footer.num_columns} columns, at most {MAX_COLUMNS}")
    return footer


def _tail(source: IO[bytes]) -> tuple[int, int]:
    """The length of a file, and the length of the footer that it announces."""
    length = source.seek(0, io.SEEK_END)
    source.seek(max(0, length - _TAIL))
    tail = source.read(_TAIL)
    if len(tail) < _TAIL or tail[4:] != b"PAR1":
        raise ValueError(f"not a whole Parquet file ({length} bytes)")
    return length, int.from_bytes(tail[:4], "little")


def _measure(
    source: IO[bytes],
    footer: pq.FileMetaData,
    wanted: Sequence[str] | None,
    most_group_bytes: int = 0,
) -> int:
    """Check every page of the wanted columns; returns how many rows may be decoded at a time.

    wanted: the columns that will be read; None for all. most_group_bytes: what a row group of a
    shard may take; 0 for other tables.

    Where pyarrow describes columns, it ends the process for some damaged footers. So the numbers
    are taken from the footer itself.
    """
    length, size = _tail(source)
    end = length - _TAIL - size
    source.seek(end)
    groups = _list(read_struct(source.read(size))[0], 4)
    rows = sum(_number(group, 3) for group in groups)
    if rows != footer.num_rows:
        raise ValueError(f"{rows} rows in row groups, {footer.num_rows} in all")
    most = 1
    for group in groups:
        copied = stored = 0  # copied: what each row may copy from the dictionaries
        columns = _list(group, 1)
        if len(columns) != footer.num_columns or not 0 <= _number(group, 3) <= rows:
            raise ValueError(f"a row group of {len(columns)} columns, {_number(group, 3)} rows")
        for number, column in enumerate(columns):
            schema = footer.schema.column(number)
            if wanted is not None and schema.path.partition(".")[0] not in wanted:
                continue
            items = _MAX_ITEMS if schema.max_repetition_level else 1
            try:
                found, described = schema.physical_type, _struct(column, 3)
                if found not in _TYPES:
                    raise ValueError(f"has the type {found}, expected {', '.join(_TYPES)}")
                if 1 in column:  # a path
                    raise ValueError("lies in another file")
                values = _number(described, 5)
                if not 0 <= values <= items * _number(group, 3):
                    raise ValueError(f"{values} values in {_number(group, 3)} rows")
                longest = _measure_column(source, described, end, bool(most_group_bytes))
            except ValueError as error:
                raise ValueError(f"column {schema.path}: {error}") from error
            stored += _number(described, 7)
            copied += items * longest if schema.physical_type == "BYTE_ARRAY" else 0
        if most_group_bytes and stored > most_group_bytes:
            raise ValueError(f"a row group of {stored} bytes, at most {most_group_bytes}")
        most = max(most, copied)
    return min(max(1, _BATCH_BYTES // most), _BATCH_ROWS)


def _measure_column(source: IO[bytes], column: Struct, end: int, is_plain: bool) -> int:
    """Check the column of a row group; returns the bytes of its dictionary."""
    total, size, begin = (_number(column, field) for field in (5, 7, 9))
    if total == 0:  # then Arrow reads no page
        return 0
    begin = min(begin, column.get(11) or begin)  # of the dictionary; Arrow, too, takes 0 for none
    if begin < 4 or size < 0 or begin + size > end:
        raise ValueError(f"{size} bytes at byte {begin}, but columns end at byte {end}")
    at, values, dictionary = begin, 0, 0
    while at < begin + size:
        page, header_size = _page_header(source, at)
        kind, decoded, stored = (_number(page, field) for field in (1, 2, 3))
        at += header_size + stored
        if min(decoded, stored) < 0 or at > begin + size:
            raise ValueError(f"a page of {stored} bytes that ends at byte {at}")
        most = stored if is_plain else max(stored, MAX_PAGE_BYTES)
        if decoded > most:
            raise ValueError(f"a page that decodes to {decoded} bytes, at most {most}")
        if kind == _DICTIONARY:
            count = _number(page.get(7), 1)
            if is_plain or not 0 <= count <= decoded:
                raise ValueError(f"a dictionary of {count} values in {decoded} bytes")
            dictionary = max(dictionary, decoded)
        else:
            values += _count_values(page, kind)
    if values != total:
        raise ValueError(f"{values} values, its footer says {total}")
    return dictionary


def _count_values(page: Struct, kind: int) -> int:
    if kind not in (_DATA, _DATA_V2):
        raise ValueError(f"a page of the kind {kind}")
    content, place = (page.get(8), 4) if kind == _DATA_V2 else (page.get(5), 2)
    count, encoding = _number(content, 1), _number(content, place)
    if count < 0 or encoding not in (_PLAIN, _RLE, *_BY_DICTIONARY):
        raise ValueError(f"a page of {count} values with the encoding {encoding}")
    return count


def _page_header(source: IO[bytes], at: int) -> tuple[Struct, int]:
    for most in _PAGE_HEADER_BYTES:
        source.seek(at)
        try:
            return read_struct(source.read(most))
        except ValueError:
            if most == _PAGE_HEADER_BYTES[-1]:
                raise
    raise AssertionError("the last attempt returns or raises")


def _number(fields: Any, field: int) -> int:
    return _field(fields, field, int)


def _list(fields: Any, field: int) -> list[Any]:
    return _field(fields, field, list)


def _struct(fields: Any, field: int) -> Struct:
    return _field(fields, field, dict)


def _field(fields: Any, field: int, kind: type[Value]) -> Value:
    """A field that has to be there."""
    value = fields.get(field) if isinstance(fields, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"a header without the field {field}")
    return value
