"""The brush codec, with the SDK's as the oracle."""

from __future__ import annotations

import base64
import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from label_studio_sdk.converter import brush as sdk
from PIL import Image

from annotation.form.bitmask import decode_bitmask
from annotation.form.brush import decode_brush, encode_brush
from manifests.pixels import Pixels
from tests.strategies import few, many

# The SDK has no types.
mask2rle: Callable[[Pixels], list[int]] = sdk.mask2rle
encode_rle: Callable[[Pixels], list[int]] = sdk.encode_rle


def decode_rle(rle: list[int]) -> Pixels:
    return np.asarray(sdk.decode_rle(rle), np.uint8)


@st.composite
def alphas(draw: st.DrawFn) -> Pixels:
    """H x W: flat, noise, soft, or runs of all lengths at which the codes change."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([1, 2, 256]))
    values = rng.integers(0, levels, height * width) * 255 // max(levels - 1, 1)
    runs = rng.integers(1, draw(st.sampled_from([2, 6, 70, 1600])), height * width)
    flat = np.repeat(values, runs)[: height * width]
    return flat.astype(np.uint8).reshape(height, width)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[int], Pixels]:
    """(bytes, values) of any legal stream: other sizes of lengths, literals, words below 8 bits."""
    word = draw(st.integers(1, 8))
    sizes = draw(st.lists(st.integers(1, 16), min_size=4, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    is_run = rng.random(draw(st.integers(1, 60))) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    bits, values = "", list[int]()
    for run in is_run.tolist():
        kind = int(rng.integers(4))
        length = int(rng.integers(1, min(2 ** sizes[kind], 300) + 1))
        found = rng.integers(0, 2**word, 1 if run else length).tolist()
        bits += f"{int(run)}{kind:02b}{length - 1:0{sizes[kind]}b}"
        bits += "".join(f"{value:0{word}b}" for value in found)
        values += found * length if run else found
    rest = -len(values) % 4
    bits += "".join("1" + "00" + "0" * sizes[0] + "1" * word for _ in range(rest))
    values += [2**word - 1] * rest
    head = f"{len(values):032b}{word - 1:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    bits = head + bits
    bits += "0" * (8 - len(bits) % 8)
    packed = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    return packed, np.array(values, np.uint8)


@given(alphas())
@example(np.zeros((1, 1), np.uint8))
@example(np.full((256, 257), 7, np.uint8))
@example(np.full((128, 128), 255, np.uint8))  # 65536 values
@example(np.full((3, 16384), 9, np.uint8))  # three times 65536
@many
def test_the_bytes_are_those_of_the_sdk(alpha: Pixels) -> None:
    rle = encode_brush(alpha)
    assert rle == mask2rle(alpha)
    assert all(type(byte) is int for byte in rle[:9])
    back = decode_brush(rle, *alpha.shape)
    assert (back == alpha).all()
    assert back.dtype == np.uint8
    assert (back.reshape(-1) == decode_rle(rle)[3::4]).all()


@pytest.mark.parametrize("values", [2, 3, 4, 5, 64, 65, 66, 16383, 16384, 16385, 16386, 40000])
def test_runs_at_the_borders_of_the_codes(values: int) -> None:
    """A run of `values` pixels between two others."""
    alpha = np.array([[3, *[200] * values, 5]], np.uint8)
    assert encode_brush(alpha) == mask2rle(alpha)
    assert (decode_brush(encode_brush(alpha), *alpha.shape) == alpha).all()


def test_more_than_is_packed_at_a_time() -> None:
    alpha = np.random.default_rng(1).integers(0, 256, (530, 521), np.uint8)
    rle = encode_brush(alpha)
    assert rle == encode_rle(np.repeat(alpha.reshape(-1), 4))
    assert (decode_brush(rle, *alpha.shape) == alpha).all()


@given(streams())
@many
def test_any_legal_stream_is_read_as_the_sdk_reads_it(stream: tuple[list[int], Pixels]) -> None:
    rle, values = stream
    assert (decode_rle(rle) == values).all(), "the strategy writes what it means"
    assert (decode_brush(rle, 1, len(values) // 4)[0] == values[3::4]).all()


@pytest.mark.parametrize("count", [1, 2, 3, 70_000])
def test_long_literals(count: int) -> None:
    """Literals longer than what is decoded at a time."""
    values = np.random.default_rng(count).integers(0, 256, 4 * count, np.uint8)
    bits = f"{len(values):032b}00111" + "0010001101111111"
    for at in range(0, len(values), 65536):
        part = values[at : at + 65536]
        bits += f"011{len(part) - 1:016b}" + "".join(f"{value:08b}" for value in part.tolist())
    bits += "0" * (-len(bits) % 8)
    rle = int(bits, 2).to_bytes(len(bits) // 8, "big")
    assert (decode_brush(list(rle), 1, count)[0] == values[3::4]).all()
    with pytest.raises(ValueError, match="ends"):
        decode_brush(list(rle[:-1]), 1, count)


def test_arrays_and_bytes_are_taken_too() -> None:
    alpha = np.arange(35, dtype=np.uint8).reshape(5, 7)
    rle = encode_brush(alpha[:, ::-1])
    assert (decode_brush(np.array(rle, np.uint8), 5, 7) == alpha[:, ::-1]).all()
    assert (decode_brush(bytes(rle), 5, 7) == alpha[:, ::-1]).all()


@given(st.binary(max_size=60), st.integers(1, 5000), st.integers(1, 5000))
@example((4 * 4096 * 4096 << 24 | 0x3A37F << 3).to_bytes(7, "big"), 4096, 4096)
@example((4 << 24 | 0x7237F << 3).to_bytes(7, "big") + bytes(3), 1, 1)
@many
def test_nonsense_is_refused(data: bytes, height: int, width: int) -> None:
    for prefix in (b"", (4 * height * width).to_bytes(4, "big")):
        found = list(prefix + data)
        try:
            alpha = decode_brush(found, height, width)
        except ValueError:
            continue
        assert alpha.shape == (height, width), "by chance it is a region"


@given(alphas(), st.data())
@few
def test_a_cut_region_is_refused(alpha: Pixels, data: st.DataObject) -> None:
    """The SDK's padding is up to a byte long; what is cut from before it is missed."""
    rle = encode_brush(alpha)
    with pytest.raises(ValueError, match=r"ends|cut short|not a brush region"):
        decode_brush(rle[: data.draw(st.integers(0, len(rle) - 2))], *alpha.shape)


