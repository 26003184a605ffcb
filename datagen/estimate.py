"""`datagen compose --plan`: samples, shards, bytes and hours, estimated from a short probe."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2

from console.texts import size_text
from datagen.cache import sizes_there
from datagen.copies import Copies, prepare_source
from datagen.plan import SplitPlan, of_split, plan_splits
from datagen.resume import WORK
from datagen.room import FullDiskError, disk_of, free_bytes
from datagen.settings import Settings
from datagen.shard import make_sample, shard_task
from datagen.sources.folders import SourceFolders
from datagen.sources.scan import Scan
from manifests.shards import ShardFormat
from manifests.sources import Background, Foreground
from manifests.storage import Location, Url

_PROBE_SOURCES = 12
_PROBE_SAMPLES = 24
_INDEX_BYTES = 320  # of one row, compressed
_TAR_MEMBER_BYTES = 768  # header and padding of one member, on average

# More than a pixel of a sample and of a prepared source ever take. Only if a run of this size did
# not fit, its real size is worth the seconds of a probe.
_SAMPLE_BYTES, _SOURCE_BYTES = 12, 200

Source = TypeVar("Source", Foreground, Background)


@dataclass(frozen=True)
class Estimate:
    """What a run would cost: `bytes` for the shard set, `working_bytes` for the working copies, of
    which `cached_bytes` are there already."""

    samples: int
    shards: int
    bytes: int
    working_bytes: int
    cached_bytes: int
    samples_per_second: float
    hours: float
    workers: int


def estimate(
    folders: SourceFolders, settings: Settings, found: Scan, workers: int, copies: Path
) -> Estimate:
    """Compose a few samples of a few sources in a temporary folder and scale up.

    found: the scan, its sources already split. copies: where the working copies will be.
    """
    plans = plan_splits(settings, found.foregrounds, found.backgrounds)
    probe_settings = replace(settings, samples=_PROBE_SAMPLES, holdout_fg=0, holdout_bg=0)
    foregrounds = _spread(of_split(found.foregrounds, plans[0].split))
    backgrounds = _spread(of_split(found.backgrounds, plans[0].split))
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        cache, begin = Path(folder), time.perf_counter()
        probed: list[Foreground | Background] = [*foregrounds, *backgrounds]
        for source in probed:
            prepare_source(folders, settings, cache, source)
        prepared = time.perf_counter() - begin
        working = sum(p.stat().st_size for p in cache.rglob("*.raw"))
        shard = plan_splits(probe_settings, foregrounds, backgrounds)[0].shard(0)
        task = shard_task(cache, Copies(cache), probe_settings, shard, foregrounds, backgrounds)
        make_sample(task, shard.pairs[0])  # the first sample also loads libraries
        begin, size = time.perf_counter(), 0
        for pair in shard.pairs:
            streams = make_sample(task, pair)[0].streams
            size += sum(map(len, streams.values())) + _INDEX_BYTES
            if settings.format is ShardFormat.WEBDATASET:
                size += (len(streams) + 1) * _TAR_MEMBER_BYTES
        seconds = (time.perf_counter() - begin) / len(shard.pairs)
    sources: list[Foreground | Background] = [*found.foregrounds, *found.backgrounds]
    there = sizes_there(copies, sources, settings)
    to_make = (len(sources) - len(there)) / len(probed)
    samples = sum(plan.samples for plan in plans)
    total = samples * seconds + to_make * prepared
    return Estimate(
        samples=samples,
        shards=sum(plan.shards for plan in plans),
        bytes=samples * size // len(shard.pairs),
        working_bytes=sum(there) + round(to_make * working),
        cached_bytes=sum(there),
        samples_per_second=round(workers / seconds, 1),
        hours=round(total / workers / 3600, 3),
        workers=workers,
    )


def _spread(sources: Sequence[Source]) -> list[Source]:
    """A few sources, spread evenly over the list."""
    count = min(len(sources), _PROBE_SOURCES)
    return [sources[number * len(sources) // count] for number in range(count)]


def refuse_too_large(
    folders: SourceFolders,
    settings: Settings,
    found: Scan,
    plans: Sequence[SplitPlan],
    out: Location,
    copies: Path,
) -> None:
    """Raise FullDiskError if the disk of `out` or of `copies` has too little room for what is
    missing."""
    samples = sum(plan.samples for plan in plans)
    sources = len(found.foregrounds) + len(found.backgrounds)
    most = (samples * _SAMPLE_BYTES + sources * _SOURCE_BYTES) * settings.size**2
    disks = [copies] if isinstance(out, Url) else [out, copies]
    if most >= min(map(free_bytes, disks)):
        reason = too_large(estimate(folders, settings, found, 1, copies), out, copies)
        if reason:
            raise FullDiskError(f"{reason}; make room, or make fewer --samples")


def too_large(expected: Estimate, out: Location, copies: Path) -> str:
    """Why a run does not fit on the disks of `out` and `copies`; "" if it does.

    What is there is not counted; a store has room for everything.
    """
    of_copies = expected.working_bytes - expected.cached_bytes
    needed = _needed(expected, out, copies, of_copies)
    for folder, bytes_ in needed.items():
        free = free_bytes(folder)
        if bytes_ >= free:
            return (
                f"{folder}: needs about {size_text(bytes_)}, but its disk, {disk_of(folder)}, has "
                f"only {size_text(free)} free"
            )
    return ""


def _needed(expected: Estimate, out: Location, copies: Path, of_copies: int) -> dict[Path, int]:
    """Bytes by folder."""
    if isinstance(out, Url):
        return {copies: of_copies}
    there = sum(
        path.stat().st_size for path in out.rglob("*") if path.is_file() and WORK not in path.parts
    )
    if disk_of(out) == disk_of(copies):
        return {out: expected.bytes - there + of_copies}
    return {out: expected.bytes - there, copies: of_copies}
