"""Files by their paths: what is read, what is written, and errors that name the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from PIL import Image

from manifests.pictures import (
    PictureError,
    read_alpha,
    read_photo,
    read_trimap,
    write_alpha,
    write_cutout,
    write_trimap,
)
from manifests.pixels import Pixels, encode_trimap
from tests.strategies import few, soft_alphas, trimaps

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data is not at {DATA}")

RNG = np.random.default_rng(3)
PHOTO = RNG.integers(0, 256, (5, 7, 3), np.uint8)
LEVELS = RNG.integers(0, 256, (5, 7), np.uint8)
CODES = np.array([[0, 1, 2, 1], [2, 2, 0, 0]], np.uint8)


def saved(path: Path, pixels: Pixels | Image.Image, **options: Any) -> Path:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def refused(path: Path, read: Callable[[Path], Pixels]) -> str:
    with pytest.raises(PictureError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


# --- images --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "PNG"])
def test_an_image(tmp_path: Path, suffix: str) -> None:
    np.testing.assert_array_equal(read_photo(saved(tmp_path / f"a.{suffix}", PHOTO)), PHOTO)


def test_a_photo_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise makes it upright
    path = saved(tmp_path / "a.png", PHOTO, exif=exif)
    np.testing.assert_array_equal(read_photo(path), np.rot90(PHOTO, -1))
    deep = Image.fromarray(LEVELS.astype(np.uint16) * 257)
    path = saved(tmp_path / "b.png", deep, exif=exif)
    np.testing.assert_array_equal(read_alpha(path), np.rot90(LEVELS, -1))


def test_grey_palette_and_opaque_rgba_images(tmp_path: Path) -> None:
    grey = Image.fromarray(LEVELS)
    for number, image in enumerate((grey, grey.convert("P"), grey.convert("RGBA"))):
        path = saved(tmp_path / f"{number}.png", image)
        np.testing.assert_array_equal(read_photo(path), np.dstack([LEVELS] * 3))


def test_a_transparent_image_is_refused(tmp_path: Path) -> None:
    cutout = np.dstack([PHOTO, np.full((5, 7), 255, np.uint8)])
    cutout[0, 0, 3] = 254
    assert "2.9% of it is transparent" in refused(saved(tmp_path / "a.png", cutout), read_photo)


@pytest.mark.parametrize("read", [read_photo, read_alpha, read_trimap])
def test_files_that_are_no_pictures(tmp_path: Path, read: Callable[[Path], Pixels]) -> None:
    empty, text, cut = tmp_path / "empty.png", tmp_path / "text.png", tmp_path / "cut.png"
    empty.touch()
    text.write_text("not a picture")
    cut.write_bytes(saved(tmp_path / "whole.png", PHOTO).read_bytes()[:60])
    for path in (empty, text, cut, tmp_path / "absent.png", tmp_path):
        words = {
            empty: "has 0 bytes",
            text: "is not a picture",
            cut: "it was cut short",
            tmp_path / "absent.png": "cannot be read (No such file or directory)",
            tmp_path: "is a folder",
        }[path]
        assert words in refused(path, read)


def test_several_frames_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(LEVELS), Image.fromarray(255 - LEVELS)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    assert "2 pages" in refused(tmp_path / "a.tif", read_alpha)


def test_32_bits_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(LEVELS.astype(np.float32)))
    assert "pixels of the form F" in refused(path, read_alpha)


@needs_data
def test_broken_pictures_are_named() -> None:
    broken = sorted((DATA / "malformed").glob("*.png"))
    assert len(broken) == 14
    for path in broken:
        assert len(refused(path, read_photo)) > 40


# --- alphas --------------------------------------------------------------------------------------


def test_alphas_of_every_kind(tmp_path: Path) -> None:
    grey = Image.fromarray(LEVELS)
    cutout = Image.fromarray(np.dstack([PHOTO, LEVELS]))
    deep = Image.fromarray(LEVELS.astype(np.uint16) * 257 + 100)  # rounds to the same levels
    pictures = (grey, grey.convert("RGB"), grey.convert("RGBA"), cutout, deep)
    for number, image in enumerate(pictures):
        path = saved(tmp_path / f"{number}.png", image)
        np.testing.assert_array_equal(read_alpha(path), LEVELS, str(number))


def test_a_photo_is_no_alpha(tmp_path: Path) -> None:
    assert "coloured" in refused(saved(tmp_path / "a.png", PHOTO), read_alpha)


@few
@given(soft_alphas())
def test_alphas_come_back(tmp_path_factory: pytest.TempPathFactory, alpha: Pixels) -> None:
    path = tmp_path_factory.mktemp("alpha") / "below" / "a.png"
    write_alpha(path, alpha)
    np.testing.assert_array_equal(read_alpha(path), alpha)
    with Image.open(path) as image:
        assert image.mode == "L"


def test_cutouts_come_back(tmp_path: Path) -> None:
    cutout = np.dstack([PHOTO, LEVELS])
    write_cutout(tmp_path / "a.png", cutout)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.array(image), cutout)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


# --- trimaps -------------------------------------------------------------------------------------


@few
@given(trimaps())
def test_trimaps_of_codes_of_levels_and_as_palettes(
    tmp_path_factory: pytest.TempPathFactory, trimap: Pixels
) -> None:
    folder = tmp_path_factory.mktemp("trimaps")
    levels = np.array([0, 128, 255], np.uint8)[trimap]
    saved(folder / "codes.png", trimap)
    saved(folder / "levels.png", levels)
    saved(folder / "colours.png", np.dstack([levels] * 3))
    (folder / "palette.png").write_bytes(encode_trimap(trimap))
    write_trimap(folder / "written.png", trimap)
    for path in folder.iterdir():
        np.testing.assert_array_equal(read_trimap(path), trimap, path.name)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0, 127, 255], "[0, 127, 255]"),
        ([0, 1, 255], "[0, 1, 255]"),
        ([1, 128], "[1, 128]"),
        ([0, 1, 2, 3], "[0, 1, 2, 3]"),
        (list(range(20, 40)), "[20, 21, 22, 23, 24, 25, 26, 27 and 12 more]"),
    ],
)
def test_other_trimaps_are_refused(tmp_path: Path, values: list[int], words: str) -> None:
    path = saved(tmp_path / "a.png", np.array([values], np.uint8))
    assert f"{words.strip('[]')}; expected only 0, 128, 255" in refused(path, read_trimap)


def test_a_transparent_trimap_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.dstack([CODES, CODES, CODES, CODES]))
    assert "transparency" in refused(path, read_trimap)
