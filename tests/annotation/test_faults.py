"""The server's bad days: nothing is lost, no task is made twice, messages say what to do."""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from annotation.cli import main
from annotation.form.interface import labels_xml
from annotation.form.regions import choice
from annotation.form.tasks import prediction_of
from annotation.pull import pull
from annotation.push import Sources, push
from annotation.push_solved import push_solved
from annotation.serve import ServeError, Service, free_port, serving
from annotation.server.client import Client
from annotation.server.faults import RefusedError, ServerError, UnsureError
from annotation.server.find import existing_project, find_project
from annotation.settings import Patience, Wanted
from annotation.solve import solve_folder
from manifests.annotations import annotations_path, read_annotations
from tests.annotation.conftest import (
    HASTY,
    PASSWORD,
    Running,
    accept,
    annotate,
    paint,
    quiet,
    save_alpha,
    save_photo,
    soft_alpha,
    start_annotate,
    tasks_of,
    trimap_of_rings,
)
from tests.annotation.proxy import Proxy, Trouble, proxied
from tests.conftest import QUIET, Ran, descendants, finish, is_alive

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
def proxy(server: Running) -> Iterator[Proxy]:
    with proxied(server.url) as found:
        yield found


@pytest.fixture
def unlucky(proxy: Proxy, server: Running) -> Iterator[Client]:
    """A client that reaches the server through the proxy."""
    with Client(proxy.url, server.token, IMPATIENT) as client:
        yield client


@pytest.fixture
def three(tmp_path: Path) -> Sources:
    return three_photos(tmp_path)


def three_photos(folder: Path) -> Sources:
    """Three photos and their alphas."""
    for number in range(3):
        save_photo(folder / "photos", f"{number}.png", number)
        save_alpha(folder / "alphas", f"{number}.png", soft_alpha(number, 60, 80))
    return Sources(folder / "photos", folder / "alphas")


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


def stopped(ran: Ran) -> str:
    """The one line that says why it stopped."""
    assert ran.code == 1, ran
    (line,) = [one for one in ran.err.splitlines() if one.startswith("error")]
    return line


def test_nobody_there(server: Running, three: Sources) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    command = ("push", "--photos", str(three.photos), "--project", "x", "--url", nowhere)
    begin = time.monotonic()
    line = stopped(annotate(server, *command, f"--token={server.token}", "--timeout=1"))
    assert server.token not in line
    assert nowhere in line
    assert "is the server running" in line
    assert f"go on with: annotate push --photos {three.photos}" in line
    assert time.monotonic() - begin < 60


def test_no_proxy_stands_before_this_machine(server: Running) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    command = ("status", "--project", "no such", "--url", server.url)
    settings = {"HTTP_PROXY": nobody, "ALL_PROXY": nobody, "LABEL_STUDIO_API_KEY": server.token}
    assert "no project is named" in stopped(finish(start_annotate(*command, **settings)))


def test_other_kind_of_server(server: Running, proxy: Proxy, three: Sources) -> None:
    proxy.troubles.append(Trouble("answer", "", status=200, times=99, body=b"<html>hello</html>"))
    command = ("push", "--photos", str(three.photos), "--project", "x", "--url", proxy.url)
    assert "not a Label Studio server" in stopped(annotate(server, *command))


def test_refusals_are_words(server: Running, three: Sources, title: str) -> None:
    """Not the JSON or the web page that the server sends."""
    command = ("push", "--photos", str(three.photos), "--project")
    line = stopped(annotate(server, *command, "P"))
    assert line.endswith(
        "--project 'P': the server does not make this project: "
        "title: Ensure this field has at least 3 characters."
    )
    line = stopped(annotate(server, *command, title, "--url", f"{server.url}/no/such/page"))
    assert line.endswith(
        "HTTP 404: a web page (404 | Label Studio) instead of an answer; is --url right?"
    )


