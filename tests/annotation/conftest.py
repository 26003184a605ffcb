"""A real Label Studio server for the whole session, photos with alphas, and the commands.

The server's environment is made by `make setup`; where it is missing these tests fail, because a
round trip that nobody tried is worth nothing.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotation.form.tasks import prediction_of
from annotation.pull import pull
from annotation.push import Sources, push
from annotation.serve import REQUIREMENTS, Service, serving
from annotation.server.client import Client
from annotation.server.find import existing_project
from annotation.server.project import Project
from annotation.settings import Patience, Wanted
from manifests.pixels import Pixels, encode_alpha
from tests.annotation.proxy import Proxy, proxied
from tests.conftest import QUIET, Ran, finish
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
USER, PASSWORD = "tests@localhost.local", "not a secret: loopback only"
NAMES = ["a b.png", "deep/a b.png", "d.o.t.s.jpg", "ünï-日本.png", "[x].png"]
LABELS = "file,subject,transparency,licence\na b.png,human,Medium,CC0\n[x].png,non-human,Highly,\n"
HASTY = Patience(first=2, outage=60, settle=5, answer=30, work=60, pause=0.1, longest_pause=1)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """What needs the server's environment, or a browser, is marked by what its fixtures need."""
    for item in items:
        needed = set(getattr(item, "fixturenames", ()))
        if "venv" in needed:
            item.add_marker("server")
        if "browser" in needed:
            item.add_marker("browser")


@dataclass(frozen=True)
class Running:
    """A server that is ready. Files below `files` may be shown as local files."""

    service: Service

    @property
    def url(self) -> str:
        return self.service.url

    @property
    def token(self) -> str:
        return self.service.token

    @property
    def files(self) -> Path:
        assert self.service.files is not None
        return self.service.files


def server_venv() -> Path:
    """Where the server's environment is. Fails the test if it is nowhere."""
    venv = Path(os.environ.get("LABEL_STUDIO_VENV", ROOT / ".venv-server"))
    if not (venv / "bin" / "label-studio").is_file():
        pytest.fail(f"{venv}: no Label Studio there; `make setup` installs it", pytrace=False)
    return venv


def warmed_template(venv: Path) -> Path:
    """A data folder whose database is made: 20 to 50 s once for each version of the server."""
    version = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    template = venv / f"template-{version}"
    with (venv / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.is_dir():
            fresh = template.with_name(f"fresh-{secrets.token_hex(4)}")
            token = secrets.token_hex(20)
            with serving(Service(fresh, free_port(), venv, USER, PASSWORD, token)):
                pass
            (fresh / "token").write_text(token)
            fresh.rename(template)
    return template


@pytest.fixture(scope="session")
def venv() -> Path:
    return server_venv()


@pytest.fixture(scope="session")
def template(venv: Path) -> Path:
    return warmed_template(venv)


@pytest.fixture(scope="session")
def server(
    venv: Path, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """The session's server: a copy of the template on a free port, ended at the end."""
    folder = tmp_path_factory.mktemp("server")
    data, files = folder / "data", folder / "files"
    shutil.copytree(template, data)
    files.mkdir()
    token = (data / "token").read_text()
    service = Service(data, free_port(), venv, USER, "", token, files)
    with serving(service):
        yield Running(service)


@pytest.fixture
def client(server: Running) -> Iterator[Client]:
    with Client(server.url, server.token, HASTY) as found:
        yield found


@pytest.fixture
def title(request: pytest.FixtureRequest) -> str:
    """A project's title that no other test has."""
    return f"{request.node.name[:30]} {secrets.token_hex(3)}"


def soft_alpha(number: int, height: int, width: int) -> Pixels:
    """A blob with a soft edge of all levels, another for each number; H x W."""
    rng = np.random.default_rng([7, number])
    rows, columns = np.mgrid[:height, :width]
    wave = 0.06 * np.sin(columns / (4 + number % 5)) + 0.02 * rng.standard_normal((height, width))
    away = np.hypot(rows / height - 0.5, columns / width - 0.5) + wave
    return np.asarray((np.clip((0.42 - away) / 0.2, 0, 1) * 255).round(), np.uint8)


def trimap_of_rings(height: int, width: int) -> Pixels:
    """Foreground in the middle, unknown around it, background at the rim; H x W of codes."""
    rows, columns = np.mgrid[:height, :width]
    away = np.hypot(rows / height - 0.5, columns / width - 0.5)
    return np.asarray((away < 0.35).astype(np.uint8) + (away < 0.2), np.uint8)


def colours(number: int, height: int, width: int) -> Pixels:
    """A photo with texture; H x W x 3."""
    rng = np.random.default_rng([8, number])
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noisy = smooth + rng.integers(-9, 10, smooth.shape)
    return np.asarray(noisy.clip(0, 255), np.uint8)


def save_photo(folder: Path, file: str, number: int, height: int = 60, width: int = 80) -> None:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colours(number, height, width)).save(path)


def save_alpha(folder: Path, file: str, alpha: Pixels) -> None:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_alpha(alpha))


