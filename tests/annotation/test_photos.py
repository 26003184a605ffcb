"""Folders of photos and what comes with them: orientation, names, sizes, pairs."""

from __future__ import annotations

import hashlib
import io
import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from annotation.files.companions import Companions, pair, read_fitting
from annotation.files.failures import failure
from annotation.files.photos import (
    Photo,
    image_bytes,
    is_photo_id,
    list_files,
    photo_id,
    scan_photos,
)
from manifests.pictures import PictureError, read_alpha, read_photo, read_trimap
from manifests.pixels import Pixels, encode_alpha, encode_trimap
from tests.picture_files import png, png16
from tests.strategies import many

RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}


def colours(height: int = 6, width: int = 9) -> Pixels:
    """Every pixel another."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([rows * 30 + 20, columns * 25, 255 - rows * columns]).astype(np.uint8)


def save(path: Path, pixels: Pixels | Image.Image, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def only(folder: Path) -> Photo:
    photos, failures = scan_photos(folder)
    assert failures == []
    (photo,) = photos
    return photo


names = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300
) | st.sampled_from(["..", "../../x", "/etc/passwd", "CON.jpg", "a/../b.jpg", "x\\y.jpg", "🙂.png"])


@given(names, names)
@many
def test_an_id_is_a_file_name_anywhere(one: str, other: str) -> None:
    found = photo_id(one)
    assert is_photo_id(found)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", found)
    assert found.casefold() not in RESERVED
    assert photo_id(one) == found
    if one != other:
        assert photo_id(other) != found or one.encode() != other.encode()


def test_ids_are_readable_and_apart() -> None:
    files = ["a/x.jpg", "b/x.jpg", "a/X.jpg", "a/x.png", "a_x.jpg", "a/x.1.jpg", "Jürgen B.jpg"]
    files += ["照片.jpg", "写真.jpg"]
    found = [photo_id(file) for file in files]
    assert len({name.casefold() for name in found}) == len(files)
    assert [name.rpartition("-")[0] for name in found] == [
        *("a_x", "b_x", "a_X", "a_x", "a_x", "a_x_1", "Jurgen_B", "photo", "photo")
    ]
    assert photo_id("Ju\u0308rgen.jpg") == photo_id("J\u00fcrgen.jpg")


@pytest.mark.parametrize(
    "text",
    ["", "..", "x", "x/0123456789", "../x-0123456789", "x-0123456789\n", "x.y-0123456789", 7],
)
def test_no_id_of_ours(text: object) -> None:
    assert not is_photo_id(text)


def test_a_folder_with_all_kinds_of_names(tmp_path: Path) -> None:
    files = [
        "a b/x.1.jpg",
        "c/x.1.jpg",
        "Ünïcode/照片 1.PNG",
        "top.jpeg",
        "w.webp",
        "t.tif",
        "b.bmp",
    ]
    for file in files:
        save(tmp_path / file, colours())
    (tmp_path / "notes.txt").write_text("no photo")
    save(tmp_path / ".thumbs" / "x.jpg", colours())
    (tmp_path / "._x.jpg").write_bytes(b"made by a Mac")
    photos, failures = scan_photos(tmp_path)
    assert failures == []
    assert [photo.file for photo in photos] == sorted(files)
    assert len({photo.id for photo in photos}) == len(files)
    for photo in photos:
        assert photo.path == tmp_path / photo.file
        assert photo.sha256 == hashlib.sha256(photo.path.read_bytes()).hexdigest()
        assert (photo.height, photo.width, photo.is_upright) == (6, 9, True)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_every_orientation_is_shown_upright(tmp_path: Path, orientation: int, ending: str) -> None:
    """The bytes to upload, read without regard to EXIF, are the upright picture."""
    upright = Image.fromarray(colours())
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    lossless = {"lossless": True, "exact": True} if ending == "webp" else {}
    save(tmp_path / f"x.{ending}", stored, exif=exif(orientation), **lossless)
    photo = only(tmp_path)
    assert (photo.height, photo.width, photo.is_upright) == (6, 9, orientation == 1)
    shown = read_photo(photo.path)
    data, extension = image_bytes(photo)
    assert extension == ("jpg" if ending == "jpg" and orientation == 1 else "png")
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get(0x0112, 1) == 1
        assert (np.asarray(image.convert("RGB")) == shown).all()
    if ending != "jpg":
        assert (shown == colours()).all()


def test_what_a_browser_shows_is_uploaded_untouched(tmp_path: Path) -> None:
    for name in ("x.jpg", "y.png"):
        path = save(tmp_path / name, colours(), exif=exif(1))
        photo = next(photo for photo in scan_photos(tmp_path)[0] if photo.file == name)
        assert image_bytes(photo) == (path.read_bytes(), name[2:])


def test_other_colours_become_srgb(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save(tmp_path / "a.png", colours(), icc_profile=profile)
    save(tmp_path / "b.jpg", Image.fromarray(colours()).convert("CMYK"), quality=100)
    save(
        tmp_path / "c.png", Image.fromarray(np.dstack([colours(), np.full((6, 9), 255, np.uint8)]))
    )
    save(tmp_path / "d.png", Image.fromarray(colours()[..., 0]))
    photos, failures = scan_photos(tmp_path)
    assert failures == []
    a, b, c, d = (read_photo(photo.path) for photo in photos)
    assert np.abs(a.astype(int) - colours()).max() <= 1
    assert b.shape == (6, 9, 3)
    assert (c == colours()).all()
    assert (d == colours()[..., :1]).all()
    assert [image_bytes(photo)[1] for photo in photos] == ["png"] * 4


def wrong(folder: Path, name: str) -> str:
    """Why the only photo of a folder is not pushed: its header does not tell all."""
    photos, failures = scan_photos(folder)
    for photo in photos:
        with pytest.raises(ValueError) as error:
            image_bytes(photo)
        failures.append(failure(photo.file, error.value))
    (found,) = failures
    assert found.file == name
    return found.reason


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("x.jpg", b"", "has 0 bytes"),
        ("x.jpg", b"no photo", "is not a picture"),
        ("x.tiff", b"II*\0\x08\0\0\0" + b"\0" * 6, "its header is damaged"),
        ("x.png", b"\x89PNG\r\n\x1a\n", "it was cut short"),
    ],
)
def test_no_photo_is_named(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert reason in wrong(tmp_path, name)


def test_a_cut_photo_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "x.jpg", colours(60, 90))
    path.write_bytes(path.read_bytes()[:-300])
    assert "it was cut short" in wrong(tmp_path, "x.jpg")


def test_a_large_photo_is_named_with_its_size(tmp_path: Path) -> None:
    save(tmp_path / "x.png", Image.new("RGB", (4097, 3)))
    assert "3 x 4097 pixels, at most 4096" in wrong(tmp_path, "x.png")
    save(tmp_path / "x.png", Image.new("RGB", (4096, 2160)))
    assert (only(tmp_path).height, only(tmp_path).width) == (2160, 4096)


def test_a_cut_out_is_no_photo(tmp_path: Path) -> None:
    save(tmp_path / "x.png", Image.new("RGBA", (9, 6)))
    assert "100.0% of it is transparent" in wrong(tmp_path, "x.png")


def test_a_deep_picture_is_shown_with_eight_bits(tmp_path: Path) -> None:
    save(tmp_path / "x.png", Image.fromarray(np.full((6, 9), 257 * 7 + 100, np.uint16)))
    data, ending = image_bytes(only(tmp_path))
    assert ending == "png"
    assert (read_photo(data) == 7).all()


def test_animated_pictures_are_named(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 6), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "x.webp", save_all=True, append_images=frames[1:])
    assert "has 2 frames" in wrong(tmp_path, "x.webp")


def test_a_photo_is_known_by_its_ending_or_its_content(tmp_path: Path) -> None:
    for name, form in (("a.jfif", "JPEG"), ("b", "PNG"), ("c.dat", "WEBP"), ("d.avif", "AVIF")):
        save(tmp_path / name, colours(), format=form)
    save(tmp_path / "raw.dng", colours(), format="TIFF")
    (tmp_path / "note").write_text("BM, P6: a note")
    os.mkfifo(tmp_path / "pipe")
    photos, failures = scan_photos(tmp_path)
    assert ([photo.file for photo in photos], failures) == (["a.jfif", "b", "c.dat", "d.avif"], [])
    found, failures = pair(photos, alphas=tmp_path)
    assert failures == []
    assert [found[photo.id].alpha for photo in photos] == [photo.path for photo in photos]


def test_names_that_are_no_text_or_differ_in_accents_alone(tmp_path: Path) -> None:
    save(tmp_path / "J\u00fcrgen.png", colours())
    save(tmp_path / "Ju\u0308rgen.png", colours())
    photos, failures = scan_photos(tmp_path)
    assert len(photos) == len(failures) == 1
    assert "accents" in failures[0].reason
    for file in tmp_path.iterdir():
        file.unlink()
    data = save(tmp_path / "x.png", colours()).read_bytes()
    (tmp_path / "x.png").unlink()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(data)
    assert "not UTF-8" in wrong(tmp_path, "\\xff.png")


def test_pipes_and_broken_links_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    assert "pipe" in wrong(tmp_path, "x.jpg")
    (tmp_path / "x.jpg").unlink()
    (tmp_path / "x.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert "No such file" in wrong(tmp_path, "x.jpg")


def test_linked_folders_are_read_once(tmp_path: Path) -> None:
    save(tmp_path / "photos" / "deep" / "x.png", colours())
    save(tmp_path / "other" / "y.png", colours())
    (tmp_path / "photos" / "batch 2").symlink_to(tmp_path / "other")
    (tmp_path / "photos" / "a loop").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "again").symlink_to(tmp_path / "photos" / "deep")
    files, failures = list_files(tmp_path / "photos")
    assert files == ["batch 2/y.png", "deep/x.png"]
    assert [failure.file for failure in failures] == ["a loop", "again"]
    assert all("read already" in failure.reason for failure in failures)


def test_a_photo_that_changed_since_is_named(tmp_path: Path) -> None:
    save(tmp_path / "x.png", colours())
    photo = only(tmp_path)
    save(tmp_path / "x.png", colours()[::-1])
    with pytest.raises(ValueError, match=r"x\.png: it was changed"):
        image_bytes(photo)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere: no such folder"):
        list_files(tmp_path / "nowhere")
    assert scan_photos(tmp_path) == ([], [])


# Companions


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    for file in ("a/x.1.jpg", "b/x.1.jpg", "y.jpg", "y.png", "ü z.png"):
        save(tmp_path / "photos" / file, colours())
    return scan_photos(tmp_path / "photos")[0]


def by_file(photos: list[Photo]) -> dict[str, Photo]:
    return {photo.file: photo for photo in photos}


def test_pairs_by_path_and_by_id(tmp_path: Path, photos: list[Photo]) -> None:
    alphas, trimaps, known = tmp_path / "alphas", tmp_path / "trimaps", by_file(photos)
    level = np.full((6, 9), 7, np.uint8)
    for path in (alphas / "a/x.1.png", alphas / f"{known['b/x.1.jpg'].id}.png", alphas / "y.png"):
        save(path, level)
    save(trimaps / "ü z.png", level // 7)
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "File,SUBJECT,licence\ny.jpg,Non Human,CC0\nü z.png,,\n", encoding="utf-8-sig"
    )
    found, failures = pair(photos, alphas, trimaps, labels)
    assert failures == []
    assert {file: found[photo.id] for file, photo in known.items()} == {
        "a/x.1.jpg": Companions(alpha=alphas / "a/x.1.png"),
        "b/x.1.jpg": Companions(alpha=alphas / f"{known['b/x.1.jpg'].id}.png"),
        "y.jpg": Companions(subject="non-human", licence="CC0"),
        "y.png": Companions(alpha=alphas / "y.png"),
        "ü z.png": Companions(trimap=trimaps / "ü z.png"),
    }


def test_accents_may_be_written_either_way(tmp_path: Path) -> None:
    """As a Mac's archive, a table program and a script do, each in its own."""
    composed, apart = (unicodedata.normalize(form, "ü/é.png") for form in ("NFC", "NFD"))
    for number, (photo, other) in enumerate(((composed, apart), (apart, composed))):
        folder = tmp_path / str(number)
        save(folder / "photos" / photo, colours())
        save(folder / "alphas" / other, np.full((6, 9), 7, np.uint8))
        (folder / "labels.csv").write_text(f"file,licence\n{other},CC0\n", encoding="utf-8")
        (one,), _ = scan_photos(folder / "photos")
        found, failures = pair([one], folder / "alphas", labels=folder / "labels.csv")
        assert failures == []
        assert found[one.id] == Companions(alpha=folder / "alphas" / other, licence="CC0")


