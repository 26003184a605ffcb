"""Temporary folders are shared by processes, and go with them, however they end."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.scratch import Scratch
from tests.manifests.test_store import open_files

HOLD = """\
from manifests.scratch import Scratch
scratch = Scratch()
print(scratch.folder(), flush=True)
input()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of the test's own; at its end only another's folder is left in it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "matting-notes").mkdir()
    yield tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["matting-notes"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(place: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    theirs = Path(other.stdout.readline().strip())
    assert theirs.parent == place
    ours, third = Scratch(), Scratch()
    assert ours.folder().is_dir()
    assert theirs.is_dir(), "its process lives"
    other.kill()
    other.communicate()
    assert third.folder().is_dir()
    assert not theirs.exists()
    assert ours.folder().is_dir()


def test_it_is_made_when_it_is_needed_and_goes_with_the_object(place: Path) -> None:
    scratch = Scratch()
    assert len(list(place.iterdir())) == 1
    folder = scratch.folder()
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert scratch.folder() == folder
    scratch.close()
    assert not folder.exists()
    assert scratch.folder() == folder, "made again"
    del scratch
    assert not folder.exists()


def test_orphans_are_found_among_folders_in_use(place: Path) -> None:
    living = [Scratch() for _ in range(6)]
    folders = [scratch.folder() for scratch in living]
    orphans = [place / f"matting-{number}" for number in range(6)]
    for orphan in orphans:
        orphan.mkdir()
        (orphan / "alive").touch()
    last = Scratch()
    assert last.folder().is_dir()
    assert not any(orphan.exists() for orphan in orphans)
    assert all(folder.is_dir() for folder in folders)


def test_another_process_does_not_take_it_for_an_orphan(place: Path) -> None:
    scratch = Scratch()
    kept = scratch.folder() / "file"
    kept.touch()
    program = "from manifests.scratch import Scratch; Scratch().folder()"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert kept.exists()


def test_it_is_made_again_if_somebody_removed_it(place: Path) -> None:
    scratch = Scratch()
    for _ in range(3):
        shutil.rmtree(scratch.folder())
        assert scratch.folder().is_dir()
    assert locks(place) == 1, "the lock on what was removed is gone"


def locks(place: Path) -> int:
    """How many of its folders this process holds; it may hold others elsewhere."""
    return sum(file.startswith(str(place)) for file in open_files("/alive"))


def test_only_the_lock_of_a_copy_goes_with_it(place: Path) -> None:
    scratch = Scratch()
    folder = scratch.folder()
    copy = pickle.loads(pickle.dumps(scratch))
    assert copy.folder() == folder
    assert locks(place) == 2
    del copy
    assert locks(place) == 1
    assert folder.is_dir()


def test_what_was_never_made_can_be_closed(place: Path) -> None:
    scratch = Scratch()
    scratch.close()
    scratch.close()


def test_a_copy_means_the_same_folder_but_does_not_remove_it(place: Path) -> None:
    scratch = Scratch()
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer).folder())"
    other = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(scratch),
        stdout=subprocess.PIPE,
        check=True,
    )
    folder = Path(other.stdout.decode().strip())
    assert folder.is_dir(), "the process that used it first has ended"
    assert scratch.folder() == folder


FORK = """\
import os
from manifests.scratch import Scratch
scratch = Scratch()
folder = scratch.folder()
child = os.fork()
if child == 0:
    scratch.close()
    os._exit(folder.is_dir())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), folder.is_dir())
"""


def test_a_fork_does_not_remove_it(place: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", FORK], stdout=subprocess.PIPE, check=True)
    assert ran.stdout == b"1 True\n"
