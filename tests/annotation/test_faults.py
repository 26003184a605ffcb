"""The server's bad days: nothing is lost, no task is made twice, messages say what to do."""

from __future__ import annotations

import re
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from annotation.form.interface import labels_xml
from annotation.form.regions import choice
from annotation.form.tasks import prediction_of
from annotation.pull import pull
from annotation.push import Sources, push
from annotation.push_solved import push_solved
from annotation.serve import Service, serving
from annotation.server.client import Client
from annotation.server.faults import RefusedError, ServerError, UnsureError
from annotation.server.find import existing_project, find_project
from annotation.settings import Patience, Wanted
from annotation.solve import solve_folder
from manifests.annotations import annotations_path, read_annotations
from tests.annotation.conftest import (
    HASTY,
    Running,
    accept,
    paint,
    quiet,
    save_alpha,
    save_photo,
    soft_alpha,
    start_annotate,
    tasks_of,
    three_photos,
    trimap_of_rings,
)
from tests.annotation.proxy import Proxy, Trouble
from tests.conftest import finish
from tests.ports import free_port

IMPORT = r"POST /api/projects/\d+/import$"
UPLOAD = r"POST /api/projects/\d+/import\?commit"
ANSWER = 4.0  # enough for the real server on a busy machine
WORK = 2.0  # not always: then the import is looked for, as it is meant to be
TIFF_WITHOUT_SIZE = b"II*\0\x08\0\0\0" + b"\0" * 6  # an empty directory: no width, no height
LATE = ANSWER + 1  # and what comes later is given up
IMPATIENT = replace(HASTY, answer=ANSWER, work=ANSWER, settle=LATE + 1, outage=60)
HURRIED = replace(IMPATIENT, answer=HASTY.answer, work=WORK)  # what comes later is looked for
TRUSTING = replace(HASTY, settle=0.5)  # what is not there at once never comes


@pytest.fixture
def unlucky(proxy: Proxy, server: Running) -> Iterator[Client]:
    """A client that reaches the server through the proxy."""
    with Client(proxy.url, server.token, IMPATIENT) as client:
        yield client


