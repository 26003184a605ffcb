"""The codecs: what goes in comes out, in the form that the contract names, and nothing else."""

from __future__ import annotations

import io
import resource
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from manifests.pixels import (
    BACKGROUND,
    FOREGROUND,
    ImageCodec,
    Pixels,
    check_trimap,
    decode_alpha,
    decode_colour,
    decode_trimap,
    encode_alpha,
    encode_colour,
    encode_trimap,
    trimap_of,
)
from tests.picture_files import png, save
from tests.strategies import few, many, rgb_images, smooth_images, soft_alphas, trimaps

Decoder = Callable[..., Pixels]

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
RGB = np.dstack([GREY, GREY.T, GREY[::-1]])
CODES = (GREY % 3).astype(np.uint8)
ENCODED: dict[Decoder, bytes] = {
    decode_alpha: encode_alpha(GREY),
    decode_trimap: encode_trimap(CODES),
    decode_colour: encode_colour(RGB, ImageCodec.PNG),
}
decoders = pytest.mark.parametrize("decode", ENCODED, ids=lambda decode: str(decode.__name__))


@many
@given(soft_alphas())
def test_alpha_comes_back(alpha: Pixels) -> None:
    data = encode_alpha(alpha)
    assert np.array_equal(decode_alpha(data), alpha)
    assert data == encode_alpha(alpha.copy())
    assert Image.open(io.BytesIO(data)).mode == "L"


@many
@given(trimaps())
def test_trimap_comes_back(trimap: Pixels) -> None:
    data = encode_trimap(trimap)
    assert np.array_equal(decode_trimap(data), trimap)
    assert data == encode_trimap(trimap.copy())


@many
@given(rgb_images())
def test_png_colour_comes_back(image: Pixels) -> None:
    data = encode_colour(image, ImageCodec.PNG)
    assert np.array_equal(decode_colour(data), image)
    assert data == encode_colour(image.copy(), ImageCodec.PNG)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), image), "not RGB to others"


@many
@given(smooth_images())
def test_jpeg_colour_comes_back_nearly(image: Pixels) -> None:
    data = encode_colour(image, ImageCodec.JPEG)
    decoded = decode_colour(data).astype(int)
    assert decoded.shape == image.shape
    assert np.abs(decoded - image).mean() < 4
    assert data == encode_colour(image.copy(), ImageCodec.JPEG)


def test_jpeg_shares_no_colour_between_pixels() -> None:
    red_and_blue = np.zeros((32, 32, 3), np.uint8)
    red_and_blue[:, ::2, 0] = red_and_blue[:, 1::2, 2] = 200
    data = encode_colour(red_and_blue, ImageCodec.JPEG)
    frame = data.index(b"\xff\xc0")  # SOF0; no marker comes before it in a segment of tables
    components = data[frame + 9]
    sampling = [data[frame + 11 + 3 * number] for number in range(components)]
    assert sampling == [0x11, 0x11, 0x11]
    error = np.abs(decode_colour(data).astype(int) - red_and_blue).mean()
    assert error < 10, "4:2:0 would make it all purple"


def test_jpeg_quality_is_obeyed() -> None:
    sizes = [len(encode_colour(RGB, ImageCodec.JPEG, quality)) for quality in (50, 80, 95)]
    assert sizes == sorted(set(sizes))
    assert encode_colour(RGB, ImageCodec.JPEG) == encode_colour(RGB, ImageCodec.JPEG, 95)


@few
@given(trimaps())
def test_trimap_is_readable_by_others(trimap: Pixels) -> None:
    image = Image.open(io.BytesIO(encode_trimap(trimap)))
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image), trimap), "palette indices"
    shown = np.asarray(image.convert("RGB"))
    levels = np.array([0, 128, 255], np.uint8)[trimap]
    assert np.array_equal(shown, levels[..., None].repeat(3, axis=2)), "black, grey, white"


@many
@given(soft_alphas())
def test_trimap_of_is_equation_2(alpha: Pixels) -> None:
    trimap = trimap_of(alpha)
    assert trimap.dtype == np.uint8
    assert np.array_equal(trimap == FOREGROUND, alpha == 255)
    assert np.array_equal(trimap == BACKGROUND, alpha == 0)
    check_trimap(trimap, "its own")


@few
@given(trimaps(), st.integers(3, 255))
def test_other_codes_are_refused_by_name(trimap: Pixels, code: int) -> None:
    trimap[-1, -1] = code
    codes = np.unique(trimap).tolist()
    with pytest.raises(ValueError, match=f"{codes}".replace("[", r"\[")):
        encode_trimap(trimap)
    with pytest.raises(ValueError, match=f"photo 7: trimap codes.*{code}"):
        check_trimap(trimap, "photo 7")


def test_other_codes_are_refused_when_read() -> None:
    image = Image.fromarray(GREY).convert("P")
    with pytest.raises(ValueError, match=r"trimap codes \[0, 1, 2, 3"):
        decode_trimap(save(image))


@decoders
@given(data=st.binary(max_size=80))
@many
def test_garbage_is_refused(decode: Decoder, data: bytes) -> None:
    with pytest.raises(ValueError, match="not a"):
        decode(data)


@decoders
@given(share=st.floats(0, 1))
@many
def test_a_truncated_stream_is_refused(decode: Decoder, share: float) -> None:
    data = ENCODED[decode]
    end = len(data) - 21  # one byte of the pixels, two checksums and the end chunk
    with pytest.raises(ValueError, match="not a"):
        decode(data[: int(share * end)])


