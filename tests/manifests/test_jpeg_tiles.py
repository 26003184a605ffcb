"""Colour images are JPEGs in tiles: a part decodes to the pixels of the whole, to the bit."""

from __future__ import annotations

import io
import re
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from manifests import jpeg
from manifests.pixels import (
    ImageCodec,
    Pixels,
    check_colour,
    decode_colour,
    decode_colour_part,
    encode_colour,
    encode_layer,
)
from tests.picture_files import save
from tests.strategies import many

Part = tuple[slice, slice]


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def in_tiles(height: int, width: int) -> bytes:
    return encode_colour(noise(height, width), ImageCodec.JPEG)


def slices(length: int) -> st.SearchStrategy[slice]:
    ends = st.lists(st.integers(0, length), min_size=2, max_size=2, unique=True)
    return ends.map(lambda ends: slice(*sorted(ends)))


@many
@given(st.data(), st.integers(1, 70), st.sampled_from([1, 7, 80, 81, 160, 168, 200, 296]))
def test_a_part_has_the_pixels_of_the_whole(draw: st.DataObject, height: int, width: int) -> None:
    data = in_tiles(height, width)
    part = draw.draw(slices(height)), draw.draw(slices(width))
    pixels, size = decode_colour_part(data, part)
    assert size == (height, width)
    assert np.array_equal(pixels, decode_colour(data)[part])


def test_no_more_is_decoded_than_the_tiles_of_the_part() -> None:
    data = in_tiles(800, 800)
    found = jpeg.part(data, slice(90, 200), slice(161, 320))
    assert found is not None
    assert (found.top, found.left) == (88, 160)
    assert jpeg.size(found.data) == (112, 160)
    assert len(found.data) / len(data) == pytest.approx(112 * 160 / 800**2, rel=0.1)


def test_a_part_is_a_jpeg_for_every_reader() -> None:
    data = in_tiles(64, 240)
    found = jpeg.part(data, slice(8, 32), slice(80, 240))
    assert found is not None
    image = Image.open(io.BytesIO(found.data))
    image.load()
    assert image.size == (160, 24)
    expected = np.asarray(Image.open(io.BytesIO(data)))[8:32, 80:]
    assert np.array_equal(np.asarray(image), expected)


