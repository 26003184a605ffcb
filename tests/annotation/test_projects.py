"""Which project a title names on a real server, and what one that is not ours leads to."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotation.form.interface import labels_xml
from annotation.push import push
from annotation.server.client import Client
from annotation.server.faults import RefusedError, ServerError
from annotation.server.find import existing_project, make_project
from annotation.server.project import Project
from tests.annotation.conftest import (
    Running,
    annotate,
    five_photos,
    pulled,
    quiet,
)


def test_project_of_another_kind(client: Client, title: str) -> None:
    other = '<View><Image name="image" value="$image"/></View>'
    client.post("/api/projects/", {"title": title, "label_config": other})
    with pytest.raises(ServerError, match="no BrushLabels brush"):
        make_project(client, title, labels_xml(), "pushed")


def test_project_that_was_made_in_the_browser(client: Client, title: str, tmp_path: Path) -> None:
    """It has no version of predictions yet, and then the one that its lead chooses."""
    body = {"title": f" {title} ", "label_config": labels_xml()}
    page = f"/api/projects/{client.post('/api/projects/', body)['id']}/"
    assert push(client, f"{title} ", five_photos(tmp_path), quiet).created == 5
    settings = client.get(page)
    assert (settings["show_collab_predictions"], settings["model_version"]) == (True, "pushed")
    client.patch(page, {"show_collab_predictions": False})
    assert push(client, title, five_photos(tmp_path), quiet).created == 0
    assert client.get(page)["show_collab_predictions"] is False


def test_a_project_of_an_earlier_version(client: Client, title: str, tmp_path: Path) -> None:
    """It gets today's interface, and its tasks what is shown beside the photo."""
    earlier = (Path(__file__).parents[1] / "golden" / "labels-1.xml").read_text(encoding="utf-8")
    page = f"/api/projects/{client.post('/api/projects/', {'title': title})['id']}/"
    client.patch(page, {"label_config": earlier})
    assert push(client, title, five_photos(tmp_path), quiet).created == 5
    project = existing_project(client, title)
    with_alpha = {row.id for row in project.summaries() if row.data["alpha_sha256"]}
    for row in project.summaries():
        old = {name: value for name, value in row.data.items() if name != "preview"}
        client.patch(f"/api/tasks/{row.id}/", {"data": old})
    client.patch(page, {"label_config": earlier})
    found = push(client, title, five_photos(tmp_path), quiet)
    assert (found.created, found.warnings) == (0, ())
    assert client.get(page)["label_config"] == labels_xml().strip()
    for row in project.summaries():
        is_photo = row.data["preview"] == row.data["image"].removeprefix("/")
        assert is_photo is (row.id not in with_alpha)


def test_an_interface_that_somebody_changed(client: Client, title: str, tmp_path: Path) -> None:
    earlier = (Path(__file__).parents[1] / "golden" / "labels-1.xml").read_text(encoding="utf-8")
    changed = earlier.replace("</View>", "<Header value='Be careful'/></View>", 1)
    client.post("/api/projects/", {"title": title, "label_config": changed})
    (note,) = push(client, title, five_photos(tmp_path), quiet).warnings
    assert "PolygonLabels polygon" in note.reason
    assert "annotation/form/labels.xml" in note.reason


def test_two_projects_of_one_title(client: Client, title: str) -> None:
    for _ in range(2):
        client.post("/api/projects/", {"title": title, "label_config": labels_xml()})
    with pytest.raises(ServerError, match="2 projects are named"):
        existing_project(client, title)


def test_folder_of_another_project(
    client: Client, pushed: Project, title: str, tmp_path: Path
) -> None:
    pulled(pushed, tmp_path / "out")
    other = make_project(client, f"{title} 2", labels_xml(), "pushed")
    with pytest.raises(ValueError, match="give another --out"):
        pulled(other, tmp_path / "out")


def test_no_such_project(client: Client, server: Running, title: str) -> None:
    ran = annotate(server, "pull", "--project", title, "--out", "/nowhere")
    assert ran.code == 1
    assert f"no project is named '{title}'" in ran.err
    with pytest.raises(RefusedError, match="404"):
        client.get("/api/tasks/999999/")
