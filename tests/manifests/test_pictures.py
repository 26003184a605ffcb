"""Every form of picture decodes to the same arrays; every broken file is named, none raises."""

from __future__ import annotations

import io
import resource
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from manifests.containers import check_whole
from manifests.pictures import PictureError, read_cutout, read_photo
from tests.picture_files import (
    adam7,
    animation,
    bomb,
    chunk,
    colours,
    cutout,
    exif,
    png,
    png16,
    save,
    tiff16,
)

DATA = Path(__file__).parents[3] / "shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data is not at {DATA}")

PHOTO, CUTOUT = colours(), cutout()
DEEP = np.random.default_rng(1).integers(0, 65536, (5, 7, 4)).astype(np.uint16)
EIGHT = np.round(DEEP / 257).astype(np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def refused(data: bytes, decode: Callable[[bytes], object] = read_cutout) -> str:
    """The kind of the error; the reason must be fit to be read."""
    with pytest.raises(PictureError) as caught:
        decode(data)
    assert len(caught.value.reason) > 15, caught.value
    assert "Traceback" not in caught.value.reason
    return caught.value.kind


def upright(picture: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(save(picture, exif=exif(orientation))))
    return np.array(ImageOps.exif_transpose(image))


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


# --- what is taken -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_a_cutout_comes_back_exactly(form: str) -> None:
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    np.testing.assert_array_equal(read_cutout(save(CUTOUT, form, **options)), CUTOUT)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "PPM"])
def test_a_photo_comes_back_exactly(form: str) -> None:
    np.testing.assert_array_equal(read_photo(save(PHOTO, form)), PHOTO)


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("progressive", [False, True])
def test_lossy_photos_come_close(form: str, progressive: bool) -> None:
    options = {"progressive": progressive} if form == "JPEG" else {}
    grey = np.full((40, 50, 3), 117, np.uint8)
    assert np.abs(read_photo(save(grey, form, quality=95, **options)).astype(int) - 117).max() < 4


def test_interlaced_png() -> None:
    np.testing.assert_array_equal(read_cutout(adam7(CUTOUT)), CUTOUT)


def test_grey_with_alpha_is_a_cutout() -> None:
    grey = Image.fromarray(CUTOUT).convert("LA")
    decoded = read_cutout(save(grey))
    np.testing.assert_array_equal(decoded, np.array(grey.convert("RGBA")))


def test_grey_bilevel_and_plain_palette_photos() -> None:
    grey = Image.fromarray(PHOTO).convert("L")
    for image in (grey, grey.convert("1"), Image.fromarray(PHOTO).quantize(8)):
        expected = np.array(image.convert("RGB"))
        np.testing.assert_array_equal(read_photo(save(image)), expected)


def test_palette_with_transparency() -> None:
    palette = Image.fromarray(CUTOUT).quantize(16)
    np.testing.assert_array_equal(read_cutout(save(palette)), np.array(palette.convert("RGBA")))
    indices = Image.fromarray(PHOTO).quantize(8)
    decoded = read_cutout(save(indices, "GIF", transparency=2))
    np.testing.assert_array_equal(decoded[..., 3] == 0, np.array(indices) == 2)


@pytest.mark.parametrize(
    ("depth", "row", "key", "alpha"),
    [
        (1, b"\x60", 1, [255, 0, 0, 255]),
        (2, b"\x6c", 1, [0, 255, 255, 255]),
        (4, b"\x12\x31", 1, [0, 255, 255, 0]),
        (8, b"\x01\x02\x03\x01", 1, [0, 255, 255, 0]),
    ],
)
def test_one_grey_level_declared_transparent(
    depth: int, row: bytes, key: int, alpha: list[int]
) -> None:
    data = png((1, 4), depth, 0, [row], chunk(b"tRNS", key.to_bytes(2, "big")))
    assert read_cutout(data)[0, :, 3].tolist() == alpha


def test_one_colour_declared_transparent() -> None:
    rows = [row.tobytes() for row in PHOTO]
    key = chunk(b"tRNS", b"".join(bytes([0, level]) for level in PHOTO[1, 2]))
    decoded = read_cutout(png(PHOTO.shape[:2], 8, 2, rows, key))
    assert np.argwhere(decoded[..., 3] == 0).tolist() == [[1, 2]]
    deep = read_cutout(
        png16(DEEP[..., :3], 2, chunk(b"tRNS", DEEP[2, 3, :3].astype(">u2").tobytes()))
    )
    assert np.argwhere(deep[..., 3] == 0).tolist() == [[2, 3]]
    np.testing.assert_array_equal(deep[..., :3], EIGHT[..., :3])


