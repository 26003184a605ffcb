"""The project of a title: found, or made once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.form.interface import is_earlier, missing_parts
from annotation.server.client import Client
from annotation.server.faults import RefusedError, ServerError
from annotation.server.once import make_once
from annotation.server.project import Project, read_page

_PAGE = 100

Found = Mapping[str, Any]  # a project as the server lists it


def find_project(client: Client, title: str) -> Project | None:
    """The project of that title, whose outer spaces do not count: the server removes them.

    Raises ServerError if there are several.
    """
    found = _list(client, title.strip())
    if len(found) > 1:
        where = ", ".join(f"{client.url}/projects/{one['id']}" for one in found)
        raise ServerError(
            f"{len(found)} projects are named {title.strip()!r}: {where}; rename all but one"
        )
    return Project(client, found[0]["id"], title.strip()) if found else None


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
    takes that of the first import. interface: the labelling interface, XML. It replaces that of an
    earlier version; one that somebody changed stays, and what it lacks is in the project's `notes`.
    Raises ServerError if it lacks what nobody can annotate without, or if the server does not
    accept the title.
    """
    title = title.strip()
    project = find_project(client, title)
    if project is None:
        _make(client, title, interface, model_version)
        project = existing_project(client, title)
        project.is_new = True
    page = f"/api/projects/{project.id}/"
    before = str(client.get(page).get("label_config", ""))
    if is_earlier(before):
        client.patch(page, {"label_config": interface})
        return project
    needed, others = missing_parts(before, interface)
    advice = "set the interface to annotation/form/labels.xml"
    if needed:
        raise ServerError(
            f"{project.url}: its labelling interface has no {', '.join(needed)}; give another "
            f"--project, or {advice}"
        )
    if others:
        project.notes.append(
            f"its labelling interface was changed and has no {', '.join(others)}; to have them, "
            f"{advice}"
        )
    return project


def settle_project(project: Project) -> None:
    """Remove the twins of a project that was made just now.

    A request that seemed lost may have been carried out later. A project with tasks stays, and
    the next command names it.
    """
    if project.is_new:
        for twin in _list(project.client, project.title):
            if twin["id"] > project.id:
                _remove(project.client, twin)


def _make(client: Client, title: str, interface: str, model_version: str) -> None:
    shown = {"show_collab_predictions": True, "model_version": model_version}
    body = {"title": title, "label_config": interface, **shown}
    try:
        make_once(
            client,
            lambda: client.post("/api/projects/", body),
            lambda: _list(client, title),
            lambda twin: _remove(client, twin),
            f"project {title!r}",
        )
    except RefusedError as error:
        raise ServerError(
            f"--project {title!r}: the server does not make this project: {error.words or error}"
        ) from error


def _remove(client: Client, twin: Found) -> None:
    """Remove a project without tasks."""
    if twin.get("task_number") == 0:
        client.delete(f"/api/projects/{twin['id']}/")


def _list(client: Client, title: str) -> list[Found]:
    """The projects of exactly this title, the oldest first, with the numbers of their tasks."""
    listed: list[Found] = []
    number, more = 0, True
    while more:
        number += 1
        fields = "id,title,task_number"
        page = client.get(
            "/api/projects/", title=title, page=number, page_size=_PAGE, include=fields
        )
        found, total = read_page(page, "results", "count")
        listed += [one for one in found if one.get("title") == title]
        more = bool(found) and number * _PAGE < total
    return sorted(listed, key=lambda one: int(one["id"]))
