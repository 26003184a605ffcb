"""After a power loss the same command leaves the set that an undisturbed run leaves."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from datagen.job import make_shard_set
from datagen.settings import Settings
from manifests.shards import ShardFormat, data_path, index_path
from manifests.storage import sha256_of
from tests.conftest import LocalSources, contents
from tests.datagen.disk import Crash, Disk
from tests.datagen.in_process import InProcess


@pytest.mark.parametrize("form", ShardFormat)
@pytest.mark.slow
def test_a_power_loss_at_any_time(sources: LocalSources, tmp_path: Path, form: ShardFormat) -> None:
    settings = Settings(samples=7, size=32, shard_size=3, format=form, layers=False)
    (tmp_path / "disk").mkdir()
    disk, out = Disk(tmp_path / "disk"), tmp_path / "disk" / "new" / "shards"
    with disk.watching():
        assert not make_shard_set(InProcess(), sources, settings, out).failed
    whole = contents(out)
    found = partial(files_of, wanted=list(whole))
    checksums = {name: sha256_of(data_path(out, name, form)) for name in names(out)}
    assert len(checksums) == 3

    for number, crash in enumerate(disk.crashes):
        crash.write(tmp_path / f"after-{number}")
        root = tmp_path / f"after-{number}" / "new" / "shards"
        for name in names(root):
            if index_path(root, name).stat().st_size:
                assert sha256_of(data_path(root, name, form)) == checksums[name], number
        if crash.files.get("new/shards/dataset.json"):
            assert found(crash) == whole

    assert found(disk.crashes[-2]) == whole, "with only the names that were synced"

    chosen = np.random.default_rng(0).choice(len(disk.crashes), 8, replace=False)
    for number in chosen.tolist():
        root = tmp_path / f"after-{number}" / "new" / "shards"
        assert not make_shard_set(InProcess(), sources, settings, root).failed, number
        assert contents(root) == whole, number


def files_of(crash: Crash, wanted: list[str]) -> dict[str, bytes | None]:
    return {name: crash.files.get(f"new/shards/{name}") for name in wanted}


def names(root: Path) -> list[str]:
    """The shards that have an index."""
    return sorted(path.stem for path in (root / "index").glob("*.parquet"))
