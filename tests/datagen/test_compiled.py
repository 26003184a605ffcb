"""The compiled loops work where nothing can be kept, and in processes that start together; what was
compiled of one version is never used for another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import make_sources
from tests.sealed import ROOT, run_sealed, sealed

COMPOSE = """
import hashlib, os
from pathlib import Path
import numpy as np
from PIL import Image
import datagen
rng = np.random.default_rng(0)
place = Path(os.environ["TMPDIR"]) / str(os.getpid())
place.mkdir()
cutout = rng.integers(1, 256, (90, 80, 4), dtype=np.uint8)
Image.fromarray(cutout).save(place / "fg.png")
Image.fromarray(rng.integers(0, 256, (100, 120, 3), dtype=np.uint8)).save(place / "bg.png")
sample = datagen.compose_one(place / "fg.png", place / "bg.png", size=64, seed=0)
kept = Path(os.environ["NUMBA_CACHE_DIR"])
assert list(kept.glob("compiled-*/*/*.nbi")), kept
print(kept, hashlib.sha256(sample.image.tobytes() + sample.alpha.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_a_read_only_installation_and_two_processes_at_once(tmp_path: Path) -> None:
    packages = [ROOT / name for name in ("console", "manifests", "datagen")]
    with sealed(tmp_path / "sealed", packages) as folder:
        said = set()
        for _ in range(2):  # while both compile, and when it is there
            both = [run_sealed(folder, COMPOSE) for _ in range(2)]
            for ran in both:
                with ran:
                    out, errors = ran.communicate(timeout=300)
                assert ran.returncode == 0, errors
                said.add(out)
    assert len(said) == 1
    assert Path(said.pop().split()[0]).parent == folder / "tmp"


KINDS = """
import json, sys
from dataclasses import replace
from pathlib import Path
import datagen
from datagen.job import make_shard_set
from datagen.sample import crude_loops, loops
from datagen.settings import Settings
from datagen.sources.folders import SourceFolders
from tests.datagen.in_process import InProcess
place = Path(sys.argv[1])
folders = SourceFolders(place / "fgs", place / "bgs")
settings = Settings(size=90, samples=30, merge_probability=0.3)
for layers in (False, True):  # from files
    make_shard_set(InProcess(), folders, replace(settings, layers=layers), place / f"{layers}")
for size in (64, 97):  # from memory
    for photo in sorted(folders.backgrounds.iterdir()):
        for cutout in sorted(folders.foregrounds.glob("*.png")):
            datagen.compose_one(cutout, photo, size=size, seed=size)
found = {**vars(loops), **vars(crude_loops)}
print(json.dumps({name: len(f.overloads) for name, f in found.items() if hasattr(f, "overloads")}))
"""


def test_each_loop_gets_one_kind_of_arrays(tmp_path: Path) -> None:
    """Two processes that compile a loop for two kinds could find each other's code."""
    make_sources(tmp_path)
    command = [sys.executable, "-c", KINDS, str(tmp_path)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    kinds = json.loads(ran.stdout)
    called = {name: count for name, count in kinds.items() if not name.startswith("_")}
    assert len(called) == 8
    assert set(called.values()) == {1}, called


def test_a_constant_of_another_file_may_change(tmp_path: Path) -> None:
    constants, loop = tmp_path / "constants.py", tmp_path / "loop.py"
    loop.write_text(
        "from constants import STEP\n"
        "from manifests.compiled import compiled\n\n\n"
        "@compiled\n"
        "def moved(x):\n"
        "    return x + STEP\n"
    )
    for step in (1, 2, 1):
        constants.write_text(f"STEP = {step}\n")
        command = [sys.executable, "-c", "import loop; print(loop.moved(10))"]
        ran = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert ran.returncode == 0, ran.stderr
        assert int(ran.stdout) == 10 + step