def test_tiles_fill_a_row_and_are_wide_enough() -> None:
    for width in range(1, 1300):
        blocks, tile = -(-width // 8), jpeg.tile_blocks(width)
        assert blocks % tile == 0
        assert tile >= min(10, blocks)
    assert [jpeg.tile_blocks(side) for side in (512, 640, 800, 1024)] == [16, 10, 10, 16]


OTHERS = {
    "PNG": encode_colour(noise(40, 200), ImageCodec.PNG),
    "another program's": save(noise(40, 200), "JPEG", quality=95, subsampling=0),
    "half the colours": save(noise(40, 200), "JPEG", restart_marker_blocks=5),
    "progressive": save(noise(40, 200), "JPEG", progressive=True),
    "grey": save(noise(40, 200)[..., 0], "JPEG", restart_marker_blocks=5),
    "tiles over the edge": save(noise(40, 200), "JPEG", subsampling=0, restart_marker_blocks=10),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_images_are_decoded_as_a_whole(kind: str) -> None:
    data, part = OTHERS[kind], np.s_[3:20, 30:50]
    assert jpeg.part(data, *part) is None
    pixels, size = decode_colour_part(data, part)
    assert size == (40, 200)
    assert np.array_equal(pixels, decode_colour(data)[part])


@many
@given(st.data())
def test_a_damaged_file_gives_pixels_of_the_right_size_or_an_error(draw: st.DataObject) -> None:
    damaged = bytearray(in_tiles(32, 160))
    for _ in range(draw.draw(st.integers(1, 3))):
        damaged[draw.draw(st.integers(2, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    data = bytes(damaged)[: draw.draw(st.integers(len(damaged) // 2, len(damaged)))]
    try:
        pixels, size = decode_colour_part(data, np.s_[4:30, 7:90])
    except ValueError:
        return
    assert size != (32, 160) or pixels.shape == (26, 83, 3)


@many
@given(st.data(), st.sampled_from(ImageCodec))
def test_a_check_finds_what_a_decoder_finds(draw: st.DataObject, codec: ImageCodec) -> None:
    data = bytearray(encode_colour(noise(19, 33), codec))
    for _ in range(draw.draw(st.integers(0, 3))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    damaged = bytes(data)[: draw.draw(st.integers(len(data) // 2, len(data)))]
    try:
        shape = decode_colour(damaged).shape
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            check_colour(damaged)
    else:
        assert check_colour(damaged) == shape[:2]


def test_a_missing_or_a_double_tile_is_noticed() -> None:
    data = in_tiles(32, 160)
    first, second = data.index(b"\xff\xd1"), data.index(b"\xff\xd2")
    part = slice(0, 8), slice(0, 8)
    assert jpeg.part(data, *part) is not None
    for broken in (
        data[:first] + data[second:],
        data[:second] + data[first:],
        data[:-2],
        data + b"\xff\xd9",
        data[:first] + data[first + 2 :],
    ):
        assert jpeg.part(broken, *part) is None
    assert jpeg.part(data, slice(0, 33), slice(0, 8)) is None
    assert jpeg.part(data, slice(0, 8), slice(0, 161)) is None


def test_a_part_of_a_bomb_is_refused() -> None:
    data = bytearray(in_tiles(32, 160))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 40_000, 40_000)
    with pytest.raises(ValueError, match="40000 x 40000 px, at most"):
        decode_colour_part(bytes(data), np.s_[:8, :8])


@given(
    st.integers(1, 40),
    st.integers(1, 200),
    st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    st.integers(0, 99),
)
@many
def test_a_layer_is_encoded_as_if_it_were_whole(
    height: int, width: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    kept = rng.random((-(-height // 8), -(-width // 8))) < share
    pixels = noise(height, width)
    is_kept = kept.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    layer = np.where(is_kept[..., None], pixels, np.uint8(128))
    in_bgr = np.ascontiguousarray(pixels[..., ::-1])[..., ::-1]
    for codec, quality in ((ImageCodec.PNG, 95), (ImageCodec.JPEG, 95), (ImageCodec.JPEG, 70)):
        found = encode_layer(pixels, kept, codec, quality)
        assert found == encode_layer(in_bgr, kept, codec, quality)
        if codec is ImageCodec.PNG or not (height % 8 or width % 8):
            assert found == encode_colour(layer, codec, quality)
        assert np.array_equal(
            decode_colour(found), decode_colour(encode_colour(layer, codec, quality))
        )


def test_a_layer_may_be_larger_than_the_kept_tiles_beside_each_other() -> None:
    """JPEG allows 65,535 pixels, which the tiles of a large image in one column would exceed."""
    kept = np.ones((128, 640), np.bool_)
    pixels = np.zeros((1024, 5120, 3), np.uint8)
    pixels[::9, ::7] = 200
    assert encode_layer(pixels, kept, ImageCodec.JPEG, 95) == encode_colour(pixels, ImageCodec.JPEG)


def test_only_a_jpeg_with_tiles_is_rearranged() -> None:
    data = in_tiles(16, 160)
    whole = jpeg.rearranged(data, np.array([[3, 0], [1, 2]]), 16, 160)
    before, after = decode_colour(data), decode_colour(whole)
    assert np.array_equal(after[:8, :80], before[8:, 80:])
    assert np.array_equal(after[8:], np.hstack([before[:8, 80:], before[8:, :80]]))
    with pytest.raises(ValueError, match="no tiles"):
        jpeg.rearranged(data[:-2], np.array([[0]]), 8, 80)
