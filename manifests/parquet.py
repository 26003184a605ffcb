"""Parquet files, measured before they are read.

A few bytes of such a file can announce any number of rows, or stand for any number of copies of one
long text. So every number is held against the length of the file before anything is decoded, and
rows are decoded a few at a time:

- A file has at most `MAX_ROWS` rows and no more than it has bytes, and `MAX_COLUMNS` columns.
- Columns lie in the file, and their pages, whose headers are read here, lie in the columns.
- Pages hold their values plainly or by a dictionary; a cell has at most `_MAX_ITEMS` values.
- A compressed page decodes to at most `MAX_PAGE_BYTES`, and a table to `MAX_TABLE_BYTES`.
- Shards have neither compression nor dictionaries, so that they decode to what is in the file.

So a table takes at most 3 GB of memory, and a shard twice the size of a row group.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

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
_DICTIONARY, _DATA_V2 = 2, 3
_PLAIN, _RLE = 0, 3
_BY_DICTIONARY = 2, 8

File = Path | bytes


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
        batch_rows = _measure(source, footer, is_plain=False)
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
        _measure(source, footer, is_plain=True)
        for number in range(footer.num_row_groups):
            columns = [footer.row_group(number).column(n) for n in range(footer.num_columns)]
            size = sum(column.total_compressed_size for column in columns)
            if size > most_group_bytes:
                raise ValueError(f"a row group of {size} bytes, at most {most_group_bytes}")
    return pq.ParquetFile(path, metadata=footer, memory_map=True)


@contextmanager
def _opened(file: File) -> Iterator[IO[bytes]]:
    with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as source:
        yield source


def _footer(source: IO[bytes]) -> pq.FileMetaData:
    length = source.seek(0, io.SEEK_END)
    source.seek(max(0, length - _TAIL))
    tail = source.read(_TAIL)
    if len(tail) < _TAIL or tail[4:] != b"PAR1":
        raise ValueError(f"not a whole Parquet file ({length} bytes)")
    announced = int.from_bytes(tail[:4], "little")
    if announced > min(_MAX_FOOTER_BYTES, length - _TAIL):
        raise ValueError(f"a footer of {announced} bytes in a file of {length}")
    source.seek(0)
    footer = pq.read_metadata(source)
    rows, columns = footer.num_rows, footer.num_columns
    groups = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
    if not 0 <= rows <= min(MAX_ROWS, length) or min(groups, default=0) < 0 or sum(groups) != rows:
        raise ValueError(f"{rows} rows ({sum(groups)} in row groups) in a file of {length} bytes")
    if columns > MAX_COLUMNS:
        raise ValueError(f"{columns} columns, at most {MAX_COLUMNS}")
    return footer


def _measure(source: IO[bytes], footer: pq.FileMetaData, is_plain: bool) -> int:
    """Check every column and page; returns how many rows may be decoded at a time."""
    end = source.seek(0, io.SEEK_END) - _TAIL - footer.serialized_size
    most = 1
    for group in (footer.row_group(number) for number in range(footer.num_row_groups)):
        copied = 0  # bytes that each row may copy from the dictionaries
        for number in range(footer.num_columns):
            column, schema = group.column(number), footer.schema.column(number)
            items = _MAX_ITEMS if schema.max_repetition_level else 1
            try:
                if not 0 <= column.num_values <= items * group.num_rows:
                    raise ValueError(f"{column.num_values} values in {group.num_rows} rows")
                longest = _measure_column(source, column, end, is_plain)
            except ValueError as error:
                raise ValueError(f"column {column.path_in_schema}: {error}") from error
            copied += items * longest if column.physical_type == "BYTE_ARRAY" else 0
        most = max(most, copied)
    return min(max(1, _BATCH_BYTES // most), _BATCH_ROWS)


def _measure_column(source: IO[bytes], column: Any, end: int, is_plain: bool) -> int:
    """Check the column of a row group; returns the bytes of its dictionary."""
    if column.physical_type not in _TYPES or column.file_path:
        raise ValueError(f"has the type {column.physical_type}, expected {', '.join(_TYPES)}")
    if is_plain and column.compression != "UNCOMPRESSED":
        raise ValueError(f"{column.compression}, but shards are not compressed")
    if column.num_values == 0:  # then Arrow reads no page
        return 0
    begin = column.data_page_offset
    if column.dictionary_page_offset:  # Arrow, too, takes 0 for none
        begin = min(begin, column.dictionary_page_offset)
    size = column.total_compressed_size
    if begin < 4 or size < 0 or begin + size > end:
        raise ValueError(f"{size} bytes at byte {begin}, but columns end at byte {end}")
    at, values, dictionary = begin, 0, 0
    while at < begin + size:
        page, header_size = _page_header(source, at)
        kind, decoded, stored = (_number(page, field) for field in (1, 2, 3))
        at += header_size + stored
        if min(decoded, stored) < 0 or at > begin + size:
            raise ValueError(f"a page of {stored} bytes that ends at byte {at}")
        most = stored if column.compression == "UNCOMPRESSED" else MAX_PAGE_BYTES
        if decoded > most:
            raise ValueError(f"a page that decodes to {decoded} bytes, at most {most}")
        if kind == _DICTIONARY:
            count = _number(page.get(7), 1)
            if is_plain or not 0 <= count <= decoded:
                raise ValueError(f"a dictionary of {count} values in {decoded} bytes")
            dictionary = max(dictionary, decoded)
        else:
            values += _count_values(page, kind)
    if values != column.num_values:
        raise ValueError(f"{values} values, its footer says {column.num_values}")
    return dictionary


def _count_values(page: Struct, kind: int) -> int:
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
    """A field that has to be there."""
    value = fields.get(field) if isinstance(fields, dict) else None
    if not isinstance(value, int):
        raise ValueError(f"a page header without the field {field}")  # noqa: TRY004
    return value
