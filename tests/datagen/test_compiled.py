"""The compiled loops work where nothing can be kept, and in processes that start together."""

from __future__ import annotations

from pathlib import Path

import pytest

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
assert list(kept.rglob("*.nbi")), kept
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
