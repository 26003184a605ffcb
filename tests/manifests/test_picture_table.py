"""A table of files by readers: all packages get the same array, or the same error, from a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from annotation.files.companions import read_fitting
from annotation.files.photos import image_bytes, scan_photos
from datagen.sources.labels import Label
from datagen.sources.listing import Problem
from datagen.sources.record import ToScan, scan_background, scan_foreground
from manifests.pictures import (
    PictureError,
    read_alpha,
    read_cutout,
    read_header,
    read_photo,
    read_trimap,
    write_alpha,
    write_cutout,
    write_trimap,
)
from manifests.pixels import Pixels, encode_trimap
from manifests.sources import Background, Foreground
from tests.picture_files import (
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
from training.matte.evaluate import Case, folder_cases

SIZE = (6, 9)
PHOTO, CUTOUT = colours(*SIZE), cutout(*SIZE)
ALPHA = CUTOUT[..., 3]
CODES = (np.arange(54).reshape(SIZE) % 3).astype(np.uint8)
LEVELS = np.array([0, 128, 255], np.uint8)[CODES]
DEEP = np.dstack([PHOTO, ALPHA]).astype(np.uint16) * 257
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = SRGB.replace(b"rXYZ", b"tmp.", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"tmp.", b"gXYZ")
PURE = np.zeros((*SIZE, 3), np.uint8)
PURE[:, :4, 0] = PURE[:, 4:7, 2] = PURE[:, 7] = 255  # red, blue, white, black

Found = Pixels | str  # an array, or the kind of the error


def thrice(levels: Pixels) -> Pixels:
    return np.dstack([levels] * 3)


def shown_as(*levels: int) -> Pixels:
    """These levels in place of the codes 0, 1, 2."""
    return np.array(levels, np.uint8)[CODES]


def palette(indices: Pixels, *shown: tuple[int, int, int]) -> bytes:
    image = Image.fromarray(indices, "P")
    image.putpalette([level for colour in shown for level in colour])
    return save(image)


@dataclass(frozen=True)
class Row:
    """A file, and what each reader makes of it."""

    name: str
    data: bytes
    photo: Found
    cutout: Found
    alpha: Found
    trimap: Found


def coloured(name: str, data: bytes, photo: Pixels = PHOTO) -> Row:
    return Row(name, data, photo, "no-alpha", "coloured", "coloured")


def soft(name: str, data: bytes, cut: Pixels = CUTOUT) -> Row:
    return Row(name, data, "transparent", cut, cut[..., 3], "transparent")


def grey(name: str, data: bytes, levels: Pixels, trimap: Found) -> Row:
    return Row(name, data, thrice(levels), "no-alpha", levels, trimap)


def bad(name: str, data: bytes, kind: str) -> Row:
    return Row(name, data, kind, kind, kind, kind)


LOSSLESS = {"lossless": True, "exact": True}
GREY_CUTOUT = np.array(Image.fromarray(CUTOUT).convert("LA").convert("RGBA"))
OPAQUE = np.dstack([PHOTO, np.full(SIZE, 255, np.uint8)])
TURNED = np.rot90(CUTOUT, -1)
QUANTIZED = np.array(Image.fromarray(PHOTO).quantize(64).convert("RGB"))
HARD = np.where(ALPHA > 127, 255, 0).astype(np.uint8)
# What sRGB shows for linear light, the gamma of a PNG's gAMA of 1.0
_LIGHT = ALPHA / 255
LINEAR = np.rint(
    255 * np.where(_LIGHT <= 0.0031308, 12.92 * _LIGHT, 1.055 * _LIGHT ** (1 / 2.4) - 0.055)
).astype(np.uint8)
BAD = "trimap-values"
BLACK, NEAR, MID, WHITE = ((level, level, level) for level in (0, 127, 128, 255))

TABLE = [
    coloured("rgb png", save(PHOTO)),
    coloured("rgb tiff", save(PHOTO, "TIFF", compression="tiff_lzw")),
    coloured("rgb bmp", save(PHOTO, "BMP")),
    coloured("rgb ppm", save(PHOTO, "PPM")),
    coloured("rgb webp", save(PHOTO, "WEBP", **LOSSLESS)),
    coloured("rgb gif", save(Image.fromarray(PURE).quantize(4), "GIF"), PURE),
    coloured("rgb palette", save(Image.fromarray(PHOTO).quantize(64)), QUANTIZED),
    coloured("deep rgb png", png16(DEEP[..., :3], 2)),
    coloured("deep rgb tiff", tiff16(DEEP[..., :3])),
    coloured("cmyk", save(Image.fromarray(PURE).convert("CMYK"), "TIFF"), PURE),
    coloured("profile", save(PURE, icc_profile=SWAPPED), PURE[..., [1, 0, 2]]),
    coloured("turned", save(PHOTO, exif=exif(6)), TURNED[..., :3]),
    coloured("turned tiff", save(PHOTO, "TIFF", exif=exif(6)), TURNED[..., :3]),
    soft("rgba png", save(CUTOUT)),
    soft("rgba tiff", save(CUTOUT, "TIFF")),
    soft("rgba webp", save(CUTOUT, "WEBP", **LOSSLESS)),
    soft("deep rgba png", png16(DEEP, 6)),
    soft("deep rgba tiff", tiff16(DEEP, extra=2)),
    soft("grey with alpha", save(Image.fromarray(CUTOUT).convert("LA")), GREY_CUTOUT),
    soft("turned rgba", save(CUTOUT, exif=exif(6)), TURNED),
    Row("opaque rgba", save(OPAQUE), PHOTO, "alpha-opaque", "coloured", "coloured"),
    grey("grey png", save(ALPHA), ALPHA, BAD),
    grey("grey tiff", save(ALPHA, "TIFF"), ALPHA, BAD),
    grey("grey as rgb", save(thrice(ALPHA)), ALPHA, BAD),
    grey("grey as palette", save(Image.fromarray(ALPHA).convert("P")), ALPHA, BAD),
    grey("deep grey png", png16(DEEP[..., 3:], 0), ALPHA, BAD),
    grey("deep grey tiff", tiff16(DEEP[..., 3:]), ALPHA, BAD),
    grey("codes", save(CODES), CODES, CODES),
    grey("levels", save(LEVELS), LEVELS, CODES),
    grey("levels bmp", save(LEVELS, "BMP"), LEVELS, CODES),
    grey("levels rgb", save(thrice(LEVELS)), LEVELS, CODES),
    grey("bilevel", save(Image.fromarray(HARD).convert("1")), HARD, HARD // 255 * np.uint8(2)),
    grey("our trimap", encode_trimap(CODES), LEVELS, CODES),
    # The order of a palette means nothing where what it shows is a trimap
    grey("white first", palette(2 - CODES, WHITE, MID, BLACK), LEVELS, CODES),
    grey("127 by indices", palette(CODES, BLACK, NEAR, WHITE), shown_as(0, 127, 255), CODES),
    grey("127, white first", palette(2 - CODES, WHITE, NEAR, BLACK), shown_as(0, 127, 255), BAD),
    grey("127", save(shown_as(0, 127, 255)), shown_as(0, 127, 255), BAD),
    grey("four levels", save(ALPHA // 64 * 64), ALPHA // 64 * 64, BAD),
    Row(
        "classes in colours",
        palette(CODES, (0, 0, 0), (128, 0, 0), (0, 128, 0)),
        np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)[CODES],
        "no-alpha",
        "coloured",
        CODES,
    ),
    # Codes in 16 bits are all rounded to 0, which would be a trimap of nothing but background
    grey("deep codes", png16(CODES.astype(np.uint16)[..., None], 0), 0 * CODES, CODES),
    grey("deep levels", png16(LEVELS.astype(np.uint16)[..., None] * 257, 0), LEVELS, CODES),
    # Profiles and gamma change only colours
    Row(
        "grey with gamma",
        png(SIZE, 8, 0, [row.tobytes() for row in ALPHA], chunk(b"gAMA", b"\0\1\x86\xa0")),
        thrice(LINEAR),
        "no-alpha",
        ALPHA,
        BAD,
    ),
    Row(
        "grey with a broken profile",
        save(ALPHA, icc_profile=b"not a profile"),
        "colour-profile",
        "colour-profile",
        ALPHA,
        BAD,
    ),
    bad("empty", b"", "empty-file"),
    bad("text", b"a note about the pictures\n", "not-an-image"),
    bad("postscript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 6\n", "not-an-image"),
    bad("cut png", save(CUTOUT)[:-20], "truncated"),
    bad("rows missing", png(SIZE, 8, 0, bytes(30)), "truncated"),
    bad("wrong checksum", save(ALPHA).replace(b"IDAT", b"IDAU"), "corrupt"),
    bad("cut jpeg", save(PHOTO, "JPEG")[:-2], "truncated"),
    bad("cut gif", save(Image.fromarray(PURE).quantize(4), "GIF")[:-1], "truncated"),
    bad("cut webp", save(PHOTO, "WEBP")[:-3], "truncated"),
    bad("cut bmp", save(PHOTO, "BMP")[:-3], "truncated"),
    bad("cut tiff", save(PHOTO, "TIFF")[:-30], "truncated"),
    bad("animated png", animation("PNG"), "animated"),
    bad("animated webp", animation("WEBP"), "animated"),
    bad("animated gif", animation("GIF"), "animated"),
    bad("animated avif", animation("AVIF"), "animated"),
    bad("pages", animation("TIFF"), "multi-page"),
    bad("floats", save(Image.fromarray(np.ones(SIZE, np.float32)), "TIFF"), "unsupported"),
    bad("premultiplied", tiff16(DEEP, extra=1), "unsupported"),
    bad("bomb", bomb(), "too-large"),
]
ROWS = pytest.mark.parametrize("row", TABLE, ids=[row.name for row in TABLE])


def outcome(read: Callable[[], Pixels]) -> Pixels | PictureError:
    try:
        return read()
    except PictureError as error:
        return error


def check(found: Pixels | PictureError, expected: Found) -> None:
    if isinstance(found, PictureError):
        assert found.kind == expected
        assert len(found.reason) > 15
    else:
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.uint8


@ROWS
def test_each_reader(row: Row) -> None:
    check(outcome(lambda: read_photo(row.data)), row.photo)
    check(outcome(lambda: read_cutout(row.data)), row.cutout)
    check(outcome(lambda: read_alpha(row.data)), row.alpha)
    check(outcome(lambda: read_trimap(row.data)), row.trimap)


@ROWS
def test_a_header_says_what_decoding_gives(row: Row) -> None:
    if not isinstance(row.alpha, str):
        header = read_header(row.data)
        assert (header.height, header.width) == row.alpha.shape


def sha256(pixels: Pixels) -> str:
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def same(record: Foreground | Background | Problem, expected: Pixels | PictureError) -> None:
    """Does a scan of datagen give this array or this error?"""
    if isinstance(record, Problem):
        assert isinstance(expected, PictureError)
        assert (record.kind, record.reason) == (expected.kind, expected.reason)
    else:
        assert isinstance(expected, np.ndarray)
        assert record.pixels_sha256 == sha256(expected)


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def only_case(folder: Path, **bytes_of: bytes) -> Case | str:
    """What `matte evaluate` reads, or the reason why it does not."""
    for name in ("images", "alphas", "trimaps"):
        put(folder / name / "x.png", bytes_of[name])
    (case,) = folder_cases(folder / "images", folder / "alphas", folder / "trimaps")
    return case if isinstance(case, Case) else case.reason


def size_of(data: bytes) -> tuple[int, int]:
    """Upright; where even the header is damaged, of any other picture."""
    try:
        header = read_header(data)
    except PictureError:
        return SIZE
    return header.height, header.width


@ROWS
def test_a_photo_in_all_packages(row: Row, tmp_path: Path) -> None:
    expected = outcome(lambda: read_photo(row.data))
    path = put(tmp_path / "photos" / "x.png", row.data)
    same(scan_background(path.parent, ToScan("x.png", "", Label(), None)).result, expected)

    photos, problems = scan_photos(path.parent)  # the header alone; the pixels when it is shown
    if isinstance(expected, PictureError):
        reasons = [problem.reason for problem in problems]
        for photo in photos:
            with pytest.raises(PictureError) as error:
                image_bytes(photo)
            reasons.append(error.value.reason)
        assert reasons == [expected.reason]
    else:
        assert problems == []
        np.testing.assert_array_equal(read_photo(image_bytes(photos[0])[0]), expected)

    blank = save(np.zeros(size_of(row.data), np.uint8))
    case = only_case(tmp_path, images=row.data, alphas=blank, trimaps=blank)
    if isinstance(case, str):
        assert isinstance(expected, PictureError)
        assert case == f"{tmp_path}/images/x.png: {expected.reason}"
    else:
        np.testing.assert_array_equal(case.image, expected)


@ROWS
def test_a_cutout_of_datagen(row: Row, tmp_path: Path) -> None:
    put(tmp_path / "x.png", row.data)
    expected = outcome(lambda: read_cutout(row.data))
    same(scan_foreground(tmp_path, None, ToScan("x.png", "", Label(), None)).result, expected)


@ROWS
def test_an_alpha_in_all_packages(row: Row, tmp_path: Path) -> None:
    expected = outcome(lambda: read_alpha(row.data))
    height, width = size_of(row.data)
    path = put(tmp_path / "alphas" / "x.png", row.data)
    fitting = outcome(lambda: read_fitting(read_alpha, path, height, width))
    photo = put(tmp_path / "photos" / "x.png", save(colours(height, width)))
    to_scan = ToScan("x.png", "x.png", Label(), None)
    record = scan_foreground(photo.parent, path.parent, to_scan).result
    blank = save(np.zeros((height, width), np.uint8))
    case = only_case(tmp_path, images=blank, alphas=row.data, trimaps=blank)
    if isinstance(expected, PictureError):
        assert str(fitting) == case == f"{path}: {expected.reason}"
        assert isinstance(record, Problem)
        assert record.kind == {"coloured": "alpha-file"}.get(expected.kind, expected.kind)
        assert record.reason == f"has an alpha file that {expected.reason}"
    else:
        assert isinstance(case, Case)
        np.testing.assert_array_equal(fitting, expected)
        np.testing.assert_array_equal(case.alpha, expected)
        same(record, outcome(lambda: read_cutout(photo, path)))
        if isinstance(record, Foreground):
            assert record.pixels_sha256 == sha256(np.dstack([colours(height, width), expected]))


@ROWS
def test_a_trimap_in_all_packages(row: Row, tmp_path: Path) -> None:
    expected = outcome(lambda: read_trimap(row.data))
    height, width = size_of(row.data)
    path = put(tmp_path / "trimaps" / "x.png", row.data)
    fitting = outcome(lambda: read_fitting(read_trimap, path, height, width))
    blank = save(np.zeros((height, width), np.uint8))
    case = only_case(tmp_path, images=blank, alphas=blank, trimaps=row.data)
    if isinstance(expected, PictureError):
        assert str(fitting) == case == f"{path}: {expected.reason}"
    else:
        assert isinstance(case, Case)
        np.testing.assert_array_equal(fitting, expected)
        np.testing.assert_array_equal(case.trimap, expected)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_alpha(tmp_path / "a.png", ALPHA)
    write_trimap(tmp_path / "t.png", CODES)
    write_cutout(tmp_path / "c.png", CUTOUT)
    np.testing.assert_array_equal(read_alpha(tmp_path / "a.png"), ALPHA)
    np.testing.assert_array_equal(read_trimap(tmp_path / "t.png"), CODES)
    np.testing.assert_array_equal(read_cutout(tmp_path / "c.png"), CUTOUT)
