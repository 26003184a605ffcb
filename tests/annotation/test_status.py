"""`annotate status` on a toy server: what is counted, and what is read for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from annotation.files.memory import memory_of
from annotation.form.regions import choice
from annotation.printing import print_status
from annotation.pull import pull
from annotation.server.client import Client
from annotation.settings import Wanted
from annotation.status import Annotator, Status, measure
from manifests.annotations import State, annotations_path, read_annotations
from tests.annotation.conftest import quiet
from tests.annotation.pulled import SHAPE, soft_alpha
from tests.annotation.toy import TITLE, Toy, serving_toy

APPROVED, REJECTED = choice("review", "approved"), choice("review", "rejected")


@pytest.fixture
def toy() -> Iterator[Toy]:
    with serving_toy() as toy:
        yield toy


@pytest.fixture
def client(toy: Toy) -> Iterator[Client]:
    with Client(toy.url, "0" * 40) as client:
        yield client


def count(client: Client, kept: Path | None = None) -> Status:
    return measure(client, TITLE, 8, quiet, kept)


def read(toy: Toy) -> list[int]:
    """The tasks that were read since the last time, whose requests are forgotten."""
    single = [re.match(r"GET /api/tasks/(\d+)/", one) for one in toy.asked]
    several = [one for one in toy.asked if "selectedItems" in one]
    found = [int(one[1]) for one in single if one]
    for one in several:
        listed = re.search(r"%5B([\d%2C+]+)%5D%7D", one)
        assert listed, one
        found += map(int, re.findall(r"\d+", listed[1].replace("%2C", " ")))
    toy.asked.clear()
    return sorted(found)


def test_only_tasks_that_changed_are_read(toy: Toy, client: Client, tmp_path: Path) -> None:
    for number in range(1, 41):
        toy.add(number, f"{number}.png")
        if number <= 30:
            toy.annotate(number, soft_alpha(number % 7), APPROVED, lead_time=number)
    toy.annotate(3, soft_alpha(1), author="otto")
    first = count(client, tmp_path)
    assert read(toy) == list(range(1, 31))
    assert count(client, tmp_path) == first == count(client)
    assert read(toy) == list(range(1, 31))  # without a memory
    toy.annotate(7, soft_alpha(2), REJECTED)
    toy.annotate(35, soft_alpha(2))
    second = count(client, tmp_path)
    assert read(toy) == [7, 35]
    assert second == count(client) != first
    del toy.tasks[7]
    read(toy)
    third = count(client, tmp_path)
    assert (third.tasks, read(toy)) == (39, [])


def test_an_annotation_that_the_server_does_not_count_is_found(
    toy: Toy, client: Client, tmp_path: Path
) -> None:
    for number in (5, 6):
        toy.add(number, f"{number}.png")
    toy.annotate(6, soft_alpha(1), APPROVED)
    toy.tasks[6]["total_annotations"] = 0
    assert count(client).states["approved"] == 1
    found = pull(client, TITLE, tmp_path, Wanted.ALL, quiet)
    assert (found.fetched, found.approved) == (1, 1)
    assert pull(client, TITLE, tmp_path, Wanted.ALL, quiet).fetched == 0


def test_a_task_with_a_fault_is_named_each_time(toy: Toy, client: Client, tmp_path: Path) -> None:
    for number in (5, 6):
        toy.add(number, f"{number}.png")
        toy.annotate(number, soft_alpha(number))
    toy.annotate(6)
    faults = count(client, tmp_path).bad
    assert [one.photo for one in faults] == ["6.png"]
    read(toy)
    assert count(client, tmp_path).bad == faults
    assert read(toy) == [6]


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"version":1,"tasks":3}', b'{"version":0,"tasks":{}}', "fields"]
)
def test_a_damaged_memory_counts_as_none(
    toy: Toy, client: Client, tmp_path: Path, damage: bytes | str
) -> None:
    toy.add(5)
    toy.annotate(5, soft_alpha(5))
    first = count(client, tmp_path)
    file = memory_of(tmp_path, client.url, toy.number)
    text = file.read_bytes()
    assert b'"seconds"' in text
    file.write_bytes(text.replace(b'"seconds"', b'"s"') if isinstance(damage, str) else damage)
    read(toy)
    assert count(client, tmp_path) == first
    assert read(toy) == [5]
    assert file.read_bytes() == text


def test_without_a_place_for_its_memory(toy: Toy, client: Client, tmp_path: Path) -> None:
    toy.add(5)
    toy.annotate(5, soft_alpha(5))
    (tmp_path / "file").write_text("no folder")
    assert count(client, tmp_path / "file" / "annotate") == count(client)


def test_what_each_annotator_did(
    toy: Toy, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (5, 6):
        toy.add(number, f"{number}.png")
    toy.annotate(5, np.full(SHAPE, 100, np.uint8), author="anna", lead_time=60.0)
    toy.annotate(5, np.full(SHAPE, 130, np.uint8), author="otto", lead_time=3540.5)
    toy.annotate(6, np.full(SHAPE, 90, np.uint8), author="anna", lead_time=80)
    toy.annotate(6, np.full(SHAPE, 80, np.uint8), author="anna", lead_time="soon")
    toy.annotate(6, None, APPROVED, author="otto", lead_time=7.5)
    toy.annotate(6, None, APPROVED, author="berta")
    anna, berta, otto = count(client).annotators
    who = "@example.org"
    assert anna == Annotator(f"anna{who}", 3, 0, 1, 2, 140.0, 70.0, 30.0)
    assert berta == Annotator(f"berta{who}", 0, 1, 0, 0, 0.0, None, None)
    assert otto == Annotator(f"otto{who}", 1, 1, 0, 2, 3548.0, 1774.0, 30.0)
    print_status(count(client))
    table = capsys.readouterr().out
    assert re.search(r"otto@example.org +1 +1 +0 +1.0 +29:34 +30.00", table)
    assert re.search(r"berta@example.org +0 +1 +0 +- +- +-", table)


def test_status_counts_on_when_a_task_is_deleted_meanwhile(toy: Toy, client: Client) -> None:
    for number in (5, 6):
        toy.add(number, f"{number}.png")
        toy.annotate(number, soft_alpha(number))
    toy.gone.add(5)
    status = count(client)
    assert (status.states["bad"], status.states["submitted"]) == (1, 1)
    assert [one.photo for one in status.bad] == ["5.png"]


def test_status_follows_the_rule_of_pull(toy: Toy, client: Client, tmp_path: Path) -> None:
    """A correction that was sent after a rejection waits for its judgement."""
    toy.add(5)
    toy.annotate(5, soft_alpha(1), REJECTED)
    toy.annotate(5, soft_alpha(2))
    pull(client, TITLE, tmp_path, Wanted.ALL, quiet)
    assert [row.state for row in read_annotations(annotations_path(tmp_path)) if row.accepted] == [
        State.SUBMITTED
    ]
    assert count(client).states["submitted"] == 1


def test_agreement_is_between_people(toy: Toy, client: Client) -> None:
    toy.add(5)
    toy.annotate(5, soft_alpha(1))
    toy.annotate(5, soft_alpha(2))
    assert count(client).agreement == ()
    third = toy.annotate(5, np.full(SHAPE, 255, np.uint8), author="otto")
    pairs = count(client).agreement
    assert [pair.annotations for pair in pairs] == [(100, third), (101, third)]
    assert pairs[1].difference == pytest.approx(255 - soft_alpha(2).mean())
    assert (pairs[1].photo, pairs[1].url) == ("x.png", f"{toy.url}/projects/3/data?task=5")
    assert pairs[1].authors == ("anna@example.org", "otto@example.org")
