"""pymatting is imported where nothing that it compiles can be kept."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.sealed import run_sealed, sealed

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


@pytest.mark.slow
def test_a_read_only_installation_and_home(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("pymatting")
    assert spec is not None
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    with sealed(tmp_path / "sealed", [package]) as folder:
        said = []
        for _ in range(2):
            with run_sealed(folder, SOLVE) as ran:
                out, errors = ran.communicate(timeout=300)
            assert ran.returncode == 0, errors
            said.append(out)
    assert said[0] == said[1], "what was compiled is used again"
    assert Path(said[0].strip()).parent == folder / "tmp"
