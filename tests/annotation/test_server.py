"""Push and pull against a real server: exact, nothing twice, everything checked."""

from __future__ import annotations

import base64
import io
import json
import secrets
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotation.form.interface import labels_xml
from annotation.form.regions import choice
from annotation.form.tasks import prediction_of
from annotation.pull import pull
from annotation.push import Sources, push
from annotation.server.client import Client
from annotation.server.find import existing_project
from annotation.server.project import Project
from annotation.settings import Wanted
from annotation.status import measure
from manifests.annotations import Kind, Origin, State, annotations_path, read_annotations
from manifests.pixels import decode_alpha, decode_trimap
from manifests.sources import Subject
from tests.annotation.conftest import (
    HASTY,
    NAMES,
    PASSWORD,
    USER,
    Running,
    accept,
    annotate,
    five_photos,
    paint,
    pulled,
    quiet,
    save_alpha,
    save_photo,
    soft_alpha,
    submit,
    tasks_of,
    trimap_of_rings,
)


def test_nothing_twice(server: Running, title: str, tmp_path: Path) -> None:
    given = five_photos(tmp_path)
    folders = ("--photos", str(given.photos), "--alphas", str(given.alphas))
    command = ("push", "--project", title, *folders, "--labels", str(given.labels), "--json")
    first = annotate(server, *command)
    assert first.code == 0, first
    assert json.loads(first.out)["created"] == 5
    again = annotate(server, *command)
    assert (again.code, json.loads(again.out)["created"], json.loads(again.out)["kept"]) == (
        0,
        0,
        5,
    )
    with Client(server.url, server.token, HASTY) as client:
        project = existing_project(client, title)
        assert sorted(tasks_of(project)) == sorted(NAMES)
        assert len(project.uploads()) == 5 + 3  # photos, and previews of alphas
        task = project.task(tasks_of(project)["a b.png"])
        chosen = {
            r["from_name"]: r["value"].get("choices") for r in task["predictions"][0]["result"]
        }
        assert (chosen["subject"], chosen["transparency"]) == (["human"], ["Medium"])
        for secret in (server.token,):
            assert secret not in first.out + first.err + again.out + again.err


def test_several_tasks_are_as_one(pushed: Project) -> None:
    """What is read of many tasks in one request, and page by page, is what each of them says."""
    ids = sorted(tasks_of(pushed).values())
    accept(pushed, ids[0], choice("review", "approved"))
    submit(pushed, ids[1], [], was_cancelled=True)
    together = pushed.tasks([*ids, 999_999])
    assert sorted(together) == ids
    for task in ids:
        alone = pushed.task(task)
        assert together[task]["predictions"] == alone["predictions"]
        assert together[task]["data"] == alone["data"]
        for one, other in zip(together[task]["annotations"], alone["annotations"], strict=True):
            assert one["completed_by"]["email"] == other["completed_by"]["email"] == USER
            assert one | {"completed_by": 0} == other | {"completed_by": 0}
    rows = pushed.summaries()
    assert [row.id for row in rows] == ids
    assert [(row.annotations, row.skipped) for row in rows[:3]] == [(1, 0), (0, 1), (0, 0)]


def test_other_alpha_for_a_pushed_photo(pushed: Project, tmp_path: Path) -> None:
    given = Sources(tmp_path / "src" / "photos", tmp_path / "src" / "alphas")
    save_alpha(tmp_path / "src" / "alphas", "a b.png", soft_alpha(9, 60, 80))
    save_photo(tmp_path / "src" / "photos", "[x].png", 77)
    found = push(pushed.client, pushed.title, given, quiet)
    assert (found.created, found.kept) == (0, 3)
    assert sorted(problem.file for problem in found.failed) == ["[x].png", "a b.png"]
    assert all("delete the task" in problem.reason for problem in found.failed)


def test_other_labels_for_a_pushed_photo(pushed: Project, tmp_path: Path) -> None:
    labels = tmp_path / "src" / "labels.csv"
    given = Sources(tmp_path / "src" / "photos", labels=labels)
    labels.write_text("file,subject,licence\na b.png,non-human,CC0\n[x].png,,CC BY 4.0\n")
    found = push(pushed.client, pushed.title, given, quiet)
    assert (found.created, found.kept) == (0, 3)
    problems = {problem.file: problem.reason for problem in found.failed}
    assert set(problems) == {"a b.png", "[x].png"}
    assert "subject 'non-human' instead of 'human'" in problems["a b.png"]
    assert "licence" not in problems["a b.png"]
    assert "licence 'CC BY 4.0' instead of ''" in problems["[x].png"]


