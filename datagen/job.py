"""`datagen compose` as a whole: scan, plan, prepare, one task a shard, dataset.json."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from console.progress import progress
from datagen.cluster import Cluster
from datagen.plan import SplitPlan, hold_out, plan_splits
from datagen.resume import (
    WORK,
    RefusedError,
    libraries,
    refuse_other_libraries,
    refuse_other_settings,
    refuse_other_sources,
    write_begun,
)
from datagen.sample.working_copies import (
    background_path,
    cutout_path,
    prepare_background,
    prepare_cutout,
    save_background,
    save_cutout,
)
from datagen.settings import Settings
from datagen.shard import ShardTask, make_shard, shard_task
from datagen.sources.scan import Problem, Scan, scan
from manifests.dataset import (
    CONTRACT,
    Dataset,
    Skipped,
    check_splits,
    dataset_path,
    read_sources,
    sources_path,
    write_dataset,
    write_sources,
)
from manifests.pictures import read_cutout, read_photo
from manifests.shards import data_path, read_shard_record, shard_name
from manifests.sources import Background, Foreground, Split
from manifests.storage import sweep


class BadSourcesError(Exception):
    """The sources have problems, and nobody said to leave them out."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} problems in the sources")
        self.problems = problems


@dataclass(frozen=True)
class Sources:
    """Where the sources are; `alphas` where each foreground's alpha is a file of its own."""

    foregrounds: Path
    backgrounds: Path
    alphas: Path | None = None


@dataclass(frozen=True)
class Result:
    """What `datagen compose --json` prints."""

    samples: int
    shards: int
    failed: tuple[dict[str, str], ...]
    skipped: tuple[Skipped, ...]
    seconds: float
    samples_per_second: float
    bytes: int


def compose_dataset(
    cluster: Cluster, sources: Sources, settings: Settings, out: Path, skip_bad: bool = False
) -> Result:
    """Make what is missing of a shard set; the shards that cannot be made are in the result.

    Raises RefusedError if `out` holds another shard set or another run is at work in it,
    BadSourcesError if sources have problems and not `skip_bad`, PlanError for a plan that cannot
    be (more held out than there is).
    """
    begin = time.monotonic()
    refuse_other_settings(out, settings)
    for folder in (sources.foregrounds, sources.backgrounds, sources.alphas):
        if folder is not None and out.resolve().is_relative_to(folder.resolve()):
            raise RefusedError(f"{out}: lies inside {folder}, whose files are the sources")
    with _locked(out):
        sweep(out)
        before = _recorded(out)
        found = scan_and_split(cluster, sources, settings, skip_bad, *before)
        plans = plan_splits(settings, found.foregrounds, found.backgrounds)
        skipped = tuple(Skipped(p.file, p.kind, p.reason) for p in found.problems)
        # Only now is it clear that the run can begin, and what it will be of.
        write_begun(out, settings)
        _record(out, before, found)
        missing = missing_shards(plans, settings, out)
        if missing:
            refuse_other_libraries(out)
            dataset_path(out).unlink(missing_ok=True)
            _prepare(cluster, sources, settings, out / WORK, used_sources(missing, found, settings))
        made, failed, seconds = _make(cluster, missing, settings, found, out)
        result = _finish(out, settings, plans, skipped, failed)
    return replace(
        result,
        seconds=round(time.monotonic() - begin, 3),
        samples_per_second=round(made / seconds, 2) if made else 0.0,
    )


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """One run at a time in a folder; the lock dies with its process."""
    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(f"{out}: another datagen compose is at work here") from error
        try:
            yield
        finally:
            sweep(out)
            if dataset_path(out).exists():
                shutil.rmtree(work, ignore_errors=True)


def scan_and_split(
    cluster: Cluster,
    sources: Sources,
    settings: Settings,
    skip_bad: bool,
    known_foregrounds: Sequence[Foreground] = (),
    known_backgrounds: Sequence[Background] = (),
) -> Scan:
    """The sources, each in its split. Raises BadSourcesError and PlanError as above; ValueError if
    the splits leak."""
    found = scan_sources(cluster, sources, known_foregrounds, known_backgrounds)
    nothing_left = not found.foregrounds or not found.backgrounds
    if found.problems and (nothing_left or not skip_bad):
        raise BadSourcesError(found.problems)
    found = replace(
        found,
        foregrounds=tuple(hold_out(found.foregrounds, settings.holdout_fg, settings.seed)),
        backgrounds=tuple(hold_out(found.backgrounds, settings.holdout_bg, settings.seed)),
    )
    check_splits(found.foregrounds, "foreground")
    check_splits(found.backgrounds, "background")
    return found


def _recorded(out: Path) -> tuple[list[Foreground], list[Background]]:
    if not all(sources_path(out, kind).exists() for kind in (Foreground, Background)):
        return [], []
    return read_sources(out, Foreground), read_sources(out, Background)


def _record(
    out: Path, before: tuple[Sequence[Foreground], Sequence[Background]], found: Scan
) -> None:
    """Write what will be composited, or raise RefusedError if it is not what was begun with."""
    if before[0]:
        refuse_other_sources(out, before[0], found.foregrounds)
        refuse_other_sources(out, before[1], found.backgrounds)
    else:
        write_sources(out, Foreground, found.foregrounds)
        write_sources(out, Background, found.backgrounds)


