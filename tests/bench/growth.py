"""What grows with a set in the driver: plan, shards and dataset.json, at 1, 10 and 100 times
880,000 samples, as JSON.

    python -m tests.bench.growth

Nothing is composed: the shards' entries are made up, with checksums that do not compress. Each size
has a process of its own. It takes a minute.
"""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from datagen.plan import SplitPlan, planned_shards
from datagen.settings import Settings
from manifests.dataset import (
    CONTRACT,
    Manifest,
    croissant_path,
    dataset_path,
    read_manifest,
    table_name,
    write_manifest,
)
from manifests.shards import Shard
from manifests.sources import Background, Foreground, Split

FOREGROUNDS, BACKGROUNDS, TIMES = 440, 2000, (1, 10, 100)
SAMPLE_BYTES = 300_000
Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    begin = time.perf_counter()
    result = work()
    return round(time.perf_counter() - begin, 2), result


def made_up(name: str, samples: int) -> Shard:
    digests = [hashlib.sha256(f"{name} {part}".encode()).hexdigest() for part in range(2)]
    return Shard(name, Split.TRAIN, samples, samples * SAMPLE_BYTES, *digests)


def grown(times: int) -> dict[str, float]:
    """The figures of one size."""
    settings = Settings(samples=times * FOREGROUNDS * BACKGROUNDS)
    numbers = FOREGROUNDS, BACKGROUNDS, settings.samples, settings.shard_size, settings.seed
    plan = SplitPlan(Split.TRAIN, *numbers)
    plan_seconds, planned = timed(lambda: planned_shards(plan))
    last_seconds, _ = timed(lambda: plan.shard(plan.shards - 1))
    shards = tuple(made_up(shard.name, shard.samples) for shard in planned)
    tables = {table_name(kind): shards[0].sha256 for kind in (Foreground, Background)}
    manifest = Manifest(CONTRACT, settings.to_json(), {}, shards, (), tables)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_seconds, _ = timed(lambda: write_manifest(root, manifest))
        read_seconds, _ = timed(lambda: read_manifest(root))
        sizes = [path(root).stat().st_size / 1e6 for path in (dataset_path, croissant_path)]
    return {
        "samples": settings.samples,
        "shards": len(shards),
        "plan_seconds": plan_seconds,
        "last_shard_seconds": last_seconds,
        "write_seconds": write_seconds,
        "read_seconds": read_seconds,
        "dataset_json_mb": round(sizes[0], 2),
        "croissant_json_mb": round(sizes[1], 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000,
    }


def main() -> None:
    """Print the figures of all sizes; each is measured in a process of its own."""
    if len(sys.argv) == 2:
        print(json.dumps(grown(int(sys.argv[1]))))
        return
    for times in TIMES:
        subprocess.run([sys.executable, "-m", "tests.bench.growth", str(times)], check=True)


if __name__ == "__main__":
    main()
