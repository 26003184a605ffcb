"""Folders -> records; every file that cannot be used, and no other, is named with its kind."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import TypeVar

import cv2
import numpy as np
import pytest

from datagen.sources.alphas import match_alphas
from datagen.sources.scan import Problem, Scan, list_images, scan
from manifests.sources import Box, Split, Subject, Transparency
from tests.picture_files import animation, bomb, colours, cutout, exif, save

DATA = Path(__file__).parents[3] / "shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data is not at {DATA}")

Item = TypeVar("Item")
Result = TypeVar("Result")


@pytest.fixture
def fgs(tmp_path: Path) -> Path:
    folder = tmp_path / "fgs"
    folder.mkdir()
    (folder / "a.png").write_bytes(save(cutout()))
    return folder


@pytest.fixture
def bgs(tmp_path: Path) -> Path:
    folder = tmp_path / "bgs"
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(save(colours(300, 400), "JPEG"))
    return folder


def kinds(problems: Iterable[Problem], folder: Path) -> dict[str, str]:
    """kind by the file's name below the folder."""
    for problem in problems:
        assert problem.reason
        assert "Traceback" not in problem.reason
        json.dumps([problem.file, problem.reason]).encode("utf-8")
    return {problem.file.removeprefix(f"{folder}/"): problem.kind for problem in problems}


def warned(result: Scan, kind: str) -> list[Problem]:
    return [warning for warning in result.warnings if warning.kind == kind]


def write_labels(path: Path, *rows: str, header: str = "file,subject,transparency") -> None:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


# --- records -------------------------------------------------------------------------------------


def test_the_record_of_a_cutout(fgs: Path, bgs: Path) -> None:
    picture = cutout(10, 12)
    picture[..., 3] = 0
    picture[2:7, 3:11, 3] = 255
    picture[2, 3:11, 3] = 100
    data = save(np.rot90(picture).copy(), exif=exif(6))  # the camera lay on its side
    (fgs / "a.png").write_bytes(data)
    write_labels(fgs / "foregrounds.csv", "a.png, Human ,highly,a friend,CC0", header=HEADER)
    (record,) = scan(fgs, bgs).foregrounds
    assert record.id == "a.png"
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert (record.height, record.width) == (10, 12)
    assert record.box == Box(2, 3, 5, 8)
    assert record.subject is Subject.HUMAN
    assert record.transparency is Transparency.HIGHLY
    assert not record.transparency_measured
    assert record.soft_share == pytest.approx(8 / 120)
    assert record.split is Split.TRAIN
    assert json.loads(record.labels) == {"source": "a friend", "licence": "CC0"}
    assert record.alpha_id == ""


HEADER = "file,subject,transparency,source,licence"


def test_without_labels_transparency_is_measured(fgs: Path, bgs: Path) -> None:
    result = scan(fgs, bgs)
    (record,) = result.foregrounds
    assert record.subject is Subject.UNLABELLED
    assert record.transparency_measured
    assert record.labels == "{}"
    assert {"no-labels", "unlabelled"} <= {warning.kind for warning in result.warnings}
    assert result.problems == ()


def test_the_record_of_a_photo(fgs: Path, bgs: Path) -> None:
    write_labels(bgs.parent / "backgrounds.csv", "photo.jpg,val,lake", header="file,split,place")
    (record,) = scan(fgs, bgs).backgrounds
    assert (record.id, record.height, record.width) == ("photo.jpg", 300, 400)
    assert record.split is Split.VAL
    assert json.loads(record.labels) == {"place": "lake"}


@pytest.mark.parametrize(("height", "width"), [(2, 41), (41, 2), (1, 3000)])
def test_a_background_too_thin_to_cover_a_canvas_is_named(
    fgs: Path, bgs: Path, height: int, width: int
) -> None:
    (bgs / "strip.png").write_bytes(save(colours(height, width)))
    (bgs / "wide.png").write_bytes(save(colours(2, 40)))
    result = scan(fgs, bgs)
    assert kinds(result.problems, bgs) == {"strip.png": "too-thin"}
    assert f"{height} x {width} px" in result.problems[0].reason
    assert {record.id for record in result.backgrounds} == {"photo.jpg", "wide.png"}


def test_the_same_pixels_have_the_same_hash(fgs: Path, bgs: Path) -> None:
    (fgs / "b.tif").write_bytes(save(cutout(), "TIFF"))
    write_labels(
        fgs / "foregrounds.csv",
        "a.png,human,Little,train",
        "b.tif,human,Little,val",
        header="file,subject,transparency,split",
    )
    result = scan(fgs, bgs)
    first, second = result.foregrounds
    assert first.pixels_sha256 == second.pixels_sha256
    assert first.sha256 != second.sha256
    (duplicate,) = warned(result, "duplicate")
    assert duplicate.file.endswith("b.tif")
    assert "a.png" in duplicate.reason
    assert "leak" in duplicate.reason