@pytest.mark.parametrize("rle", [None, 5, 10**12, "text", {}, ["1"], [1.5], [256], [-1], [None]])
def test_what_is_no_list_of_bytes_is_refused(rle: object) -> None:
    with pytest.raises(ValueError, match="a list of bytes"):
        decode_brush(rle, 4, 4)  # type: ignore[arg-type]  # what a server may send


def test_another_size_is_refused_with_the_values() -> None:
    rle = encode_brush(np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match=r"80 values of 8 bits, 4 x 6 .* 96"):
        decode_brush(rle, 4, 6)
    rle[6] ^= 0xFF  # the sizes of the lengths
    with pytest.raises(ValueError, match=r"ends|past|cut short"):
        decode_brush(rle, 4, 5)


def test_a_run_past_the_end_is_refused() -> None:
    rle = encode_rle(np.zeros(84, np.uint8))
    rle[3] = 80
    with pytest.raises(ValueError, match="4 values past 80"):
        decode_brush(rle, 4, 5)


@pytest.mark.parametrize("shape", [(0, 4), (4,), (2, 2, 4)])
def test_what_is_no_alpha_is_not_encoded(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected uint8 H x W"):
        encode_brush(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="float"):
        encode_brush(np.zeros((2, 2), np.float32))


def data_url(image: Image.Image, kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@given(alphas())
@few
def test_a_bitmask_is_its_alpha_channel(alpha: Pixels) -> None:
    colour = np.full((*alpha.shape, 3), 77, np.uint8)
    for image in (
        Image.fromarray(np.dstack([colour, alpha])),
        Image.fromarray(np.dstack([colour[..., 0], alpha])),
    ):
        assert (decode_bitmask(data_url(image), *alpha.shape) == alpha).all()


def with_chunk(image: Image.Image, chunk: bytes) -> str:
    """A PNG as a data URL, with a chunk of no data before its end."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    empty = b"\0" * 4 + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    data = buffer.getvalue()
    return "data:image/png;base64," + base64.b64encode(data[:-12] + empty + data[-12:]).decode()


@given(st.data())
@many
def test_a_damaged_bitmask_is_named(data: st.DataObject) -> None:
    """Pillow raises all kinds of errors on damaged files."""
    png = bytearray(base64.b64decode(data_url(Image.new("RGBA", (5, 4))).partition(",")[2]))
    for _ in range(data.draw(st.integers(0, 3))):
        png[data.draw(st.integers(8, len(png) - 1))] = data.draw(st.integers(0, 255))
    png = png[: data.draw(st.integers(0, len(png)))]
    try:
        found = decode_bitmask("data:image/png;base64," + base64.b64encode(png).decode(), 4, 5)
    except ValueError as error:
        assert "the bitmask" in str(error)
    else:
        assert found.shape == (4, 5)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "a data URL"),
        ("data:image/jpeg;base64,AAAA", "a data URL"),
        ("data:image/png;base64,???", "not a complete PNG"),
        ("data:image/png;base64,AAAA", "not a complete PNG"),
        (data_url(Image.new("RGBA", (5, 4)))[:-30], "not a complete PNG"),
        (
            with_chunk(Image.new("RGBA", (5, 4)), b"iCCP"),
            "not a complete PNG: .*index out of range",
        ),
        (data_url(Image.new("RGBA", (4, 5))), "5 x 4, the photo 4 x 5"),
        (data_url(Image.new("RGB", (5, 4))), r"no 8-bit alpha channel \(PNG, mode RGB\)"),
        (data_url(Image.new("P", (5, 4))), "no 8-bit alpha channel"),
        (data_url(Image.new("RGBA", (5, 4)), "TIFF"), r"no 8-bit alpha channel \(TIFF, "),
    ],
)
def test_no_bitmask(url: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode_bitmask(url, 4, 5)


def test_a_bitmask_of_another_size_is_not_decoded() -> None:
    """Its header is enough: a small file may announce a picture that no memory holds."""
    png = bytearray(base64.b64decode(data_url(Image.new("RGBA", (5, 4))).partition(",")[2]))
    png[16:24] = struct.pack(">II", 12_000, 12_000)
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    url = "data:image/png;base64," + base64.b64encode(png).decode()
    tracemalloc.start()
    with pytest.raises(ValueError, match="the bitmask is 12000 x 12000, the photo 4 x 5"):
        decode_bitmask(url, 4, 5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
