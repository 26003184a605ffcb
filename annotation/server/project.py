"""A project on the server as this program sees it: its tasks, uploads and predictions.

Everything that makes something looks first, and after a broken connection looks again, so that
the same command may be given as often as needed.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from annotation.server.client import Client, OutageError, RefusedError, ServerError, UnsureError

_PAGE = 25  # the server reads every annotation of a page from its database even to list ids
_PROJECT_PAGE = 100
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?P<name>[^/]+)\Z")  # the server's name for an upload
TRIES = 5  # at making one thing, each after a look that did not find it


@dataclass(frozen=True)
class TaskSummary:
    """A task without its results. `data` is what push wrote, or anything, as anybody may import."""

    id: int
    data: Mapping[str, Any]
    updated: str
    annotations: int
    skipped: int


class Project:
    """One project. `title` was found or given; `id` is the server's."""

    def __init__(self, client: Client, id_: int, title: str) -> None:
        self.client, self.id, self.title = client, id_, title

    @property
    def url(self) -> str:
        return f"{self.client.url}/projects/{self.id}/data"

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
        """Every task, oldest first. Raises ServerError if tasks are deleted faster than listed."""
        for _ in range(TRIES):
            rows = self._list()
            if rows is not None:
                return rows
        raise ServerError(f"{self.url}: tasks are being deleted; try again when that is done")

    def _list(self) -> list[TaskSummary] | None:
        """Every task, page by page; None if tasks were deleted meanwhile, which moves those behind
        them to earlier pages that were read already."""
        rows: list[TaskSummary] = []
        total, before = 1, 0
        for number in itertools.count(1):
            try:
                page = self.client.get(
                    "/api/tasks/",
                    project=self.id,
                    page=number,
                    page_size=_PAGE,
                    resolve_uri="false",
                    query=json.dumps({"ordering": ["tasks:id"]}),
                )
            except RefusedError as error:
                if error.status == 404 and rows:
                    return None  # there is no such page any more
                raise
            found, total = _page(page, "tasks", "total")
            if total < before or (not found and len(rows) < total):
                return None
            before = total
            rows += map(self._row, found)
            if len(rows) >= total:
                break
        return rows

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
            raise ServerError(f"{self.client.url}: task {id_} is not a JSON object")
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

    def is_touched(self, id_: int) -> bool:
        """Whether anybody has begun to annotate a task."""
        task = self.task(id_)
        return bool(task.get("annotations") or task.get("drafts") or task.get("draft_exists"))

    def delete_task(self, id_: int) -> None:
        self.client.delete(f"/api/tasks/{id_}/")

    def uploads(self) -> dict[str, str]:
        """Of every file uploaded with this token: the name that it was given -> its URL path."""
        found: dict[str, str] = {}
        for upload in self.client.get(f"/api/projects/{self.id}/file-uploads", all="true") or ():
            path = str(upload.get("file")).lstrip("/")
            match = _UPLOADED.search(path)
            if match:
                found.setdefault(match["name"], f"/data/{path.removeprefix('data/')}")
        return found

    def upload(self, name: str, data: bytes) -> str:
        """Send a file that is not there yet, once; its URL path."""
        path = f"/api/projects/{self.id}/import"

        def send() -> None:
            self.client.post_file(path, name, data, commit_to_project="false")

        once(self.client, send, lambda: name in self.uploads(), f"upload of {name}")
        url = self.uploads().get(name)
        if url is None:
            raise ServerError(f"{self.url}: {name} was uploaded, but is not in the list of uploads")
        return url

    def predictions(self, task: int) -> list[dict[str, Any]]:
        """The predictions of a task, results included."""
        found = self.client.get("/api/predictions/", task=task)
        return [one for one in found if isinstance(one, dict)]

    def add_prediction(self, task: int, prediction: Mapping[str, Any]) -> bool:
        """Give a task a prediction, unless it has the same; returns whether it was given."""

        def is_there() -> bool:
            return any(_same(prediction, one) for one in self.predictions(task))

        def send() -> None:
            body = {"task": task, "project": self.id, **prediction}
            self.client.post("/api/predictions/", body)

        if is_there():
            return False
        once(self.client, send, is_there, f"prediction for task {task}")
        return True

    def serve_folder(self, folder: Path) -> None:
        """Register a folder of the server's machine, so that its files may be shown."""
        path = str(folder)

        def is_there() -> bool:
            storages = self.client.get("/api/storages/localfiles/", project=self.id)
            return any(storage.get("path") == path for storage in storages)

        def make() -> None:
            body = {"project": self.id, "path": path, "title": "photos", "use_blob_urls": True}
            self.client.post("/api/storages/localfiles/", body)

        if not is_there():
            once(self.client, make, is_there, f"local-files storage {path}")


