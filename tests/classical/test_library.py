"""pymatting is imported where nothing that it compiles can be kept."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from tests.sealed import run_sealed, sealed

MODULE = "foreground/estimate_foreground_ml.py"  # the functions that are called below
SOLVE = """
import os
from pathlib import Path
import numpy as np
from classical.colours import cutout_of
assert cutout_of(np.zeros((3, 3, 3), np.uint8), np.zeros((3, 3), np.uint8)).shape == (3, 3, 4)
kept = Path(os.environ["NUMBA_CACHE_DIR"])
assert list(kept.rglob("*.nbi")), kept
assert kept.stat().st_mode & 0o777 == 0o700
print(kept, *sorted((path.name, path.stat().st_mtime_ns) for path in kept.rglob("*.nb?")))
"""


@pytest.fixture
def pymatting(tmp_path: Path) -> Path:
    """One module of the package as it is installed. All of them compile for a minute."""
    spec = importlib.util.find_spec("pymatting")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = tmp_path / "pymatting"
    (folder / MODULE).parent.mkdir(parents=True)
    shutil.copy(Path(spec.submodule_search_locations[0]) / MODULE, folder / MODULE)
    (folder / "__init__.py").write_text(
        "from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml"
    )
    return folder


@pytest.mark.slow
def test_a_read_only_installation_and_home(tmp_path: Path, pymatting: Path) -> None:
    with sealed(tmp_path / "sealed", [pymatting]) as folder:
        said = []
        for _ in range(2):
            with run_sealed(folder, SOLVE) as ran:
                out, errors = ran.communicate(timeout=300)
            assert ran.returncode == 0, errors
            said.append(out)
    assert said[0] == said[1], "what was compiled is used again"
    assert Path(said[0].split()[0]).parent == folder / "tmp"
