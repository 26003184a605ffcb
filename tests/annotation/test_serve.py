"""`annotate serve`: it says what it needs, keeps its data to itself, and ends whole."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from annotation.push import Sources, push
from annotation.serve import ServeError, Service, serving
from annotation.server.client import Client
from tests.annotation.conftest import (
    HASTY,
    PASSWORD,
    quiet,
    save_photo,
    start_annotate,
)
from tests.conftest import descendants, finish, is_alive
from tests.ports import free_port


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
    assert token not in (data / "server.log").read_text("latin-1")
    assert PASSWORD not in (data / "server.log").read_text("latin-1")


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
