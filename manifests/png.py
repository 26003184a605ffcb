"""PNG files as the shards hold them: no filter, one IDAT chunk, compressed by ISA-L.

Filters help photographs. An alpha or a trimap consists of long runs of one value, and is as small
without them. What is left is the work of the compressor, in both directions.
The files are ordinary PNGs. Readers return None for every other kind of PNG, which the caller
then gives to a general decoder.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import cv2
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = SIGNATURE + b"\x00\x00\x00\rIHDR"
_HEADER_END = len(_HEADER) + 13
_GREY, _PALETTE = 0, 3  # colour types

# Level 1 is smaller than level 0 and as fast. Level 3 takes seven times as long and is no smaller.
_LEVEL = 1

# Bytes that are compressed apart: enough for a hash, too few for the fast loop.
_FIRST = 8

# The four 2-bit codes of a byte, the first one in its highest bits, as they are in memory.
_CODES_OF_BYTE = np.array(
    [[byte >> shift & 3 for shift in (6, 4, 2, 0)] for byte in range(256)], np.uint8
).view(np.int32)[:, 0]
# Times this, the four bytes b0 to b3 of a little-endian word are b0 << 6 | b1 << 4 | b2 << 2 | b3
# in its highest byte, if each is at most 3: the products do not overlap.
_PACK = np.uint32(1 << 30 | 1 << 20 | 1 << 10 | 1)


class Header(NamedTuple):
    """What the first chunk of a PNG says."""

    width: int
    height: int
    bits: int
    colour_type: int
    interlaced: bool


def header(data: bytes) -> Header | None:
    """The header of a PNG; None if the data do not begin with one."""
    if not data.startswith(_HEADER) or len(data) < _HEADER_END:
        return None
    width, height, bits, colour_type, _, _, interlace = struct.unpack_from(
        ">IIBBBBB", data, len(_HEADER)
    )
    return Header(width, height, bits, colour_type, interlace != 0)


def is_whole(data: bytes) -> bool:
    """Whether all chunks up to IEND lie in the data and have their checksums.

    OpenCV makes room for a chunk of any length before it finds out, and Pillow reads the pixels
    without their checksum.
    """
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        checksum = isal_zlib.crc32(memoryview(data)[at + 4 : end])
        if data[end : end + 4] != struct.pack(">I", checksum):
            return False
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at = end + 4
    return False


def write_grey(pixels: Pixels) -> bytes:
    """H x W uint8 -> an 8-bit grey PNG."""
    rows = np.zeros((pixels.shape[0], 1 + pixels.shape[1]), np.uint8)  # 0: a row without a filter
    rows[:, 1:] = pixels
    return _file(pixels.shape, 8, _GREY, b"", rows)


def write_codes(codes: Pixels, palette: bytes) -> bytes:
    """H x W of codes 0 to 3 -> a 2-bit palette PNG; palette: 3 bytes for each of the codes."""
    height, width = codes.shape
    packed_width = -(-width // 4)
    padded = codes
    if width % 4 or not codes.flags.c_contiguous:
        padded = np.zeros((height, 4 * packed_width), np.uint8)
        padded[:, :width] = codes
    rows = np.zeros((height, 1 + packed_width), np.uint8)
    rows[:, 1:] = (padded.view("<u4") * _PACK) >> np.uint32(24)
    return _file(codes.shape, 2, _PALETTE, _chunk(b"PLTE", palette), rows)


def _file(
    shape: tuple[int, ...], bits: int, colour_type: int, palette: bytes, rows: Pixels
) -> bytes:
    start = struct.pack(">IIBBBBB", shape[1], shape[0], bits, colour_type, 0, 0, 0)
    chunks = (
        _chunk(b"IHDR", start),
        palette,
        _chunk(b"IDAT", _deflated(rows.reshape(-1).data)),
        _chunk(b"IEND", b""),
    )
    return SIGNATURE + b"".join(chunks)


def _deflated(data: memoryview) -> bytes:
    """A zlib stream of bytes, the same wherever the compressor lies in memory.

    At the beginning of a stream ISA-L's fast loop takes the hash of an address in the place of that
    of the third to sixth byte, and in one of 8,192 places finds another match by it. The loop that
    ends a block does not, so it gets the first bytes.
    """
    stream = isal_zlib.compressobj(_LEVEL)
    first = stream.compress(data[:_FIRST]) + stream.flush(isal_zlib.Z_SYNC_FLUSH)
    return first + stream.compress(data[_FIRST:]) + stream.flush()


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = isal_zlib.crc32(content, isal_zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def read_grey(data: bytes) -> Pixels | None:
    """What `write_grey` wrote -> H x W uint8; None for any other file."""
    start = header(data)
    if start is None or (start.bits, start.colour_type) != (8, _GREY):
        return None
    rows = _rows(data, start, start.width)
    return None if rows is None else rows[:, 1:].copy()


def read_codes(data: bytes) -> Pixels | None:
    """What `write_codes` wrote -> H x W of codes 0 to 3; None for any other file."""
    start = header(data)
    if start is None or (start.bits, start.colour_type) != (2, _PALETTE):
        return None
    rows = _rows(data, start, -(-start.width // 4))
    if rows is None:
        return None
    codes = np.asarray(cv2.LUT(rows[:, 1:], _CODES_OF_BYTE)).view(np.uint8)
    return np.ascontiguousarray(codes[:, : start.width])


def _rows(data: bytes, start: Header, width: int) -> Pixels | None:
    """The rows, each with its filter byte, if all of them are unfiltered and the file is whole."""
    content = _only_content(data)
    if content is None or start.interlaced or not start.height * start.width:
        return None
    size = start.height * (1 + width)
    stream = isal_zlib.decompressobj()
    try:
        pixels = stream.decompress(content, size + 1)
    except isal_zlib.error:  # type: ignore[misc]  # its stub calls the class an exception
        return None
    if len(pixels) != size or not stream.eof:
        return None
    rows = np.frombuffer(pixels, np.uint8).reshape(start.height, 1 + width)
    return None if rows[:, 0].any() else rows


def _only_content(data: bytes) -> memoryview | None:
    """The content of the only IDAT chunk, if all chunks are those that are written here."""
    at, found, kinds = len(SIGNATURE), None, []
    while at + 12 <= len(data):
        (length,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        end = at + 8 + length
        if end + 4 > len(data):
            return None
        body = memoryview(data)[at + 4 : end]
        if struct.unpack_from(">I", data, end) != (isal_zlib.crc32(body),):
            return None
        found = body[4:] if kind == b"IDAT" else found
        kinds.append(kind)
        at = end + 4
    in_order = kinds in ([b"IHDR", b"IDAT", b"IEND"], [b"IHDR", b"PLTE", b"IDAT", b"IEND"])
    return found if in_order and at == len(data) else None
