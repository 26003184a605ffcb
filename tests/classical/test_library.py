"""pymatting is imported where nothing that it compiles can be kept."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Read-only is read-only even for root once it has given up the capabilities that ignore modes.
OBEY = """
import ctypes, os, sys
if os.geteuid() == 0:
    for capability in (1, 2):
        assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""
SOLVE = """
import os
from pathlib import Path
import numpy as np
from classical.colours import cutout_of
assert cutout_of(np.zeros((3, 3, 3), np.uint8), np.zeros((3, 3), np.uint8)).shape == (3, 3, 4)
kept = Path(os.environ["NUMBA_CACHE_DIR"])
assert list(kept.rglob("*.nbi")), kept
assert kept.stat().st_mode & 0o777 == 0o700
print(kept)
"""


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Path]:
    """A folder with lib/, which holds pymatting, and home/, both read-only, and with tmp/."""
    spec = importlib.util.find_spec("pymatting")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = tmp_path / "sealed"
    package = folder / "lib" / "pymatting"
    uncompiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(spec.submodule_search_locations[0], package, ignore=uncompiled)
    (folder / "home").mkdir()
    (folder / "tmp").mkdir()
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (folder / "tmp").chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


@pytest.mark.slow
def test_a_read_only_installation_and_home(sealed: Path) -> None:
    settings = {
        "PATH": os.environ["PATH"],
        "HOME": str(sealed / "home"),
        "TMPDIR": str(sealed / "tmp"),
        "PYTHONPATH": f"{sealed / 'lib'}:{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    found = [
        subprocess.run(
            [sys.executable, "-c", OBEY, SOLVE],
            env=settings,
            cwd=sealed,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        for _ in range(2)
    ]
    assert [ran.returncode for ran in found] == [0, 0], found
    assert found[0].stdout == found[1].stdout, "what was compiled is used again"
    assert Path(found[0].stdout.strip()).parent == sealed / "tmp"