@pytest.mark.parametrize(
    ("data", "channels"),
    [
        (png16(DEEP, 6), [0, 1, 2, 3]),
        (png16(DEEP[..., 2:], 4), [2, 2, 2, 3]),
        (png16(DEEP[..., :3], 2), [0, 1, 2]),
        (png16(DEEP[..., :1], 0), [0, 0, 0]),
        (tiff16(DEEP, extra=2), [0, 1, 2, 3]),
        (tiff16(DEEP), [0, 1, 2, 3]),
        (tiff16(DEEP, extra=0), [0, 1, 2]),
        (tiff16(DEEP[..., :3]), [0, 1, 2]),
        (tiff16(DEEP[..., :1]), [0, 0, 0]),
    ],
    ids=[
        *("png-rgba", "png-la", "png-rgb", "png-l"),
        *("tiff-rgba", "tiff-bare", "tiff-rgbx", "tiff-rgb", "tiff-l"),
    ],
)
def test_sixteen_bits_are_rounded_not_cut(data: bytes, channels: list[int]) -> None:
    decode = read_cutout if len(channels) == 4 else read_photo
    np.testing.assert_array_equal(decode(data), EIGHT[..., channels])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_once(orientation: int) -> None:
    small, deep = upright(CUTOUT, orientation), upright(EIGHT, orientation)
    block = exif(orientation)
    lossless = {"lossless": True, "exact": True, "exif": block.tobytes()}
    pairs = [
        (save(CUTOUT, exif=block), small),
        (save(CUTOUT, "TIFF", exif=block), small),
        (save(CUTOUT, "WEBP", **lossless), small),
        (png16(DEEP, 6, chunk(b"eXIf", block.tobytes()[6:])), deep),
        (tiff16(DEEP, orientation, extra=2), deep),
    ]
    for data, expected in pairs:
        np.testing.assert_array_equal(read_cutout(data), expected)
    jpeg = read_photo(save(np.zeros((6, 9, 3), np.uint8), "JPEG", exif=block))
    assert jpeg.shape == ((6, 9, 3) if orientation < 5 else (9, 6, 3))


def test_an_impossible_orientation_is_none() -> None:
    np.testing.assert_array_equal(read_cutout(save(CUTOUT, exif=exif(77))), CUTOUT)


def test_cmyk() -> None:
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for form in ("JPEG", "TIFF"):  # Pillow writes the JPEG inverted, as Adobe does
        assert read_photo(save(red, form))[4, 4].tolist() == [255, 0, 0]


def test_the_first_picture_of_a_phone_jpeg_is_the_photo() -> None:
    first, preview = (Image.new("RGB", (16, 16), (level,) * 3) for level in (200, 20))
    data = save(first, "MPO", save_all=True, append_images=[preview])
    assert read_photo(data)[3, 3].tolist() == [200, 200, 200]


def test_one_pixel() -> None:
    assert read_photo(save(PHOTO[:1, :1])).shape == (1, 1, 3)
    pixel = np.array([[[9, 8, 7, 128]]], np.uint8)
    np.testing.assert_array_equal(read_cutout(save(pixel)), pixel)


# --- colour profiles -----------------------------------------------------------------------------


def swapped_profile() -> bytes:
    """sRGB whose red and green primaries have changed places."""
    return SRGB.replace(b"rXYZ", b"tmp.", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"tmp.", b"gXYZ")


def test_a_colour_profile_is_applied_to_colour_alone() -> None:
    picture = np.zeros((4, 4, 4), np.uint8)
    picture[..., 0], picture[..., 3] = 255, 77
    decoded = read_cutout(save(picture, icc_profile=swapped_profile()))
    assert decoded[0, 0, 1] > 250
    assert decoded[0, 0, 0] < 5
    assert (decoded[..., 3] == 77).all()


def test_srgb_profile_changes_nothing() -> None:
    picture = noise(64, 64, 4)
    np.testing.assert_array_equal(read_cutout(save(picture, icc_profile=SRGB)), picture)