def test_unchanged_files_are_not_decoded_again(fgs: Path, bgs: Path) -> None:
    (fgs / "b.png").write_bytes(save(cutout(7, 7)))
    first = scan(fgs, bgs)
    # A false height in the earlier records shows which of them were used again.
    foregrounds = {record.id: replace(record, height=999) for record in first.foregrounds}
    backgrounds = {record.id: replace(record, height=999) for record in first.backgrounds}
    (fgs / "b.png").write_bytes(save(cutout(8, 8)))
    write_labels(fgs / "foregrounds.csv", "a.png,human,Strongly")
    second = scan(fgs, bgs, known_foregrounds=foregrounds, known_backgrounds=backgrounds)
    assert [record.height for record in second.foregrounds] == [999, 8]
    assert [record.height for record in second.backgrounds] == [999]
    kept = second.foregrounds[0]
    assert kept == replace(
        foregrounds["a.png"],
        subject=Subject.HUMAN,
        transparency=Transparency.STRONGLY,
        transparency_measured=False,
    )
    (fgs / "foregrounds.csv").unlink()
    third = scan(fgs, bgs, known_foregrounds={"a.png": kept})
    assert third.foregrounds[0] == first.foregrounds[0]  # without the label it is measured again


def test_the_work_can_be_sent_elsewhere(fgs: Path, bgs: Path) -> None:
    (fgs / "bad.png").write_bytes(b"")

    def sent(function: Callable[[Item], Result], items: Sequence[Item], /) -> Iterable[Result]:
        copies = [pickle.loads(pickle.dumps((function, item))) for item in items]
        return [pickle.loads(pickle.dumps(call(item))) for call, item in copies]

    assert scan(fgs, bgs, None, sent) == scan(fgs, bgs)


# --- bad input -----------------------------------------------------------------------------------


def test_every_bad_file_is_named(fgs: Path, bgs: Path) -> None:
    opaque, empty = cutout(), cutout()
    opaque[..., 3], empty[..., 3] = 255, 0
    bad = {
        "truncated.png": (save(cutout())[:-30], "truncated"),
        "empty.png": (b"", "empty-file"),
        "notes.txt": (b"pictures of 2019", "not-an-image"),
        "animated.gif": (animation("GIF"), "animated"),
        "bomb.png": (bomb(), "too-large"),
        "opaque.png": (save(opaque), "alpha-opaque"),
        "nothing.png": (save(empty), "alpha-empty"),
        "photo.jpg": (save(colours(), "JPEG"), "no-alpha"),
        "profile.png": (save(cutout(), icc_profile=b"broken"), "colour-profile"),
    }
    for name, (data, _) in bad.items():
        (fgs / name).write_bytes(data)
    (bgs / "clear.png").write_bytes(save(cutout()))
    result = scan(fgs, bgs)
    expected = {name: kind for name, (_, kind) in bad.items()}
    assert kinds(result.problems, fgs) == expected | {f"{bgs}/clear.png": "transparent"}
    assert [record.id for record in result.foregrounds] == ["a.png"]
    assert [record.id for record in result.backgrounds] == ["photo.jpg"]


def test_odd_names_are_sources_like_any_other(fgs: Path, bgs: Path) -> None:
    names = ["..png.v1.2 final.png", "a b.png", "x" * 246 + ".png", "Zoë \u732b.png", "no_ending"]
    names = [name.lstrip(".") for name in names]
    for index, name in enumerate(names):
        (fgs / name).write_bytes(save(cutout(6, 20 + index)))
    (fgs / "deep" / "er").mkdir(parents=True)
    (fgs / "deep" / "er" / "a.png").write_bytes(save(cutout(5, 5)))
    (fgs / "a.webp").write_bytes(save(cutout(6, 30), "WEBP"))  # the same stem as a.png
    result = scan(fgs, bgs)
    assert result.problems == ()
    ids = [record.id for record in result.foregrounds]
    assert ids == sorted([*names, "a.png", "a.webp", "deep/er/a.png"])


def test_names_that_are_not_utf8_are_named_in_print(fgs: Path, bgs: Path) -> None:
    for name in (b"caf\xe9.png", b"dir\xff"):
        path = os.fsencode(fgs) + b"/" + name
        try:
            if name.endswith(b".png"):
                Path(os.fsdecode(path)).write_bytes(save(cutout()))
            else:
                Path(os.fsdecode(path)).mkdir()
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
    found = kinds(scan(fgs, bgs).problems, fgs)
    assert found == {"caf\\xe9.png": "file-name", "dir\\xff": "file-name"}