def test_pairs_that_are_not_clear_are_named(tmp_path: Path, photos: list[Photo]) -> None:
    alphas, trimaps, known = tmp_path / "alphas", tmp_path / "trimaps", by_file(photos)
    level = np.zeros((6, 9), np.uint8)
    for name in ("y.tif", "x.1.png", "a/x.1.png", "a/x.1.bmp", "ü z.png"):
        save(alphas / name, level)
    save(trimaps / "ü z.png", level)
    found, failures = pair(photos, alphas, trimaps)
    reasons = {failure.file: failure.reason for failure in failures}
    assert "may belong to y.jpg, y.png" in reasons[str(alphas / "y.tif")]
    assert "belongs to no photo" in reasons[str(alphas / "x.1.png")]
    assert "a/x.1.bmp, a/x.1.png" in reasons["a/x.1.jpg"]
    assert "an alpha and a trimap" in reasons["ü z.png"]
    assert len(failures) == 4
    assert found[known["a/x.1.jpg"].id] == Companions()
    assert found[known["ü z.png"].id] == Companions(alpha=alphas / "ü z.png")


def test_labels_may_name_a_photo_in_any_clear_writing(tmp_path: Path, photos: list[Photo]) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("file,licence\nA/X.1,one\nb/x.1.tif,two\nY,three\n")
    found, problems = pair(photos, labels=labels)
    known = by_file(photos)
    assert found[known["a/x.1.jpg"].id].licence == "one"
    assert found[known["b/x.1.jpg"].id].licence == "two"
    (problem,) = problems
    assert problem.file == f"{labels} line 4"
    assert "could mean y.jpg or y.png" in problem.reason


