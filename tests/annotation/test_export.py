"""Approved alphas -> foregrounds that datagen takes: exact levels, the subject's own colours."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotation.export import COLUMNS, Exported, cutout, export_folder
from annotation.files.failures import Failure
from manifests.annotations import Kind, State
from manifests.labels import FOREGROUND_LABELS
from manifests.pixels import Pixels
from manifests.sources import Subject
from tests.annotation.pulled import add, layers, photo_of, soft_alpha, trimap, write
from tests.conftest import datagen, photo


def labels(out: Path) -> list[dict[str, str]]:
    with (out / FOREGROUND_LABELS).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rgba(path: Path) -> Pixels:
    image = Image.open(path)
    assert image.mode == "RGBA"
    return np.asarray(image)


def test_the_old_background_is_gone() -> None:
    alpha = soft_alpha()
    image, (foreground, background) = photo_of(alpha), layers()
    found = cutout(image, alpha)
    assert (found[..., 3] == alpha).all()
    assert (found[..., :3][alpha == 255] == image[alpha == 255]).all()
    soft = (alpha > 25) & (alpha < 230)
    left = np.abs(found[..., :3][soft].astype(int) - foreground[soft]).mean()
    kept = np.abs(image[soft].astype(int) - foreground[soft]).mean()
    assert left < kept / 5
    assert kept > 40, "the photo's own pixels would show it"
    assert not found[:3, :3].any(), "nothing of the photo is left far from the subject"
    assert background[:3, :3].any()


@pytest.mark.parametrize("seed", range(3))
def test_every_level_survives(tmp_path: Path, seed: int) -> None:
    alpha = np.random.default_rng(seed).integers(0, 256, (40, 52), np.uint8)
    row = add(tmp_path / "pulled", "x.jpg", alpha)
    write(tmp_path / "pulled", row)
    assert export_folder(tmp_path / "pulled", tmp_path / "fgs") == Exported(1, 0, 0, (), ())
    assert (rgba(tmp_path / "fgs" / f"{row.photo_id}.png")[..., 3] == alpha).all()


@pytest.mark.slow
def test_datagen_takes_what_is_exported(tmp_path: Path) -> None:
    pulled, out = tmp_path / "pulled", tmp_path / "fgs"
    rows = [
        add(pulled, "a b/Jürgen 1.jpg", soft_alpha(0), subject=Subject.HUMAN),
        add(pulled, "c/Jürgen 1.jpg", soft_alpha(3), subject=Subject.UNLABELLED, transparency=""),
        add(pulled, "not accepted.jpg", soft_alpha(5), accepted=False),
        add(pulled, "not approved.jpg", soft_alpha(6), state=State.SUBMITTED),
        add(pulled, "trimap.jpg", trimap(), Kind.TRIMAP, state=State.APPROVED),
    ]
    write(pulled, *rows)
    assert export_folder(pulled, out) == Exported(2, 0, 0, ("trimap.jpg",), ())
    assert {path.name for path in out.iterdir()} == {
        *(f"{row.photo_id}.png" for row in rows[:2]),
        FOREGROUND_LABELS,
    }
    first = next(row for row in labels(out) if row["photo"] == "a b/Jürgen 1.jpg")
    assert list(first) == list(COLUMNS)
    assert first["licence"] == "CC BY 4.0"
    assert first["author"] == "anna@example.org"
    assert first["photo_sha256"] == rows[0].photo_sha256
    assert (first["subject"], first["transparency"]) == ("human", "Medium")
    (tmp_path / "bgs").mkdir()
    for number in range(2):
        photo(number).save(tmp_path / "bgs" / f"{number}.png")
    ran = datagen("lint", "--fg", str(out), "--bg", str(tmp_path / "bgs"))
    assert ran.code == 0, ran


def test_again_writes_nothing(tmp_path: Path) -> None:
    pulled, out = tmp_path / "pulled", tmp_path / "fgs"
    row, other = add(pulled, "x.jpg", soft_alpha()), add(pulled, "y.jpg", soft_alpha(1))
    write(pulled, row, other)
    export_folder(pulled, out)
    before = {path: path.read_bytes() for path in out.iterdir()}
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    done = list[int]()
    assert export_folder(pulled, out, done.append) == Exported(0, 2, 0, (), ())
    assert done == [1, 2]
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    assert {path: path.stat().st_mtime_ns for path in times} == times

    # Another label changes only the row, another alpha the file, a damaged file is made again.
    changed = add(pulled, "y.jpg", soft_alpha(2))
    write(pulled, replace(row, transparency="Little"), changed)
    assert export_folder(pulled, out) == Exported(1, 1, 0, (), ())
    assert labels(out)[0]["transparency"] == "Little"
    assert (rgba(out / f"{other.photo_id}.png")[..., 3] == soft_alpha(2)).all()
    (out / f"{other.photo_id}.png").write_bytes(b"")
    assert export_folder(pulled, out) == Exported(1, 1, 0, (), ())
    assert list(out.glob(".part-*")) == []


def test_what_is_no_longer_approved_is_removed(tmp_path: Path) -> None:
    pulled, out = tmp_path / "pulled", tmp_path / "fgs"
    kept, lost, edited = (add(pulled, f"{name}.jpg", soft_alpha()) for name in ("a", "b", "c"))
    write(pulled, kept, lost, edited)
    export_folder(pulled, out)
    (out / f"{edited.photo_id}.png").write_bytes(b"by hand")
    write(pulled, kept, replace(lost, state=State.REJECTED))
    found = export_folder(pulled, out)
    assert (found.written, found.kept, found.removed) == (0, 1, 1)
    assert found.failed == (
        Failure(
            f"{edited.photo_id}.png", "it is no longer approved, but was changed by hand: remove it"
        ),
    )
    assert not (out / f"{lost.photo_id}.png").exists()
    assert (out / f"{edited.photo_id}.png").read_bytes() == b"by hand"


def test_other_projects_and_other_columns_stay(tmp_path: Path) -> None:
    out = tmp_path / "fgs"
    for name, number in (("one", 1), ("two", 2)):
        pulled = tmp_path / name
        write(pulled, add(pulled, f"{name}.jpg", soft_alpha(), project=name, project_id=number))
        assert export_folder(pulled, out) == Exported(1, 0, 0, (), ())
    text = (out / FOREGROUND_LABELS).read_text().splitlines()
    mine = [text[0] + ",split", *(line + ",val" for line in text[1:]), "own.png" + "," * 17]
    (out / FOREGROUND_LABELS).write_text("\n".join(mine) + "\n")
    assert export_folder(tmp_path / "one", out) == Exported(0, 1, 0, (), ())
    rows = labels(out)
    assert [row["split"] for row in rows] == ["val", "", "val"]
    assert [row["file"] for row in rows][1] == "own.png"


def test_a_project_that_was_renamed_keeps_its_folder(tmp_path: Path) -> None:
    """It keeps its number; a project of another server may have the same number."""
    pulled, out = tmp_path / "pulled", tmp_path / "fgs"
    kept, rejected, gone = (add(pulled, f"{name}.jpg", soft_alpha()) for name in "abc")
    write(pulled, kept, rejected, gone)
    export_folder(pulled, out)
    renamed = [replace(row, project="Renamed") for row in (kept, rejected)]
    write(pulled, renamed[0], replace(renamed[1], state=State.REJECTED))
    assert export_folder(pulled, out) == Exported(0, 1, 2, (), ())
    assert [(row["photo"], row["project"]) for row in labels(out)] == [("a.jpg", "Renamed")]
    other = tmp_path / "other"
    row = add(other, "a.jpg", soft_alpha(1), project="Other", photo_sha256="ab" * 32)
    write(other, row)
    assert (
        "'Renamed' (3), whose photo has the same name" in export_folder(other, out).failed[0].reason
    )
    assert len(labels(out)) == 1


def test_one_file_that_cannot_be_removed_is_named_and_the_others_are(tmp_path: Path) -> None:
    pulled, out = tmp_path / "pulled", tmp_path / "fgs"
    rows = [add(pulled, f"{name}.jpg", soft_alpha()) for name in "abc"]
    write(pulled, *rows)
    export_folder(pulled, out)
    blocked = out / f"{rows[0].photo_id}.png"
    blocked.unlink()
    blocked.mkdir()
    write(pulled, *(replace(row, state=State.REJECTED) for row in rows))
    found = export_folder(pulled, out)
    assert (found.removed, [one.file for one in found.failed]) == (2, [blocked.name])
    assert [row["photo"] for row in labels(out)] == ["a.jpg"]


def test_one_name_in_two_projects_is_named(tmp_path: Path) -> None:
    out = tmp_path / "fgs"
    for name, number in (("one", 1), ("two", 2)):
        row = add(tmp_path / name, "x.jpg", soft_alpha(number), project=name, project_id=number)
        write(tmp_path / name, row)
    assert export_folder(tmp_path / "one", out).written == 1
    before = {path: path.read_bytes() for path in out.iterdir()}
    found = export_folder(tmp_path / "two", out)
    assert (found.written, found.kept, found.removed) == (0, 0, 0)
    (failure,) = found.failed
    assert failure.file == "x.jpg"
    assert "'one'" in failure.reason
    assert "export to another folder" in failure.reason
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_what_cannot_be_exported_is_named_and_the_rest_is_done(tmp_path: Path) -> None:
    pulled, out = tmp_path / "pulled", tmp_path / "fgs"
    flat = np.zeros((40, 52), np.uint8)
    rows = [
        add(pulled, "empty.jpg", flat),
        add(pulled, "opaque.jpg", flat + np.uint8(255)),
        add(pulled, "changed.jpg", soft_alpha(), sha256="0" * 64),
        add(pulled, "no photo.jpg", soft_alpha(), photo_path="photos/none.png"),
        add(pulled, "fine.jpg", soft_alpha()),
    ]
    small = add(pulled, "small.jpg", soft_alpha())
    Image.fromarray(photo_of(soft_alpha())[:, 1:]).save(pulled / small.photo_path)
    write(pulled, *rows, small)
    found = export_folder(pulled, out)
    assert (found.written, found.kept, found.removed) == (1, 0, 0)
    reasons = {one.file: one.reason for one in found.failed}
    assert "0 everywhere" in reasons["empty.jpg"]
    assert "255 everywhere" in reasons["opaque.jpg"]
    assert "pull again" in reasons["changed.jpg"]
    assert "none.png" in reasons["no photo.jpg"]
    assert "40 x 51" in reasons["small.jpg"]
    assert [row["photo"] for row in labels(out)] == ["fine.jpg"]


def test_a_table_with_an_id_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    pulled, out = tmp_path / "pulled", tmp_path / "fgs"
    write(pulled, add(pulled, "escape.jpg", soft_alpha(), photo_id="../escape"))
    with pytest.raises(ValueError, match=r"annotations\.parquet: '\.\./escape' is not a name"):
        export_folder(pulled, out)
    assert not (tmp_path / "escape.png").exists()


@pytest.mark.parametrize("text", ["name\nx\n", "file,subject\nx.png\n", "", "file\n\xff\n"])
def test_a_label_file_of_another_form_is_not_overwritten(tmp_path: Path, text: str) -> None:
    pulled, out = tmp_path / "pulled", tmp_path / "fgs"
    write(pulled, add(pulled, "x.jpg", soft_alpha()))
    out.mkdir()
    (out / FOREGROUND_LABELS).write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"foregrounds\.csv: .*another folder"):
        export_folder(pulled, out)
    assert (out / FOREGROUND_LABELS).read_bytes() == text.encode("latin-1")


def test_an_interrupted_export_goes_on(tmp_path: Path) -> None:
    pulled, out = tmp_path / "pulled", tmp_path / "fgs"
    write(pulled, *(add(pulled, f"{name}.jpg", soft_alpha()) for name in "abc"))

    def interrupt(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_folder(pulled, out, interrupt)
    assert len(labels(out)) == 2
    assert export_folder(pulled, out) == Exported(1, 2, 0, (), ())


def test_no_pull_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="annotate pull"):
        export_folder(tmp_path, tmp_path / "fgs")
