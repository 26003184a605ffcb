"""Installations and homes that cannot be written to, even by root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Root obeys the modes of files once it has given up the capabilities that ignore them.
_OBEY = """
import ctypes, os, sys
if os.geteuid() == 0:
    for capability in (1, 2):
        assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""


@contextlib.contextmanager
def sealed(folder: Path, packages: Iterable[Path]) -> Iterator[Path]:
    """A folder with lib/, which holds the packages, and home/, both read-only, and with tmp/."""
    uncompiled = shutil.ignore_patterns("__pycache__")
    for package in packages:
        shutil.copytree(package, folder / "lib" / package.name, ignore=uncompiled)
    (folder / "home").mkdir()
    (folder / "tmp").mkdir()
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (folder / "tmp").chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


def run_sealed(folder: Path, script: str) -> subprocess.Popen[str]:
    """Start a script that finds its packages in lib/, and then in this repository."""
    return subprocess.Popen(
        [sys.executable, "-c", _OBEY, script],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": f"{folder / 'lib'}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
