"""Structs of Thrift's compact protocol, in which Parquet writes the headers of its pages."""

from __future__ import annotations

from typing import Any

Struct = dict[int, Any]  # the number of a field -> int, bool, bytes or Struct

_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 0, 1, 2, 3, 7, 8, 12
_INTEGERS = (4, 5, 6)
_DEEPEST = 8  # structs in structs


def read_struct(data: bytes) -> tuple[Struct, int]:
    """The struct at the beginning of `data`, and its length in bytes.

    Raises ValueError if it is malformed, holds lists or maps, or does not end in `data`.
    """
    return _struct(data, 0, 0)


def _struct(data: bytes, at: int, depth: int) -> tuple[Struct, int]:
    fields: Struct = {}
    number = 0
    if depth > _DEEPEST:
        raise ValueError("a header with structs in structs in structs")
    while True:
        head, at = _byte(data, at)
        kind, step = head & 15, head >> 4
        if kind == _STOP:
            return fields, at
        if step:
            number += step
        else:
            number, at = _integer(data, at)
        if kind in (_TRUE, _FALSE):
            fields[number] = kind == _TRUE
        elif kind in _INTEGERS:
            fields[number], at = _integer(data, at)
        elif kind in (_BYTE, _DOUBLE):
            fields[number], at = _bytes(data, at, 1 if kind == _BYTE else 8)
        elif kind == _BINARY:
            length, at = _varint(data, at)
            fields[number], at = _bytes(data, at, length)
        elif kind == _STRUCT:
            fields[number], at = _struct(data, at, depth + 1)
        else:
            raise ValueError(f"a header with a field of the type {kind}")


def _byte(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise ValueError("a header without an end")
    return data[at], at + 1


def _bytes(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    if at + length > len(data):
        raise ValueError("a header without an end")
    return data[at : at + length], at + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first."""
    value = 0
    for shift in range(0, 64, 7):
        part, at = _byte(data, at)
        value |= (part & 127) << shift
        if part < 128:
            return value, at
    raise ValueError("a header with a number of more than 64 bits")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """Zigzag: 0, -1, 1, -2, ... are 0, 1, 2, 3, ..."""
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at
