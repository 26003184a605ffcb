"""Folders whose files belong together: what is matched, and what is named when it cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manifests.pictures import PictureError
from training.matte.folders import check_sizes, match_folders

PHOTO, CODES = np.zeros((5, 7, 3), np.uint8), np.zeros((2, 4), np.uint8)


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).touch()
    return path


def test_files_of_the_same_stem_belong_together(tmp_path: Path) -> None:
    images = folder(tmp_path / "i", "b.jpg", "a.v2.JPG", ".hidden.png", "notes.txt")
    alphas = folder(tmp_path / "a", "a.v2.png", "b.png", "b.csv")
    (images / "sub.png").mkdir()
    matched = match_folders({"images": images, "alphas": alphas})
    assert [one.name for one in matched] == ["a.v2", "b"]
    assert matched[0].files == (images / "a.v2.JPG", alphas / "a.v2.png")


def test_accents_and_case_do_not_part_files(tmp_path: Path) -> None:
    """Stems that are equal come first: the others are no rivals of theirs."""
    images = folder(tmp_path / "i", "Caf\u00e9.jpg", "IMG_1.JPG", "a.png", "A.v2.png", "x.png")
    alphas = folder(tmp_path / "a", "cafe\u0301.png", "img_1.png", "A.png", "a.png", "a.V2.png")
    (alphas / "x.png").touch()
    matched = match_folders({"images": images, "alphas": alphas}, extras=True)
    assert {one.name: one.files[1].name for one in matched} == {
        "Caf\u00e9": "cafe\u0301.png",
        "IMG_1": "img_1.png",
        "a": "a.png",
        "A.v2": "a.V2.png",
        "x": "x.png",
    }
    with pytest.raises(PictureError, match=r"no images for 1 of the alphas .*: A; add them"):
        match_folders({"images": images, "alphas": alphas})


@pytest.mark.parametrize("swapped", [False, True])
def test_a_name_that_could_mean_several_files_is_refused(tmp_path: Path, swapped: bool) -> None:
    one = folder(tmp_path / "one", "Leaf.png")
    two = folder(tmp_path / "two", "LEAF.png", "leaf.png")
    folders = {"images": one, "alphas": two}
    if swapped:
        folders = {"alphas": two, "images": one}
    with pytest.raises(PictureError, match=r"could mean .*; rename one"):
        match_folders(folders, extras=True)


def test_what_follows_a_dot_in_a_stem_is_no_ending(tmp_path: Path) -> None:
    images = folder(tmp_path / "i", "a.png")
    with pytest.raises(PictureError, match=r"no alphas for 1 of the images .*: a; add them"):
        match_folders({"images": images, "alphas": folder(tmp_path / "a", "a.v2.png")}, extras=True)


def test_a_picture_is_known_by_its_ending_or_its_content(tmp_path: Path) -> None:
    """`compose` finds them all by content; here notes lie beside them."""
    images = folder(tmp_path / "i", "empty.png", "a.jfif", "b.GIF", "notes.txt", "table.csv")
    (images / "notes.txt").write_text("BM: a note that begins like a bitmap, P6 or II*")
    for name, form in (("c", "JPEG"), ("d.jpg_original", "JPEG"), ("e.dat", "PNG")):
        Image.fromarray(PHOTO).save(images / name, form)
    Image.fromarray(PHOTO).save(images / "raw.dng", "TIFF")  # as raw photos begin
    matched = match_folders({"images": images})
    assert [one.files[0].name for one in matched] == [
        *("a.jfif", "b.GIF", "c", "d.jpg_original", "e.dat", "empty.png")
    ]


def test_missing_partners_are_listed(tmp_path: Path) -> None:
    images = folder(tmp_path / "i", *(f"{number:02d}.png" for number in range(12)))
    trimaps_ = folder(tmp_path / "t", "00.png", "extra.png")
    with pytest.raises(PictureError, match=r"no trimaps for 11 of the images .*08 and 3 more"):
        match_folders({"images": images, "trimaps": trimaps_})
    less = folder(tmp_path / "l", "00.png")
    with pytest.raises(PictureError, match=r"no images for 1 of the trimaps .*extra"):
        match_folders({"images": less, "trimaps": trimaps_})
    assert len(match_folders({"images": less, "trimaps": trimaps_}, extras=True)) == 1


def test_two_files_of_one_stem_are_refused(tmp_path: Path) -> None:
    images = folder(tmp_path / "i", "a.jpg", "a.png")
    with pytest.raises(PictureError, match=r"a\.jpg, a\.png have the same stem"):
        match_folders({"images": images})


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"no images in it: no picture files \(\.png"):
        match_folders({"images": folder(tmp_path / "i", "notes.txt")})
    with pytest.raises(PictureError, match="cannot be read as a folder of images"):
        match_folders({"images": tmp_path / "absent"})


def test_sizes_must_agree(tmp_path: Path) -> None:
    check_sizes({Path("a"): PHOTO, Path("b"): PHOTO[..., 0]})
    with pytest.raises(PictureError, match=r"a is 5 x 7, b is 2 x 4 \(height x width\)"):
        check_sizes({Path("a"): PHOTO, Path("b"): CODES})
