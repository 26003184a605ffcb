"""Tasks with all that was painted, several from one request, a little ahead of their use."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from annotation.server.faults import RefusedError
from annotation.server.project import Project, TaskSummary

_TASKS = 25
_PIXELS = 4096 * 2160  # of their photos: what is painted on them is held in memory meanwhile


class Ahead:
    """`rows`: the tasks that will be asked for, in this order, if no other one is."""

    def __init__(self, project: Project, rows: Sequence[TaskSummary]) -> None:
        self._project, self._rows = project, rows
        self._place = {row.id: number for number, row in enumerate(rows)}
        self._asked: set[int] = set()  # in the last request
        self._had: dict[int, dict[str, Any]] = {}  # of them, those that are still to be used
        self._is_alone = False  # the server refuses several at once

    def find_task(self, row: TaskSummary) -> dict[str, Any] | None:
        """A task, which is forgotten then; None if it was deleted since the tasks were listed."""
        if row.id not in self._asked and not self._is_alone:
            self._fetch([one.id for one in self._some(row)])
        return self._had.pop(row.id, None) or self._project.find_task(row.id)

    def _some(self, row: TaskSummary) -> Iterator[TaskSummary]:
        """A task and as many after it as one request may bring."""
        pixels = row.pixels
        yield row
        begin = self._place.get(row.id, len(self._rows)) + 1
        for later in itertools.islice(self._rows, begin, begin + _TASKS - 1):
            pixels += later.pixels
            if pixels > _PIXELS:
                break
            yield later

    def _fetch(self, ids: Sequence[int]) -> None:
        if len(ids) == 1:
            return
        self._asked, self._had = set(ids), {}
        try:
            self._had = self._project.tasks(ids)
        except RefusedError:
            self._is_alone = True
