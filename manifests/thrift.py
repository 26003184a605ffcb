"""Structs of Thrift's compact protocol, in which Parquet writes its footer and page headers."""

from __future__ import annotations

from typing import Any

Struct = dict[int, Any]  # the number of a field -> int, bool, bytes, Struct, or a list of these

_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 12
_INTEGERS = (4, 5, 6)
_NO_END = "a header without an end"
_DEEPEST = 16  # structs and lists inside each other


def read_struct(data: bytes) -> tuple[Struct, int]:
    """The struct at the beginning of `data`, and its length in bytes.

    Raises ValueError if it is malformed, holds sets or maps, or does not end in `data`.
    """
    return _struct(data, 0, 0)


def _struct(data: bytes, at: int, depth: int) -> tuple[Struct, int]:
    fields: Struct = {}
    number, end = 0, len(data)
    while True:
        if at >= end:
            raise ValueError(_NO_END)
        head = data[at]
        at += 1
        kind, step = head & 15, head >> 4
        if kind == _STOP:
            return fields, at
        if step:
            number += step
        else:
            number, at = _integer(data, at)
        if kind in (_TRUE, _FALSE):
            fields[number] = kind == _TRUE
        elif kind in _INTEGERS:  # nearly all are: without the detour
            fields[number], at = _integer(data, at)
        else:
            fields[number], at = _value(data, at, kind, depth + 1)


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind == _BINARY:
        length, at = _varint(data, at)
        return _bytes(data, at, length)
    if kind in (_BYTE, _DOUBLE):
        return _bytes(data, at, 1 if kind == _BYTE else 8)
    if depth > _DEEPEST:
        raise ValueError("a header with too many structs inside each other")
    if kind == _STRUCT:
        return _struct(data, at, depth)
    if kind == _LIST:
        return _list(data, at, depth)
    raise ValueError(f"a header with a field of the type {kind}")


def _list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    head, at = _byte(data, at)
    kind, length = head & 15, head >> 4
    if length == 15:
        length, at = _varint(data, at)
    values = []
    for _ in range(length):  # each takes a byte at least, so that the data end before the memory
        if kind in (_TRUE, _FALSE):
            value, at = _bytes(data, at, 1)
        else:
            value, at = _value(data, at, kind, depth + 1)
        values.append(value)
    return values, at


def _byte(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise ValueError(_NO_END)
    return data[at], at + 1


def _bytes(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    if at + length > len(data):
        raise ValueError(_NO_END)
    return data[at : at + length], at + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first."""
    value, end = 0, len(data)
    for shift in range(0, 64, 7):
        if at >= end:
            raise ValueError(_NO_END)
        part = data[at]
        at += 1
        value |= (part & 127) << shift
        if part < 128:
            return value, at
    raise ValueError("a header with a number of more than 64 bits")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """Zigzag: 0, -1, 1, -2, ... are 0, 1, 2, 3, ..."""
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at
