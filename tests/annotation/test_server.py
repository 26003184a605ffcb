"""Push and pull against a real server: exact, nothing twice, everything checked."""

from __future__ import annotations

import base64
import io
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image

from annotation.form.interface import labels_xml
from annotation.form.regions import choice
from annotation.form.tasks import prediction_of
from annotation.pull import pull
from annotation.push import Sources, push
from annotation.serve import Service, free_port, serving
from annotation.server.client import Client
from annotation.server.faults import RefusedError, ServerError
from annotation.server.find import existing_project, make_project
from annotation.server.project import Project
from annotation.settings import Wanted
from annotation.status import measure
from manifests.annotations import Kind, Origin, State, annotations_path, read_annotations
from manifests.pixels import Pixels, decode_alpha, decode_trimap
from manifests.sources import Subject
from tests.annotation.conftest import (
    DATA,
    HASTY,
    PASSWORD,
    USER,
    Running,
    accept,
    annotate,
    colours,
    paint,
    quiet,
    save_alpha,
    save_photo,
    soft_alpha,
    submit,
    tasks_of,
    trimap_of_rings,
)
from tests.annotation.proxy import proxied

NAMES = ["a b.png", "deep/a b.png", "d.o.t.s.jpg", "ünï-日本.png", "[x].png"]
LABELS = "file,subject,transparency,licence\na b.png,human,Medium,CC0\n[x].png,non-human,Highly,\n"


def sources(folder: Path) -> Sources:
    """Five photos of strange names, alphas for three of them, labels for two."""
    for number, name in enumerate(NAMES):
        save_photo(folder / "photos", name, number)
        if number < 3:
            stem = name.rpartition(".")[0]
            save_alpha(folder / "alphas", f"{stem}.png", soft_alpha(number, 60, 80))
    (folder / "labels.csv").write_text(LABELS, encoding="utf-8")
    return Sources(folder / "photos", folder / "alphas", labels=folder / "labels.csv")


@pytest.fixture
def pushed(client: Client, title: str, tmp_path: Path) -> Project:
    """A project with the five photos."""
    found = push(client, title, sources(tmp_path / "src"), quiet)
    assert (found.created, found.kept, found.failed) == (5, 0, ())
    return existing_project(client, title)


def pulled(project: Project, out: Path, wanted: Wanted = Wanted.ALL) -> tuple[int, list[str]]:
    """Pull; (how many tasks were fetched, what was refused)."""
    found = pull(project.client, project.title, out, wanted, quiet)
    return found.fetched, [f"task {one.task}: {one.annotation}: {one.reason}" for one in found.bad]


def real_alphas() -> list[tuple[str, Pixels]]:
    """20 of the real cut-outs, RGBA, the smaller ones: (name, H x W x 4)."""
    paths = sorted((DATA / "foregrounds").glob("*.png"), key=lambda path: path.stat().st_size)
    if not paths:
        pytest.skip(f"the real cut-outs are not at {DATA / 'foregrounds'}")
    read = [(path.name, cv2.imread(str(path), cv2.IMREAD_UNCHANGED)) for path in paths[:20]]
    return [(name, np.asarray(cutout, np.uint8)) for name, cutout in read if cutout is not None]


def exact(client: Client, title: str, folder: Path, alphas: dict[str, Pixels]) -> None:
    """Alphas through push, a submission untouched, and pull: the same."""
    sources = Sources(folder / "photos", folder / "alphas")
    assert push(client, title, sources, quiet).created == len(alphas)
    project = existing_project(client, title)
    for task in tasks_of(project).values():
        accept(project, task)
    assert pulled(project, folder / "out") == (len(alphas), [])
    rows = read_annotations(annotations_path(folder / "out"))
    assert {row.photo_file for row in rows} == set(alphas)
    for row in rows:
        found = decode_alpha((folder / "out" / row.path).read_bytes())
        assert np.array_equal(found, alphas[row.photo_file]), row.photo_file
        assert (row.origin, row.changed_share, row.author) == (Origin.PREDICTION, 0.0, USER)
        assert row.model == "pushed"
        assert row.pushed_sha256 == row.pixels_sha256


def test_real_alphas_come_back_bit_for_bit(client: Client, title: str, tmp_path: Path) -> None:
    alphas = {}
    for name, cutout in real_alphas():
        save_alpha(tmp_path / "alphas", name, cutout[..., 3])
        (tmp_path / "photos").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "photos" / name), cutout[..., :3])
        alphas[name] = cutout[..., 3]
    assert len(alphas) == 20
    exact(client, title, tmp_path, alphas)