def find_project(client: Client, title: str) -> Project | None:
    """The project of that title, whose outer spaces do not count: the server removes them.

    Raises ServerError if there are several.
    """
    title = title.strip()
    ids, number, more = [], 0, True
    while more:
        number += 1
        page = client.get(
            "/api/projects/", title=title, page=number, page_size=_PROJECT_PAGE, include="id,title"
        )
        found, total = _page(page, "results", "count")
        ids += [one["id"] for one in found if one.get("title") == title]
        more = bool(found) and number * _PROJECT_PAGE < total
    if len(ids) > 1:
        where = ", ".join(f"{client.url}/projects/{one}" for one in ids)
        raise ServerError(f"{len(ids)} projects are named {title!r}: {where}; rename all but one")
    return Project(client, ids[0], title) if ids else None


def existing_project(client: Client, title: str) -> Project:
    """The project of that title. Raises ServerError if no project, or several, have it."""
    project = find_project(client, title)
    if project is None:
        raise ServerError(f"{client.url}: no project is named {title!r}; `annotate push` makes it")
    return project


def make_project(client: Client, title: str, interface: str, model_version: str) -> Project:
    """The project of that title, made if it does not exist, and set to show predictions
    to annotators.

    An existing project keeps its settings; where no version of predictions is chosen, the server
    takes that of the first import. interface: the labelling interface, XML. Raises
    ServerError if an existing project has an interface that lacks parts of it.
    """
    title = title.strip()
    project = find_project(client, title)
    if project is None:
        shown = {"show_collab_predictions": True, "model_version": model_version}
        body = {"title": title, "label_config": interface, **shown}
        once(
            client,
            lambda: client.post("/api/projects/", body),
            lambda: find_project(client, title) is not None,
            f"project {title!r}",
        )
        project = existing_project(client, title)
    settings = client.get(f"/api/projects/{project.id}/")
    missing = _controls(interface) - _controls(str(settings.get("label_config", "")))
    if missing:
        raise ServerError(
            f"{project.url}: its labelling interface has no {', '.join(sorted(missing))}; give "
            "another --project, or set the interface to annotation/form/labels.xml"
        )
    return project


def once(client: Client, act: Callable[[], object], is_done: Callable[[], bool], what: str) -> None:
    """Do what must not be done twice: after a broken connection, look before it is done again."""
    pauses = client.pauses()
    for _ in range(TRIES):
        try:
            act()
        except UnsureError as error:
            last: ServerError = error
            if client.settled(error, is_done):
                return
            time.sleep(next(pauses))
        else:
            return
    raise OutageError(f"{what}: not done after {TRIES} tries; {last}")


def _controls(interface: str) -> set[str]:
    """Every control and label of an interface, as `Tag name` and `Tag of parent: value`."""
    try:
        root = ElementTree.fromstring(interface)
    except ElementTree.ParseError:
        return set()
    found = set()
    for parent in root.iter():
        if "toName" in parent.attrib:
            found.add(f"{parent.tag} {parent.attrib.get('name')}")
            found |= {f"{child.tag} {child.attrib.get('value')}" for child in parent}
    return found


def _same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether two predictions have the same content; the ids of regions differ each time."""
    return ours["model_version"] == theirs.get("model_version") and _content(ours) == _content(
        theirs
    )


def _content(prediction: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    regions = prediction.get("result") or []
    return [(region.get("from_name"), region.get("value")) for region in regions]


def _page(page: Any, items: str, total: str) -> tuple[list[dict[str, Any]], int]:
    try:
        return list(page[items]), int(page[total])
    except (KeyError, TypeError, ValueError):
        raise ServerError(f"the server's list of {items} lacks {items!r} or {total!r}") from None
