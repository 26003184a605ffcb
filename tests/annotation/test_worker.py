"""A trained model solves while somebody paints: `annotate assist --checkpoint`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from annotation.form.drafts import in_place
from annotation.form.regions import choice, read_content
from annotation.form.tasks import prediction_of
from annotation.pull import pull
from annotation.push import Sources, push
from annotation.server.client import Client
from annotation.server.find import existing_project
from annotation.server.project import Project
from annotation.settings import Wanted
from annotation.worker import ModelError, trained_model
from classical.closed_form import impose
from manifests.annotations import Kind, Origin, State, annotations_path, read_annotations
from manifests.pixels import UNKNOWN, Pixels, decode_alpha
from tests.annotation.conftest import (
    Running,
    colours,
    quiet,
    save_photo,
    start_annotate,
    submit,
    tasks_of,
    trimap_of_rings,
)
from tests.conftest import descendants, finish, is_alive
from tests.ports import free_port
from tests.training.conftest import lively
from training.checkpoint import MODEL, save
from training.choices import Variant
from training.matte.predict import load_model

pytestmark = pytest.mark.slow

SHAPE = (60, 80)
PHOTO, TRIMAP = colours(1, *SHAPE), trimap_of_rings(*SHAPE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run with one checkpoint, 50 MB. Not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "an-tw"
    optimizer = torch.optim.Adam(lively().parameters())
    save(folder, lively(), Variant.AN, optimizer, {}, {"iteration": 3})
    yield folder
    shutil.rmtree(folder)


def expected(run: Path, trimap: Pixels) -> Pixels:
    alpha = load_model(run, "cpu")(PHOTO, trimap)
    assert len(np.unique(alpha)) > 2, "the model says something"
    return impose(alpha, trimap)


@pytest.fixture
def two(client: Client, title: str, tmp_path: Path) -> Project:
    """A project with two tasks for one photo, without anything painted."""
    for name in ("a.png", "b.png"):
        save_photo(tmp_path / "photos", name, 1)
    push(client, title, Sources(tmp_path / "photos"), quiet)
    return existing_project(client, title)


@contextmanager
def assisting(server: Running, project: Project, run: Path) -> Iterator[subprocess.Popen[str]]:
    """`annotate assist` with a model."""
    settings = {"LABEL_STUDIO_URL": server.url, "LABEL_STUDIO_API_KEY": server.token}
    options = ("--checkpoint", str(run), "--port", str(free_port()))
    process = start_annotate("assist", "--project", project.title, *options, **settings)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            finish(process)


def until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_model_that_dies_is_started_again(run: Path) -> None:
    before = descendants(os.getpid())
    with trained_model(str(run)) as model, ThreadPoolExecutor() as other:
        (process,) = descendants(os.getpid()) - before
        assert np.array_equal(model.alpha(PHOTO, TRIMAP), expected(run, TRIMAP))
        with pytest.raises(ModelError, match=r"gives no alpha: .* must be of one size"):
            model.alpha(PHOTO, TRIMAP[1:])
        os.kill(process, signal.SIGSTOP)
        waiting = other.submit(model.alpha, PHOTO, TRIMAP)
        time.sleep(0.3)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(ModelError, match=r"ended by SIGKILL, perhaps .* the next click starts"):
            waiting.result(30)
        assert np.array_equal(model.alpha(PHOTO, TRIMAP), expected(run, TRIMAP))
    assert not descendants(os.getpid()) - before


def test_what_is_no_model_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / MODEL).write_bytes(b"no weights")
    with (
        pytest.raises(ModelError, match=f"^{tmp_path / MODEL}: not a checkpoint of this model: "),
        trained_model(str(tmp_path)),
    ):
        pass


def test_a_model_ends_with_a_command_that_is_ended_before_it_is_ready(
    server: Running, two: Project, run: Path
) -> None:
    with assisting(server, two, run) as process:
        until(lambda: bool(descendants(process.pid)))
        family = descendants(process.pid)
        process.send_signal(signal.SIGTERM)
        assert finish(process).code == 128 + signal.SIGTERM
    assert not any(is_alive(member) for member in family)


def test_a_model_assists(
    server: Running, client: Client, two: Project, tmp_path: Path, run: Path
) -> None:
    """By the routes that a browser uses: a task is opened, and another one solved."""
    with assisting(server, two, run) as process:
        assert process.stdout is not None
        assert "answers for" in process.stdout.readline()
        family = descendants(process.pid)
        assert family
        opened, solved = (tasks_of(two)[name] for name in ("a.png", "b.png"))
        (prediction,) = two.task(opened)["predictions"]
        name = prediction["model_version"]
        assert name.startswith("an-tw-")
        guess = expected(run, np.full(SHAPE, UNKNOWN, np.uint8))
        assert np.array_equal(read_content(prediction["result"], *SHAPE).pixels, guess)

        painted = prediction_of("", trimap=TRIMAP)["result"]
        client.post(f"/api/tasks/{solved}/drafts", {"result": painted})
        (backend,) = client.get("/api/ml/", project=two.id)
        click = {"task": solved, "context": {"result": []}}
        answer = client.post(f"/api/ml/{backend['id']}/interactive-annotating", click)["data"]
        assert np.array_equal(read_content(answer["result"], *SHAPE).pixels, expected(run, TRIMAP))
        latest = max(two.predictions(solved), key=lambda one: int(one["id"]))
        untouched = [
            one | {"origin": "prediction"} for one in in_place(painted, expected(run, TRIMAP))
        ]
        approved = choice("review", "approved")
        submit(two, solved, [*untouched, approved], parent=latest["id"])
    until(lambda: not any(is_alive(member) for member in family))
    pull(client, two.title, tmp_path / "out", Wanted.ALL, quiet)
    (row,) = read_annotations(annotations_path(tmp_path / "out"))
    alpha = decode_alpha((tmp_path / "out" / row.path).read_bytes())
    assert np.array_equal(alpha, expected(run, TRIMAP))
    assert (row.kind, row.state, row.model) == (Kind.ALPHA, State.APPROVED, name)
    assert (row.origin, row.changed_share) == (Origin.PREDICTION, 0.0)
