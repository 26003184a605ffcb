"""How far a project is: tasks by state, cells that are still missing, agreement of annotators."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from annotation.client import Client
from annotation.project import Project, Row, existing_project
from annotation.pull import Bad
from annotation.regions import BadAnnotationError
from annotation.taskdata import read_data
from annotation.tasks import Annotated, SkippedError, read_chosen, read_result
from manifests.annotations import Kind, State
from manifests.sources import Subject, Transparency

TARGET = 440  # foregrounds in all, in equal shares of the cells
SUBJECTS = (Subject.HUMAN, Subject.NON_HUMAN)
STATES = ("new", "skipped", *map(str, State), "bad")

Progress = Callable[[int], Callable[[int], None]]  # how many there are -> gets how many are done


@dataclass(frozen=True)
class Cell:
    """One subject and transparency: approved alphas, all that are labelled so, and what lacks."""

    subject: str
    transparency: str
    approved: int
    tasks: int
    missing: int


@dataclass(frozen=True)
class Agreement:
    """Two annotations of one task and kind; the mean absolute difference of their alphas, 0..255
    (of trimaps: of 0, 128 and 255)."""

    task: int
    annotations: tuple[int, int]
    kind: str
    difference: float


@dataclass(frozen=True)
class Status:
    """A project, counted. `states`: tasks by the state of their latest annotation."""

    project: str
    url: str
    tasks: int
    states: Mapping[str, int]
    cells: tuple[Cell, ...]
    agreement: tuple[Agreement, ...]
    bad: tuple[Bad, ...]

    @property
    def mean_difference(self) -> float | None:
        """None where no task has two annotations of a kind."""
        if not self.agreement:
            return None
        return float(np.mean([pair.difference for pair in self.agreement]))


def measure(client: Client, title: str, target: int, begin: Progress) -> Status:
    """Count a project. Raises ServerError if there is none, or the server does not answer."""
    project = existing_project(client, title)
    rows = list(project.rows())
    advance = begin(len(rows))
    states: Counter[str] = Counter(dict.fromkeys(STATES, 0))
    labelled: Counter[tuple[str, str]] = Counter()
    approved: Counter[tuple[str, str]] = Counter()
    pairs: list[Agreement] = []
    bad: list[Bad] = []
    for number, row in enumerate(rows, 1):
        state, cell = _task_state(project, row, pairs, bad)
        states[state] += 1
        labelled[cell] += 1
        approved[cell] += state == State.APPROVED
        advance(number)
    cells = itertools.product(map(str, SUBJECTS), map(str, Transparency))
    share = -(-target // (len(SUBJECTS) * len(Transparency)))
    return Status(
        project=title,
        url=project.url,
        tasks=len(rows),
        states=dict(states),
        cells=tuple(
            Cell(*cell, approved[cell], labelled[cell], max(0, share - approved[cell]))
            for cell in cells
        ),
        agreement=tuple(pairs),
        bad=tuple(bad),
    )


def _task_state(
    project: Project, row: Row, pairs: list[Agreement], bad: list[Bad]
) -> tuple[str, tuple[str, str]]:
    """(state, (subject, transparency)) of a task; what is wrong or has two annotations is noted."""
    cell = (str(row.data.get("subject", "")), str(row.data.get("transparency", "")))
    if row.annotations == 0:
        return "skipped" if row.skipped else "new", cell
    task = project.task(row.id)
    try:
        read_data(task)
    except BadAnnotationError as error:
        bad.append(Bad(project.title, row.id, 0, str(error)))
        return "bad", cell
    found = []
    for annotation in task.get("annotations") or ():
        try:
            found.append((_time(annotation), read_chosen(task, annotation), annotation))
        except SkippedError:
            continue
        except BadAnnotationError as error:
            bad.append(Bad(project.title, row.id, int(annotation.get("id") or 0), str(error)))
    if not found:
        return "bad", cell
    found.sort(key=lambda one: one[0])
    if len(found) > 1:
        pairs += _pairs(task, [annotation for _, _, annotation in found])
    judged = [chosen for _, chosen, _ in found if chosen.state is not State.SUBMITTED]
    latest = (judged or [chosen for _, chosen, _ in found])[-1]
    return str(latest.state), (str(latest.subject), latest.transparency)


def _time(annotation: Mapping[str, Any]) -> str:
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _pairs(task: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]]) -> list[Agreement]:
    """Every two annotations of one kind: a trimap and the alpha solved from it agree."""
    read: list[Annotated] = []
    for annotation in annotations:
        try:
            read.append(read_result(task, annotation))
        except BadAnnotationError:
            continue  # pull names it
    return [
        Agreement(
            first.task_id,
            (first.annotation_id, second.annotation_id),
            str(first.kind),
            _difference(first, second),
        )
        for first, second in itertools.combinations(read, 2)
        if first.kind is second.kind
    ]


def _difference(first: Annotated, second: Annotated) -> float:
    levels = 1.0 if first.kind is Kind.ALPHA else 127.5
    return levels * float(np.mean(np.abs(first.pixels.astype(np.int16) - second.pixels)))