def test_noise_comes_back_bit_for_bit(client: Client, title: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    alphas = {}
    for number, size in enumerate([(1, 1), (1, 257), (63, 1), (301, 200), (37, 41)]):
        name = f"noise {number}.png"
        alphas[name] = rng.integers(0, 256, size).astype(np.uint8)
        save_photo(tmp_path / "photos", name, number, *size)
        save_alpha(tmp_path / "alphas", name, alphas[name])
    exact(client, title, tmp_path, alphas)


def test_nothing_twice(server: Running, title: str, tmp_path: Path) -> None:
    given = sources(tmp_path)
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


def test_turned_photo_is_shown_upright(client: Client, title: str, tmp_path: Path) -> None:
    pixels = colours(3, 40, 70)
    turned = Image.fromarray(pixels)
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    (tmp_path / "photos").mkdir()
    turned.save(tmp_path / "photos" / "turned.jpg", exif=exif, quality=95)
    save_alpha(tmp_path / "alphas", "turned.png", soft_alpha(1, 70, 40))
    given = Sources(tmp_path / "photos", tmp_path / "alphas")
    assert push(client, title, given, quiet).failed == ()
    project = existing_project(client, title)
    accept(project, tasks_of(project)["turned.jpg"])
    assert pulled(project, tmp_path / "out") == (1, [])
    (row,) = read_annotations(annotations_path(tmp_path / "out"))
    with Image.open(tmp_path / "out" / row.photo_path) as shown:
        assert shown.size == (40, 70)
        upright = np.rot90(np.asarray(Image.open(tmp_path / "photos" / "turned.jpg")), -1)
        assert np.abs(np.asarray(shown, np.int16) - upright).max() <= 2


def test_local_files(server: Running, client: Client, title: str) -> None:
    folder = server.files / secrets.token_hex(4)
    given = sources(folder)
    local = Sources(given.photos, given.alphas, root=server.files)
    for created in (5, 0):
        found = push(client, title, local, quiet)
        assert (found.created, found.failed) == (created, ())
    project = existing_project(client, title)
    assert given.alphas is not None
    previews = len(list(given.alphas.iterdir()))
    assert len(project.uploads()) == previews, "no photo"
    assert len(client.get("/api/storages/localfiles/", project=project.id)) == 1
    for task in tasks_of(project).values():
        region = prediction_of("", alpha=soft_alpha(task, 60, 80))["result"]
        submit(project, task, region)
    assert pulled(project, folder / "out") == (5, [])
    for row in read_annotations(annotations_path(folder / "out")):
        shown = (folder / "out" / row.photo_path).read_bytes()
        assert shown == (given.photos / row.photo_file).read_bytes()


@pytest.fixture(scope="module")
def below(
    venv: Path, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, str]]:
    """A server behind a proxy that shows it below the path /ls; the URL for browsers."""
    folder = tmp_path_factory.mktemp("below")
    shutil.copytree(template, folder / "data")
    (folder / "files").mkdir()
    token = (folder / "data" / "token").read_text()
    port = free_port()
    with proxied(f"http://127.0.0.1:{port}", "/ls") as proxy:
        address = proxy.url
        service = Service(folder / "data", port, venv, "", "", token, folder / "files", address)
        with serving(service):
            yield service, address


@pytest.mark.parametrize("is_inside", [False, True], ids=["by the proxy", "from inside"])
@pytest.mark.parametrize("is_local", [False, True], ids=["uploaded", "local files"])
def test_below_a_path_annotators_see_their_pictures(
    below: tuple[Service, str], title: str, tmp_path: Path, is_inside: bool, is_local: bool
) -> None:
    service, address = below
    assert service.files is not None
    folder = service.files / secrets.token_hex(4)
    save_photo(folder, "a.png", 1)
    picture = (folder / "a.png").read_bytes()
    with (
        Client(service.url if is_inside else address, service.token, HASTY) as client,
        httpx.Client(headers={"Authorization": f"Token {service.token}"}) as browser,
    ):
        found = push(
            client, title, Sources(folder, root=service.files if is_local else None), quiet
        )
        assert found.failed == ()
        project = existing_project(client, title)
        (row,) = project.summaries()
        assert row.data["image"].startswith("/ls/data/")
        host = address.removesuffix("/ls")
        assert browser.get(f"{host}{row.data['image']}").content == picture
        alpha = prediction_of("", alpha=soft_alpha(1, 60, 80))["result"]
        submit(project, row.id, alpha)
        assert pulled(project, tmp_path / "out") == (1, [])
        (record,) = read_annotations(annotations_path(tmp_path / "out"))
        assert (tmp_path / "out" / record.photo_path).read_bytes() == picture
        assert push(client, title, Sources(folder), quiet).kept == 1

        data = {**row.data, "image": row.data["image"].removeprefix("/ls")}
        client.patch(f"/api/tasks/{row.id}/", {"data": data})
        (failure,) = push(client, title, Sources(folder), quiet).failed
        assert failure.reason.startswith(f"annotators see no picture in its task ({project.url}?")
        submit(project, row.id, alpha)
        (warning,) = pull(client, title, tmp_path / "out", Wanted.ALL, quiet).warnings
        assert warning.reason.startswith("annotators see no picture")