def test_wrong_labels_are_named(tmp_path: Path, photos: list[Photo]) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("file,transparency\ny.jpg,Glass\ny.png,little\ny.png,Highly\nz.png,Little\n")
    found, failures = pair(photos, labels=labels)
    assert [failure.file for failure in failures] == [f"{labels} line {n}" for n in (2, 4, 5)]
    assert [failure.reason.partition(": ")[2] for failure in failures] == [
        "has 'Glass' in column 'transparency', expected one of "
        "'Highly', 'Strongly', 'Medium', 'Little'",
        "names a file of line 3 again; leave one of them",
        "names a photo that does not exist",
    ]
    assert found[by_file(photos)["y.png"].id].transparency == "Little"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"name\nx\n", "no column file; its columns are name"),
        (b"", "is empty; expected the columns file"),
        (b"file\n\xff\n", "not UTF-8"),
        (b'file,subject\n"y.jpg,human\n', "unexpected end of data"),
    ],
)
def test_a_label_file_that_is_none(
    tmp_path: Path, photos: list[Photo], data: bytes, reason: str
) -> None:
    (tmp_path / "l.csv").write_bytes(data)
    with pytest.raises(ValueError, match=rf"l\.csv: .*{reason}"):
        pair(photos, labels=tmp_path / "l.csv")


