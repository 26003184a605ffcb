"""Tasks of which the server counts no annotation, although they have one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from annotation.server.project import Project, TaskSummary

_PAGE = 1000


def counted_summaries(project: Project) -> list[TaskSummary]:
    """`project.summaries()`; one that has an annotation never counts none.

    The server counts in a field of the task. Who changes a task writes all its fields as they were
    read, so that an annotation that was submitted in between is no longer counted: it would never
    be pulled. Tasks that count none are therefore compared with the annotations themselves.
    """
    rows = project.summaries()
    uncounted = _uncounted(project) if any(_is_empty(row) for row in rows) else set[int]()
    return [
        replace(row, annotations=1) if row.id in uncounted and _is_empty(row) else row
        for row in rows
    ]


def _is_empty(row: TaskSummary) -> bool:
    return row.annotations + row.skipped == 0


def _uncounted(project: Project) -> set[int]:
    found: set[int] = set()
    while True:
        items = [
            _filter("annotators", "empty", "List", "false"),
            _filter("total_annotations", "equal", "Number", 0),
            _filter("cancelled_annotations", "equal", "Number", 0),
            _filter("id", "greater", "Number", max(found, default=0)),
        ]
        query = {"filters": {"conjunction": "and", "items": items}}
        some, total = project.query(query, _PAGE)
        found |= {int(one["id"]) for one in some}
        if len(some) >= total or not some:
            return found


def _filter(field: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": kind, "value": value}