def test_the_token_is_never_shown(
    server: Running, proxy: Proxy, three: Sources, title: str, tmp_path: Path
) -> None:
    """Not even if the server says it."""
    echo = f"your token {server.token} is bad".encode()
    for trouble in (Trouble("answer", "POST", status=400), Trouble("answer", "", status=500)):
        proxy.troubles[:] = [replace(trouble, times=99, body=echo)]
        photos = ("--photos", str(three.photos), "--project", title, "--timeout=1")
        ran = annotate(server, "push", *photos, "--url", proxy.url)
        assert ran.code == 1
        assert server.token not in ran.out + ran.err
        assert "[token]" in ran.err or trouble.status == 500
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and server.token in read(p)]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("push --project x", "--photos"),
        ("push --project x --photos . --solved .", "--solved"),
        ("push --project x --alphas . --solved .", "--solved"),
        ("push --project x --photos nowhere", "nowhere"),
        ("pull --project x --out y --state maybe", "maybe"),
        ("pull --out y", "--project"),
        ("status --project x --url ftp://host", "ftp://host"),
        ("status --project x --url http://me:secret@host", "leave user and password out"),
        (
            "status --project x --url https://host/ls/projects/1/data?task=7",
            "address of its server is https://host/ls",
        ),
        ("status --project x --url http://host/user/login/", "server is http://host"),
        ("status --project x --token ''", "LABEL_STUDIO_API_KEY"),
        ("status --project x --token 'two words'", "do not occur in tokens"),
        ("serve --port 0", "--port"),
        ("solve --out . --alphas .", "--method"),
        ("solve --out . --method magic", "--alphas"),
    ],
)
def test_wrong_usage(
    options: str, named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (QUIET | {"LABEL_STUDIO_API_KEY": ""}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stop:
        main(shlex.split(options))
    printed = capsys.readouterr()
    ran = Ran(int(stop.value.code or 0), printed.out, printed.err)
    assert (ran.code, ran.out) == (2, "")
    assert named in " ".join(ran.err.split())
    assert "secret" not in ran.err


def until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def read(path: Path) -> str:
    return path.read_bytes().decode("latin-1")


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


def test_port_that_is_taken(venv: Path, template: Path, tmp_path: Path) -> None:
    """Label Studio itself would go to the next port without a message."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        service = Service(tmp_path / "data", port, venv, "", "")
        with pytest.raises(ServeError, match=f"port {port}"), serving(service):
            pass
    assert not (tmp_path / "data").exists()


def test_serve(venv: Path, template: Path, title: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(template, data)
    token = (data / "token").read_text()
    (data / "token").unlink()
    port = free_port()
    options = ("--data", str(data), "--port", str(port), "--server-venv", str(venv))
    (data / "label_studio.sqlite3").chmod(0o644)  # as earlier versions wrote it
    process = start_annotate("serve", *options, LABEL_STUDIO_API_KEY=token)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == f"http://127.0.0.1:{port}  user tests@localhost.local\n"
    family = descendants(process.pid)
    assert family
    with Client(f"http://127.0.0.1:{port}", token, HASTY) as client:
        assert "label-studio-os-package" in client.get("/api/version/")
        save_photo(tmp_path / "photos", "0.png", 0)
        push(client, title, Sources(tmp_path / "photos"), quiet)
    open_to_others = [
        path.relative_to(data).as_posix()
        for path in [data, *data.rglob("*")]
        if path.stat().st_mode & 0o077 and is_reachable(path, data)
    ]
    assert open_to_others == []
    assert any(path.suffix == ".png" for path in data.rglob("*"))
    process.send_signal(signal.SIGINT)
    ran = finish(process)
    assert ran.code == 0, ran
    end = time.monotonic() + 20
    while any(is_alive(member) for member in family):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert token not in line + ran.out + ran.err
    assert token not in read(data / "server.log")
    assert PASSWORD not in read(data / "server.log")


def is_reachable(path: Path, top: Path) -> bool:
    """Whether other users get to a path: every folder above it, below `top`, lets them in."""
    above = [one for one in path.parents if one.is_relative_to(top) and one != top]
    return path != top and all(one.stat().st_mode & 0o011 for one in above)


def test_serve_asks_for_what_it_needs(venv: Path, tmp_path: Path) -> None:
    new = ("--data", str(tmp_path / "data"), "--port", str(free_port()))
    ran = finish(start_annotate("serve", *new, "--server-venv", str(venv)))
    assert (ran.code, "LABEL_STUDIO_PASSWORD" in ran.err) == (2, True)
    ran = finish(start_annotate("serve", *new, "--server-venv", str(tmp_path / "none")))
    assert (ran.code, "--install" in ran.err) == (1, True)
    assert not (tmp_path / "data").exists()
