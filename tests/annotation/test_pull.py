"""What a pull folder holds after deleted tasks, faults, reviews and damage: on a toy server."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotation.export import Exported, export_folder
from annotation.files.photos import photo_id
from annotation.form.interface import labels_xml
from annotation.form.regions import RegionLabel, choice, stroke
from annotation.pull import Pulled, pull
from annotation.server.client import Client
from annotation.server.faults import OutageError, ServerError
from annotation.server.find import existing_project, make_project
from annotation.settings import Gaps, Patience, Wanted
from annotation.status import measure
from manifests.annotations import (
    Annotation,
    State,
    annotations_path,
    read_annotations,
    write_annotations,
)
from manifests.pixels import decode_alpha
from tests.annotation.conftest import quiet
from tests.annotation.pulled import SHAPE, soft_alpha
from tests.annotation.toy import TITLE, Toy, person, serving_toy

APPROVED, REJECTED = choice("review", "approved"), choice("review", "rejected")


@pytest.fixture
def toy() -> Iterator[Toy]:
    with serving_toy() as found:
        yield found


@pytest.fixture
def client(toy: Toy) -> Iterator[Client]:
    with Client(toy.url, "a" * 40, Patience(first=0.5, outage=5, pause=0.05)) as found:
        yield found


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def pulled(
    client: Client,
    out: Path,
    wanted: Wanted = Wanted.ALL,
    *,
    prune: bool = False,
    gaps: Gaps = Gaps.UNKNOWN,
) -> Pulled:
    """Pull; whatever comes of it, the table and the files agree."""
    found = pull(client, TITLE, out, wanted, quiet, prune=prune, gaps=gaps)
    for row in rows_of(out):
        assert hashlib.sha256((out / row.path).read_bytes()).hexdigest() == row.sha256
        assert (out / row.photo_path).is_file()
    return found


def rows_of(out: Path) -> list[Annotation]:
    return read_annotations(annotations_path(out))


def reasons(found: Pulled) -> list[str]:
    return [f"{one.task}: {one.annotation}: {one.reason}" for one in found.bad]


def gone(found: Pulled) -> list[str]:
    return [f"{one.photo}: {one.annotation}: {one.reason}" for one in found.gone]


def alphas(out: Path) -> dict[int, list[int]]:
    """The number of each disc that the folder holds, by task; the result of a task first."""
    found: dict[int, list[int]] = {}
    discs = {soft_alpha(number).tobytes(): number for number in range(20)}
    for row in rows_of(out):
        pixels = decode_alpha((out / row.path).read_bytes())
        found.setdefault(row.task_id, []).append(discs[pixels.tobytes()])
        assert row.accepted == (len(found[row.task_id]) == 1)
    return found


def test_a_photo_that_was_pushed_again(toy: Toy, client: Client, out: Path) -> None:
    """Its first task is gone, its second one has the same names for its files."""
    toy.add(5)
    toy.annotate(5, soft_alpha(1))
    assert pulled(client, out).rows == 1
    del toy.tasks[5]
    toy.add(12)
    toy.annotate(12, soft_alpha(2))
    found = pulled(client, out)
    assert "results of an earlier task for the same photo, which was deleted" in reasons(found)[0]
    assert alphas(out) == {5: [1]}
    found = pulled(client, out, prune=True)
    assert (found.bad, found.gone, found.removed) == ((), (), 1)
    assert alphas(out) == {12: [2]}


def test_deleted_tasks_leave_what_was_pulled(toy: Toy, client: Client, out: Path) -> None:
    """Whether one task was deleted or all of them, nothing goes before somebody asks for it."""
    for number in (5, 6, 7):
        toy.add(number, f"{number}.png")
        toy.annotate(number, soft_alpha(number))
    pulled(client, out)
    del toy.tasks[6]
    for there in ([5, 7], []):
        toy.tasks = {number: toy.tasks[number] for number in there}
        for _ in range(2):
            found = pulled(client, out)
            assert found.rows == 3
            names = [f"{number}.png" for number in (5, 6, 7) if number not in there]
            lines = [f"{name}: 0: the task was deleted on the server" for name in names]
            assert [line.split(";")[0] for line in gone(found)] == lines
            assert all("--prune removes it" in line for line in gone(found))
            assert alphas(out) == {5: [5], 6: [6], 7: [7]}
    found = pulled(client, out, prune=True)
    assert (found.rows, found.gone, found.removed) == (0, (), 3)
    assert list((out / "alphas").iterdir()) == []


def test_deleted_annotations_leave_what_was_pulled(toy: Toy, client: Client, out: Path) -> None:
    toy.add(5, "5.png")
    first = toy.annotate(5, soft_alpha(1), APPROVED)
    second = toy.annotate(5, soft_alpha(2))
    pulled(client, out)
    assert alphas(out) == {5: [1, 2]}
    toy.tasks[5]["annotations"].pop(0)
    for _ in range(2):  # the other is the result now
        (line,) = gone(pulled(client, out))
        assert line.startswith(f"5.png: {first}: it is gone on the server now")
        assert alphas(out) == {5: [2, 1]}
    toy.tasks[5]["annotations"][0]["was_cancelled"] = True
    lines = gone(pulled(client, out))
    assert lines[0].startswith(f"5.png: {second}: it has no region or was skipped")
    assert alphas(out) == {5: [2, 1]}
    toy.tasks[5]["annotations"].clear()
    assert len(gone(pulled(client, out))) == 2
    assert pulled(client, out, prune=True).removed == 2
    assert rows_of(out) == []


def test_an_annotation_that_is_malformed_now_stays_as_it_was(
    toy: Toy, client: Client, out: Path
) -> None:
    toy.add(5)
    number = toy.annotate(5, soft_alpha(1), APPROVED)
    toy.annotate(5, soft_alpha(2))
    pulled(client, out)
    toy.tasks[5]["annotations"][0]["result"] = [{"type": "brushlabels"}]
    toy.annotate(5, soft_alpha(3))
    for prune in (False, True):
        found = pulled(client, out, prune=prune)
        assert [one.annotation for one in found.bad] == [number]
        assert alphas(out) == {5: [3, 2, 1]}


def test_a_project_that_is_deleted_meanwhile(toy: Toy, client: Client, out: Path) -> None:
    for number in (5, 6):
        toy.add(number, f"{number}.png")
        toy.annotate(number, soft_alpha(number))
    pulled(client, out)
    for number in (5, 6):
        toy.annotate(number, soft_alpha(9))
    toy.gone.add(6)
    toy.is_gone = True
    with pytest.raises(ServerError, match="deleted while it was pulled"):
        pulled(client, out)
    assert alphas(out) == {5: [9, 5], 6: [6]}


def test_a_list_that_grows_shorter_while_it_is_read(client: Client, toy: Toy) -> None:
    """A task that is deleted after it was listed moves none of those behind it."""
    for number in range(60):
        toy.add(number, f"{number}.png")
    toy.page_size = 25
    toy.deleted_after_page += [40, 7]  # of the second page, and of the first
    rows = existing_project(client, TITLE).summaries()
    assert [row.id for row in rows] == list(range(60))
    assert sorted(toy.tasks) == [number for number in range(60) if number not in (7, 40)]


@pytest.mark.parametrize(("how", "alone"), [("all", 0), ("no strangers", 10), ("nobody", 30)])
def test_tasks_come_together_where_people_are_listed(
    toy: Toy, client: Client, out: Path, how: str, alone: int
) -> None:
    """What is pulled, and whose it is, does not depend on it."""
    for number in range(1, 31):
        toy.add(number, f"{number}.png")
        toy.annotate(number, soft_alpha(number % 7), author="a" * (1 + number % 3))
    toy.tasks[9]["annotations"][0]["completed_by"] = None  # the account was removed
    toy.strangers = {person("aa")["id"]} if how == "no strangers" else set()
    toy.hides_people = how == "nobody"
    found = pulled(client, out)
    assert (found.fetched, found.bad) == (30, ())
    assert alphas(out) == {number: [number % 7] for number in range(1, 31)}
    authors = {row.task_id: row.author for row in rows_of(out)}
    expected = {number: f"{'a' * (1 + number % 3)}@example.org" for number in range(1, 31)}
    assert authors == expected | {9: ""}
    assert len([one for one in toy.asked if re.match(r"GET /api/tasks/\d+/", one)]) == alone


def test_an_annotation_that_the_server_does_not_count(toy: Toy, client: Client, out: Path) -> None:
    """It loses counts where several people write to one task at once."""
    for number in (5, 6):
        toy.add(number, f"{number}.png")
    assert pulled(client, out).fetched == 0
    toy.annotate(6, soft_alpha(2))
    toy.tasks[6]["total_annotations"] = 0
    assert pulled(client, out).fetched == 1
    assert alphas(out) == {6: [2]}
    assert pulled(client, out).fetched == 0


def test_the_second_task_of_a_photo_touches_no_file(toy: Toy, client: Client, out: Path) -> None:
    toy.add(12)
    toy.annotate(12, soft_alpha(2))
    pulled(client, out)
    toy.add(5)
    toy.annotate(5, soft_alpha(1))
    for _ in range(2):
        (reason,) = reasons(pulled(client, out))
        other = f"{toy.url}/projects/3/data?task=12"
        assert reason == f"5: 0: {other} is for the same photo; delete one of them"
        assert [row.task_id for row in rows_of(out)] == [12]
    toy.tasks[12]["annotations"].clear()
    pulled(client, out, prune=True)
    assert pulled(client, out).bad == ()
    assert [row.task_id for row in rows_of(out)] == [5]


def test_a_task_that_fails_keeps_what_was_pulled(toy: Toy, client: Client, out: Path) -> None:
    toy.add(5)
    toy.annotate(5, soft_alpha(1), APPROVED)
    pulled(client, out)
    before = rows_of(out)
    toy.annotate(5, soft_alpha(2), APPROVED)
    (out / before[0].photo_path).unlink()
    pictures = dict(toy.pictures)
    toy.pictures.clear()
    found = pull(client, TITLE, out, Wanted.ALL, quiet)
    assert "HTTP 404" in reasons(found)[0]
    assert rows_of(out) == before
    assert (out / before[0].path).is_file()
    toy.pictures |= pictures
    assert pulled(client, out).bad == ()
    assert [row.accepted for row in rows_of(out)] == [True, False]


def test_a_task_that_was_deleted_meanwhile(toy: Toy, client: Client, out: Path) -> None:
    for number in (5, 6):
        toy.add(number, f"{number}.png")
        toy.annotate(number, soft_alpha(number))
    pulled(client, out)
    toy.annotate(5, soft_alpha(7))
    toy.gone.add(5)
    (line,) = gone(pulled(client, out))
    assert line.startswith("5.png: 0: the task was deleted on the server")
    assert alphas(out) == {5: [5], 6: [6]}
    toy.gone.clear()
    assert pulled(client, out).fetched == 1
    assert alphas(out) == {5: [7, 5], 6: [6]}


@pytest.mark.parametrize("damaged", ["path", "photo_path"])
def test_an_edited_file_is_pulled_again(toy: Toy, client: Client, out: Path, damaged: str) -> None:
    toy.add(5)
    toy.annotate(5, soft_alpha(1), APPROVED)
    pulled(client, out)
    (row,) = rows_of(out)
    (out / getattr(row, damaged)).write_bytes(b"edited")
    assert (pulled(client, out).fetched, pulled(client, out).fetched) == (1, 0)
    assert export_folder(out, out.parent / "fgs").failed == ()


@pytest.mark.parametrize("lost", ["pull.json", "annotations.parquet"])
def test_without_a_part_of_its_memory(toy: Toy, client: Client, out: Path, lost: str) -> None:
    toy.add(5)
    toy.annotate(5, soft_alpha(1))
    pulled(client, out)
    before = rows_of(out)
    if lost == "pull.json":
        (out / lost).write_bytes(b"{")
        with pytest.raises(ValueError, match=r"damaged .*remove it"):
            pulled(client, out)
    (out / lost).unlink()
    assert pulled(client, out).fetched == 1
    assert rows_of(out) == before
    (out / "pull.json").unlink()
    toy.number = 4
    with pytest.raises(ValueError, match="give another --out"):
        pulled(client, out)


def test_the_memory_of_an_earlier_version(toy: Toy, client: Client, out: Path) -> None:
    """It has fewer fields, and the table knows the project, too."""
    toy.add(5)
    toy.annotate(5, soft_alpha(1))
    pulled(client, out)
    memory = json.loads((out / "pull.json").read_bytes())
    del memory["project_id"]
    (out / "pull.json").write_text(json.dumps(memory))
    assert pulled(client, out).fetched == 0
    (out / "pull.json").write_text('{"project": "Discs"}')
    assert pulled(client, out).fetched == 1
    for damaged in ('{"seen": 7}', '{"project_id": "three", "project": "Discs"}', "[]"):
        (out / "pull.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"pull\.json: damaged"):
            pulled(client, out)


def test_a_project_that_was_renamed(toy: Toy, client: Client, out: Path) -> None:
    """It keeps its number; a project of another server may have the same number."""
    toy.add(5)
    toy.annotate(5, soft_alpha(1), APPROVED)
    pulled(client, out)
    toy.title = "Other discs"
    found = pull(client, toy.title, out, Wanted.ALL, quiet)
    assert (found.fetched, found.rows, found.bad, found.gone) == (0, 1, (), ())
    assert [row.project for row in rows_of(out)] == ["Other discs"]
    toy.title = TITLE
    toy.tasks.clear()
    toy.add(5, "of another server.png")
    with pytest.raises(ValueError, match=r"holds Other discs .* give another --out"):
        pulled(client, out)
    assert alphas(out) == {5: [1]}


def test_a_crafted_table_deletes_nothing(toy: Toy, client: Client, out: Path) -> None:
    toy.add(5)
    toy.annotate(5, soft_alpha(1))
    pulled(client, out)
    victim = out.parent / "victim.txt"
    victim.write_text("precious")
    write_annotations(annotations_path(out), [replace(rows_of(out)[0], path="../victim.txt")])
    toy.annotate(5, soft_alpha(2))
    for prune in (False, True):
        with pytest.raises(ValueError, match=r"annotations\.parquet: '\.\./victim\.txt'"):
            pull(client, TITLE, out, Wanted.ALL, quiet, prune=prune)
    assert victim.read_text() == "precious"


def test_a_rejection_without_a_region(toy: Toy, client: Client, out: Path) -> None:
    """As a reviewer does who only chooses: the alpha that was approved is so no longer."""
    toy.add(5)
    toy.annotate(5, soft_alpha(1), APPROVED)
    pulled(client, out)
    assert export_folder(out, out.parent / "fgs").written == 1
    toy.annotate(5, None, REJECTED, author="rita")
    found = pulled(client, out)
    assert (found.bad, found.approved) == ((), 0)
    (row,) = rows_of(out)
    assert (row.state, row.author) == (State.REJECTED, "anna@example.org")
    assert export_folder(out, out.parent / "fgs").removed == 1
    assert measure(client, TITLE, 8, quiet).states["rejected"] == 1
    toy.annotate(5, None, APPROVED, choice("transparency", "Highly"), author="rita")
    assert pulled(client, out).approved == 1
    assert rows_of(out)[0].transparency == "Highly"


def test_reviews_of_nothing(toy: Toy, client: Client, out: Path) -> None:
    toy.add(5)
    toy.annotate(5, None, REJECTED)
    assert pulled(client, out).bad == ()
    assert measure(client, TITLE, 8, quiet).states["rejected"] == 1
    number = toy.annotate(5, None, APPROVED)
    (reason,) = reasons(pulled(client, out))
    assert reason.startswith(f"5: {number}: it approves, but")
    status = measure(client, TITLE, 8, quiet)
    assert (status.states["bad"], len(status.bad)) == (1, 1)
    assert rows_of(out) == []


def spoil(task: dict[str, Any], toy: Toy, how: str) -> None:
    """Make a task's picture one that cannot be had, or read."""
    if how.startswith("url "):
        task["data"]["image"] = "/data/upload/" + how.removeprefix("url ")
        return
    buffer = io.BytesIO()
    if how == "bomb":
        Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    data = buffer.getvalue() or b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x0dIHDR" + b"\0" * 9
    toy.pictures[task["data"]["image"]] = data
    task["data"]["image_sha256"] = hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("how", ["url \x00", "url " + "x" * 70_000, "url \ud800", "cut", "bomb"])
