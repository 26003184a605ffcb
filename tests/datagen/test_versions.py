"""Machines that would make other bytes are found before the first task."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from console.commands import FAILED
from datagen.versions import LIBRARIES, VersionsError, check_versions, versions
from tests.conftest import QUIET, LocalSources, clean, folders

ROOT = Path(__file__).parents[2]


def test_equal_versions() -> None:
    check_versions(versions())
    assert set(versions()) > set(LIBRARIES)


@pytest.mark.parametrize("name", ["numpy", "python", "this package"])
def test_the_difference_is_named(name: str) -> None:
    with pytest.raises(VersionsError, match=rf"\({name}: \S+ instead of 0\.1\); install the same"):
        check_versions({**versions(), name: "0.1"})


@pytest.mark.slow
def test_a_cluster_with_other_code_is_refused(
    sources: LocalSources, address: str, tmp_path: Path
) -> None:
    """The command runs from a copy of this package that differs in one comment."""
    for package in ("console", "datagen", "manifests"):
        shutil.copytree(ROOT / package, tmp_path / "other" / package)
    with (tmp_path / "other" / "datagen" / "plan.py").open("a") as file:
        file.write("# changed\n")
    where = [*folders(sources), "--out", str(tmp_path / "shards"), "--ray-address", address]
    ran = subprocess.run(
        [sys.executable, "-m", "datagen.cli", "compose", *where],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path / "other",
        env=os.environ | QUIET | {"PYTHONPATH": str(tmp_path / "other")},
    )
    assert ran.returncode == FAILED, ran
    assert "this package: " in clean(ran.stderr)
    assert "install the same on every machine" in ran.stderr
    assert not (tmp_path / "shards").exists()