CACHE = tempfile.mkdtemp(prefix="annotate-cache-")  # what status keeps, until the tests end
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)


def start_annotate(*arguments: str, **settings: str) -> subprocess.Popen[str]:
    """`annotate` as a process, the leader of its own group."""
    settings = {"XDG_CACHE_HOME": CACHE} | settings
    return subprocess.Popen(
        [sys.executable, "-m", "annotation.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | QUIET | settings,
        start_new_session=True,
    )


def annotate(server: Running, *arguments: str, seconds: float = 120) -> Ran:
    """`annotate` as a process, to its end, with the server's URL and token as users set them."""
    settings = {"LABEL_STUDIO_URL": server.url, "LABEL_STUDIO_API_KEY": server.token}
    return finish(start_annotate(*arguments, **settings), seconds)


def quiet(total: int) -> Callable[[int], None]:
    """No progress is shown."""
    return lambda done: None


def submit(
    project: Project,
    task: int,
    result: Sequence[Mapping[str, Any]],
    *,
    parent: int | None = None,
    **more: Any,
) -> int:
    """An annotation as the browser sends it; its id."""
    body = {"result": list(result), "parent_prediction": parent, "lead_time": 1.0, **more}
    return int(project.client.post(f"/api/tasks/{task}/annotations/", body)["id"])


def accept(project: Project, task: int, *choices: Mapping[str, Any]) -> int:
    """Submit a task's latest prediction untouched, as the browser would, with choices."""
    prediction = max(project.task(task)["predictions"], key=lambda one: int(one["id"]))
    chosen = {region["from_name"] for region in choices}
    regions = [r for r in prediction["result"] if r["from_name"] not in chosen]
    result = [{**region, "origin": "prediction"} for region in regions]
    manual = [{**region, "origin": "manual"} for region in choices]
    return submit(project, task, [*result, *manual], parent=prediction["id"])


def paint(project: Project, task: int, trimap: Pixels, *choices: Mapping[str, Any]) -> int:
    """Submit a painted trimap."""
    painted = prediction_of("", trimap=trimap)["result"]
    return submit(project, task, [{**r, "origin": "manual"} for r in [*painted, *choices]])


def tasks_of(project: Project) -> dict[str, int]:
    """The project's tasks: file of the photo -> id."""
    rows = project.summaries()
    found = {str(row.data["file"]): row.id for row in rows}
    assert len(found) == len(rows), "a photo has two tasks"
    return found


def five_photos(folder: Path) -> Sources:
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
    found = push(client, title, five_photos(tmp_path / "src"), quiet)
    assert (found.created, found.kept, found.failed) == (5, 0, ())
    return existing_project(client, title)


def pulled(project: Project, out: Path, wanted: Wanted = Wanted.ALL) -> tuple[int, list[str]]:
    """Pull; (how many tasks were fetched, what was refused)."""
    found = pull(project.client, project.title, out, wanted, quiet)
    return found.fetched, [f"task {one.task}: {one.annotation}: {one.reason}" for one in found.bad]


@pytest.fixture
def proxy(server: Running) -> Iterator[Proxy]:
    with proxied(server.url) as found:
        yield found


@pytest.fixture
def three(tmp_path: Path) -> Sources:
    return three_photos(tmp_path)


def three_photos(folder: Path) -> Sources:
    """Three photos and their alphas."""
    for number in range(3):
        save_photo(folder / "photos", f"{number}.png", number)
        save_alpha(folder / "alphas", f"{number}.png", soft_alpha(number, 60, 80))
    return Sources(folder / "photos", folder / "alphas")
