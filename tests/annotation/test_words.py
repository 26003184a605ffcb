"""A user's mistake, or a server that refuses, is one line that says what to do."""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from pathlib import Path

import pytest

from annotation.cli import main
from annotation.push import Sources
from tests.annotation.conftest import (
    Running,
    annotate,
    start_annotate,
)
from tests.annotation.proxy import Proxy, Trouble
from tests.conftest import QUIET, Ran, finish
from tests.ports import free_port


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


def read(path: Path) -> str:
    return path.read_bytes().decode("latin-1")