def test_odd_pictures_are_named(toy: Toy, client: Client, out: Path, how: str) -> None:
    spoil(toy.add(5, "odd.png"), toy, how)
    toy.add(6, "fine.png")
    for number in (5, 6):
        toy.annotate(number, soft_alpha(1))
    (reason,) = reasons(pulled(client, out))
    assert reason.startswith("5: 0: its picture ")
    assert [row.task_id for row in rows_of(out)] == [6]


def test_what_one_task_raises_ends_only_that_task(toy: Toy, client: Client, out: Path) -> None:
    """Whatever it is: here a folder where a file should be."""
    for number in (5, 6, 7):
        toy.add(number, f"{number}.png")
        toy.annotate(number, soft_alpha(number))
    (out / "alphas" / f"{photo_id('6.png')}.png").mkdir(parents=True)
    found = pull(client, TITLE, out, Wanted.ALL, quiet)
    (line,) = [one.line for one in found.bad]
    assert line.startswith("6.png: the whole task: ")
    assert "Is a directory" in line
    assert line.endswith(f"({toy.url}/projects/3/data?task=6)")
    assert alphas(out) == {5: [5], 7: [7]}


def test_what_is_noted_is_pulled_and_said_each_time(toy: Toy, client: Client, out: Path) -> None:
    toy.add(5, "5.png")
    is_inside = np.zeros(SHAPE, bool)
    is_inside[10:20, 10:20] = True
    is_around = np.zeros(SHAPE, bool)
    is_around[5:25, 5:25] = True
    is_around[8:22, 8:22] = False  # nobody painted the two pixels in between
    strokes = [
        stroke(RegionLabel.FOREGROUND, is_inside * np.uint8(255)),
        stroke(RegionLabel.UNKNOWN, is_around * np.uint8(255)),
    ]
    animal = choice("subject", "human") | {"value": {"choices": ["animal"]}}
    number = toy.submit(5, [*strokes, animal])
    for _ in range(2):
        found = pulled(client, out, gaps=Gaps.BACKGROUND)
        assert (found.rows, found.bad) == (1, ())
        assert [one.line.split(": ", 2)[:2] for one in found.warnings] == [
            ["5.png", f"annotation {number} by anna@example.org"]
        ] * 2
        said, gap = (one.reason for one in found.warnings)
        assert said == "subject 'animal' is not one of human, non-human, and not read"
        assert gap.startswith("100% of the pixels beside its Foreground were painted neither")


