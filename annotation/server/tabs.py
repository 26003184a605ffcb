"""The tabs of a project's data manager: all tasks, and those that wait for approval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from annotation.server.once import make_once
from annotation.server.project import Project

ALL, WAITING = "All", "To approve"
ALPHA, JUDGED = "Alpha", ("approved", "rejected")
_HAS_ALPHA = ("predictions_results", "contains", ALPHA)
_CONDITIONS = (_HAS_ALPHA, *(("annotations_results", "not_contains", word) for word in JUDGED))
_HIDDEN = (
    *("inner_id", "completed_at", "annotations_results", "annotations_ids", "predictions_score"),
    *("predictions_results", "file_upload", "storage_filename", "created_at", "avg_lead_time"),
    *("draft_exists", "cancelled_annotations", "total_predictions", "updated_by"),
)
_HIDDEN_DATA = (
    *("photo", "photo_sha256", "image_sha256", "alpha_sha256", "trimap_sha256", "preview"),
    *("solved_sha256", "solved_trimap_sha256", "height", "width", "licence"),
)


def make_tabs(project: Project) -> None:
    """Make the tabs that a project lacks. The first one is what the browser opens."""
    titles = [_title(tab) for tab in _list(project)]
    for title in (ALL, WAITING):
        # Somebody who has tabs already has one that shows all.
        if title not in titles and (title == WAITING or not titles):
            _make(project, title)


def waiting_tab(project: Project) -> str:
    """Where a person sees the tasks that wait for approval; "" if the project has no such tab: an
    earlier version made it, or somebody removed it."""
    found = next((tab["id"] for tab in _list(project) if _title(tab) == WAITING), None)
    return f"{project.url}?tab={found}" if found is not None else ""


def count_alphas(project: Project) -> int:
    """How many tasks have an alpha from a file or from a model.

    The server takes 7 s for a thousand tasks to look into their annotations, and 0.1 s for this.
    """
    _, total = project.query({"filters": _filters([_HAS_ALPHA])}, 1)
    return total


def _filters(conditions: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    return {
        "conjunction": "and",
        "items": [
            {
                "filter": f"filter:tasks:{field}",
                "operator": operator,
                "type": "String",
                "value": value,
            }
            for field, operator, value in conditions
        ],
    }


def _make(project: Project, title: str) -> None:
    columns = [f"tasks:{name}" for name in _HIDDEN] + [
        f"tasks:data.{name}" for name in _HIDDEN_DATA
    ]
    data = {
        "title": title,
        "type": "list",
        "target": "tasks",
        "filters": _filters(_CONDITIONS if title == WAITING else ()),
        "hiddenColumns": {"explore": columns, "labeling": columns},
    }
    make_once(
        project.client,
        lambda: project.client.post("/api/dm/views/", {"project": project.id, "data": data}),
        lambda: [int(tab["id"]) for tab in _list(project) if _title(tab) == title],
        lambda twin: project.client.delete(f"/api/dm/views/{twin}/"),
        f"tab {title!r} of {project.url}",
    )


def _list(project: Project) -> list[Mapping[str, Any]]:
    found = project.client.get("/api/dm/views/", project=project.id) or ()
    return sorted((tab for tab in found if isinstance(tab, dict)), key=lambda tab: int(tab["id"]))


def _title(tab: Mapping[str, Any]) -> str:
    data = tab.get("data")
    return str(data.get("title")) if isinstance(data, Mapping) else ""
