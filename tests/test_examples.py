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
