"""Speed and memory of `datagen compose` on the real sources, as JSON.

    python -m tests.bench.compose [--quick]

Samples are 800 x 800, JPEG quality 95 4:4:4, with the default crude preset. They have no layers
unless the name of a figure says so. The codec floor is the rate at which one core only encodes the
same four streams, measured in the same worker and run, and `jpeg_ratio` is the share of the JPEG
alone in the time of a sample. Rates are those of whole shards on disk. Run it on an idle machine.
It takes about eight minutes (--quick: three, without 10,000 samples).
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datagen.cluster import Cluster, Outcome, cluster
from datagen.copies import Copies, prepare_source
from datagen.plan import plan_splits
from datagen.prepare import scan_sources
from datagen.sample.build import encode_sample
from datagen.settings import Settings
from datagen.shard import ShardTask, draw_and_build, make_shard, shard_task
from datagen.sources.scan import Scan
from manifests.pixels import ImageCodec, encode_colour
from tests.conftest import LocalSources

DATA = Path(__file__).parents[3] / "shared" / "data"
SOURCES = LocalSources(DATA / "foregrounds", DATA / "backgrounds")
PER_SHARD = 250


class Preparation:
    """A picklable task that makes the working copy of one source."""

    def __init__(self, settings: Settings, cache: Path) -> None:
        self._settings, self._cache = settings, cache

    def __call__(self, source: object) -> bool:
        prepare_source(SOURCES, self._settings, self._cache, source)  # type: ignore[arg-type]
        return True


def tasks_of(settings: Settings, found: Scan, folder: Path, samples: int) -> list[ShardTask]:
    """The tasks of one run, which writes to its own folder."""
    wanted = replace(settings, samples=samples, shard_size=PER_SHARD)
    plan = plan_splits(wanted, found.foregrounds, found.backgrounds)[0]
    root = Path(tempfile.mkdtemp(dir=folder))
    return [
        shard_task(
            root,
            Copies(folder / "cache"),
            wanted,
            plan.shard(n),
            found.foregrounds,
            found.backgrounds,
        )
        for n in range(plan.shards)
    ]


def timed_shard(task: ShardTask) -> tuple[int, float, int, int]:
    """Make a shard; returns (samples, processor seconds, bytes, peak memory in KiB)."""
    begin = time.process_time()
    make_shard(task, lambda *_: None)
    seconds = time.process_time() - begin
    assert isinstance(task.root, Path)
    path = next((task.root / "data").glob(f"{task.shard.name}.*"))
    size = path.stat().st_size
    path.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return len(task.shard.pairs), seconds, size, peak


def encoding_seconds(task: ShardTask) -> tuple[float, float]:
    """Seconds per sample that are spent on encoding its streams, and on the JPEG alone."""
    spent, on_jpeg = 0.0, 0.0
    for pair in task.shard.pairs:
        built = draw_and_build(task, pair)
        begin = time.perf_counter()
        encode_sample(built, pair.key, task.shard.name, task.shard.split, task.settings)
        end = time.perf_counter()
        encode_colour(built.composite.image, ImageCodec.JPEG, task.settings.jpeg_quality)
        spent, on_jpeg = spent + end - begin, on_jpeg + time.perf_counter() - end
    return spent / len(task.shard.pairs), on_jpeg / len(task.shard.pairs)


class Run:
    """The figures of some shards that are made at the same time."""

    def __init__(self, ray: Cluster, tasks: Sequence[ShardTask]) -> None:
        begin = time.perf_counter()
        results = [outcome.value for outcome in ray.run(timed_shard, tasks)]
        self.wall = time.perf_counter() - begin
        values = [value for value in results if value is not None]
        self.samples = sum(value[0] for value in values)
        self.seconds = sum(value[1] for value in values) / self.samples
        self.bytes = sum(value[2] for value in values) / self.samples
        self.peak = max(value[3] for value in values)

    def rate(self) -> float:
        """Samples a second."""
        return self.samples / self.wall


def values_of(outcomes: Iterable[Outcome[Any, Any]]) -> list[Any]:
    found = list(outcomes)
    assert not [outcome.error for outcome in found if outcome.error]
    return [outcome.value for outcome in found]


def measure(folder: Path, quick: bool) -> dict[str, float]:
    settings = Settings(layers=False)
    (folder / "cache").mkdir()
    with cluster(1) as ray:
        found = scan_sources(ray, SOURCES)
        sources = [*found.foregrounds, *found.backgrounds]
        values_of(ray.run(Preparation(settings, folder / "cache"), sources))
        Run(
            ray, tasks_of(settings, found, folder, PER_SHARD)
        )  # warm up the page cache and the allocator
        # All have the same samples. They take turns, so that a slow minute affects all of them.
        plain, layered, floors = [], [], []
        for _ in range(2 if quick else 3):
            plain.append(Run(ray, tasks_of(settings, found, folder, 2 * PER_SHARD)))
            tasks = tasks_of(settings, found, folder, PER_SHARD)
            floors += values_of(ray.run(encoding_seconds, tasks))
            with_layers = replace(settings, layers=True)
            layered.append(Run(ray, tasks_of(with_layers, found, folder, 2 * PER_SHARD)))
    one = min(plain, key=lambda run: run.seconds)
    both = min(layered, key=lambda run: run.seconds)
    floor, jpeg = map(min, zip(*floors, strict=True))
    with cluster(2) as ray:
        Run(ray, tasks_of(settings, found, folder, 2 * PER_SHARD))
        pairs, alone = [], []
        for _ in range(3):  # in turns, too
            pairs.append(Run(ray, tasks_of(settings, found, folder, 4 * PER_SHARD)))
            alone.append(Run(ray, tasks_of(settings, found, folder, PER_SHARD)))
        two = max(pairs, key=Run.rate)
        figures = {
            "samples_per_second_per_core": round(one.rate(), 2),
            "codec_floor_ratio": round(floor / (one.wall / one.samples), 3),
            "codec_floor_samples_per_second": round(1 / floor, 1),
            "jpeg_ratio": round(jpeg / (one.wall / one.samples), 3),
            "scaling_two_workers": round(two.rate() / max(map(Run.rate, alone)), 3),
            "layers_time_ratio": round(both.seconds / one.seconds, 3),
            "layers_bytes_ratio": round(both.bytes / one.bytes, 3),
            "bytes_per_sample": round(one.bytes),
        }
        if not quick:
            short = Run(ray, tasks_of(settings, found, folder, 1000))
            long = Run(ray, tasks_of(settings, found, folder, 10_000))
            ratio = (long.wall / long.samples) / (short.wall / short.samples)
            figures["cost_at_10000_over_1000"] = round(ratio, 3)
            two.peak = max(two.peak, long.peak)
    for kind, count in (
        ("foreground", len(found.foregrounds)),
        ("background", len(found.backgrounds)),
    ):
        stored = sum(path.stat().st_size for path in (folder / "cache" / f"{kind}s").iterdir())
        figures[f"{kind}_working_copy_mb"] = round(stored / count / 1e6, 2)
    figures["driver_rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    figures["worker_rss_mb"] = round(max(one.peak, both.peak, two.peak) / 1024)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory of datagen compose, as JSON.")
    parser.add_argument("--quick", action="store_true", help="Leave out the run of 10,000 samples.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), options.quick), indent=1))


if __name__ == "__main__":
    main()
