"""How far a project is: tasks by state, cells that are still missing, agreement of annotators."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from annotation.bad import BadAnnotation, bad_annotation, bad_task, id_of, person_of
from annotation.files.failures import failure
from annotation.form.choose import NOTHING_TO_APPROVE, approvals, choose
from annotation.form.regions import BadAnnotationError, Json
from annotation.form.results import Chosen, Painted, SkippedError, read_chosen, read_result
from annotation.form.tasks import Task, read_task
from annotation.server.client import Client
from annotation.server.faults import ends_session
from annotation.server.find import existing_project
from annotation.server.project import Project, TaskSummary
from manifests.annotations import Kind, State
from manifests.sources import Subject, Transparency

SUBJECTS = (Subject.HUMAN, Subject.NON_HUMAN)
STATES = ("new", "skipped", *map(str, State), "bad")

Progress = Callable[[int], Callable[[int], None]]  # how many there are -> gets how many are done


@dataclass(frozen=True)
class Cell:
    """One subject and transparency: approved alphas, all tasks with these labels, and how many
    alphas are missing."""

    subject: str
    transparency: str
    approved: int
    tasks: int
    missing: int


@dataclass(frozen=True)
class Agreement:
    """Two people's annotations of one task and kind; the mean absolute difference of their alphas,
    0..255 (of trimaps: of 0, 128 and 255)."""

    photo: str
    url: str  # the task in the browser
    task: int
    annotations: tuple[int, int]
    authors: tuple[str, str]
    kind: str
    difference: float


@dataclass(frozen=True)
class Status:
    """A project, counted. `states`: tasks by the state of what `pull` takes for their result.

    approved_trimaps: how many of the approved results are trimaps, which count for no cell.
    """

    project: str
    url: str
    tasks: int
    states: Mapping[str, int]
    approved_trimaps: int
    cells: tuple[Cell, ...]
    agreement: tuple[Agreement, ...]
    bad: tuple[BadAnnotation, ...]

    @property
    def mean_difference(self) -> float | None:
        """None if no task has annotations of one kind by two people."""
        if not self.agreement:
            return None
        return float(np.mean([pair.difference for pair in self.agreement]))


def measure(client: Client, title: str, target: int, begin: Progress) -> Status:
    """Count a project. Raises ServerError if it does not exist, or the server does not answer."""
    project = existing_project(client, title)
    rows = project.summaries()
    advance = begin(len(rows))
    states: Counter[str] = Counter(dict.fromkeys(STATES, 0))
    labelled: Counter[tuple[str, str]] = Counter()
    approved: Counter[tuple[str, str]] = Counter()
    pairs: list[Agreement] = []
    bad: list[BadAnnotation] = []
    trimaps = 0
    for number, row in enumerate(rows, 1):
        task = _count_alone(project, row, pairs, bad)
        states[task.state] += 1
        labelled[task.cell] += 1
        if task.state == State.APPROVED:
            approved[task.cell] += task.kind is Kind.ALPHA
            trimaps += task.kind is Kind.TRIMAP
        advance(number)
    cells = itertools.product(map(str, SUBJECTS), map(str, Transparency))
    share = -(-target // (len(SUBJECTS) * len(Transparency)))
    return Status(
        project=project.title,
        url=project.url,
        tasks=len(rows),
        states=dict(states),
        approved_trimaps=trimaps,
        cells=tuple(
            Cell(*cell, approved[cell], labelled[cell], max(0, share - approved[cell]))
            for cell in cells
        ),
        agreement=tuple(pairs),
        bad=tuple(bad),
    )


@dataclass(frozen=True)
class _Counted:
    """One task; `cell` is (subject, transparency), `kind` that of its result, if it has one."""

    state: str
    cell: tuple[str, str]
    kind: Kind | None = None


def _count_alone(
    project: Project, row: TaskSummary, pairs: list[Agreement], bad: list[BadAnnotation]
) -> _Counted:
    """`_count`, but whatever happens to a task ends this task and no other, unless it would meet
    all of them."""
    try:
        return _count(project, row, pairs, bad)
    except Exception as error:
        if ends_session(error, 401):
            raise
        bad.append(bad_task(project, row.id, row.data.get("file"), failure("", error).reason))
        return _Counted("bad", _cell(row))


def _cell(row: TaskSummary) -> tuple[str, str]:
    return str(row.data.get("subject", "")), str(row.data.get("transparency", ""))


def _count(
    project: Project, row: TaskSummary, pairs: list[Agreement], bad: list[BadAnnotation]
) -> _Counted:
    """The state of a task. Its faults go to `bad`, annotations by several people to `pairs`."""
    cell = _cell(row)
    if row.annotations == 0:
        return _Counted("skipped" if row.skipped else "new", cell)
    task = read_task(project.task(row.id))

    def refuse(annotation: object, reason: str) -> None:
        who = (id_of(annotation), person_of(annotation))
        bad.append(bad_annotation(project, row.id, task.data.file, *who, reason))

    found: list[tuple[Chosen, Json]] = []
    for annotation in task.annotations:
        try:
            found.append((read_chosen(task, annotation), annotation))
        except SkippedError:
            continue
        except BadAnnotationError as error:
            refuse(annotation, str(error))
    painted = [(chosen, annotation) for chosen, annotation in found if chosen.kind]
    reviews = [chosen for chosen, _ in found if not chosen.kind]
    result, _ = choose([chosen for chosen, _ in painted], reviews)
    if result is None:
        approved = approvals(reviews)
        for annotation in task.annotations:
            if id_of(annotation) in approved:
                refuse(annotation, NOTHING_TO_APPROVE)
        return _Counted("bad" if approved or not reviews else str(State.REJECTED), cell)
    if len({chosen.author for chosen, _ in painted}) > 1:
        pairs += _pairs(project, task, [annotation for _, annotation in painted])
    return _Counted(str(result.state), (str(result.subject), result.transparency), result.kind)


def _pairs(project: Project, task: Task, annotations: Sequence[Json]) -> list[Agreement]:
    """Every two people's annotations of one kind: a trimap and the alpha solved from it agree."""
    read: list[Painted] = []
    for annotation in annotations:
        try:
            read.append(read_result(task, annotation))
        except BadAnnotationError:
            continue  # pull names it
    return [
        Agreement(
            photo=task.data.file,
            url=project.task_url(task.id),
            task=task.id,
            annotations=(first.annotation_id, second.annotation_id),
            authors=(first.author, second.author),
            kind=str(first.kind),
            difference=_difference(first, second),
        )
        for first, second in itertools.combinations(read, 2)
        if first.kind is second.kind and first.author != second.author
    ]


def _difference(first: Painted, second: Painted) -> float:
    levels = 1.0 if first.kind is Kind.ALPHA else 127.5
    return levels * float(np.mean(np.abs(first.pixels.astype(np.int16) - second.pixels)))