def test_a_grey_picture_under_a_colour_profile() -> None:
    grey = Image.fromarray(PHOTO).convert("L")
    expected = np.array(grey.convert("RGB"))
    np.testing.assert_array_equal(read_photo(save(grey, icc_profile=SRGB)), expected)


def test_an_unusable_profile_is_named() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    cmyk = Image.new("CMYK", (8, 8))
    for data in (
        save(PHOTO, icc_profile=b"no profile at all"),
        save(PHOTO, icc_profile=SRGB[:200]),
        save(PHOTO, icc_profile=lab),
        save(cmyk, "JPEG", icc_profile=SRGB),
        png((6, 9), 8, 2, [row.tobytes() for row in PHOTO], chunk(b"iCCP", b"x\0\0broken")),
    ):
        assert refused(data, read_photo) == "colour-profile"


# --- alpha files ---------------------------------------------------------------------------------


def test_an_alpha_file_wins_and_is_not_colour_managed() -> None:
    levels = CUTOUT[::-1, :, 3].copy()
    for data in (
        save(levels),
        save(levels, icc_profile=swapped_profile()),
        save(np.dstack([levels] * 3)),
        png16((levels.astype(np.uint16) * 257)[..., None], 0),
    ):
        for photo in (save(PHOTO), save(CUTOUT)):
            np.testing.assert_array_equal(read_cutout(photo, data), np.dstack([PHOTO, levels]))


def test_a_cutout_serves_as_an_alpha_file() -> None:
    other = np.dstack([255 - PHOTO, CUTOUT[..., 3]])
    np.testing.assert_array_equal(read_cutout(save(PHOTO), save(other)), CUTOUT)


def test_an_alpha_file_is_matched_upright() -> None:
    turned = read_cutout(save(PHOTO, exif=exif(6)), save(np.rot90(CUTOUT[..., 3], -1).copy()))
    np.testing.assert_array_equal(turned, np.rot90(CUTOUT, -1))


def test_bad_alpha_files_are_named() -> None:
    alpha = CUTOUT[..., 3]

    def kind(data: bytes) -> str:
        return refused(save(PHOTO), lambda photo: read_cutout(photo, data))

    assert kind(save(alpha.T.copy())) == "size-mismatch"
    assert kind(save(PHOTO)) == "alpha-file"
    assert kind(b"") == "empty-file"
    assert kind(save(alpha)[:-20]) == "truncated"
    assert kind(save(np.zeros_like(alpha))) == "alpha-empty"
    assert kind(save(np.full_like(alpha, 255))) == "alpha-opaque"


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty-file"),
        (b"a note about the pictures\n", "not-an-image"),
        (bytes(5000), "not-an-image"),
        (b"%PDF-1.7 ...", "not-an-image"),
        (save(CUTOUT)[:-12], "truncated"),
        (save(CUTOUT)[:20], "truncated"),
        (save(PHOTO, "JPEG")[:-2], "truncated"),
        (save(PHOTO, "JPEG")[:-2] + bytes(500), "truncated"),
        (png((6, 9), 8, 0, bytes(30)), "truncated"),
        (png((6, 9), 3, 0, bytes(60)), "corrupt"),
        (save(CUTOUT).replace(b"IDAT", b"IDAU"), "corrupt"),
        (save(PHOTO), "no-alpha"),
        (save(PHOTO, "JPEG"), "no-alpha"),
        (save(np.dstack([PHOTO, np.zeros_like(PHOTO[..., 0])])), "alpha-empty"),
        (save(np.dstack([PHOTO, np.full_like(PHOTO[..., 0], 255)])), "alpha-opaque"),
        (animation("GIF"), "animated"),
        (animation("PNG"), "animated"),
        (animation("WEBP"), "animated"),
        (animation("AVIF"), "animated"),
        (animation("TIFF"), "multi-page"),
        (save(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "unsupported"),
        (save(Image.fromarray(np.ones((4, 4), np.int32)), "TIFF"), "unsupported"),
        (tiff16(DEEP, extra=1), "unsupported"),
    ],
)
def test_refused_with_its_kind(data: bytes, kind: str) -> None:
    assert refused(data) == kind


