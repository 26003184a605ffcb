"""Records to Arrow and back: one frozen dataclass is one row, its fields are the columns.

The schema follows from the annotations, so that a record and its table cannot disagree. Nested
dataclasses become structs, tuples (also named ones, of one type) become lists, string enums become
strings. There are no nulls, so that a reader can infer every type from a few rows.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

import pyarrow as pa

Record = TypeVar("Record")

_SCALARS: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}


def schema_of(record: type) -> pa.Schema:
    """The Arrow schema of a record class."""
    return pa.schema([pa.field(n, _arrow_type(t), nullable=False) for n, t in _fields(record)])


def to_table(record: type[Record], rows: Iterable[Record]) -> pa.Table:
    """Rows of one record class as a table."""
    return pa.Table.from_pylist([to_dict(row) for row in rows], schema=schema_of(record))


def from_table(record: type[Record], table: pa.Table) -> list[Record]:
    """The rows of a table. Raises ValueError if its columns are not the record's."""
    expected, found = schema_of(record).names, table.schema.names
    if set(expected) != set(found):
        raise ValueError(f"columns {found}, expected {expected} ({record.__name__})")
    return [from_dict(record, row) for row in table.to_pylist()]


def to_dict(row: Any) -> dict[str, Any]:
    """A record as plain values that both JSON and Arrow accept."""
    return {name: _plain(getattr(row, name)) for name, _ in _fields(type(row))}


def from_dict(record: type[Record], values: Mapping[str, Any]) -> Record:
    """The inverse of `to_dict`. Raises ValueError if a field is missing or has a wrong value."""
    try:
        return record(**{name: _typed(kind, values[name]) for name, kind in _fields(record)})
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"not a {record.__name__}: {error!r}") from error


_known_fields: dict[type, list[tuple[str, Any]]] = {}  # resolving annotations is slow


def _fields(record: type) -> list[tuple[str, Any]]:
    if record not in _known_fields:
        hints = typing.get_type_hints(record)
        _known_fields[record] = [(f.name, hints[f.name]) for f in dataclasses.fields(record)]
    return _known_fields[record]


def _arrow_type(kind: Any) -> pa.DataType:
    if kind in _SCALARS:
        return _SCALARS[kind]
    if isinstance(kind, types.GenericAlias):
        return pa.list_(pa.field("item", _arrow_type(typing.get_args(kind)[0]), nullable=False))
    if issubclass(kind, tuple):
        return pa.list_(pa.field("item", _arrow_type(_named_items(kind)[0]), nullable=False))
    if dataclasses.is_dataclass(kind):
        return pa.struct(schema_of(typing.cast(type, kind)))
    if issubclass(kind, StrEnum):
        return pa.string()
    raise TypeError(f"no column type for {kind}")


@cache
def _named_items(kind: type) -> list[Any]:
    """The types of a named tuple's items."""
    return list(typing.get_type_hints(kind).values())


def _plain(value: Any) -> Any:
    if type(value) in _SCALARS:
        return value
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, StrEnum) else value


def _typed(kind: Any, value: Any) -> Any:
    if kind in _SCALARS:
        # No coercion: int(1.5) and str(None) would hide errors
        of_kind = isinstance(value, (int, float) if kind is float else kind)
        if not of_kind or isinstance(value, bool) is not (kind is bool):
            raise TypeError(f"{value!r} is not {kind.__name__}")
        return kind(value)
    if isinstance(kind, types.GenericAlias):
        return _items(typing.get_args(kind), value)
    if issubclass(kind, tuple):
        items = zip(_named_items(kind), value, strict=True)
        return kind(*(_typed(item_kind, item) for item_kind, item in items))
    if dataclasses.is_dataclass(kind):
        return from_dict(typing.cast(type, kind), value)
    return kind(value)


def _items(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    """The items of a tuple: any number of one kind if `kinds` ends with an ellipsis."""
    if kinds[1:] != (...,):
        return tuple(_typed(*both) for both in zip(kinds, value, strict=True))
    if kinds[0] in _SCALARS and set(map(type, value)) <= {kinds[0]}:
        return tuple(value)  # the same, fast: histograms are long
    return tuple(_typed(kinds[0], item) for item in value)
