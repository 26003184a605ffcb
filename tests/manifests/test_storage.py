"""A file is there whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.storage import sweep, sync, write_bytes, writing

KILLED = """
import os, sys
from pathlib import Path
from manifests.storage import writing
with writing(Path(sys.argv[1])) as part:
    part.write_bytes(b"half")
    os._exit(9)
"""


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.bin"
    with writing(path) as part:
        part.write_bytes(b"whole")
        assert not path.exists()
        assert part.parent == path.parent, "a rename must not cross file systems"
    assert path.read_bytes() == b"whole"
    assert files(path.parent) == ["file.bin"]


@pytest.mark.parametrize("error", [RuntimeError, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("before", [None, b"old"])
def test_nothing_is_left_of_a_failure(
    tmp_path: Path, error: type[BaseException], before: bytes | None
) -> None:
    path = tmp_path / "file.bin"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(error), writing(path) as part:
        part.write_bytes(b"half")
        raise error
    assert files(tmp_path) == ([] if before is None else ["file.bin"])
    assert before is None or path.read_bytes() == before


def test_a_body_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), writing(tmp_path / "file.bin"):
        pass
    assert files(tmp_path) == []


def test_what_went_wrong_before_anything_was_written_is_what_is_raised(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no colours"), writing(tmp_path / "file.bin"):
        raise RuntimeError("no colours")


def test_writing_leaves_no_file_open(tmp_path: Path) -> None:
    def is_open() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = is_open()
    for number in range(5):
        write_bytes(tmp_path / f"{number}" / "file.bin", b"x")
    assert is_open() == before


def test_only_a_folder_may_be_unable_to_sync() -> None:
    """Some file systems cannot sync a folder; a file that cannot be synced may be lost."""
    sync(Path("/proc"))
    for path in (Path("/dev/null"), Path("/nowhere")):
        with pytest.raises(OSError, match=r"Invalid argument|No such file"):
            sync(path)


def test_the_longest_name_that_a_file_may_have(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".png")
    write_bytes(path, b"whole")
    assert path.read_bytes() == b"whole"
    longer = tmp_path / ("n" * 252 + ".png")
    with pytest.raises(OSError, match=f"File name too long: '{longer}'"):
        write_bytes(longer, b"whole")
    assert files(tmp_path) == [path.name]


def test_an_error_names_the_file_and_not_its_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.mkdir()
    with pytest.raises(IsADirectoryError, match=f"Is a directory: '{path}'"):
        write_bytes(path, b"whole")
    with pytest.raises(FileNotFoundError, match="elsewhere"), writing(path) as part:
        part.write_bytes(b"half")
        (tmp_path / "elsewhere").read_bytes()
    assert files(tmp_path) == ["file.bin"]


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    with (
        pytest.raises(OSError, match=f"No space left on device: '{path}'"),
        writing(path),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "broken"), OSError(errno.ENOSPC, "full", "elsewhere")]
)
def test_an_error_of_something_else_is_left_as_it_is(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(OSError) as raised, writing(tmp_path / "file.bin"):
        raise error
    assert raised.value is error


def test_two_writers_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    with writing(path) as first:
        first.write_bytes(b"one")
        with writing(path) as second:
            assert second != first
            second.write_bytes(b"two")
            assert first.read_bytes() == b"one"
        assert path.read_bytes() == b"two"
    assert path.read_bytes() == b"one", "who ends last wins"
    assert files(tmp_path) == ["file.bin"]


def test_write_bytes(tmp_path: Path) -> None:
    for data in (b"first", b""):
        write_bytes(tmp_path / "a" / "file.bin", data)
        assert (tmp_path / "a" / "file.bin").read_bytes() == data
    assert files(tmp_path / "a") == ["file.bin"]


def test_a_killed_writer_leaves_what_sweep_removes(tmp_path: Path) -> None:
    write_bytes(tmp_path / "data" / "whole.bin", b"whole")
    write_bytes(tmp_path / "data" / "train.part-1.tar", b"whole")  # not a leftover
    kept = files(tmp_path)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "data" / "killed.bin")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(command, env=environment, check=False).returncode == 9
    assert len(files(tmp_path)) == len(kept) + 1
    assert not (tmp_path / "data" / "killed.bin").exists()
    assert sweep(tmp_path) == 1
    assert files(tmp_path) == kept
    assert sweep(tmp_path) == 0


def test_sweep_of_no_folder(tmp_path: Path) -> None:
    assert sweep(tmp_path / "none") == 0
