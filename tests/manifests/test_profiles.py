"""Colours without a profile are converted by what the file says of them, and only then."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from manifests.pictures import PictureError, read_photo
from manifests.pixels import Pixels
from tests.picture_files import chunk, colours, png
from tests.strategies import many

PHOTO = colours()
SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
ADOBE = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
GREY = np.dstack([np.arange(256, dtype=np.uint8)[None]] * 3)


def gamma(exponent: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(exponent * 100_000)))


def primaries(*values: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values)))


def code(*values: int) -> bytes:
    """cICP: primaries, transfer, and by default RGB in its full range."""
    return chunk(b"cICP", bytes([*values, 0, 1][:4]))


def photo(pixels: Pixels, *chunks: bytes) -> Pixels:
    return read_photo(png(pixels.shape[:2], 8, 2, [row.tobytes() for row in pixels], *chunks))


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [gamma(0.45455)],
        [gamma(0.45)],
        [primaries(*SRGB)],
        [gamma(0.45455), primaries(*SRGB)],
        # Whatever a gAMA says beside them, an sRGB chunk or a profile decides
        [chunk(b"sRGB", b"\0"), gamma(1), primaries(*ADOBE)],
        # And before all of them cICP
        [code(1, 13), gamma(1), primaries(*ADOBE)],
        [code(1, 1)],
    ],
)
def test_srgb_stays_as_it_is(chunks: list[bytes]) -> None:
    np.testing.assert_array_equal(photo(PHOTO, *chunks), PHOTO)


def test_a_profile_wins_over_gamma() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "PNG", icc_profile=profile)
    data = file.getvalue()
    at = data.index(b"IDAT") - 4
    np.testing.assert_array_equal(read_photo(data[:at] + gamma(1) + data[at:]), PHOTO)


def test_linear_light_becomes_lighter() -> None:
    """Of linear light a fifth, sRGB shows by the level 124 (IEC 61966-2-1)."""
    found = photo(GREY, gamma(1))[0]
    assert found[[0, 51, 255]].tolist() == [[0] * 3, [124] * 3, [255] * 3]
    assert (np.diff(found[:, 0].astype(int)) >= 0).all()


def test_a_gamma_of_old_macs() -> None:
    found = photo(GREY, gamma(1 / 1.8))[0, :, 0].astype(int)
    level = np.arange(256) / 255
    linear = level**1.8
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(found - 255 * expected).max() <= 0.51


def test_wider_primaries_become_more_saturated() -> None:
    pixels = np.array([[[200, 60, 40], [120, 120, 120], [60, 180, 60]]], np.uint8)
    found = photo(pixels, gamma(0.45455), primaries(*ADOBE))
    # value ** 2.2, through XYZ (the white is the same), and by the curve of sRGB, in doubles
    assert np.abs(found[0].astype(int) - [[231, 57, 34], [121, 121, 121], [0, 181, 42]]).max() <= 1
    plain = photo(pixels, primaries(*ADOBE))[0].astype(int)
    assert np.abs(plain - found[0]).max() <= 8, "without gAMA the curve is that of sRGB"
    assert not np.array_equal(plain, pixels[0])


def test_display_p3_by_its_code() -> None:
    """cICP wins over the profile. The matrix is the one that is published for linear light."""
    pixels = np.array([[[200, 60, 40], [120, 120, 120], [60, 180, 60]]], np.uint8)
    level = pixels / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    to_srgb = [[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]]
    linear = (linear @ np.array(to_srgb).T).clip(0, 1)
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    found = photo(pixels, code(12, 13), gamma(1))
    assert np.abs(found.astype(int) - 255 * expected).max() <= 1
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", icc_profile=profile)
    data = file.getvalue()
    at = data.index(b"iCCP") - 4
    np.testing.assert_array_equal(read_photo(data[:at] + code(12, 13) + data[at:]), found)


@many
@given(
    st.floats(0.2, 3),
    st.tuples(*[st.floats(0.05, 0.6)] * 8),
    st.booleans(),
)
def test_white_and_black_stay(exponent: float, points: tuple[float, ...], has_gamma: bool) -> None:
    """Whatever the primaries are, as long as they span colours."""
    ends = np.array([[[0] * 3, [255] * 3]], np.uint8)
    chunks = [primaries(*points)] + ([gamma(exponent)] if has_gamma else [])
    try:
        found = photo(ends, *chunks)
    except PictureError as error:
        assert error.kind == "colour-profile"
    else:
        np.testing.assert_array_equal(found, ends)


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(0.01)],
        [gamma(20)],
        [primaries(0.3127, 0.3290, *(0.3, 0.3) * 3)],
        [primaries(0.3127, 0, *SRGB[2:])],
        [code(9, 16)],  # BT.2020 in PQ: high dynamic range
        [code(12, 18)],
        [code(2, 13)],
        [code(1, 13, 1)],
        [code(1, 13, 0, 0)],
        [chunk(b"cICP", b"\1\15")],
    ],
)
def test_what_no_colours_follow_from_is_named(chunks: list[bytes]) -> None:
    with pytest.raises(PictureError) as caught:
        photo(PHOTO, *chunks)
    assert caught.value.kind == "colour-profile"
    assert "chunk" in caught.value.reason


# --- cameras that mark Adobe RGB in EXIF, without a profile --------------------------------------

EXIF, COLOUR_SPACE, INTEROPERABILITY, INDEX = 0x8769, 0xA001, 0xA005, 1
MARKS: dict[str, dict[int, object]] = {
    "index": {COLOUR_SPACE: 65535, INTEROPERABILITY: {INDEX: "R03"}},
    "colour space": {COLOUR_SPACE: 2},
    "sRGB": {COLOUR_SPACE: 1, INTEROPERABILITY: {INDEX: "R98"}},
    "nothing": {},
    "uncalibrated": {COLOUR_SPACE: 65535},
}


def camera(form: str, mark: str, **options: object) -> bytes:
    exif = Image.Exif()
    exif[EXIF] = MARKS[mark]
    file = io.BytesIO()
    picture = Image.fromarray(PHOTO)
    picture.save(file, form, exif=exif.tobytes(), **options)
    return file.getvalue()


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_adobe_rgb_of_a_camera(form: str, options: dict[str, object], mark: str) -> None:
    found = read_photo(camera(form, mark, **options))
    as_adobe = photo(PHOTO, gamma(256 / 563), primaries(*ADOBE))
    assert np.abs(as_adobe.astype(int) - PHOTO).max() > 20
    is_adobe = mark in ("index", "colour space")
    np.testing.assert_allclose(found, as_adobe if is_adobe else PHOTO, atol=1 if is_adobe else 0)


def test_adobe_rgb_of_a_jpeg() -> None:
    options = {"quality": 100, "subsampling": 0}
    plain = read_photo(camera("JPEG", "nothing", **options))
    expected = photo(plain, gamma(256 / 563), primaries(*ADOBE))
    found = read_photo(camera("JPEG", "index", **options))
    np.testing.assert_allclose(found, expected, atol=1)


def test_a_profile_wins_over_exif() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = read_photo(camera("PNG", "index", icc_profile=profile))
    np.testing.assert_array_equal(found, PHOTO)


@given(st.data())
@many
def test_pixels_are_read_whatever_is_in_the_exif_directories(data: st.DataObject) -> None:
    whole = bytearray(camera("WEBP", "index", lossless=True))
    begin = whole.index(b"EXIF") + 8 + 32  # after the header and the main directory
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(begin, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found = read_photo(bytes(whole))
    assert sorted(found.shape) == sorted(PHOTO.shape)