def test_alphas_in_every_form(tmp_path: Path) -> None:
    alpha = np.arange(54, dtype=np.uint8).reshape(6, 9) * 4
    (tmp_path / "a.png").write_bytes(encode_alpha(alpha))
    save(tmp_path / "b.png", np.dstack([alpha] * 3))
    save(tmp_path / "c.png", np.dstack([colours(), alpha]))
    save(tmp_path / "d.tif", alpha)
    for name in ("a.png", "b.png", "c.png", "d.tif"):
        assert (read_fitting(read_alpha, tmp_path / name, 6, 9) == alpha).all()


def test_trimaps_in_every_form(tmp_path: Path) -> None:
    trimap = np.arange(54, dtype=np.uint8).reshape(6, 9) % 3
    shown = np.array([0, 128, 255], np.uint8)[trimap]
    (tmp_path / "a.png").write_bytes(encode_trimap(trimap))
    save(tmp_path / "b.png", trimap)
    save(tmp_path / "c.png", shown)
    save(tmp_path / "d.png", np.dstack([shown] * 3))
    many_coloured = Image.fromarray(shown).convert("P")
    save(tmp_path / "e.png", many_coloured)
    for name in "abcde":
        assert (read_fitting(read_trimap, tmp_path / f"{name}.png", 6, 9) == trimap).all(), name


