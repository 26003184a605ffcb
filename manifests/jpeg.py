"""JPEG files as the shards hold them: in tiles, so that a part is decoded without the rest.

The pixels of a JPEG are one stream of blocks of 8 x 8 pixels, of which each depends on the one
before. At a restart marker the stream begins anew. With several of them in each row of blocks, a
file consists of tiles, and the tiles that a crop needs are put together as a smaller JPEG. It
decodes to the same pixels as the whole file, to the bit. Every decoder knows restart markers; they
add 1.5 % to a file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\xff\xd8\xff"
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers that give the size
_BASELINE, _RESTART, _END, _SCAN, _INTERVAL = 0xC0, 0xD0, 0xD9, 0xDA, 0xDD

BLOCK = 8
_TILE_BLOCKS = 10  # narrower tiles are not worth their markers

# What a frame says of its three channels if each has a colour of its own for each pixel
_CHANNELS = b"\x03\x01\x11\x00\x02\x11\x01\x03\x11\x01"


class Part(NamedTuple):
    """A JPEG of some tiles of another one, in which they begin at (top, left)."""

    data: bytes
    top: int
    left: int


class _Header(NamedTuple):
    frame: int  # where the frame is; 0 if there is none as it is written here
    interval: int  # blocks from one restart marker to the next; 0: there are none
    pixels: int  # where they begin


def tile_blocks(width: int) -> int:
    """How many blocks wide the tiles of an image are, so that all have the same width."""
    blocks = -(-width // BLOCK)
    return next(n for n in range(min(_TILE_BLOCKS, blocks), blocks + 1) if blocks % n == 0)


def size(data: bytes) -> tuple[int, int] | None:
    """(height, width) of the frame; None if there is no frame before the pixels."""
    for marker, at in _segments(data):
        if marker in _FRAMES:
            return _size(data, at)
    return None


def part(data: bytes, rows: slice, columns: slice) -> Part | None:
    """The tiles that hold some pixels: rows and columns from 0 <= start < stop.

    None if the file has no such pixels, or no tiles: if it was written elsewhere, or is damaged.
    """
    header = _header(data)
    if not header.frame or not header.interval:
        return None
    height, width = _size(data, header.frame)
    down, blocks = -(-height // BLOCK), -(-width // BLOCK)
    across, rest = divmod(blocks, header.interval)
    if rest or rows.stop > height or columns.stop > width:
        return None
    begins = _tiles(data, header.pixels, down * across)
    if begins is None:
        return None

    side = header.interval * BLOCK
    top, bottom = rows.start // BLOCK, -(-rows.stop // BLOCK)
    left, right = columns.start // side, -(-columns.stop // side)
    wanted = begins[:-1].reshape(down, across)[top:bottom, left:right]
    ends = begins[1:].reshape(down, across)[top:bottom, right - 1]
    lines = [data[begin:end] for begin, end in zip(wanted[:, 0], ends, strict=True)]
    pixels = np.frombuffer(bytearray().join(lines), np.uint8)
    # The markers are numbered; the first of them gives way to the header
    moved = np.cumsum([0, *map(len, lines[:-1])]) - wanted[:, 0]
    numbers = np.arange(-1, wanted.size - 1).reshape(wanted.shape)
    pixels[wanted + moved[:, None] + 1] = _RESTART + numbers % 8
    start = bytearray(data[: header.pixels])
    new_size = min(bottom * BLOCK, height) - top * BLOCK, min(right * side, width) - left * side
    struct.pack_into(">HH", start, header.frame + 5, *new_size)
    whole = b"".join((start, pixels[2:].data, bytes((0xFF, _END))))
    return Part(whole, top * BLOCK, left * side)


def rearranged(data: bytes, tiles: NDArray[np.int64], height: int, width: int) -> bytes:
    """A JPEG of height x width pixels from the tiles of another one, which `tile_blocks` divided.

    tiles: down x across, the number of a tile in `data`, row by row; a tile may be used often.
    """
    header = _header(data)
    of_data = _size(data, header.frame)
    count = -(-of_data[0] // BLOCK) * -(-of_data[1] // (BLOCK * header.interval))
    begins = _tiles(data, header.pixels, count)
    if begins is None:
        raise ValueError("the JPEG has no tiles")
    pieces = [data[begin:end] for begin, end in pairwise(begins.tolist())]
    wanted = tiles.ravel()
    pixels = np.frombuffer(bytearray().join([pieces[n] for n in wanted.tolist()]), np.uint8)
    at = np.cumsum(np.diff(begins)[wanted])
    at = np.concatenate(([0], at[:-1]))
    pixels[at] = 0xFF
    pixels[at + 1] = _RESTART + np.arange(-1, at.size - 1) % 8
    start = bytearray(data[: header.pixels])
    struct.pack_into(">HH", start, header.frame + 5, height, width)
    return b"".join((start, pixels[2:].data, bytes((0xFF, _END))))


def _tiles(data: bytes, start: int, count: int) -> NDArray[np.int64] | None:
    """Where each tile begins, with the marker before it, and where the last one ends.

    None if there are not as many tiles, or something else is between or after them.
    """
    stream = np.frombuffer(data, np.uint8)[start:]
    at = np.flatnonzero(stream[:-1] == 0xFF)
    kinds = stream[at + 1]
    at, kinds = at[kinds != 0], kinds[kinds != 0]  # 0: the 255 belongs to the pixels
    expected = np.append(_RESTART + np.arange(count - 1) % 8, _END)
    if not np.array_equal(kinds, expected):
        return None
    return start + np.insert(at, 0, -2)


def _header(data: bytes) -> _Header:
    frame = interval = 0
    for marker, at in _segments(data):
        if marker == _BASELINE and data[at + 9 : at + 19] == _CHANNELS:
            frame = at
        elif marker == _INTERVAL:
            interval = int.from_bytes(data[at + 4 : at + 6])
        elif marker == _SCAN:
            return _Header(frame, interval, at + 2 + int.from_bytes(data[at + 2 : at + 4]))
    return _Header(0, 0, 0)


def _size(data: bytes, frame: int) -> tuple[int, int]:
    height, width = struct.unpack_from(">HH", data, frame + 5)
    return height, width


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """The marker of each segment and where it is; the last one is that before the pixels."""
    at = 2 if data.startswith(SIGNATURE) else len(data)
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker in (0x00, _END):  # no marker, or the end
            return
        else:
            yield marker, at
            if marker == _SCAN:
                return
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