def test_approved_trimaps_are_no_foregrounds(toy: Toy, client: Client, out: Path) -> None:
    cell = (choice("subject", "human"), choice("transparency", "Medium"), APPROVED)
    for number in (5, 6):
        toy.add(number, f"{number}.png")
    toy.annotate(5, soft_alpha(), *cell)
    toy.submit(6, [stroke(RegionLabel.UNKNOWN, soft_alpha()), *cell])
    found_by_pull = pulled(client, out)
    status = measure(client, TITLE, 16, quiet)
    assert (status.states["approved"], status.approved_trimaps) == (2, 1)
    assert (found_by_pull.approved, found_by_pull.approved_trimaps) == (2, 1)
    assert export_folder(out, out.parent / "fgs") == Exported(1, 0, 0, ("6.png",), ())
    (found,) = [one for one in status.cells if one.tasks]
    assert (found.subject, found.transparency) == ("human", "Medium")
    assert (found.approved, found.tasks, found.missing) == (1, 2, 1)


def test_a_project_that_is_there_stays_as_it_was_set(toy: Toy, client: Client) -> None:
    """The server refuses a version of predictions that it has none of yet."""
    toy.settings = {"label_config": labels_xml(), "model_version": ""}
    assert make_project(client, TITLE, labels_xml(), "pushed").id == 3
    assert not [request for request in toy.asked if not request.startswith("GET")]


def test_a_title_with_spaces_around_it(toy: Toy, client: Client) -> None:
    """The server cuts them off, so that a search for them finds nothing."""
    assert existing_project(client, f" {TITLE} ").title == TITLE


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_busy_at_first(toy: Toy, client: Client, status: int) -> None:
    """It asks for more time than a wrong URL is given."""
    toy.later.append((status, {"Retry-After": "1"}))
    assert existing_project(client, TITLE).id == 3


def test_a_wrong_url_still_shows_soon(toy: Toy, client: Client) -> None:
    toy.later += [(500, {})] * 20
    with pytest.raises(OutageError, match="is the server running"):
        existing_project(client, TITLE)
