"""Small pictures as bytes, in every form that a source comes in; some made by hand."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def colours(height: int = 6, width: int = 9) -> NDArray[np.uint8]:
    """H x W x 3, every pixel another."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([rows * 30 + 20, columns * 25, 255 - rows * columns]).astype(np.uint8)


def cutout(height: int = 6, width: int = 9) -> NDArray[np.uint8]:
    """H x W x 4, with alpha from 0 to 255."""
    alpha = np.linspace(0, 255, height * width).round().reshape(height, width)
    return np.dstack([colours(height, width), alpha.astype(np.uint8)])


def save(picture: NDArray[np.uint8] | Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """The picture in one of Pillow's formats."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def animation(form: str) -> bytes:
    frames = [Image.fromarray(np.full((6, 9, 3), level, np.uint8)) for level in (0, 90, 250)]
    return save(frames[0], form, save_all=True, append_images=frames[1:])


def chunk(name: bytes, payload: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + payload))
    return struct.pack(">I", len(payload)) + name + payload + checksum


def png(
    size: tuple[int, ...],
    depth: int,
    colour: int,
    rows: bytes | Sequence[bytes],
    *between: bytes,
    interlaced: int = 0,
) -> bytes:
    """A PNG of (height, width) by hand. rows: unfiltered samples of each row, or the inflated
    stream as it is; between: chunks that come before the image data."""
    height, width = size
    stream = rows if isinstance(rows, bytes) else b"".join(b"\0" + row for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *between,
            chunk(b"IDAT", zlib.compress(stream)),
            chunk(b"IEND", b""),
        ]
    )


def png16(values: NDArray[np.uint16], colour: int, *between: bytes) -> bytes:
    """A 16-bit PNG of H x W x channels values, hand-made; colour types 0, 2, 4, 6."""
    rows = [row.astype(">u2").tobytes() for row in values]
    return png(values.shape[:2], 16, colour, rows, *between)


def adam7(picture: NDArray[np.uint8]) -> bytes:
    """An interlaced RGBA PNG of an H x W x 4 picture."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    stream = b""
    for top, left, down, across in (*passes, (1, 0, 2, 1)):
        part = picture[top::down, left::across]
        if part.size:
            stream += b"".join(b"\0" + row.tobytes() for row in part)
    return png(picture.shape[:2], 8, 6, stream, interlaced=1)


def bomb(side: int = 30_000) -> bytes:
    """A white grey PNG of side x side pixels in little more than a kilobyte a megapixel."""
    return png((side, side), 1, 0, bytes((1 + (side + 7) // 8) * side))


def tiff16(values: NDArray[np.uint16], orientation: int = 1, extra: int | None = None) -> bytes:
    """An uncompressed 16-bit TIFF of H x W x channels values; extra: what the fourth channel is
    declared as, 0 nothing, 1 premultiplied alpha, 2 straight alpha, None not at all."""
    height, width, channels = values.shape
    pixels = values.astype("<u2").tobytes()
    # (tag, type: 3 short or 4 long, values), in rising order; bits per sample lie after the pixels
    tags = [(256, 4, width), (257, 4, height), (258, 3, None), (259, 3, 1)]
    tags += [(262, 3, 1 if channels == 1 else 2), (273, 4, 8), (274, 3, orientation)]
    tags += [(277, 3, channels), (278, 4, height), (279, 4, len(pixels))]
    if extra is not None:
        tags.append((338, 3, extra))
    directory = struct.pack("<H", len(tags))
    for tag, kind, value in tags:
        if value is None and channels > 1:
            directory += struct.pack("<HHII", tag, kind, channels, 8 + len(pixels))
        else:
            directory += struct.pack("<HHII", tag, kind, 1, 16 if value is None else value)
    bits = struct.pack("<4H", 16, 16, 16, 16)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(pixels) + len(bits))
    return head + pixels + bits + directory + bytes(4)
