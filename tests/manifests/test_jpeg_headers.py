"""The size in a JPEG's header is found behind every marker that the standard knows (T.81, B.1)."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from manifests.pixels import (
    STREAM_BYTES,
    STREAM_PIXELS,
    ImageCodec,
    decode_colour,
    encode_colour,
    encode_cutout,
    pixels_sha256,
)

FRAMES = {*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}
ALONE = {0x01, *range(0xD0, 0xD9)}  # TEM, RST0 to RST7 and SOI have no length
ENDS = {0x00, 0xD9, 0xDA}  # no marker, the end of the image, the pixels
FILL = 0xFF

START = b"\xff\xd8"


def segment(marker: int, side: int) -> bytes:
    """A marker with a length, and a size where a frame has it."""
    return struct.pack(">BBHBHHBBBB", 0xFF, marker, 11, 8, side, side, 1, 1, 0x11, 0)


def size_found(data: bytes) -> int | None:
    """The size that the decoder refuses as too large; None if it has found none."""
    with pytest.raises(ValueError, match=r"px, at most|not a JPEG") as error:
        decode_colour(data)
    height, is_size, _ = str(error.value).partition(" x ")
    return int(height) if is_size else None


def test_every_marker() -> None:
    frame = segment(0xC0, 20_000)
    for marker in range(256):
        if marker in ALONE | {FILL}:
            before = b"\xff" if marker == FILL else bytes((0xFF, marker))
            assert size_found(START + before + frame) == 20_000, marker
        else:
            expected = 30_000 if marker in FRAMES else None if marker in ENDS else 20_000
            assert size_found(START + segment(marker, 30_000) + frame) == expected, marker
    for marker in ENDS:
        assert size_found(START + bytes((0xFF, marker)) + frame) is None


@pytest.mark.parametrize("length", [2, 255, 256, 300, 65_535])
def test_a_note_of_any_length_may_come_first(length: int) -> None:
    note = struct.pack(">BBH", 0xFF, 0xFE, length) + b"\xff" * (length - 2)
    assert size_found(START + note + segment(0xC0, 20_000)) == 20_000


def test_a_header_may_end_right_behind_the_size() -> None:
    data = START + segment(0xC0, 20_000)[:9]
    assert size_found(data) == 20_000
    assert size_found(data[:-1]) is None


def test_colours_that_nothing_compresses_fit_in_a_stream() -> None:
    assert 3.01 * STREAM_PIXELS < STREAM_BYTES < 4.01 * STREAM_PIXELS


def test_colours_in_png_have_the_fastest_compression() -> None:
    y, x = np.mgrid[:60, :50]
    picture = np.dstack([y, x, y + x, y * 0 + 255]).astype(np.uint8)
    for data in (encode_colour(picture[..., :3], ImageCodec.PNG), encode_cutout(picture)):
        start = data.index(b"IDAT") + 4
        assert data[start + 1] >> 6 == 0, "the class that zlib notes for levels 0 and 1"
        assert len(data) < picture.size / 4


def test_a_checksum_of_pixels_is_of_their_shape_and_values() -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    sums = {
        pixels_sha256(other)
        for other in (pixels, pixels.reshape(5, 4, 3), pixels.reshape(20, 3), pixels + np.uint8(1))
    }
    assert len(sums) == 4
    assert pixels_sha256(pixels[::-1][::-1]) == pixels_sha256(pixels.copy())
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)))
    assert pixels_sha256(padded[1:-1, 1:-1]) == pixels_sha256(pixels)