@pytest.fixture(scope="module")
def accepted(server: Running, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The title of a project whose three alphas were submitted untouched. Not to be changed."""
    title = f"accepted {secrets.token_hex(3)}"
    with Client(server.url, server.token, HASTY) as client:
        push(client, title, three_photos(tmp_path_factory.mktemp("three")), quiet)
        project = existing_project(client, title)
        for task in tasks_of(project).values():
            accept(project, task)
    return title


def names(troubles: Sequence[Trouble]) -> str:
    return ", ".join(f"{one.kind} {one.status} {one.pattern[:24]}" for one in troubles)


def begin_to_trouble(proxy: Proxy, client: Client, troubles: Sequence[Trouble]) -> None:
    """From now on; the server has answered, because patience differs before."""
    client.get("/api/version/")
    proxy.troubles += [replace(one) for one in troubles]


NEW = r"POST /api/projects/$"


@pytest.mark.parametrize(
    ("patience", "troubles"),
    [
        (TRUSTING, [Trouble("lose", IMPORT), Trouble("lose", NEW)]),
        (TRUSTING, [Trouble("cut", IMPORT), Trouble("lose", UPLOAD, times=2)]),
        (TRUSTING, [Trouble("refuse", IMPORT, times=2), Trouble("answer", UPLOAD, status=502)]),
        (HURRIED, [Trouble("slow", IMPORT, seconds=WORK + 1), Trouble("answer", NEW, status=500)]),
        (HURRIED, [Trouble("delay", IMPORT, seconds=WORK + 1), Trouble("twice", NEW)]),
        (TRUSTING, [Trouble("answer", IMPORT, status=500), Trouble("twice", UPLOAD, times=3)]),
        (
            TRUSTING,
            [
                Trouble("answer", IMPORT, status=503, headers={"Retry-After": "1"}),
                Trouble("refuse", "", times=3),
            ],
        ),
        (
            TRUSTING,
            [
                Trouble("answer", IMPORT, status=429, headers={"Retry-After": "1"}),
                Trouble("cut", "GET", times=3),
            ],
        ),
        (TRUSTING, [Trouble("twice", IMPORT), Trouble("answer", "GET /api/tasks", times=3)]),
    ],
    ids=lambda given: names(given) if isinstance(given, list) else "",
)
def test_push_makes_each_task_once(
    proxy: Proxy,
    server: Running,
    client: Client,
    title: str,
    three: Sources,
    patience: Patience,
    troubles: Sequence[Trouble],
) -> None:
    """One push meets two troubles, each at another request."""
    with Client(proxy.url, server.token, patience) as unlucky:
        begin_to_trouble(proxy, unlucky, troubles)
        found = push(unlucky, title, three, quiet)
        assert [one.times for one in proxy.troubles] == [0] * len(troubles)
        assert (found.created, found.failed) == (3, ())
        project = existing_project(client, title)
        assert sorted(tasks_of(project)) == ["0.png", "1.png", "2.png"]
        assert len(project.uploads()) == 6  # the photos, and what shows their alphas
        assert all(len(project.predictions(task)) == 1 for task in tasks_of(project).values())
        for task in tasks_of(project).values():
            assert client.get_bytes(project.task(task)["data"]["image"])
        assert push(unlucky, title, three, quiet).kept == 3


def test_what_a_photo_costs_does_not_grow_with_their_number(
    unlucky: Client, proxy: Proxy, title: str, three: Sources
) -> None:
    assert push(unlucky, title, three, quiet).created == 3
    assert sum(re.match(UPLOAD, request) is not None for request in proxy.seen) == 6
    asked = [request for request in proxy.seen if "/file-uploads?" in request]
    assert sum("all=true" in request for request in asked) == 1
    assert len(asked) == 1 + 6


def test_what_one_photo_meets_ends_only_that_photo(
    unlucky: Client, proxy: Proxy, client: Client, title: str, three: Sources
) -> None:
    """A refused import is sent again one by one; a file may be gone when its turn comes."""
    proxy.troubles.append(Trouble("answer", IMPORT, times=2, status=413, body=b"too large"))
    found = push(unlucky, title, three, quiet)
    assert (found.created, [one.file for one in found.failed]) == (2, ["0.png"])
    assert "HTTP 413: too large" in found.failed[0].reason
    assert sorted(tasks_of(existing_project(client, title))) == ["1.png", "2.png"]
    assert three.alphas is not None
    (three.photos / "evil.tiff").write_bytes(TIFF_WITHOUT_SIZE)
    alpha = three.alphas / "1.png"

    def begin(total: int) -> Callable[[int], None]:
        alpha.unlink()
        return lambda done: None

    found = push(unlucky, title, three, begin)
    assert (found.created, found.kept) == (1, 1)
    assert [one.file for one in found.failed] == ["evil.tiff", "1.png"]
    assert str(alpha) in found.failed[1].reason
    proxy.troubles.append(Trouble("answer", "GET", times=9, status=401))
    with pytest.raises(RefusedError, match="401"):
        push(unlucky, title, three, quiet)


def test_an_alpha_that_misses_its_range_is_pushed_with_a_warning(
    client: Client, title: str, three: Sources
) -> None:
    assert three.alphas is not None
    save_alpha(three.alphas, "1.png", soft_alpha(1, 60, 80) // 128)
    found = push(client, title, three, quiet)
    assert (found.created, found.failed) == (3, ())
    (warning,) = found.warnings
    assert warning.file == str(three.alphas / "1.png")
    assert "alpha goes from 0 to 1" in warning.reason
    assert "a mask of 0 and 1" in warning.reason
    assert push(client, title, three, quiet).warnings == ()


def test_a_project_that_arrives_late_is_removed_if_it_is_empty(
    proxy: Proxy, server: Running, client: Client, title: str, three: Sources
) -> None:
    """As two people who push to a new project at once may make it twice."""
    proxy.troubles.append(Trouble("delay", r"POST /api/projects/\d+/import$", seconds=1.5))
    with Client(proxy.url, server.token, HASTY) as unhurried, ThreadPoolExecutor() as other:
        pushing = other.submit(push, unhurried, title, three, quiet)
        until(lambda: any("/import" in request for request in proxy.seen))
        client.post("/api/projects/", {"title": title, "label_config": labels_xml()})
        assert pushing.result(60).failed == ()
    assert len(tasks_of(existing_project(client, title))) == 3


@pytest.mark.parametrize("pattern", ["/api/predictions/", "/api/storages/localfiles/"])
def test_what_the_server_makes_twice_is_there_once(
    server: Running, proxy: Proxy, unlucky: Client, client: Client, title: str, pattern: str
) -> None:
    folder = server.files / secrets.token_hex(4)
    save_photo(folder, "0.png", 0)
    push(client, title, Sources(folder), quiet)
    project = existing_project(unlucky, title)
    proxy.troubles.append(Trouble("twice", f"POST {pattern}"))
    (task,) = tasks_of(project).values()
    if "predictions" in pattern:
        project.add_prediction(task, prediction_of("net", alpha=soft_alpha(1, 60, 80)))
        assert len(project.predictions(task)) == 1
    else:
        project.serve_folder(folder)
        assert len(client.get(pattern, project=project.id)) == 1


def test_import_that_arrives_late(
    proxy: Proxy, server: Running, client: Client, title: str, three: Sources
) -> None:
    """The first import reaches the server after the client gave it up and sent another: what the
    second made twice, and nobody touched, is removed."""
    proxy.troubles += [
        Trouble("delay", IMPORT, seconds=3.0),
        Trouble("slow", IMPORT, seconds=3.0),  # the second is still answered after the first
    ]
    hurried = replace(IMPATIENT, settle=0.2, work=2.0)
    with Client(proxy.url, server.token, hurried) as hasty:
        found = push(hasty, title, three, quiet)
    assert found.failed == ()
    assert sorted(tasks_of(existing_project(client, title))) == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble("cut", "GET", times=4),
        Trouble("refuse", "GET", times=4),
        Trouble("answer", "GET", times=4, status=500),
        Trouble("slow", r"GET /api/tasks/\?.*fields=all", seconds=LATE),
        Trouble("cut", "GET /data/upload", times=2),
        Trouble("answer", "GET", times=2, status=429, headers={"Retry-After": "1"}),
    ],
    ids=lambda trouble: f"{trouble.kind} {trouble.status} {trouble.pattern[:20]}",
)
def test_pull_waits_and_goes_on(
    unlucky: Client, proxy: Proxy, accepted: str, tmp_path: Path, trouble: Trouble
) -> None:
    begin_to_trouble(proxy, unlucky, [trouble])
    found = pull(unlucky, accepted, tmp_path / "out", Wanted.ALL, quiet)
    assert proxy.troubles[0].times == 0
    assert (found.rows, found.bad) == (3, ())
    assert len(read_annotations(annotations_path(tmp_path / "out"))) == 3


def test_retry_after_is_kept_to(unlucky: Client, proxy: Proxy) -> None:
    unlucky.get("/api/version/")
    proxy.troubles.append(Trouble("answer", "", status=429, headers={"Retry-After": "2"}))
    begin = time.monotonic()
    unlucky.get("/api/version/")
    assert time.monotonic() - begin >= 2
    proxy.troubles.append(Trouble("answer", "", status=429, headers={"Retry-After": "900"}))
    with pytest.raises(ServerError, match="asks to wait 900 s"):
        unlucky.get("/api/version/")


def test_post_is_not_repeated_blindly(unlucky: Client, proxy: Proxy, title: str) -> None:
    proxy.troubles.append(Trouble("lose", "POST"))
    with pytest.raises(UnsureError):
        unlucky.post("/api/projects/", {"title": title})
    assert sum(request.startswith("POST") for request in proxy.seen) == 1
    assert find_project(unlucky, title) is not None


def test_refusals_are_not_repeated(unlucky: Client, proxy: Proxy) -> None:
    for status in (400, 401, 403, 404):
        proxy.seen.clear()
        proxy.troubles.append(Trouble("answer", "", status=status, times=9))
        with pytest.raises(RefusedError, match=str(status)):
            unlucky.get("/api/projects/")
        assert len(proxy.seen) == 1
        proxy.troubles.clear()


def test_lost_predictions(
    unlucky: Client, proxy: Proxy, client: Client, title: str, three: Sources, tmp_path: Path
) -> None:
    push(client, title, three, quiet)
    project = existing_project(client, title)
    task = tasks_of(project)["0.png"]
    paint(project, task, trimap_of_rings(60, 80), choice("subject", "human"))
    pull(client, title, tmp_path / "out", Wanted.ALL, quiet)
    assert solve_folder(tmp_path / "out").written == 1
    proxy.troubles.append(Trouble("lose", "POST /api/predictions/"))
    found = push_solved(unlucky, title, tmp_path / "out", quiet)
    assert (found.created, found.failed) == (1, ())
    assert [one["model_version"] for one in project.predictions(task)] == ["pushed", "closed-form"]
    again = push_solved(unlucky, title, tmp_path / "out", quiet)
    assert (again.created, again.kept) == (0, 1)


def until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_pull_goes_on(
    server: Running,
    proxy: Proxy,
    client: Client,
    accepted: str,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    project = existing_project(client, accepted)
    last = max(tasks_of(project).values())
    picture = project.task(last)["data"]["image"]  # what is asked for when a task's turn comes
    proxy.troubles.append(Trouble("slow", f"GET {re.escape(picture)}", seconds=20))
    out = ("--out", str(tmp_path / "out"))
    settings = {"LABEL_STUDIO_URL": proxy.url, "LABEL_STUDIO_API_KEY": server.token}
    process = start_annotate("pull", "--project", accepted, *out, **settings)
    end = time.monotonic() + 120
    while not any(picture in request for request in proxy.seen):
        assert process.poll() is None, finish(process)
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(number)
    ran = finish(process)
    assert ran.code == 128 + number
    assert ran.err.count("error: ") == 1
    by = "" if number == signal.SIGINT else f" by {number.name}"
    assert f"error: interrupted{by}; what is done is kept" in ran.err
    assert f"go on with: annotate pull --project '{accepted}' --out" in ran.err
    assert len(read_annotations(annotations_path(tmp_path / "out"))) == 2
    found = pull(client, accepted, tmp_path / "out", Wanted.ALL, quiet)
    assert (found.fetched, found.rows) == (1, 3)


def test_server_that_restarts(
    venv: Path, template: Path, three: Sources, title: str, tmp_path: Path
) -> None:
    shutil.copytree(template, tmp_path / "data")
    token = (tmp_path / "data" / "token").read_text()
    service = Service(tmp_path / "data", free_port(), venv, "", "", token)
    patience = replace(HASTY, outage=90)
    with ExitStack() as later, Client(service.url, token, patience) as client:
        with serving(service):
            push(client, title, three, quiet)
            project = existing_project(client, title)
            for task in tasks_of(project).values():
                accept(project, task)
        back = threading.Thread(target=lambda: later.enter_context(serving(service)))
        back.start()
        try:
            found = pull(client, title, tmp_path / "out", Wanted.ALL, quiet)
        finally:  # else nobody would end the server that it starts
            back.join()
    assert (found.rows, found.bad) == (3, ())
