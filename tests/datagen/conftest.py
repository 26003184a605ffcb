"""What the tests that disturb a run compare it with."""

from __future__ import annotations

import pytest

from datagen.cluster import Cluster
from datagen.job import make_shard_set
from datagen.settings import Settings
from tests.conftest import LocalSources, contents

SIXTY = Settings(size=160, shard_size=5, samples=60)
OF_SIXTY = ("--size", "160", "--shard-size", "5", "--samples", "60", "--workers", "2")


@pytest.fixture(scope="session")
def undisturbed(
    two_workers: Cluster, sources: LocalSources, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """The files of the set of 60 samples, as a run leaves it that nothing happens to."""
    out = tmp_path_factory.mktemp("undisturbed") / "shards"
    assert not make_shard_set(two_workers, sources, SIXTY, out).failed
    return contents(out)
