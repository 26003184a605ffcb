"""What annotators see of their pictures: upright, uploaded or from a folder, and below a path."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from annotation.form.tasks import prediction_of
from annotation.pull import pull
from annotation.push import Sources, push
from annotation.serve import Service, serving
from annotation.server.client import Client
from annotation.server.find import existing_project
from annotation.settings import Wanted
from manifests.annotations import annotations_path, read_annotations
from tests.annotation.conftest import (
    HASTY,
    Running,
    accept,
    colours,
    five_photos,
    pulled,
    quiet,
    save_alpha,
    save_photo,
    soft_alpha,
    submit,
    tasks_of,
)
from tests.annotation.proxy import proxied
from tests.ports import free_port


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
    given = five_photos(folder)
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