def test_links_and_things_that_are_not_files(fgs: Path, bgs: Path) -> None:
    (fgs / "loop.png").symlink_to(fgs / "loop.png")
    (fgs / "broken.png").symlink_to(fgs / "nowhere.png")
    (fgs / "sub").mkdir()
    (fgs / "sub" / "up").symlink_to(fgs)
    (fgs / "again").symlink_to(fgs / "sub")
    (fgs / "other").symlink_to(bgs.parent / "elsewhere")
    (bgs.parent / "elsewhere").mkdir()
    (bgs.parent / "elsewhere" / "b.png").write_bytes(save(cutout(9, 9)))
    (fgs / "linked.png").symlink_to(bgs.parent / "elsewhere" / "b.png")
    os.mkfifo(fgs / "pipe.png")
    (fgs / "pipelink.png").symlink_to(fgs / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.bind(str(fgs / "s.png"))
        except OSError:  # the path is too long for a socket here
            (fgs / "s.png").symlink_to("/dev/null")
        names, problems = list_images(fgs)
    assert names == ["a.png", "linked.png", "other/b.png"]
    assert kinds(problems, fgs) == {
        "loop.png": "link-loop",
        "broken.png": "broken-link",
        "sub/up": "link-loop",
        "again": "linked-twice",
        "pipe.png": "not-a-file",
        "pipelink.png": "not-a-file",
        "s.png": "not-a-file",
    }


def test_files_that_change_under_the_scan(fgs: Path, bgs: Path) -> None:
    """A name that was a file when it was listed may be something else when it is read."""
    for name in ("gone.png", "pipe.png", "folder.png"):
        (fgs / name).write_bytes(save(cutout()))

    def late(function: Callable[[Item], Result], items: Sequence[Item], /) -> Iterable[Result]:
        if (fgs / "gone.png").exists():
            for name in ("gone.png", "pipe.png", "folder.png"):
                (fgs / name).unlink()
            os.mkfifo(fgs / "pipe.png")
            (fgs / "folder.png").mkdir()
        return [function(item) for item in items]

    assert kinds(scan(fgs, bgs, None, late).problems, fgs) == {
        "gone.png": "unreadable",
        "pipe.png": "not-a-file",
        "folder.png": "not-a-file",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders(fgs: Path, bgs: Path) -> None:
    (fgs / "shut").mkdir(mode=0)
    (fgs / "b.png").touch(mode=0)
    found = kinds(scan(fgs, bgs).problems, fgs)
    (fgs / "shut").chmod(0o700)
    assert found == {"shut": "unreadable", "b.png": "unreadable"}


def test_missing_and_empty_folders(tmp_path: Path, fgs: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = scan(tmp_path / "nowhere", tmp_path / "empty")
    assert kinds(result.problems, tmp_path) == {"nowhere": "missing-folder", "empty": "no-sources"}
    result = scan(fgs, fgs / "a.png", tmp_path / "no-alphas")
    assert kinds(result.problems, tmp_path) == {
        "fgs/a.png": "missing-folder",
        "no-alphas": "missing-folder",
        "fgs": "no-sources",
    }


def test_hidden_files_are_left_out_with_a_warning(fgs: Path, bgs: Path) -> None:
    (fgs / ".DS_Store").write_bytes(b"x")
    (fgs / ".cache").mkdir()
    (fgs / ".cache" / "b.png").write_bytes(b"x")
    result = scan(fgs, bgs)
    assert result.problems == ()
    (hidden,) = warned(result, "hidden")
    assert "2 hidden" in hidden.reason
    assert ".DS_Store" in hidden.reason


def test_many_files_are_listed_at_once(tmp_path: Path) -> None:
    for index in range(20):
        (tmp_path / f"{index:02}").mkdir()
        for number in range(500):
            (tmp_path / f"{index:02}" / f"{number}.png").touch()
    start = process_time()
    names, problems = list_images(tmp_path)
    assert process_time() - start < 2  # a tenth of 100,000; takes about 0.03 s
    assert len(names) == 10_000
    assert names == sorted(names)
    assert problems == []


# --- alpha files ---------------------------------------------------------------------------------


def test_alpha_files(fgs: Path, bgs: Path) -> None:
    alphas = fgs / "alpha"  # inside the folder of the photos, but its files are not photos
    alphas.mkdir()
    matte, photo = cutout()[..., 3], save(colours(), "JPEG", quality=100, subsampling=0)
    for name in ("exact.png", "stem.jpg", "two.jpg", "none.jpg", "twin.jpg", "twin.webp"):
        (fgs / name).write_bytes(photo)
    for name in ("a.png", "exact.png", "exact.tif", "stem.png", "two.png", "two.tif", "twin.png"):
        (alphas / name).write_bytes(save(matte, "TIFF" if name.endswith("tif") else "PNG"))
    (alphas / "stray.png").write_bytes(b"")
    result = scan(fgs, bgs, alphas)
    assert kinds(result.problems, fgs) == {
        "none.jpg": "no-alpha",
        "two.jpg": "ambiguous",
        "twin.jpg": "ambiguous",
        "twin.webp": "ambiguous",
    }
    assert {record.id: record.alpha_id for record in result.foregrounds} == {
        "a.png": "a.png",
        "exact.png": "exact.png",
        "stem.jpg": "stem.png",
    }
    unused = {warning.file.removeprefix(f"{alphas}/") for warning in warned(result, "unused-alpha")}
    assert unused == {"exact.tif", "two.png", "two.tif", "twin.png", "stray.png"}
    record = next(record for record in result.foregrounds if record.id == "stem.jpg")
    both = photo + (alphas / "stem.png").read_bytes()
    assert record.sha256 == hashlib.sha256(both).hexdigest()


def test_an_alpha_file_of_another_size(fgs: Path, bgs: Path, tmp_path: Path) -> None:
    (tmp_path / "alphas").mkdir()
    (tmp_path / "alphas" / "a.png").write_bytes(save(cutout(5, 9)[..., 3]))
    problems = scan(fgs, bgs, tmp_path / "alphas").problems
    assert kinds(problems, fgs) == {"a.png": "size-mismatch", str(fgs): "no-sources"}


def test_names_with_dots_match_by_their_last_ending() -> None:
    alphas, problems = match_alphas(["x.v1.jpg", "x.v2.jpg"], ["x.v1.png", "x.v2.png"])
    assert alphas == {"x.v1.jpg": "x.v1.png", "x.v2.jpg": "x.v2.png"}
    assert problems == []


# --- warnings ------------------------------------------------------------------------------------


def test_doubtful_sources(fgs: Path, bgs: Path) -> None:
    hard = np.dstack([colours(300, 300), np.zeros((300, 300), np.uint8)])
    hard[10:290, 10:290, 3] = 255
    (fgs / "hard.png").write_bytes(save(hard))
    (bgs / "small.png").write_bytes(save(colours(255, 900)))
    write_labels(fgs / "foregrounds.csv", "a.png,human,Little", *["hard.png,human,Little"])
    result = scan(fgs, bgs)
    assert result.problems == ()
    assert [(Path(w.file).name, w.kind) for w in result.warnings] == [
        ("small.png", "tiny"),
        ("fgs", "balance"),
        ("a.png", "cut"),
        ("a.png", "tiny"),
        ("hard.png", "binary-alpha"),
    ]
    (balance,) = warned(result, "balance")
    assert "human Little 2" in balance.reason
    assert "equal share is 0.2" in balance.reason


def test_a_subject_that_is_cut_on_opposite_sides(fgs: Path, bgs: Path) -> None:
    """A sample can hide one of the two; of a person who ends at the lower edge nothing is said."""
    row, column = np.mgrid[:300, :400]
    for name, is_in in {
        "person": abs(column - 200) < row / 2,
        "trunk": abs(column - 200) < 100,
        "all": (row - 150) ** 2 + (column - 200) ** 2 < 240**2,
    }.items():
        alpha = np.clip(255 * cv2.blur(is_in.astype(float), (5, 5)), 0, 255).astype(np.uint8)
        (fgs / f"{name}.png").write_bytes(save(np.dstack([colours(300, 400), alpha])))
    (fgs / "a.png").unlink()
    said = {Path(one.file).name: one.reason for one in warned(scan(fgs, bgs), "cut")}
    assert set(said) == {"trunk.png", "all.png"}
    assert "at top and bottom;" in said["trunk.png"]
    assert "at top and bottom and at left and right;" in said["all.png"]


@pytest.mark.slow
@needs_data
def test_the_real_sources_are_clean() -> None:
    result = scan(DATA / "foregrounds", DATA / "backgrounds")
    assert result.problems == ()
    assert len(result.foregrounds) == 63
    assert len(result.backgrounds) == 352
    assert {warning.kind for warning in result.warnings} == {
        "alpha-inverted",
        "balance",
        "tiny",
        "cut",
    }
    for record in result.foregrounds:
        others = json.loads(record.labels)
        assert (record.height, record.width) == (int(others["height"]), int(others["width"]))
        assert record.soft_share == pytest.approx(float(others["soft_share"]), abs=2e-3)
        assert record.subject is not Subject.UNLABELLED


@needs_data
def test_the_malformed_folder_is_all_problems(bgs: Path) -> None:
    result = scan(DATA / "malformed", bgs)
    assert len(result.problems) == 15  # 14 files, and the folder, which has no others
    assert {problem.kind for problem in result.problems} == {
        "corrupt",
        "truncated",
        "not-an-image",
        "no-sources",
    }
