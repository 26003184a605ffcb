"""`datagen compose` as a whole: scan, plan, prepare, one task per shard, dataset.json."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from console.progress import progress
from datagen.cache import copies_folder, folder_of_each_machine, refuse_cache
from datagen.cluster import Cluster
from datagen.copies import Copies
from datagen.describe import describe, is_described
from datagen.estimate import refuse_too_large
from datagen.plan import PlannedShard, plan_splits, planned_shards
from datagen.prepare import prepare_sources, scan_and_split
from datagen.resume import (
    WORK,
    Beginning,
    RecordedSources,
    RefusedError,
    check_beginning,
    finished_shard,
    origin_of,
    record_sources,
    recorded_sources,
    refuse_fewer_samples,
    refuse_other_libraries,
    refuse_other_sources,
    whole_shard,
    write_origin,
)
from datagen.room import raise_if_hopeless
from datagen.settings import Settings, difference
from datagen.shard import ShardTask, make_shard, shard_tasks, used_sources
from datagen.sources.about import find_about
from datagen.sources.folders import SourceFolders
from manifests.card import About
from manifests.dataset import (
    CONTRACT,
    Manifest,
    Skipped,
    dataset_path,
    table_name,
)
from manifests.notes import Origin
from manifests.shards import Shard, shards_there
from manifests.sources import Background, Foreground, count_licences
from manifests.storage import (
    Location,
    Url,
    each_of,
    exists,
    files_below,
    is_below,
    make_folder,
    read_bytes,
    remove,
    sweep,
    write_new,
)

_LOCK = "lock"
_CACHE_BYTES = 100 * 10**9  # of working copies that a machine keeps, if nothing else is said


@dataclass(frozen=True)
class FailedShard:
    """A shard that could not be made, and why."""

    shard: str
    reason: str


@dataclass(frozen=True)
class Result:
    """The result of a run: what the shard set has now, and what is missing."""

    samples: int
    shards: int
    failed: tuple[FailedShard, ...]  # the set is finished if this is empty
    skipped: tuple[Skipped, ...]  # sources that were left out
    seconds: float
    samples_per_second: float  # while this run made shards; 0 if it made no sample
    bytes: int


def make_shard_set(
    cluster: Cluster,
    folders: SourceFolders,
    settings: Settings,
    out: Location,
    skip_bad: bool = False,
    beginning: Beginning | None = None,
    about: About | None = None,
    cache: Path | None = None,
    cache_bytes: int = 0,
) -> Result:
    """Make the shards of a set that are missing, damaged or too short, and what describes the set.

    Every shard that is there is compared with its checksum. Shards that cannot be made are in the
    result.

    beginning: what `check_beginning` returned, if the caller has called it for these settings.
    about: what is said of the set; beside it, card.toml and what was said earlier count.
    cache: a folder in which the working copies stay, for other sets of these sources; None: they
        are removed when the set is finished.
    cache_bytes: how much of them each machine keeps at a time; 0: all, in one folder that all
        machines share, except for a set in a store.

    Raises RefusedError if `out` holds another shard set or another run is writing to it,
    BadSourcesError if sources have problems and `skip_bad` is False, PlanError for an impossible
    plan (more sources held out than exist), RuntimeError if a source cannot be read again or has
    changed since it was scanned, or if the disk of `out` is full or too small.
    """
    begin = time.monotonic()
    beginning = beginning or check_beginning(out, settings)
    for folder in (folders.foregrounds, folders.backgrounds, folders.alphas):
        if folder is not None and is_below(out, folder):
            raise RefusedError(f"{out}: is inside {folder}, a source folder; name another --out")
    if cache is not None:
        refuse_cache(out, cache, (folders.foregrounds, folders.backgrounds, folders.alphas))
    copies = copies_folder(out, cache)
    with _locked(out, settings):
        recorded = recorded_sources(out, beginning)
        found = scan_and_split(cluster, folders, settings, skip_bad, recorded)
        sources = found.foregrounds, found.backgrounds
        present = RecordedSources(*sources)
        origin = origin_of(settings, present, beginning)
        plans = plan_splits(settings, *sources)
        old = None if beginning is None else beginning.manifest
        said = About() if old is None else old.about
        about = find_about(folders.foregrounds, about or About(), said)
        if beginning is not None:
            refuse_other_sources(out, beginning.origin, origin, recorded, present)
        if old is None or old.settings != settings.to_json():  # else next to nothing is written
            refuse_too_large(folders, settings, found, plans, out, copies)
        refuse_fewer_samples(out, plans)
        # Only now is it known that the run can begin, and with which sources.
        write_origin(out, origin)
        record_sources(out, recorded, present)
        planned = [shard for plan in plans for shard in planned_shards(plan)]
        missing = _missing(cluster, planned, origin, out)
        made = _Made((), 0, 0.0)
        if missing:
            refuse_other_libraries(out, origin)
            remove(dataset_path(out))
            old = None
            each_its_own = isinstance(out, Url) or cache_bytes > 0
            most = cache_bytes or _CACHE_BYTES
            of_each = Copies(folder_of_each_machine(out, cache), folders, most)
            used_copies = of_each if each_its_own else Copies(copies, folders)
            tasks = partial(shard_tasks, missing, settings, *sources, out, used_copies, origin)
            if not each_its_own:
                used = used_sources(tasks(), sum(map(len, sources)))
                make_folder(copies)
                prepare_sources(cluster, folders, settings, copies, used)
            made = _make(cluster, tasks(), sum(shard.samples for shard in missing))
        out_of_use = (*found.problems, *found.left_out)
        skipped = tuple(Skipped(p.file, p.kind, p.reason) for p in out_of_use)
        shards, failed = _gather(planned, origin, out, made.failed)
        made_by = settings.to_json(), dict(origin.libraries)
        manifest = Manifest(
            CONTRACT,
            *made_by,
            shards,
            skipped,
            dict(origin.sources),
            {
                table_name(Foreground): count_licences(found.foregrounds),
                table_name(Background): count_licences(found.backgrounds),
            },
            about,
        )
        is_same = old is not None and replace(manifest, skipped=old.skipped) == old
        if not failed and not (is_same and is_described(out)):
            describe(out, manifest, present, folders.licences)
    return Result(
        samples=sum(shard.samples for shard in shards),
        shards=len(shards),
        failed=failed,
        skipped=skipped,
        seconds=round(time.monotonic() - begin, 3),
        samples_per_second=round(made.samples / made.seconds, 2) if made.samples else 0.0,
        bytes=sum(shard.bytes for shard in shards),
    )


@contextmanager
def _locked(out: Location, settings: Settings) -> Iterator[None]:
    """Keep runs from each other that would write different bytes."""
    with _locked_folder(out) if isinstance(out, Path) else _claimed(out, settings):
        yield


@contextmanager
def _claimed(out: Url, settings: Settings) -> Iterator[None]:
    """Allow only runs of the same settings at a time in a folder of a store.

    Their shards have the same bytes, so that it does not matter who sends them last. There is no
    lock that would end with a killed process, and none that needs a clock.
    """
    claim = out / WORK / "run.json"
    ours = json.dumps(settings.to_json()).encode()
    while not (is_ours := write_new(claim, ours)):
        try:
            theirs = json.loads(read_bytes(claim))
        except FileNotFoundError:  # that run has just ended
            continue
        changes = difference(theirs, settings.to_json())
        if not changes:
            break
        raise RefusedError(
            f"{out}: a datagen compose with other settings ({'; '.join(changes)}) is running "
            "here, or was interrupted; wait until it ends, or repeat it. If neither can be, "
            f"remove {claim}"
        )
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the first error is the one to tell
            if is_ours and set(files_below(out)) == {f"{WORK}/{claim.name}"}:  # refused
                remove(claim)
        raise
    if exists(dataset_path(out)):
        for name in files_below(out / WORK):
            remove(out / WORK / name)


@contextmanager
def _locked_folder(out: Path) -> Iterator[None]:
    """Allow one run at a time in a folder. The lock ends with its process."""
    work, is_new = out / WORK, not out.exists()
    make_folder(work)
    with (work / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(
                f"{out}: another datagen compose is running here; wait until it ends"
            ) from error
        try:
            sweep(out)
            yield
        finally:
            sweep(out)
            is_begun = any(path.name != _LOCK for path in work.iterdir())
            if dataset_path(out).exists() or not is_begun:
                shutil.rmtree(work, ignore_errors=True)
            if is_new and not is_begun:  # refused: nothing is left behind
                with suppress(OSError):
                    out.rmdir()


@dataclass(frozen=True)
class _Made:
    """What one run did: the failed shards, the samples of the others, and the time it took."""

    failed: tuple[FailedShard, ...]
    samples: int
    seconds: float


def _make(cluster: Cluster, tasks: Iterable[ShardTask], samples: int) -> _Made:
    begin = time.monotonic()
    failed, made = [], 0
    with progress("compose", samples, "samples") as advance:
        for outcome in cluster.run(make_shard, tasks, advance):
            shard = outcome.item.shard
            if outcome.error:
                raise_if_hopeless(outcome.error, outcome.item.root)
                failed.append(FailedShard(shard.name, outcome.error))
            else:
                made += len(shard.pairs)
    failed.sort(key=lambda failure: failure.shard)
    return _Made(tuple(failed), made, max(time.monotonic() - begin, 1e-9))


def _missing(
    cluster: Cluster, planned: Sequence[PlannedShard], origin: Origin, out: Location
) -> list[PlannedShard]:
    """The shards that are not there, or not as they were made; each one there is read once."""
    names = set(shards_there(out))
    there = [shard for shard in planned if shard.name in names]
    if not there:
        return list(planned)
    whole = set[str]()
    with progress("check", len(there), "shards") as advance:
        outcomes = cluster.run(partial(whole_shard, out, origin), there)
        for done, outcome in enumerate(outcomes, start=1):
            if outcome.value is not None:
                whole.add(outcome.item.name)
            advance(done)
    return [shard for shard in planned if shard.name not in whole]


def _gather(
    planned: Sequence[PlannedShard], origin: Origin, out: Location, failed: tuple[FailedShard, ...]
) -> tuple[tuple[Shard, ...], tuple[FailedShard, ...]]:
    """The finished shards of the whole set, and the missing ones."""
    shards, lost = [], []
    known = {failure.shard for failure in failed}
    found = each_of(out, planned, partial(finished_shard, out, origin))
    for wanted, shard in zip(planned, found, strict=True):
        if shard is not None:
            shards.append(shard)
        elif wanted.name not in known:
            reason = f"was made, but is not in {out}; all machines must share this folder"
            lost.append(FailedShard(wanted.name, reason))
    return tuple(shards), (*failed, *lost)
