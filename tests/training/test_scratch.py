"""Temporary folders go with their process, however it ends."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from training.loading.scratch import scratch

HOLD = """\
from training.loading.scratch import scratch
with scratch() as f:
    print(f, flush=True)
    input()
"""


def test_what_a_killed_process_left_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "matting-notes").mkdir()  # somebody else's
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    theirs = Path(other.stdout.readline().strip())
    assert theirs.parent == tmp_path
    with scratch() as ours:
        assert ours.is_dir()
        assert theirs.is_dir(), "its process lives"
        other.kill()
        other.communicate()
        with scratch() as third:
            assert not theirs.exists()
            assert ours.is_dir()
            assert third.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["matting-notes"]
