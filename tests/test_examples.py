"""The scripts that users read and run, each as it stands, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import QUIET, Ran, finish

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def run(script: str, *arguments: str, cwd: Path) -> Ran:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | QUIET,
        cwd=cwd,
        start_new_session=True,
    )
    return finish(process)


def test_picture(tmp_path: Path) -> None:
    ran = run("docs/picture.py", "samples.jpg", cwd=tmp_path)
    assert ran.code == 0, ran
    with (
        Image.open(tmp_path / "samples.jpg") as drawn,
        Image.open(ROOT / "docs/samples.jpg") as kept,
    ):
        assert drawn.size == kept.size


def test_quickstart(tmp_path: Path) -> None:
    ran = run("examples/quickstart.py", "out", cwd=tmp_path)
    assert ran.code == 0, ran
    first, *_, last = ran.out.splitlines()
    assert first == "image (256, 256, 3), alpha 0 to 255"
    assert "24 samples in 3 shards" in ran.out
    assert last.startswith("a batch: image (8, 3, 128, 128)")
    again = run("examples/quickstart.py", "out", cwd=tmp_path)
    assert (again.code, again.out) == (0, ran.out)