def test_photos_outside_of_the_served_root(client: Client, title: str, tmp_path: Path) -> None:
    save_photo(tmp_path / "photos", "a.png", 1)
    for root in (tmp_path / "photos", tmp_path / "elsewhere"):
        with pytest.raises(ValueError, match="a folder below it"):
            push(client, title, Sources(tmp_path / "photos", root=root), quiet)


def test_project_of_another_kind(client: Client, title: str) -> None:
    other = '<View><Image name="image" value="$image"/></View>'
    client.post("/api/projects/", {"title": title, "label_config": other})
    with pytest.raises(ServerError, match="no BrushLabels brush"):
        make_project(client, title, labels_xml(), "pushed")


def test_project_that_was_made_in_the_browser(client: Client, title: str, tmp_path: Path) -> None:
    """It has no version of predictions yet, and then the one that its lead chooses."""
    body = {"title": f" {title} ", "label_config": labels_xml()}
    page = f"/api/projects/{client.post('/api/projects/', body)['id']}/"
    assert push(client, f"{title} ", sources(tmp_path), quiet).created == 5
    settings = client.get(page)
    assert (settings["show_collab_predictions"], settings["model_version"]) == (True, "pushed")
    client.patch(page, {"show_collab_predictions": False})
    assert push(client, title, sources(tmp_path), quiet).created == 0
    assert client.get(page)["show_collab_predictions"] is False


def test_a_project_of_an_earlier_version(client: Client, title: str, tmp_path: Path) -> None:
    """It gets today's interface, and its tasks what is shown beside the photo."""
    earlier = (Path(__file__).parents[1] / "golden" / "labels-1.xml").read_text(encoding="utf-8")
    page = f"/api/projects/{client.post('/api/projects/', {'title': title})['id']}/"
    client.patch(page, {"label_config": earlier})
    assert push(client, title, sources(tmp_path), quiet).created == 5
    project = existing_project(client, title)
    with_alpha = {row.id for row in project.summaries() if row.data["alpha_sha256"]}
    for row in project.summaries():
        old = {name: value for name, value in row.data.items() if name != "preview"}
        client.patch(f"/api/tasks/{row.id}/", {"data": old})
    client.patch(page, {"label_config": earlier})
    found = push(client, title, sources(tmp_path), quiet)
    assert (found.created, found.warnings) == (0, ())
    assert client.get(page)["label_config"] == labels_xml().strip()
    for row in project.summaries():
        is_photo = row.data["preview"] == row.data["image"].removeprefix("/")
        assert is_photo is (row.id not in with_alpha)


def test_an_interface_that_somebody_changed(client: Client, title: str, tmp_path: Path) -> None:
    earlier = (Path(__file__).parents[1] / "golden" / "labels-1.xml").read_text(encoding="utf-8")
    changed = earlier.replace("</View>", "<Header value='Be careful'/></View>", 1)
    client.post("/api/projects/", {"title": title, "label_config": changed})
    (note,) = push(client, title, sources(tmp_path), quiet).warnings
    assert "PolygonLabels polygon" in note.reason
    assert "annotation/form/labels.xml" in note.reason


def test_two_projects_of_one_title(client: Client, title: str) -> None:
    for _ in range(2):
        client.post("/api/projects/", {"title": title, "label_config": labels_xml()})
    with pytest.raises(ServerError, match="2 projects are named"):
        existing_project(client, title)


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