def test_a_photo_may_have_an_opaque_alpha_but_no_other() -> None:
    opaque = np.dstack([PHOTO, np.full_like(PHOTO[..., 0], 255)])
    np.testing.assert_array_equal(read_photo(save(opaque)), PHOTO)
    assert refused(save(CUTOUT), read_photo) == "transparent"


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    data = bomb()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(data) == "too-large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_sizes_that_pillow_would_warn_of_are_silent() -> None:
    side = 10_000  # 100 megapixels: above Pillow's warning, below the limit; the data is missing
    assert refused(png((side, side), 1, 0, b"")) == "truncated"
    assert refused(png((13_350, 13_350), 1, 0, b"")) == "too-large"


@needs_data
def test_pngsuite_malformed() -> None:
    kinds = {path.name: refused(path.read_bytes()) for path in (DATA / "malformed").glob("*.png")}
    assert len(kinds) == 14
    assert set(kinds.values()) <= {"corrupt", "not-an-image", "truncated"}
    assert kinds["xcsn0g01.png"] == kinds["xhdn0g08.png"] == kinds["xd9n2c08.png"] == "corrupt"


# --- damage --------------------------------------------------------------------------------------

WHOLE = {
    "png": save(noise(12, 15, 3)),
    "png16": png16(DEEP[..., :3], 2),
    "jpeg": save(noise(12, 15, 3), "JPEG"),
    "progressive": save(noise(12, 15, 3), "JPEG", progressive=True),
    "tiff": save(noise(12, 15, 3), "TIFF"),
    "tiff-lzw": save(noise(12, 15, 3), "TIFF", compression="tiff_lzw"),
    "tiff16": tiff16(DEEP[..., :3]),
    "webp": save(noise(12, 15, 3), "WEBP"),
    "gif": save(Image.fromarray(noise(12, 15, 3)).quantize(64), "GIF"),
    "bmp": save(noise(12, 15, 3), "BMP"),
    "ppm": save(noise(12, 15, 3), "PPM"),
    "avif": save(noise(12, 15, 3), "AVIF"),
}


@pytest.mark.parametrize("form", WHOLE)
def test_no_truncation_goes_unseen(form: str) -> None:
    """Cut anywhere, a file is refused, or nothing of its pixels was cut off."""
    data = WHOLE[form]
    whole = read_photo(data)
    for length in range(len(data)):
        try:
            np.testing.assert_array_equal(read_photo(data[:length]), whole)
        except PictureError as error:
            assert error.kind in {"empty-file", "not-an-image", "truncated", "corrupt"}


@settings(max_examples=300, deadline=None)
@given(
    form=st.sampled_from(sorted(WHOLE)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4)), min_size=1, max_size=6),
    end=st.floats(0, 1),
    cut=st.booleans(),
    repair=st.booleans(),
)
def test_damage_never_raises_anything_else(
    form: str, changes: list[tuple[float, bytes]], end: float, cut: bool, repair: bool
) -> None:
    damaged = bytearray(WHOLE[form])
    for place, change in changes:
        at = int(place * len(damaged))
        damaged[at : at + len(change)] = change
    data = with_good_checksums(bytes(damaged)) if repair else bytes(damaged)
    data = data[: int(end * len(data))] if cut else data
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for decode in (read_photo, read_cutout):
            try:
                assert decode(data).dtype == np.uint8
            except PictureError as error:
                assert error.kind
                assert error.reason


def with_good_checksums(data: bytes) -> bytes:
    """A damaged PNG whose checksums are right, so that the damage reaches the decoder."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return data
    repaired, at = data[:8], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        repaired += chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length])
        at += 12 + length
    return repaired


@given(st.binary(max_size=200), st.sampled_from([data[:12] for data in WHOLE.values()]))
def test_container_checks_stop_on_any_bytes(data: bytes, opening: bytes) -> None:
    try:
        check_whole(opening + data)
    except PictureError as error:
        assert error.kind in {"truncated", "corrupt"}


@needs_data
def test_the_real_files_decode() -> None:
    """A sample of both folders; scan's tests read all of them."""
    for path in sorted((DATA / "foregrounds").iterdir())[::7]:
        assert read_cutout(path.read_bytes()).shape[2] == 4
    for path in sorted((DATA / "backgrounds").iterdir())[::20]:
        assert read_photo(path.read_bytes()).shape[2] == 3
