"""How far a project is: tasks by state, cells that are still missing, annotators and agreement.

Only tasks that changed since the last count are read.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from annotation.bad import BadAnnotation
from annotation.count import Agreement, Counted, Work, as_json, count_task, counted_of
from annotation.files.memory import memory_of, read_memory, write_memory
from annotation.server.ahead import Ahead
from annotation.server.client import Client
from annotation.server.find import existing_project
from annotation.server.miscounts import counted_summaries
from annotation.server.project import Project, TaskSummary
from annotation.server.tabs import count_alphas, waiting_tab
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
class Annotator:
    """One person: annotations that were painted, those that only judge, and how many of the
    painted are the approved results of their tasks.

    seconds: how long all of them took, as the browser measured it, of `timed` annotations;
    median_seconds: for one, None if nobody knows. difference: the mean absolute difference from
    what others painted for the same tasks, 0..255; None if there is nothing to compare.
    """

    name: str
    painted: int
    judged: int
    approved: int
    timed: int
    seconds: float
    median_seconds: float | None
    difference: float | None


@dataclass(frozen=True)
class Status:
    """A project, counted. `states`: tasks by the state of what `pull` takes for their result.

    approved_trimaps: how many of the approved results are trimaps, which count for no cell.
    waiting: how many tasks have an alpha that nobody has approved or rejected; waiting_url: the tab
    with these tasks. None and "" if the project has no such tab.
    """

    project: str
    url: str
    tasks: int
    states: Mapping[str, int]
    approved_trimaps: int
    waiting: int | None
    waiting_url: str
    cells: tuple[Cell, ...]
    annotators: tuple[Annotator, ...]
    agreement: tuple[Agreement, ...]
    bad: tuple[BadAnnotation, ...]

    @property
    def mean_difference(self) -> float | None:
        """None if no task has annotations of one kind by two people."""
        if not self.agreement:
            return None
        return float(np.mean([pair.difference for pair in self.agreement]))


def measure(
    client: Client, title: str, target: int, begin: Progress, kept: Path | None = None
) -> Status:
    """Count a project.

    kept: a folder in which the counts of tasks are kept for the next time; None: all are read.
    Raises ServerError if the project does not exist, or the server does not answer.
    """
    project = existing_project(client, title)
    rows = counted_summaries(project)
    advance = begin(len(rows))
    counts: list[Counted] = []
    for counted in _counted(project, rows, kept):
        counts.append(counted)
        advance(len(counts))
    states = Counter(one.state for one in counts)
    approved = [one for one in counts if one.state == State.APPROVED]
    pairs = tuple(pair for one in counts for pair in one.pairs)
    waiting_url = waiting_tab(project)
    settled = sum(one.is_settled for one in counts)
    return Status(
        project=project.title,
        url=project.url,
        tasks=len(rows),
        states={state: states[state] for state in STATES},
        approved_trimaps=sum(one.kind == Kind.TRIMAP for one in approved),
        waiting=max(0, count_alphas(project) - settled) if waiting_url else None,
        waiting_url=waiting_url,
        cells=_cells(counts, approved, target),
        annotators=_annotators([one for task in counts for one in task.work], pairs),
        agreement=pairs,
        bad=tuple(fault for one in counts for fault in one.bad),
    )


def _counted(project: Project, rows: Sequence[TaskSummary], kept: Path | None) -> Iterator[Counted]:
    """Every task, from memory if it is as it was. One with faults is read, and reported, again."""
    file = memory_of(kept, project.client.url, project.id) if kept else None
    memory = read_memory(file) if file else {}
    known = {row.id: _recall(memory, row) for row in rows}
    ahead = Ahead(project, [row for row in rows if row.annotations and known[row.id] is None])
    found = {str(row.id): memory[str(row.id)] for row in rows if known[row.id] is not None}
    try:
        for row in rows:
            counted = known[row.id] or count_task(project, ahead, row)
            if row.annotations and not counted.bad:
                found.setdefault(str(row.id), [row.state, as_json(counted)])
            yield counted
    finally:
        if file and found != memory:
            write_memory(file, found)


def _recall(memory: Mapping[str, Any], row: TaskSummary) -> Counted | None:
    match memory.get(str(row.id)):
        case [row.state, counted]:
            return counted_of(counted)
    return None


def _cells(counts: Sequence[Counted], approved: Sequence[Counted], target: int) -> tuple[Cell, ...]:
    tasks = Counter((one.subject, one.transparency) for one in counts)
    done = Counter((one.subject, one.transparency) for one in approved if one.kind == Kind.ALPHA)
    cells = [*itertools.product(map(str, SUBJECTS), map(str, Transparency))]
    share, more = divmod(target, len(cells))
    wanted = [share + (number < more) for number in range(len(cells))]
    return tuple(
        Cell(*cell, done[cell], tasks[cell], max(0, one - done[cell]))
        for cell, one in zip(cells, wanted, strict=True)
    )


def _annotators(work: Sequence[Work], pairs: Sequence[Agreement]) -> tuple[Annotator, ...]:
    """Everybody who made an annotation that can be used, by name."""
    of = defaultdict[str, list[Work]](list)
    for one in work:
        of[one.author].append(one)
    differences = defaultdict[str, list[float]](list)
    for pair in pairs:
        for author in pair.authors:
            differences[author].append(pair.difference)
    return tuple(_annotator(name, of[name], differences[name]) for name in sorted(of))


def _annotator(name: str, work: Sequence[Work], differences: Sequence[float]) -> Annotator:
    times = [one.seconds for one in work if one.seconds is not None]
    painted = sum(one.is_painted for one in work)
    return Annotator(
        name=name,
        painted=painted,
        judged=len(work) - painted,
        approved=sum(one.is_approved for one in work),
        timed=len(times),
        seconds=sum(times),
        median_seconds=median(times) if times else None,
        difference=float(np.mean(differences)) if differences else None,
    )
