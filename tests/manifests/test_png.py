"""The PNGs of the shards are ordinary ones, and their fast reader agrees with everybody's."""

from __future__ import annotations

import io
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image

from manifests import png
from manifests.pixels import Pixels, decode_alpha, decode_trimap
from tests.picture_files import chunk, save
from tests.strategies import many, soft_alphas, trimaps

PALETTE = bytes((0, 0, 0, 128, 128, 128, 255, 255, 255))


def by_opencv(data: bytes, flags: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), flags), np.uint8)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@many
@given(soft_alphas())
def test_grey_is_the_same_for_every_reader(alpha: Pixels) -> None:
    data = png.write_grey(alpha)
    read = png.read_grey(data)
    assert read is not None
    assert read.flags.writeable and read.flags.c_contiguous
    others = np.asarray(opened(data)), by_opencv(data, cv2.IMREAD_UNCHANGED)
    assert all(np.array_equal(alpha, other) for other in (read, *others))


@many
@given(trimaps())
def test_codes_are_the_same_for_every_reader(trimap: Pixels) -> None:
    data = png.write_codes(trimap, PALETTE)
    read = png.read_codes(data)
    assert read is not None
    assert read.flags.writeable and read.flags.c_contiguous
    image = opened(data)
    assert (image.mode, image.info.get("transparency")) == ("P", None)
    assert all(np.array_equal(trimap, other) for other in (read, np.asarray(image)))
    greys = by_opencv(data, cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(greys, np.array([0, 128, 255])[trimap])


def test_pixels_that_are_a_view_are_written_as_they_look() -> None:
    alpha = np.arange(64, dtype=np.uint8).reshape(8, 8)
    codes = (alpha % 3).astype(np.uint8)
    assert png.write_grey(alpha[:, ::2].T) == png.write_grey(alpha[:, ::2].T.copy())
    for view in (codes[:, ::2], codes.T, codes[1:, 3:7]):
        assert png.write_codes(view, PALETTE) == png.write_codes(view.copy(), PALETTE)


@pytest.mark.parametrize("form", ["filters", "interlaced", "several", "text"])
def test_other_pngs_are_left_to_other_readers(form: str) -> None:
    alpha = np.tile(np.arange(50, 90, dtype=np.uint8), (30, 1))
    ours = png.write_grey(alpha)
    data = {
        "filters": save(alpha),
        "interlaced": ours[:28] + b"\1" + zlib.crc32(ours[12:28] + b"\1").to_bytes(4) + ours[33:],
        "several": several(ours),
        "text": ours[:33] + chunk(b"tEXt", b"by\0nobody") + ours[33:],
    }[form]
    assert png.read_grey(data) is None
    if form != "interlaced":  # its pixels are in another order, so that they are too few here
        assert np.array_equal(decode_alpha(data), alpha)


def several(data: bytes) -> bytes:
    """The content in two chunks."""
    start = data.index(b"IDAT") - 4
    length = int.from_bytes(data[start : start + 4])
    content = data[start + 8 : start + 8 + length]
    parts = chunk(b"IDAT", content[:10]) + chunk(b"IDAT", content[10:])
    return data[:start] + parts + data[start + 12 + length :]


def test_other_kinds_of_png_are_not_read_as_ours() -> None:
    rgb: NDArray[np.uint8] = np.zeros((4, 4, 3), np.uint8)
    for other in (
        save(rgb),
        save(Image.new("I;16", (4, 4))),
        save(Image.new("1", (4, 4))),
        b"GIF89a",
    ):
        assert png.read_grey(other) is None
        assert png.read_codes(other) is None
    assert png.read_codes(png.write_grey(rgb[..., 0])) is None


@many
@given(trimaps(), st.data())
def test_no_flipped_bit_passes(trimap: Pixels, draw: st.DataObject) -> None:
    """A checksum covers every byte. What the fast reader refuses, the others may still read."""
    for data, read in (
        (png.write_grey(trimap), png.read_grey),
        (png.write_codes(trimap, PALETTE), png.read_codes),
    ):
        flipped = bytearray(data)
        flipped[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
        assert read(bytes(flipped)) is None


@pytest.mark.parametrize("shape", [(0, 4), (4, 0)])
def test_a_picture_without_pixels_is_none(shape: tuple[int, int]) -> None:
    empty: Pixels = np.zeros(shape, np.uint8)
    with pytest.raises(ValueError, match="not an 8-bit grey PNG"):
        decode_alpha(png.write_grey(empty))
    with pytest.raises(ValueError, match="not a PNG"):
        decode_trimap(png.write_codes(empty, PALETTE))


def test_a_short_stream_of_a_large_picture_takes_no_memory() -> None:
    """The pixels that are missing are noticed before there is room for them."""
    small = png.write_grey(np.zeros((2, 2), np.uint8))
    size = (4096).to_bytes(4) * 2
    start = b"IHDR" + size + b"\x08\0\0\0\0"
    data = png.SIGNATURE + chunk(b"IHDR", start[4:]) + small[33:]
    assert png.read_grey(data) is None
    with pytest.raises(ValueError, match="not an 8-bit grey PNG"):
        decode_alpha(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ValueError, match="not a PNG"):
        decode_trimap(b"\x89PNG\r\n\x1a\n")


def test_a_file_does_not_depend_on_where_the_compressor_is() -> None:
    """Each of these begins with other bytes, which come again: in any place of the memory there are
    some of which ISA-L alone would find the beginning again there, and nowhere else."""
    rng = np.random.default_rng(0)
    rows = np.zeros((20_000, 1, 400), np.uint8)
    rows[:, 0, 1:5] = rows[:, 0, 200:204] = rng.integers(1, 256, (len(rows), 4))
    here = [png.write_grey(row) for row in rows]
    in_the_way = [isal_zlib.compressobj(1) for _ in range(3)]
    with ThreadPoolExecutor(1) as of_another_stack:
        elsewhere = of_another_stack.submit(lambda: [png.write_grey(row) for row in rows])
        assert elsewhere.result() == here
    assert len(in_the_way) == 3
