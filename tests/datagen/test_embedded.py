"""The embedded Ray beside other files, other users and other runs; and when it is killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from datagen.cluster import Cluster
from datagen.embedded import ENVIRONMENT, environment, temporary_folder
from datagen.job import make_shard_set
from tests.conftest import QUIET, LocalSources, contents, descendants, finish, folders
from tests.datagen.conftest import OF_SIXTY, SIXTY

pytestmark = pytest.mark.slow


def begin(
    sources: LocalSources, out: Path, cwd: Path | None = None, **variables: str
) -> subprocess.Popen[str]:
    """`datagen compose`, as its installed script starts it: without the working folder."""
    options = [*folders(sources), "--out", str(out), *OF_SIXTY]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "datagen", "compose", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=os.environ | QUIET | {"PYTHONPATH": str(Path(__file__).parents[2])} | variables,
        start_new_session=True,
    )


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a path that is short enough for sockets; that of tmp_path is not."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        yield Path(folder)


def wait_for_shard(out: Path, process: subprocess.Popen[str]) -> None:
    while not list(out.glob("data/.part-*")):
        assert process.poll() is None, finish(process)
        time.sleep(0.02)


def test_a_users_files_are_not_imported(sources: LocalSources, tmp_path: Path, short: Path) -> None:
    """Ray's folder is where TMPDIR says, closed to others, and gone in the end."""
    mine = tmp_path / "mine"
    for name in ("cv2", "numpy", "manifests", "training", "ray"):
        (mine / name).mkdir(parents=True)
        (mine / name / "__init__.py").write_text("raise ImportError('a file of the user')")
    (mine / "json.py").write_text("raise ImportError('a file of the user')")
    process = begin(sources, tmp_path / "shards", mine, TMPDIR=str(short))
    wait_for_shard(tmp_path / "shards", process)
    (folder,) = short.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.rglob("session_*"))
    assert finish(process).code == 0
    assert list(short.iterdir()) == []


def test_a_killed_run_is_swept_by_the_next(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import os, signal\nfrom datagen.embedded import temporary_folder\n"
        "with temporary_folder() as folder:\n"
        "    folder.mkdir()\n    (folder / 'log').touch()\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    env = os.environ | {"TMPDIR": str(short), "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", script], env=env, check=False)
    assert len(list(short.rglob("log"))) == 1
    monkeypatch.setattr("tempfile.tempdir", str(short))
    with temporary_folder() as folder:
        assert folder.is_relative_to(short)
        assert list(short.rglob("log")) == []


def test_a_place_that_sockets_cannot_have_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with temporary_folder() as folder:
        assert not folder.is_relative_to(long)
    assert list(long.iterdir()) == []


def test_the_environment_is_restored() -> None:
    before = dict(os.environ)
    with environment(ENVIRONMENT | {"HOME": "/nowhere", "NEW_TO_ALL": "1"}):
        assert os.environ["HOME"] == "/nowhere"
        assert os.environ["NEW_TO_ALL"] == "1"
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_lost_process_of_ray_is_one_sentence(
    name: str,
    sources: LocalSources,
    undisturbed: dict[str, bytes],
    two_workers: Cluster,
    tmp_path: Path,
) -> None:
    process = begin(sources, tmp_path / "shards")
    wait_for_shard(tmp_path / "shards", process)
    kill(process.pid, name)
    ran = finish(process)
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith(f"error: Ray has lost a process of its own ({name})")
    assert all(
        line.startswith(("scan:", "prepare:", "compose:", "warning:", "error: Ray has"))
        for line in ran.err.splitlines()
    ), ran
    assert not make_shard_set(two_workers, sources, SIXTY, tmp_path / "shards").failed
    assert contents(tmp_path / "shards") == undisturbed


LATE = """
import ray
from datagen.cli import main
def init(**options):
    raise Exception("The current node timed out during startup. This could happen\\nfor a reason")
ray.init = init
main()
"""


def test_a_ray_that_does_not_start_is_one_sentence(sources: LocalSources, tmp_path: Path) -> None:
    options = ["compose", *folders(sources), "--out", str(tmp_path / "shards"), *OF_SIXTY]
    run = subprocess.Popen(
        [sys.executable, "-c", LATE, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    ran = finish(run)
    assert ran.code == 1
    assert ran.err.splitlines()[-1] == (
        "error: Ray did not start: The current node timed out during startup. This could happen; "
        "try again"
    )
    assert not (tmp_path / "shards").exists()


def test_a_lost_board_costs_nothing(
    sources: LocalSources, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """It shows the progress, and stops tasks."""
    process = begin(sources, tmp_path / "shards")
    wait_for_shard(tmp_path / "shards", process)
    kill(process.pid, "ray::_Board")
    assert finish(process).code == 0
    assert contents(tmp_path / "shards") == undisturbed


def kill(parent: int, name: str) -> None:
    """SIGKILL to a process whose name ends so; Ray writes "ray::_Board.post" while it works."""
    for number in descendants(parent):
        command = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")[0].decode()
        if command.endswith(name) or (name.startswith("ray::") and command.startswith(name)):
            os.kill(number, signal.SIGKILL)
            return
    raise AssertionError(f"no process {name}")


def test_a_token_that_does_not_fit_is_one_sentence(composed_at: tuple[Path, str]) -> None:
    shards, address = composed_at
    command = [sys.executable, "-m", "datagen", "verify", "--shards", str(shards)]
    env = os.environ | QUIET | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    ran = subprocess.run(
        [*command, "--ray-address", address],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    (line,) = ran.stderr.splitlines()
    assert "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here" in line


@pytest.fixture
def composed_at(composed: tuple[Path, object], address: str) -> tuple[Path, str]:
    return composed[0], address


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)


@contextmanager
def busy(cluster: Cluster, folder: Path) -> Iterator[None]:
    """All workers wait, for as long as the body runs."""
    (folder / "first").touch()
    paths = [folder / "first", *(folder / "last" for _ in range(cluster.workers))]
    found = cluster.run(wait_for, paths)
    next(found)
    yield
    (folder / "last").touch()
    assert len(list(found)) == cluster.workers


def test_a_busy_cluster_says_so(
    two_workers: Cluster, composed_at: tuple[Path, str], tmp_path: Path
) -> None:
    shards, address = composed_at
    command = [sys.executable, "-m", "datagen", "verify", "--shards", str(shards)]
    with busy(two_workers, tmp_path):
        process = subprocess.Popen(
            [*command, "--ray-address", address],
            env=os.environ | QUIET,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert "has no free CPU (2 in all)" in process.stderr.readline()
    assert finish(process).code == 0