def scan_sources(
    cluster: Cluster,
    sources: Sources,
    known_foregrounds: Sequence[Foreground] = (),
    known_backgrounds: Sequence[Background] = (),
) -> Scan:
    """`scan.scan` on the cluster, with progress."""

    def parallel_map(function: Any, items: Sequence[Any]) -> list[Any]:
        with progress("scan", len(items), "files") as advance:
            done = 0

            def on_done() -> None:
                nonlocal done
                done += 1
                advance(done)

            return cluster.map(function, items, on_done)

    return scan(
        sources.foregrounds,
        sources.backgrounds,
        sources.alphas,
        parallel_map,
        known_foregrounds={source.id: source for source in known_foregrounds},
        known_backgrounds={source.id: source for source in known_backgrounds},
    )


Missing = Sequence[tuple[SplitPlan, int]]  # shards by their plan and number


def missing_shards(plans: Sequence[SplitPlan], settings: Settings, out: Path) -> Missing:
    """The shards that are not there yet."""
    return [
        (plan, number)
        for plan in plans
        for number in range(plan.shards)
        if not _is_whole(out, shard_name(plan.split, number), plan.split, settings)
    ]


def shard_tasks(
    missing: Missing, settings: Settings, found: Scan, out: Path
) -> Iterator[ShardTask]:
    """The tasks of some shards, one at a time: 880,000 pairs at once would fill the driver."""
    for split, group in groupby(missing, key=lambda shard: shard[0]):
        foregrounds = [s for s in found.foregrounds if s.split is split.split]
        backgrounds = [s for s in found.backgrounds if s.split is split.split]
        for plan, number in group:
            shard = plan.shard(number)
            yield shard_task(out, out / WORK, settings, shard, foregrounds, backgrounds)


def used_sources(
    missing: Missing, found: Scan, settings: Settings
) -> list[Foreground | Background]:
    """The sources that some shards need."""
    used: dict[Foreground | Background, None] = {}
    everything = len(found.foregrounds) + len(found.backgrounds)
    for task in shard_tasks(missing, settings, found, Path()):
        used |= dict.fromkeys(task.foregrounds.values()) | dict.fromkeys(task.backgrounds.values())
        if len(used) == everything:
            break
    return list(used)


def _is_whole(out: Path, name: str, split: Split, settings: Settings) -> bool:
    path = data_path(out, name, settings.format)
    try:
        record = read_shard_record(out, name, split)
    except ValueError:  # a damaged index: its shard is made again
        return False
    return record is not None and path.is_file() and path.stat().st_size == record.bytes


def _prepare(
    cluster: Cluster,
    sources: Sources,
    settings: Settings,
    cache: Path,
    used: Sequence[Foreground | Background],
) -> None:
    """Make the working copies that are not there."""
    with progress("prepare", len(used), "sources") as advance:
        work = partial(prepare_source, sources, settings, cache)
        for done, outcome in enumerate(cluster.run(work, used), start=1):
            if outcome.error:
                raise RuntimeError(f"{outcome.item.id}: {outcome.error}")
            advance(done)


def prepare_source(
    sources: Sources, settings: Settings, cache: Path, source: Foreground | Background
) -> None:
    """The working copy of one source, unless it is there."""
    if isinstance(source, Foreground):
        path = cutout_path(cache, source, settings)
        if not path.exists():
            alpha = None if sources.alphas is None else sources.alphas / source.alpha_id
            cutout = read_cutout(sources.foregrounds / source.id, alpha)
            save_cutout(path, prepare_cutout(cutout, source.box, settings))
    else:
        path = background_path(cache, source, settings)
        if not path.exists():
            photo = read_photo(sources.backgrounds / source.id)
            save_background(path, prepare_background(photo, settings))


def _make(
    cluster: Cluster, missing: Missing, settings: Settings, found: Scan, out: Path
) -> tuple[int, tuple[dict[str, str], ...], float]:
    """Make the shards; (samples made, failed shards, seconds)."""
    begin = time.monotonic()
    failed, made = [], 0
    if missing:
        samples = sum(plan.length(number) for plan, number in missing)
        tasks = shard_tasks(missing, settings, found, out)
        with progress("compose", samples, "samples") as advance:
            for outcome in cluster.run(make_shard, tasks, advance):
                if outcome.error:
                    failed.append({"shard": outcome.item.plan.name, "reason": outcome.error})
                else:
                    made += len(outcome.item.plan.pairs)
    failed.sort(key=lambda failure: failure["shard"])
    return made, tuple(failed), max(time.monotonic() - begin, 1e-9)


def _finish(
    out: Path,
    settings: Settings,
    plans: Sequence[SplitPlan],
    skipped: tuple[Skipped, ...],
    failed: tuple[dict[str, str], ...],
) -> Result:
    """Gather what the shards say of themselves; dataset.json only if none is missing."""
    names = [(shard_name(p.split, number), p.split) for p in plans for number in range(p.shards)]
    shards = tuple(
        record
        for name, split in names
        if _is_whole(out, name, split, settings)
        and (record := read_shard_record(out, name, split)) is not None
    )
    reason = f"made, but not in {out}: do all machines share it?"
    known = {shard.name for shard in shards} | {failure["shard"] for failure in failed}
    failed += tuple({"shard": name, "reason": reason} for name, _ in names if name not in known)
    if not failed:
        dataset = Dataset(CONTRACT, settings.to_json(), libraries(), shards, skipped)
        if not dataset_path(out).exists():
            write_dataset(out, dataset)
    return Result(
        samples=sum(shard.samples for shard in shards),
        shards=len(shards),
        failed=failed,
        skipped=skipped,
        seconds=0.0,
        samples_per_second=0.0,
        bytes=sum(shard.bytes for shard in shards),
    )


def free_bytes(path: Path) -> int:
    """Free space of the disk that will hold `path`, which need not exist."""
    while not path.exists():
        path = path.parent
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