@given(share=st.floats(0, 0.9))
@few
def test_a_truncated_jpeg_is_refused(share: float) -> None:
    data = encode_colour(RGB, ImageCodec.JPEG)
    with pytest.raises(ValueError, match="not a JPEG or PNG"):
        decode_colour(data[: int(share * len(data))])


@decoders
@given(drawn=st.data(), flip=st.integers(1, 255))
@many
def test_a_flipped_byte_raises_nothing_but_valueerror(
    decode: Decoder, drawn: st.DataObject, flip: int
) -> None:
    data = bytearray(ENCODED[decode])
    place = drawn.draw(st.integers(0, len(data) - 1))
    data[place] ^= flip
    try:
        pixels = decode(bytes(data))
    except ValueError:
        return
    assert np.array_equal(pixels, decode(ENCODED[decode])), "damaged, yet read as something else"


@pytest.mark.parametrize(
    ("decode", "data"),
    [
        (decode_alpha, ENCODED[decode_trimap]),
        (decode_alpha, ENCODED[decode_colour]),
        (decode_alpha, save(Image.fromarray(GREY.astype(np.uint16) * 257))),
        (decode_alpha, save(GREY, "JPEG")),
        (decode_alpha, save(GREY, "BMP")),
        (decode_trimap, ENCODED[decode_alpha]),
        (decode_trimap, ENCODED[decode_colour]),
        (decode_trimap, save(Image.fromarray(CODES).convert("P"), "GIF")),
        (decode_colour, save(RGB, "BMP")),
        (decode_colour, save(RGB, "TIFF")),
    ],
    ids=[
        *("palette as alpha", "colour as alpha", "16 bits as alpha", "JPEG as alpha"),
        *("BMP as alpha", "grey as trimap", "colour as trimap", "GIF as trimap"),
        *("BMP as colour", "TIFF as colour"),
    ],
)
def test_another_kind_of_image_is_refused(decode: Decoder, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not an? |a trimap is"):
        decode(data)


def jpeg(height: int, width: int) -> bytes:
    """A small JPEG whose header states another size."""
    data = bytearray(encode_colour(RGB, ImageCodec.JPEG))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


BOMBS = [
    (decode_alpha, png((40_000, 40_000), 8, 0, b"nothing")),
    (decode_colour, png((40_000, 40_000), 8, 2, b"nothing")),
    (decode_trimap, png((40_000, 40_000), 8, 3, b"nothing")),
    (decode_colour, jpeg(30_000, 30_000)),
    (decode_colour, jpeg(4097, 4096)),
    (decode_alpha, save(Image.new("L", (4096, 4097)))),
    (decode_trimap, save(Image.new("P", (4096, 4097)))),
    (decode_colour, png((1, 1 << 31), 8, 2, b"nothing")),
]


@pytest.mark.parametrize(("decode", "data"), BOMBS)
def test_a_bomb_is_refused_by_its_header(decode: Decoder, data: bytes) -> None:
    """Before there is room for its pixels: nothing of a megabyte is allocated, by any library."""
    decode(ENCODED[decode])  # what is loaded once does not count
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with pytest.raises(ValueError, match=r"\d+ x \d+ px, at most 16777216 pixels are decoded"):
        decode(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 256


def test_the_largest_canvas_is_decoded() -> None:
    large = np.zeros((4096, 4096), np.uint8)
    assert decode_alpha(encode_alpha(large)).shape == large.shape
    assert decode_trimap(encode_trimap(large)).shape == large.shape
    for codec in ImageCodec:
        assert decode_colour(encode_colour(large[..., None].repeat(3, 2), codec)).shape[1] == 4096


def test_a_reader_may_state_its_own_bound() -> None:
    for decode, data in ENCODED.items():
        assert decode(data, 256).shape[:2] == GREY.shape
        with pytest.raises(ValueError, match="16 x 16 px, at most 255 pixels"):
            decode(data, 255)


@pytest.mark.parametrize("before", [b"\xff", b"\xff\xfe\0\x06note", b"\xff\x01", b"\xff\xd0"])
def test_what_may_stand_before_the_size_of_a_jpeg(before: bytes) -> None:
    data = encode_colour(RGB, ImageCodec.JPEG)
    longer = data[:2] + before + data[2:]
    assert np.array_equal(decode_colour(longer), decode_colour(data))


def test_a_progressive_jpeg_is_read() -> None:
    assert decode_colour(save(RGB, "JPEG", progressive=True)).shape == RGB.shape


def test_a_jpeg_without_a_size_is_refused() -> None:
    data = encode_colour(RGB, ImageCodec.JPEG)
    frame = data.index(b"\xff\xc0")
    without = data[:frame] + data[frame + 2 + int.from_bytes(data[frame + 2 : frame + 4], "big") :]
    with pytest.raises(ValueError, match="not a JPEG or PNG"):
        decode_colour(without)


def test_a_chunk_longer_than_the_file_is_not_decoded() -> None:
    """OpenCV would make room for it first: 2.7 GB for 300 bytes."""
    image = encode_colour(np.zeros((8, 9, 3), np.uint8), ImageCodec.PNG)
    at = image.index(b"IDAT") - 4
    long = image[:at] + b"\x7f\xff\xff\xff" + image[at + 4 :]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for decode in (decode_colour, decode_alpha, decode_trimap):
        for data in (long, image[:-1], image[:at]):
            with pytest.raises(ValueError, match="not a"):
                decode(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert decode_colour(image + b"what follows").shape == (8, 9, 3)
