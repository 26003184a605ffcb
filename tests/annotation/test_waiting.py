"""How many tasks wait for approval, as `status` counts them and as the server's own tab does."""

from __future__ import annotations

from pathlib import Path

from annotation.form.regions import choice
from annotation.form.tasks import prediction_of
from annotation.push import Sources, push
from annotation.server.client import Client
from annotation.server.find import existing_project
from annotation.server.project import Project, read_page
from annotation.status import measure
from tests.annotation.conftest import (
    accept,
    paint,
    quiet,
    save_alpha,
    save_photo,
    soft_alpha,
    submit,
    tasks_of,
    trimap_of_rings,
)

SIDES = 60, 80


def counted(project: Project, kept: Path) -> int:
    """By `status`, which must agree with the tab that it names."""
    status = measure(project.client, project.title, 8, quiet, kept)
    view = status.waiting_url.rpartition("tab=")[2]
    page = project.client.get("/api/tasks/", project=project.id, view=view, page_size=1)
    _, in_tab = read_page(page, "tasks", "total")
    assert status.waiting == in_tab
    return in_tab


def test_what_waits_is_what_the_tab_shows(client: Client, title: str, tmp_path: Path) -> None:
    for number, name in enumerate("abcdef"):
        save_photo(tmp_path / "photos", f"{name}.png", number, *SIDES)
        if name != "f":
            save_alpha(tmp_path / "alphas", f"{name}.png", soft_alpha(number, *SIDES))
    push(client, title, Sources(tmp_path / "photos", tmp_path / "alphas"), quiet)
    project, kept = existing_project(client, title), tmp_path / "kept"
    task = {name.removesuffix(".png"): id_ for name, id_ in tasks_of(project).items()}
    assert counted(project, kept) == 5

    accept(project, task["a"])  # an alpha that nobody judged
    submit(project, task["b"], [], was_cancelled=True)
    paint(project, task["c"], trimap_of_rings(*SIDES))
    assert counted(project, kept) == 5

    accept(project, task["a"], choice("review", "approved"))
    submit(project, task["d"], [choice("review", "rejected")])
    paint(project, task["f"], trimap_of_rings(*SIDES), choice("review", "approved"))
    assert counted(project, kept) == 3

    project.add_prediction(task["f"], prediction_of("model", soft_alpha(5, *SIDES)))
    accept(project, task["e"], choice("review", "approved"))
    assert counted(project, kept) == 2