def test_bad_annotations_are_named_and_the_rest_is_pulled(
    server: Running, pushed: Project, tmp_path: Path
) -> None:
    tasks = tasks_of(pushed)
    good = prediction_of("", alpha=soft_alpha(1, 60, 80))["result"]
    (region,) = good
    cut = {**region, "value": {**region["value"], "rle": region["value"]["rle"][:50]}}
    label = {**region, "value": {**region["value"], "brushlabels": ["Cat"]}}
    faults = {
        "a b.png": ({**region, "from_name": "evil"}, "evil"),
        "deep/a b.png": (cut, "decoded"),
        "d.o.t.s.jpg": (label, "Cat"),
        "[x].png": ({**region, "original_width": 81}, "60 x 81"),
    }
    ids = {file: submit(pushed, tasks[file], [bad]) for file, (bad, _) in faults.items()}
    submit(pushed, tasks["ünï-日本.png"], good)
    pushed.client.post(f"/api/projects/{pushed.id}/import", [evil_task("../../evil")])
    submit(pushed, max(row.id for row in pushed.summaries()), good)
    out = tmp_path / "out"
    command = ("pull", "--project", pushed.title, "--out", str(out))
    for _ in range(2):  # what is wrong is named each time
        ran = annotate(server, *command)
        assert ran.code == 1
        for file, (_, word) in faults.items():
            (line,) = [one for one in ran.err.splitlines() if f"annotation {ids[file]} by " in one]
            assert f"{file}: annotation" in line
            assert f"?task={tasks[file]})" in line
            assert word in line
        assert "../../evil" in ran.err
    (row,) = read_annotations(annotations_path(out))
    assert row.photo_file == "ünï-日本.png"
    files = [path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(["annotations.parquet", "pull.json", row.path, row.photo_path])
    assert {path.name for path in tmp_path.iterdir()} == {"src", "out"}
    assert not any(server.token.encode() in (out / file).read_bytes() for file in files)


def evil_task(photo: str) -> dict[str, object]:
    sha256 = "0" * 64
    data = {"photo": photo, "file": photo, "photo_sha256": sha256, "image_sha256": sha256}
    more = dict.fromkeys(
        ("alpha_sha256", "trimap_sha256", "subject", "transparency", "licence"), ""
    )
    url = "http://127.0.0.1:9/elsewhere.png"
    return {"data": {**data, **more, "height": 60, "width": 80, "image": url}}


def test_token_goes_to_no_other_server(pushed: Project, tmp_path: Path) -> None:
    """A picture's address may be anything that somebody imported."""
    task = evil_task("photo-0123456789")
    pushed.client.post(f"/api/projects/{pushed.id}/import", [task])
    number = max(row.id for row in pushed.summaries())
    submit(pushed, number, prediction_of("", alpha=soft_alpha(1, 60, 80))["result"])
    _, (fault,) = pulled(pushed, tmp_path / "out")
    assert f"task {number}: 0: its picture is at 'http://127.0.0.1:9/" in fault


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


def test_folder_of_another_project(
    client: Client, pushed: Project, title: str, tmp_path: Path
) -> None:
    pulled(pushed, tmp_path / "out")
    other = make_project(client, f"{title} 2", labels_xml(), "pushed")
    with pytest.raises(ValueError, match="give another --out"):
        pulled(other, tmp_path / "out")


def personal_token(server: Running) -> str:
    """A personal access token, made as the account page makes it."""
    legacy = {"Authorization": f"Token {server.token}"}
    with httpx.Client(base_url=server.url, headers=legacy, trust_env=False) as http:
        settings = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True}
        http.post("/api/jwt/settings", json=settings).raise_for_status()
        return str(http.post("/api/token/").raise_for_status().json()["token"])


def test_personal_access_token(server: Running, pushed: Project) -> None:
    token = personal_token(server)
    assert token.count(".") == 2
    with Client(server.url, token, HASTY) as client:
        assert existing_project(client, pushed.title).id == pushed.id
        assert len(existing_project(client, pushed.title).summaries()) == 5


@pytest.mark.parametrize("token", ["0123456789abcdef" * 2, "aaaa.bbbb.cccc"])
def test_wrong_token(server: Running, token: str, title: str) -> None:
    ran = annotate(server, "status", "--project", title, "--token", token)
    assert ran.code == 1
    (line,) = [one for one in ran.err.splitlines() if one.startswith("error")]
    assert "401" in line
    assert "personal access token" in line
    assert token not in ran.out + ran.err


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


def test_no_such_project(client: Client, server: Running, title: str) -> None:
    ran = annotate(server, "pull", "--project", title, "--out", "/nowhere")
    assert ran.code == 1
    assert f"no project is named '{title}'" in ran.err
    with pytest.raises(RefusedError, match="404"):
        client.get("/api/tasks/999999/")
