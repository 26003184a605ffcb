"""A project on the server as this program sees it: its tasks, uploads and predictions.

Everything that makes something looks first, and after a broken connection looks again, so that
the same command may be given as often as needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from annotation.files.photos import MAX_SIDE
from annotation.server.client import Client
from annotation.server.faults import RefusedError, ServerError
from annotation.server.once import make_once

# The server reads every annotation of a page from its database even to list ids.
_FIRST_PAGE, _LONGEST_PAGE = 25, 250  # tasks
_PAGE_PIXELS = 25 * 4096 * 2160  # of their photos: what is painted grows with them
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?P<name>[^/]+)\Z")  # the server's name for an upload


@dataclass(frozen=True)
class TaskSummary:
    """A task without its results. `data` is what push wrote, or anything, as anybody may import."""

    id: int
    data: Mapping[str, Any]
    updated: str
    annotations: int
    skipped: int

    @property
    def pixels(self) -> int:
        """Those of the photo; of the largest, if the data does not say."""
        sides = self.data.get("height"), self.data.get("width")
        height, width = (
            side if type(side) is int and 0 < side <= MAX_SIDE else MAX_SIDE for side in sides
        )
        return height * width

    @property
    def state(self) -> str:
        """Another text after each change of the task or its annotations."""
        return f"{self.updated} {self.annotations} {self.skipped}"


class Project:
    """One project. `title` was found or given; `id` is the server's; `is_new` if it was made just
    now; `notes` is what a person should know of it."""

    def __init__(self, client: Client, id_: int, title: str) -> None:
        self.client, self.id, self.title = client, id_, title
        self.is_new = False
        self.notes: list[str] = []

    @property
    def url(self) -> str:
        return f"{self.client.url}/projects/{self.id}/data"

    def task_url(self, task: int) -> str:
        """Where a person sees a task."""
        return f"{self.url}?task={task}"

    @cached_property
    def files(self) -> str:
        """What the URL paths of pictures begin with, for a browser: "/data", below a path if the
        server is behind one."""
        return f"{self.client.browser_path()}/data"

    def is_there(self) -> bool:
        """Whether the project still exists."""
        try:
            self.client.get(f"/api/projects/{self.id}/")
        except RefusedError as error:
            if error.status != 404:
                raise
            return False
        return True

    def summaries(self) -> list[TaskSummary]:
        """Every task, oldest first, however many are made and deleted meanwhile."""
        rows: list[TaskSummary] = []
        size = _FIRST_PAGE
        while True:
            found, total = self.query(_after(rows[-1]) if rows else {}, size)
            some = [*map(self._row, found)]
            if rows and some and some[0].id <= rows[-1].id:
                raise ServerError(f"{self.url}: the server lists tasks that were not asked for")
            rows += some
            if not some or len(some) >= total:
                return rows
            size = _page_size(some)

    def tasks(self, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Tasks as `task` gives them, by their ids, in one request: a request costs the server
        more than a task does.

        Left out are those that were deleted, and those of people who are not listed.
        """
        which = {"selectedItems": {"all": False, "included": list(ids)}}
        people = self._people
        found, _ = self.query(which, len(ids), "all")
        whole = {}
        for task in found:
            annotations = [one for one in task.get("annotations") or () if isinstance(one, dict)]
            numbered = [one for one in annotations if isinstance(one.get("completed_by"), int)]
            if all(one["completed_by"] in people for one in numbered):
                for one in numbered:
                    one["completed_by"] = people[one["completed_by"]]
                whole[int(task["id"])] = task
        return whole

    @cached_property
    def _people(self) -> dict[int, Any]:
        """The accounts of the server by their numbers, which are all that lists of tasks have."""
        listed = self.client.get("/api/users/")
        return {one["id"]: one for one in listed if isinstance(one, dict) and "id" in one}

    def query(
        self, which: Mapping[str, Any], size: int, fields: str = "task_only"
    ) -> tuple[list[dict[str, Any]], int]:
        """(The first tasks of those that a query of the data manager finds, how many there are)."""
        page = self.client.get(
            "/api/tasks/",
            project=self.id,
            page=1,
            page_size=size,
            fields=fields,
            resolve_uri="false",
            query=json.dumps({"ordering": ["tasks:id"], **which}),
        )
        return read_page(page, "tasks", "total")

    def _row(self, task: Mapping[str, Any]) -> TaskSummary:
        try:
            data = task.get("data")
            return TaskSummary(
                id=int(task["id"]),
                data=data if isinstance(data, dict) else {},
                updated=str(task.get("updated_at", "")),
                annotations=int(task.get("total_annotations") or 0),
                skipped=int(task.get("cancelled_annotations") or 0),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ServerError(f"{self.url}: a malformed task: {error!r}") from error

    def task(self, id_: int) -> dict[str, Any]:
        """A task with its annotations and predictions."""
        task = self.client.get(f"/api/tasks/{id_}/", resolve_uri="false")
        if not isinstance(task, dict):
            raise ServerError(f"{self.task_url(id_)}: the server's answer is not a task")
        return task

    def find_task(self, id_: int) -> dict[str, Any] | None:
        """A task as `task` gives it; None if it was deleted since the tasks were listed."""
        try:
            return self.task(id_)
        except RefusedError as error:
            if error.status != 404:
                raise
        return None

    def add_tasks(self, tasks: Sequence[bytes]) -> None:
        """Import tasks (each as JSON). Raises UnsureError if it broke off."""
        self.client.post(f"/api/projects/{self.id}/import", b"[" + b",".join(tasks) + b"]")

    def set_data(self, task: TaskSummary, **fields: str) -> None:
        """Set fields of a task's data; the others stay as they were listed."""
        self.client.patch(f"/api/tasks/{task.id}/", {"data": {**task.data, **fields}})

    def drafts(self, task: int) -> list[dict[str, Any]]:
        """What people paint in a task and have not submitted; only an export lists the drafts of
        all people."""
        found = self.client.get(
            f"/api/projects/{self.id}/export",
            exportType="JSON",
            download_all_tasks="true",
            **{"ids[]": task},
        )
        listed = [draft for one in found or () for draft in one.get("drafts") or ()]
        return [draft for draft in listed if isinstance(draft, dict) and "result" in draft]

    def is_touched(self, id_: int) -> bool:
        """Whether anybody has begun to annotate a task."""
        task = self.task(id_)
        return bool(task.get("annotations") or task.get("drafts") or task.get("draft_exists"))

    def delete_task(self, id_: int) -> None:
        self.client.delete(f"/api/tasks/{id_}/")

    def uploads(self, ids: Sequence[int] = ()) -> dict[str, str]:
        """Of every file uploaded with this token, or those with the given ids: the name that it
        was given -> its URL path."""
        found: dict[str, str] = {}
        which = {"ids": json.dumps(list(ids))} if ids else {"all": "true"}
        listed = self.client.get(f"/api/projects/{self.id}/file-uploads", **which) or ()
        for upload in sorted(listed, key=lambda one: int(one["id"])):  # the oldest counts
            path = str(upload.get("file")).lstrip("/")
            match = _UPLOADED.search(path)
            if match:
                found.setdefault(match["name"], f"{self.files}/{path.removeprefix('data/')}")
        return found

    def upload(self, name: str, data: bytes) -> str:
        """Send a file that is not there yet, once; its URL path."""
        path = f"/api/projects/{self.id}/import"
        made: list[int] = []  # unknown where the answer was lost

        def send() -> None:
            answer = self.client.post_file(path, name, data, commit_to_project="false")
            ids = answer.get("file_upload_ids") if isinstance(answer, dict) else None
            made[:] = [one for one in ids or () if isinstance(one, int)]

        def find() -> list[str]:
            url = self.uploads(made).get(name)  # a twin is harmless: it has another URL
            return [url] if url else []

        return make_once(self.client, send, find, lambda twin: None, f"upload {name}")

    def predictions(self, task: int) -> list[dict[str, Any]]:
        """The predictions of a task, results included."""
        found = self.client.get("/api/predictions/", task=task)
        return [one for one in found if isinstance(one, dict)]

    def add_prediction(self, task: int, prediction: Mapping[str, Any]) -> bool:
        """Give a task a prediction, unless it has the same; returns whether it was given."""

        def find() -> list[int]:
            return sorted(
                int(one["id"]) for one in self.predictions(task) if _same(prediction, one)
            )

        def send() -> None:
            body = {"task": task, "project": self.id, **prediction}
            self.client.post("/api/predictions/", body)

        def remove(twin: int) -> None:
            self.client.delete(f"/api/predictions/{twin}/")

        if find():
            return False
        make_once(self.client, send, find, remove, f"prediction for {self.task_url(task)}")
        return True

    def serve_folder(self, folder: Path) -> None:
        """Register a folder of the server's machine, so that its files may be shown."""
        path = str(folder)

        def find() -> list[int]:
            storages = self.client.get("/api/storages/localfiles/", project=self.id)
            return sorted(int(one["id"]) for one in storages if one.get("path") == path)

        def make() -> None:
            body = {"project": self.id, "path": path, "title": "photos", "use_blob_urls": True}
            self.client.post("/api/storages/localfiles/", body)

        def remove(twin: int) -> None:
            self.client.delete(f"/api/storages/localfiles/{twin}")

        if not find():
            make_once(self.client, make, find, remove, f"local-files storage {path}")


def _after(row: TaskSummary) -> dict[str, Any]:
    """The query for all later tasks. Numbers of pages would move when a task is deleted."""
    later = {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": row.id}
    return {"filters": {"conjunction": "and", "items": [later]}}


def _page_size(before: Sequence[TaskSummary]) -> int:
    """How many tasks to list at once, after a page of some."""
    pixels = max(1, sum(row.pixels for row in before) // len(before))
    return min(max(_FIRST_PAGE, _PAGE_PIXELS // pixels), _LONGEST_PAGE)


def _same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether two predictions have the same content; the ids of regions differ each time."""
    return ours["model_version"] == theirs.get("model_version") and _content(ours) == _content(
        theirs
    )


def _content(prediction: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    regions = prediction.get("result") or []
    return [(region.get("from_name"), region.get("value")) for region in regions]


def read_page(page: Any, items: str, total: str) -> tuple[list[dict[str, Any]], int]:
    try:
        return list(page[items]), int(page[total])
    except (KeyError, TypeError, ValueError):
        raise ServerError(f"the server's list of {items} lacks {items!r} or {total!r}") from None
