"""Labels of sources: where the label file is found, which file a row means, and wrong rows."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from datagen.sources.alphas import match_alphas
from datagen.sources.labels import Label, read_labels
from datagen.sources.scan import Scan, scan
from manifests.labels import LabelFileError
from manifests.sources import Split, Subject, Transparency
from tests.datagen.test_scan import kinds, warned, write_labels
from tests.picture_files import colours, cutout, save


@pytest.fixture
def fgs(tmp_path: Path) -> Path:
    return with_cutouts(tmp_path / "sets" / "fgs", "a.png")


@pytest.fixture
def bgs(tmp_path: Path) -> Path:
    folder = tmp_path / "sets" / "bgs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "photo.jpg").write_bytes(save(colours(300, 400), "JPEG"))
    return folder


def with_cutouts(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(save(cutout(6, 9 + number)))
    return folder


def subjects(result: Scan) -> dict[str, str]:
    return {record.id: str(record.subject) for record in result.foregrounds}


def of_labels(result: Scan) -> list[tuple[str, str]]:
    """File and kind of the warnings that are about labels."""
    found = [(Path(warning.file).name, warning.kind) for warning in result.warnings]
    return [(file, kind) for file, kind in found if "label" in kind and kind != "unlabelled"]


COLUMNS = ("file", "subject", "transparency")


def test_label_values_may_be_written_in_several_ways() -> None:
    text = "\ufeffFile, Subject ,transparency\r\n./a.png,Non Human,LITTLE\r\n\r\nb.png,,\r\n"
    rows, faults = read_labels(text.encode("utf-8"), COLUMNS)
    assert faults == []
    assert rows == {
        "a.png": Label(Subject.NON_HUMAN, Transparency.LITTLE),
        "b.png": Label(),
    }


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ("a.png,person,Little", "'person' in column 'subject'"),
        ("a.png,human,High", "'Highly', 'Strongly', 'Medium', 'Little'"),
        ("a.png,human,Little,test", "'test' in column 'split'"),
        ("a.png,human", "has 2 cells, the header 4"),
        ("a.png,human,Little,,extra", "has 5 cells"),
        (",human,Little,", "names no file"),
        ("a.png,human,Little,\na.png,human,Little,", "line 2 again"),
    ],
)
def test_a_wrong_row_is_named(fgs: Path, bgs: Path, row: str, part: str) -> None:
    full = row if row.count(",") != 2 else row + ","
    write_labels(fgs / "foregrounds.csv", full, header="file,subject,transparency,split")
    result = scan(fgs, bgs)
    problem = next(problem for problem in result.problems if problem.kind == "label")
    assert part in problem.reason
    assert "foregrounds.csv line" in problem.reason
    is_of_image = not row.startswith(",")
    assert problem.file == str(fgs / ("a.png" if is_of_image else "foregrounds.csv"))
    assert (len(result.foregrounds) == 0) is is_of_image


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "is empty"),
        (b"name,subject\na.png,human\n", "has no column file, transparency"),
        (b"file,subject,transparency,File\n", "'file' more than once"),
        (b"file,subject,transparency\ncaf\xe9.png,human,Little\n", "not UTF-8 (byte 29 is 0xe9)"),
        (b'file,subject,transparency\n"a.png,human,Little\n', "not a CSV table"),
    ],
)
def test_a_label_file_that_is_not_a_table(fgs: Path, bgs: Path, data: bytes, part: str) -> None:
    with pytest.raises(LabelFileError) as caught:
        read_labels(data, COLUMNS)
    assert part in str(caught.value)
    (fgs / "foregrounds.csv").write_bytes(data)
    result = scan(fgs, bgs)
    assert kinds(result.problems, fgs) == {"foregrounds.csv": "label"}
    assert len(result.foregrounds) == 1


def test_labels_and_images_that_do_not_match(fgs: Path, bgs: Path) -> None:
    write_labels(fgs / "foregrounds.csv", "gone.png,human,Little")
    result = scan(fgs, bgs)
    assert result.problems == ()
    assert warned(result, "label-without-image")[0].file == str(fgs / "gone.png")
    assert warned(result, "image-without-label")[0].file == str(fgs / "a.png")


# --- which file a row means ----------------------------------------------------------------------

NFD = unicodedata.normalize("NFD", "Zoë.png")


@pytest.mark.parametrize(
    ("row", "file"),
    [
        ("x.v1", "x.v1.png"),
        ("x.v1.jpg", "x.v1.png"),
        ("X.V1.PNG", "x.v1.png"),
        ("x.V1", "X.v1.png"),
        ("deep/X.png", "deep/x.png"),
        ("zoë.png", NFD),
        (NFD, "Zoë.png"),
        ("ZOË", NFD),
    ],
)
def test_a_row_may_name_its_file_in_any_clear_writing(
    row: str, file: str, tmp_path: Path, bgs: Path
) -> None:
    fgs = tmp_path / "fgs"
    with_cutouts((fgs / file).parent, Path(file).name)
    stored = next(path for path in fgs.rglob("*.png")).relative_to(fgs).as_posix()
    write_labels(fgs / "foregrounds.csv", f"{row},human,Little")
    result = scan(fgs, bgs)
    assert subjects(result) == {stored: "human"}
    assert of_labels(result) == []


def test_the_strictest_comparison_decides(tmp_path: Path, bgs: Path) -> None:
    names = ("a.png", "A.png", "b.png", "c.webp")
    fgs = with_cutouts(tmp_path / "fgs", *names)
    if len(list(fgs.iterdir())) < len(names):
        pytest.skip("this file system takes A.png for a.png")
    rows = ("A.png,human,Little", "a.png,non-human,Little", "b,human,Little", "c.png,human,Little")
    write_labels(fgs / "foregrounds.csv", *rows)
    expected = {"A.png": "human", "a.png": "non-human", "b.png": "human", "c.webp": "human"}
    assert subjects(scan(fgs, bgs)) == expected


def test_a_row_that_could_mean_two_files_labels_neither(tmp_path: Path, bgs: Path) -> None:
    fgs = with_cutouts(tmp_path / "fgs", "a.png", "a.tif", "b.png")
    write_labels(fgs / "foregrounds.csv", "a,human,Little", "b.jpg,human,Little", "B.tif,human,")
    result = scan(fgs, bgs)
    assert set(subjects(result).values()) == {"human", "unlabelled"}
    (unclear,) = warned(result, "label-unclear")
    assert unclear.file == str(fgs / "a")
    assert "a.png or a.tif" in unclear.reason
    write_labels(fgs / "foregrounds.csv", "b.jpg,human,Little", "b.tif,non-human,Little")
    result = scan(fgs, bgs)
    assert set(subjects(result).values()) == {"unlabelled"}
    assert [Path(w.file).name for w in warned(result, "label-unclear")] == ["b.jpg", "b.tif"]
    assert "as another row may" in warned(result, "label-unclear")[0].reason


def test_labels_for_a_larger_set_are_usual(fgs: Path, bgs: Path) -> None:
    more = [f"{number:03}.png,human,Little" for number in range(40)]
    write_labels(fgs / "foregrounds.csv", "a.png,human,Little", *more)
    assert of_labels(scan(fgs, bgs)) == []
    with_cutouts(fgs, "a.png", "other.png")
    assert len(warned(scan(fgs, bgs), "label-without-image")) == 40


def test_labels_of_which_none_matches(fgs: Path, bgs: Path) -> None:
    write_labels(fgs / "foregrounds.csv", "x.png,human,Little")
    (said,) = warned(scan(fgs, bgs), "no-labels")
    assert "labels any of its images" in said.reason


def test_a_wrong_row_in_another_writing_leaves_its_image_out(fgs: Path, bgs: Path) -> None:
    write_labels(fgs / "foregrounds.csv", "A,person,Little")
    result = scan(fgs, bgs)
    assert kinds(result.problems, fgs) == {"a.png": "label", str(fgs): "no-sources"}


def test_one_file_named_twice_with_two_accents(tmp_path: Path, bgs: Path) -> None:
    fgs = with_cutouts(tmp_path / "fgs", "Zoë.png")
    write_labels(fgs / "foregrounds.csv", "Zoë.png,human,Little", f"{NFD},human,Medium")
    problem = next(p for p in scan(fgs, bgs).problems if p.kind == "label")
    assert "line 3 names a file of line 2 again" in problem.reason


# --- where the label file is ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Foregrounds.csv", "FOREGROUNDS.CSV", "foregrounds.csv"])
@pytest.mark.parametrize("is_beside", [True, False])
def test_a_label_file_is_found_in_any_case(
    name: str, is_beside: bool, fgs: Path, bgs: Path
) -> None:
    write_labels((fgs.parent if is_beside else fgs) / name, "a.png,human,Little")
    result = scan(fgs, bgs)
    assert (result.problems, subjects(result)) == ((), {"a.png": "human"})


def test_the_exact_name_is_preferred_and_two_others_are_refused(fgs: Path, bgs: Path) -> None:
    write_labels(fgs / "Foregrounds.csv", "a.png,human,Little")
    write_labels(fgs / "FOREGROUNDS.csv", "a.png,human,Little")
    if len(list(fgs.iterdir())) < 3:
        pytest.skip("this file system takes one name for the other")
    result = scan(fgs, bgs)
    assert kinds(result.problems, fgs) == {str(fgs): "label"}
    assert "has FOREGROUNDS.csv, Foregrounds.csv; leave one" in result.problems[0].reason
    write_labels(fgs / "foregrounds.csv", "a.png,non-human,Little")
    assert subjects(scan(fgs, bgs)) == {"a.png": "non-human"}


def test_the_labels_of_a_link_are_beside_the_link_or_its_target(
    fgs: Path, bgs: Path, tmp_path: Path
) -> None:
    link = tmp_path / "mine" / "fgs"
    link.parent.mkdir()
    link.symlink_to(fgs)
    write_labels(fgs.parent / "foregrounds.csv", "a.png,non-human,Little")
    assert subjects(scan(link, bgs)) == {"a.png": "non-human"}
    write_labels(link.parent / "foregrounds.csv", "a.png,human,Little")
    assert subjects(scan(link, bgs)) == {"a.png": "human"}
    assert subjects(scan(fgs, bgs)) == {"a.png": "non-human"}


def test_a_label_file_that_lists_itself(fgs: Path, bgs: Path) -> None:
    """As `ls > backgrounds.csv` does."""
    (bgs / "more.jpg").write_bytes((bgs / "photo.jpg").read_bytes())
    header = "file,split"
    write_labels(bgs / "backgrounds.csv", "backgrounds.csv", "photo.jpg,val", header=header)
    result = scan(fgs, bgs)
    assert result.problems == ()
    assert [record.split for record in result.backgrounds] == [Split.TRAIN, Split.VAL]
    assert [w.file for w in warned(result, "image-without-label")] == [str(bgs / "more.jpg")]
    assert warned(result, "label-without-image") == []


# --- alpha files are found in the same way -------------------------------------------------------


def test_alpha_files_in_another_writing() -> None:
    names = ["IMG_1.JPG", "Zoë.jpg", "x.jpg", "X.jpg"]
    alphas, problems = match_alphas(names, ["img_1.png", NFD, "x.png"])
    assert alphas == {"IMG_1.JPG": "img_1.png", "Zoë.jpg": NFD, "x.jpg": "x.png"}
    assert [(problem.file, problem.kind) for problem in problems] == [("X.jpg", "ambiguous")]
