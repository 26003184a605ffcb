"""Five people submit at once while one pushes and one pulls: nothing is lost, nothing is double.

`STORMS=100` makes a hundred rounds of it; `make campaign` does.
"""

from __future__ import annotations

import os
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from annotation.form.regions import choice
from annotation.form.tasks import prediction_of
from annotation.pull import Pulled, pull
from annotation.push import Pushed, Sources, push
from annotation.server.client import Client
from annotation.server.faults import UnsureError
from annotation.server.find import existing_project
from annotation.server.project import Project
from annotation.settings import Wanted
from annotation.status import measure
from manifests.annotations import Annotation, annotations_path, read_annotations
from manifests.pixels import Pixels, decode_alpha, pixels_sha256
from tests.annotation.conftest import Running, quiet, save_alpha, save_photo, soft_alpha
from tests.annotation.people import browser_of, join

ROUNDS = int(os.environ.get("STORMS", "3"))  # `make campaign` makes more
LENGTH = 5  # rounds of one storm, which is one project
PEOPLE, EACH = 5, 2  # how many submit, and what each of them submits in a round
SHAPE = (24, 32)


@dataclass
class Person:
    """An annotator, and what the server said it has of them: annotation -> its pixels' hash."""

    email: str
    client: Client
    rng: random.Random
    theirs: dict[int, str] = field(default_factory=dict)

    def alpha(self) -> Pixels:
        """Another one each time."""
        seed = self.rng.getrandbits(64)
        return np.random.default_rng(seed).integers(0, 256, SHAPE, np.uint8)

    def submit_some(self, tasks: list[int], begin: Barrier) -> None:
        begin.wait()
        for _ in range(EACH):
            self.submit(tasks)

    def submit(self, tasks: list[int]) -> None:
        """A new annotation, or another version of one of theirs."""
        alpha = self.alpha()
        state = choice("review", self.rng.choice(["approved", "rejected"]))
        result = [*prediction_of("", alpha=alpha)["result"], state]
        body = {"result": result, "lead_time": 10 * self.rng.random()}
        if self.theirs and self.rng.random() < 0.3:
            number = self.rng.choice(sorted(self.theirs))
            self.client.patch(f"/api/annotations/{number}/", body)
        else:
            number = self.post(self.rng.choice(tasks), body)
        self.theirs[number] = pixels_sha256(alpha)

    def post(self, task: int, body: dict[str, Any]) -> int:
        """As a person does who is told that it failed: look, and submit what is not there again."""
        path = f"/api/tasks/{task}/annotations/"
        try:
            return int(self.client.post(path, body)["id"])
        except UnsureError:
            there = [one for one in self.client.get(path) if one["result"] == body["result"]]
            return int(there[0]["id"]) if there else self.post(task, body)


@pytest.fixture
def people(server: Running, client: Client, storm: int) -> Iterator[list[Person]]:
    invitation = server.url + client.get("/api/invite")["invite_url"]
    with ExitStack() as stack:
        found = []
        for number in range(PEOPLE):
            email = f"{secrets.token_hex(4)}@example.org"
            with browser_of() as browser:
                token = join(browser, invitation, email)
            session = stack.enter_context(Client(server.url, token, client.patience))
            found.append(Person(email, session, random.Random(f"{storm} {number}")))
        yield found


def add_photos(folder: Path, numbers: range) -> None:
    for number in numbers:
        save_photo(folder / "photos", f"{number}.png", number, *SHAPE)
        save_alpha(folder / "alphas", f"{number}.png", soft_alpha(number, *SHAPE))


def rows_of(out: Path) -> dict[int, Annotation]:
    rows = read_annotations(annotations_path(out))
    found = {row.annotation_id: row for row in rows}
    assert len(found) == len(rows), "an annotation is there twice"
    return found


def check(project: Project, people: list[Person], out: Path, photos: int) -> None:
    """What the server and the folder hold is what was pushed and submitted: once, and exactly."""
    listed = project.summaries()
    files = Counter(str(row.data["file"]) for row in listed)
    assert files == dict.fromkeys((f"{number}.png" for number in range(photos)), 1)
    # Not the counts of the list: where two submit to one task at once, the server may lose one.
    tasks = project.tasks([row.id for row in listed])
    there = [int(one["id"]) for task in tasks.values() for one in task["annotations"]]
    assert sorted(there) == sorted(number for one in people for number in one.theirs)
    rows = rows_of(out)
    expected = {
        number: (one.email, sha256) for one in people for number, sha256 in one.theirs.items()
    }
    assert {number: (row.author, row.pixels_sha256) for number, row in rows.items()} == expected
    for row in rows.values():
        assert pixels_sha256(decode_alpha((out / row.path).read_bytes())) == row.pixels_sha256
    accepted = Counter(row.task_id for row in rows.values() if row.accepted)
    assert accepted == dict.fromkeys({row.task_id for row in rows.values()}, 1)


@pytest.mark.slow
@pytest.mark.parametrize("storm", range(-(-ROUNDS // LENGTH)))
def test_a_storm_loses_nothing_and_doubles_nothing(
    server: Running, client: Client, title: str, people: list[Person], tmp_path: Path, storm: int
) -> None:
    sources = Sources(tmp_path / "photos", tmp_path / "alphas")
    add_photos(tmp_path, range(4))
    push(client, title, sources, quiet)
    project = existing_project(client, title)
    out, kept = tmp_path / "out", tmp_path / "kept"
    photos = 4
    with ThreadPoolExecutor(PEOPLE + 2) as pool:
        for _ in range(min(LENGTH, ROUNDS - storm * LENGTH)):
            tasks = [row.id for row in project.summaries()]
            photos += 2
            add_photos(tmp_path, range(photos - 2, photos))
            begin = Barrier(PEOPLE + 2, timeout=60)

            def pushing(begin: Barrier = begin) -> Pushed:
                begin.wait()
                with Client(server.url, server.token, client.patience) as session:
                    return push(session, title, sources, quiet)

            def pulling(begin: Barrier = begin) -> Pulled:
                begin.wait()
                with Client(server.url, server.token, client.patience) as session:
                    return pull(session, title, out, Wanted.ALL, quiet)

            submitted = [pool.submit(one.submit_some, tasks, begin) for one in people]
            pushed, pulled = pool.submit(pushing), pool.submit(pulling)
            for one in submitted:
                one.result()
            assert (pushed.result().created, pushed.result().failed) == (2, ())
            assert (pulled.result().bad, pulled.result().gone) == ((), ())
            pull(client, title, out, Wanted.ALL, quiet)
            check(project, people, out, photos)
            status = measure(client, title, 8, quiet, kept)
            assert sum(one.painted for one in status.annotators) == len(rows_of(out))
    assert measure(client, title, 8, quiet) == measure(client, title, 8, quiet, kept)
    again = pull(client, title, out, Wanted.ALL, quiet)
    assert (again.fetched, again.gone) == (0, ())
    whole = pull(client, title, tmp_path / "fresh", Wanted.ALL, quiet)
    assert whole.rows == again.rows
    assert rows_of(tmp_path / "fresh") == rows_of(out)