@pytest.mark.parametrize("read", [read_alpha, read_trimap])
@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((6, 8), np.uint8), "is 6 x 8, the upright photo 6 x 9; make"),
        (np.zeros((9, 6), np.uint8), "is 9 x 6, .* turn it upright"),
        (np.zeros((6, 9), np.float32), "pixels of the form F"),
        (colours(), "coloured"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, read: Any, pixels: Any, reason: str) -> None:
    path = save(tmp_path / "x.tif", pixels)
    with pytest.raises(PictureError, match=rf"x\.tif: .*{reason}"):
        read_fitting(read, path, 6, 9)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(PictureError, match=r"x\.tif: "):
        read_fitting(read, path, 6, 9)
    with pytest.raises(PictureError, match=r"y\.tif: "):
        read_fitting(read, tmp_path / "y.tif", 6, 9)


def test_a_size_is_refused_before_the_file_is_decoded(tmp_path: Path) -> None:
    """The pixels of this PNG are missing, which its header does not show."""
    (tmp_path / "x.png").write_bytes(png((9000, 9000), 8, 0, b""))
    with pytest.raises(PictureError, match=r"x\.png: is 9000 x 9000, the upright photo 6 x 9"):
        read_fitting(read_alpha, tmp_path / "x.png", 6, 9)


def test_an_alpha_is_held_upright_against_the_photo(tmp_path: Path) -> None:
    alpha = np.arange(54, dtype=np.uint8).reshape(9, 6)
    save(tmp_path / "x.png", alpha, exif=exif(6))
    assert (read_fitting(read_alpha, tmp_path / "x.png", 6, 9) == np.rot90(alpha, -1)).all()


def test_a_trimap_with_127_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "x.png", np.array([[0, 127, 255]], np.uint8))
    with pytest.raises(PictureError, match="has the trimap values 0, 127, 255"):
        read_fitting(read_trimap, path, 1, 3)


def test_sixteen_bits_with_alpha_are_rounded(tmp_path: Path) -> None:
    """Pillow would give only the high bytes."""
    deep = np.full((6, 9, 4), 257 * 7 + 200, np.uint16)
    path = tmp_path / "x.png"
    path.write_bytes(png16(deep, 6))
    assert (read_fitting(read_alpha, path, 6, 9) == 8).all()