def test_only_what_changed(pushed: Project, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tasks = tasks_of(pushed)
    assert pulled(pushed, out) == (0, [])
    accept(pushed, tasks["a b.png"])
    trimap = trimap_of_rings(60, 80)
    painted = paint(pushed, tasks["[x].png"], trimap, choice("transparency", "Strongly"))
    assert pulled(pushed, out) == (2, [])
    assert pulled(pushed, out) == (0, [])
    rows = {row.photo_file: row for row in read_annotations(annotations_path(out))}
    assert set(rows) == {"a b.png", "[x].png"}
    row = rows["[x].png"]
    assert (row.kind, row.origin, row.state) == (Kind.TRIMAP, Origin.MANUAL, State.SUBMITTED)
    assert (row.subject, row.transparency) == (Subject.NON_HUMAN, "Strongly")
    assert (row.annotation_id, row.task_id, row.project) == (
        painted,
        tasks["[x].png"],
        pushed.title,
    )
    assert np.array_equal(decode_trimap((out / row.path).read_bytes()), trimap)
    assert (rows["a b.png"].subject, rows["a b.png"].licence) == (Subject.HUMAN, "CC0")
    (out / row.path).unlink()
    assert pulled(pushed, out) == (1, [])
    pushed.client.delete(f"/api/annotations/{painted}/")
    (gone,) = pull(pushed.client, pushed.title, out, Wanted.ALL, quiet).gone
    assert (gone.photo, gone.annotation, gone.author) == ("[x].png", painted, USER)
    assert gone.reason.startswith("it is gone on the server now")
    assert gone.url == f"{pushed.url}?task={tasks['[x].png']}"
    assert (out / row.path).exists()
    assert pull(pushed.client, pushed.title, out, Wanted.ALL, quiet, prune=True).removed == 1
    assert [row.photo_file for row in read_annotations(annotations_path(out))] == ["a b.png"]
    assert not (out / row.path).exists()


def test_what_the_server_does_not_count_is_pulled(pushed: Project, tmp_path: Path) -> None:
    """Its counter is a field of the task, which is lost where two write the task at once."""
    tasks = tasks_of(pushed)
    accept(pushed, tasks["a b.png"], choice("review", "approved"))
    pushed.client.patch(f"/api/tasks/{tasks['a b.png']}/", {"total_annotations": 0})
    assert [row.annotations for row in pushed.summaries()] == [0] * 5
    assert pulled(pushed, tmp_path / "out") == (1, [])
    assert measure(pushed.client, pushed.title, 8, quiet).states["approved"] == 1


def test_what_was_deleted_on_the_server_stays(
    server: Running, pushed: Project, tmp_path: Path
) -> None:
    tasks, out = tasks_of(pushed), tmp_path / "out"
    painted = prediction_of("", alpha=soft_alpha(1, 60, 80))["result"]
    for task in tasks.values():
        submit(pushed, task, painted)
    command = ("pull", "--project", pushed.title, "--out", str(out))
    assert annotate(server, *command).code == 0
    for task in tasks.values():
        pushed.delete_task(task)
    ran = annotate(server, *command)
    assert ran.code == 1
    assert "a b.png: the whole task: the task was deleted on the server" in " ".join(
        ran.err.split()
    )
    assert "5 results" in ran.out
    assert len(list((out / "alphas").iterdir())) == 5
    pushed.client.delete(f"/api/projects/{pushed.id}/")
    assert "no project is named" in annotate(server, *command).err
    assert not pushed.is_there()
    assert len(read_annotations(annotations_path(out))) == 5


def test_approved_only(pushed: Project, tmp_path: Path) -> None:
    tasks = tasks_of(pushed)
    accept(pushed, tasks["a b.png"], choice("review", "approved"))
    accept(pushed, tasks["deep/a b.png"])
    assert pulled(pushed, tmp_path / "out", Wanted.APPROVED) == (2, [])
    (row,) = read_annotations(annotations_path(tmp_path / "out"))
    assert (row.photo_file, row.state, row.accepted) == ("a b.png", State.APPROVED, True)
    assert pulled(pushed, tmp_path / "out", Wanted.ALL) == (2, [])
    assert len(read_annotations(annotations_path(tmp_path / "out"))) == 2


def test_several_annotations(pushed: Project, tmp_path: Path) -> None:
    task = tasks_of(pushed)["[x].png"]
    first, second = soft_alpha(1, 60, 80), soft_alpha(2, 60, 80)
    name = f"otto-{secrets.token_hex(4)}"
    otto = {"username": name, "email": f"{name}@localhost.local", "password": PASSWORD}
    for alpha, author in (
        (first, {}),
        (second, {"completed_by": pushed.client.post("/api/users/", otto)["id"]}),
    ):
        submit(pushed, task, prediction_of("", alpha=alpha)["result"], **author)
    assert pulled(pushed, tmp_path / "out") == (1, [])
    rows = read_annotations(annotations_path(tmp_path / "out"))
    by_accepted = {row.accepted: row for row in rows}
    for accepted, alpha in ((True, second), (False, first)):
        found = decode_alpha((tmp_path / "out" / by_accepted[accepted].path).read_bytes())
        assert np.array_equal(found, alpha)
    status = measure(pushed.client, pushed.title, 440, quiet)
    (pair,) = status.agreement
    assert pair.task == task
    assert pair.difference == pytest.approx(np.abs(first.astype(float) - second).mean())
    assert status.states == {
        **{"new": 4, "skipped": 0, "submitted": 1, "approved": 0, "rejected": 0, "bad": 0}
    }


def test_bitmasks_are_read(pushed: Project, tmp_path: Path) -> None:
    """From a project whose interface somebody gave BitmaskLabels."""
    control = '<BitmaskLabels name="bitmask" toName="image"><Label value="Alpha"/></BitmaskLabels>'
    interface = labels_xml().replace("</View>", f"{control}</View>", 1)
    pushed.client.patch(f"/api/projects/{pushed.id}/", {"label_config": interface})
    alpha = np.random.default_rng(3).integers(0, 256, (60, 80)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.dstack([alpha] * 4)).save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    (region,) = prediction_of("", alpha=alpha)["result"]
    value = {"format": "mask", "imageDataURL": url, "bitmasklabels": ["Alpha"]}
    bitmask = {**region, "type": "bitmasklabels", "from_name": "bitmask", "value": value}
    submit(pushed, tasks_of(pushed)["[x].png"], [bitmask])
    assert pulled(pushed, tmp_path / "out") == (1, [])
    (row,) = read_annotations(annotations_path(tmp_path / "out"))
    assert np.array_equal(decode_alpha((tmp_path / "out" / row.path).read_bytes()), alpha)


def test_skipped_is_no_fault(pushed: Project, tmp_path: Path) -> None:
    submit(pushed, tasks_of(pushed)["a b.png"], [], was_cancelled=True)
    assert pulled(pushed, tmp_path / "out") == (1, [])
    status = measure(pushed.client, pushed.title, 440, quiet)
    assert (status.states["skipped"], status.states["new"]) == (1, 4)


def test_status_of_cells(server: Running, pushed: Project) -> None:
    tasks = tasks_of(pushed)
    accept(pushed, tasks["a b.png"], choice("review", "approved"))
    accept(pushed, tasks["d.o.t.s.jpg"], choice("review", "rejected"))
    ran = annotate(server, "status", "--project", pushed.title, "--target", "16", "--json")
    assert ran.code == 0, ran
    found = json.loads(ran.out)
    assert found["states"]["approved"] == found["states"]["rejected"] == 1
    assert found["tasks"] == 5
    cells = {(cell["subject"], cell["transparency"]): cell for cell in found["cells"]}
    assert len(cells) == 8
    assert cells["human", "Medium"] == {
        **{"subject": "human", "transparency": "Medium", "approved": 1, "tasks": 1, "missing": 1}
    }
    assert cells["non-human", "Highly"]["missing"] == 2
    table = annotate(server, "status", "--project", pushed.title)
    assert "55" in table.out
    assert "non-human" in table.out
