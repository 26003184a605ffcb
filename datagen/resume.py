"""What a shard set already has, and what it was begun with.

A run continues with the same settings, sources and libraries, or it is refused; only the number of
samples may grow. What a set was begun with is in dataset.json, in the index of each shard, and in a
file of its own until the first shard is there. Any one of them is enough.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from datagen.plan import PlannedShard, SplitPlan, planned_shards
from datagen.settings import Settings, difference
from datagen.versions import libraries
from manifests.checksums import BLANK, DamagedError, has_checksum, with_checksum
from manifests.dataset import (
    Manifest,
    read_manifest,
    read_sources,
    sources_sha256,
    table_name,
    write_sources,
)
from manifests.notes import Origin
from manifests.shards import (
    Shard,
    ShardFormat,
    data_path,
    index_path,
    read_notes,
    read_record_and_notes,
    read_shard_record,
    shards_there,
)
from manifests.sources import Background, Foreground
from manifests.storage import (
    Location,
    Url,
    exists,
    files_below,
    read_bytes,
    sha256_of,
    size_of,
    write_bytes,
)

WORK = ".work"  # inside the shard set while it is made: the settings, the lock, the working copies

_OLD = (
    "by another version of datagen; this version reads it, but does not change it, so name another "
    "--out, or remove the folder"
)


Source = TypeVar("Source", Foreground, Background)


class RefusedError(Exception):
    """The run was not started; the user can remove the reason."""


@dataclass(frozen=True)
class Beginning:
    """What a shard set was begun with, and its dataset.json if that is there and whole."""

    origin: Origin
    manifest: Manifest | None = None


@dataclass(frozen=True)
class RecordedSources:
    """The sources of a shard set, in their splits; empty if they are not recorded, or lost."""

    foregrounds: Sequence[Foreground] = ()
    backgrounds: Sequence[Background] = ()


def check_beginning(out: Location, settings: Settings) -> Beginning | None:
    """What `out` was begun with; None if it was never begun.

    Raises RefusedError if `out` holds something else, or was begun with other settings; the message
    lists the differences. Raises ValueError if it is a set of a later contract.
    """
    beginning = _beginning(out)
    if beginning is None:
        return None
    changes = difference(beginning.origin.settings, settings.of_a_shard())
    if changes:
        raise RefusedError(
            f"{out}: was begun with other settings ({'; '.join(changes)}); repeat the old ones, "
            "or name another --out, or remove the folder"
        )
    return beginning


def refuse_other_libraries(out: Location, origin: Origin) -> None:
    """Raise RefusedError if `out` was begun with other libraries; the message lists them.

    The bytes depend on their versions, too. A set that was made with two versions could not be
    reproduced.
    """
    changes = difference(origin.libraries, libraries())
    if changes:
        raise RefusedError(
            f"{out}: was begun with other versions of libraries ({'; '.join(changes)}); install "
            "the old ones, or name another --out, or remove the folder"
        )


def _beginning(out: Location) -> Beginning | None:
    """From the first of its places that is there and whole."""
    try:
        manifest, _ = read_manifest(out)
    except (FileNotFoundError, NotADirectoryError, DamagedError):
        manifest = None
    if manifest is not None:
        if manifest.contract == 1:
            raise RefusedError(f"{out}: was made {_OLD}")
        of_a_shard = {n: v for n, v in manifest.settings.items() if n != "samples"}
        return Beginning(Origin(of_a_shard, manifest.libraries, manifest.sources), manifest)
    origin = _origin_of_a_shard(out) or _origin_of_work(out)
    if origin is not None:
        return Beginning(origin)
    if isinstance(out, Url):
        others = [name for name in files_below(out) if not name.startswith(f"{WORK}/")]
        if others:
            raise RefusedError(_holds_others(out))
        return None
    if out.exists() and not out.is_dir():
        raise RefusedError(f"{out}: is a file; --out must name a folder")
    if out.exists() and any(p.name != WORK for p in out.iterdir()):
        raise RefusedError(_holds_others(out))
    return None


def _holds_others(out: Location) -> str:
    return (
        f"{out}: holds something that is not a shard set, or lost everything that says how its "
        "shards were made; name another --out"
    )


def _origin_of_a_shard(out: Location) -> Origin | None:
    """What the first index that is whole says."""
    for name in shards_there(out):
        try:
            origin = read_notes(out, name).origin
        except ValueError:
            continue
        if origin is None:
            raise RefusedError(f"{out}: was begun {_OLD}")
        return origin
    return None


def _origin_of_work(out: Location) -> Origin | None:
    """What a run recorded before its first shard was there."""
    path = out / WORK / "settings.json"
    if not exists(path):
        return None
    data = read_bytes(path)
    try:
        fields = json.loads(data)
        if has_checksum(data) or "checksum" not in fields:
            return Origin(fields["settings"], fields["libraries"], fields["sources"])
    except KeyError as error:
        raise RefusedError(f"{out}: was begun {_OLD}") from error
    except (ValueError, TypeError):
        pass  # damaged, and no shard is there yet
    return None


def write_origin(out: Location, origin: Origin) -> None:
    """Record what a set is begun with until a shard does."""
    fields = {**vars(origin), **BLANK}
    write_bytes(out / WORK / "settings.json", with_checksum(json.dumps(fields).encode()))


def origin_of(settings: Settings, found: RecordedSources, beginning: Beginning | None) -> Origin:
    """What this run works with. The libraries are those of the beginning, if there was one."""
    return Origin(
        settings.of_a_shard(),
        libraries() if beginning is None else beginning.origin.libraries,
        {
            table_name(Foreground): sources_sha256(found.foregrounds),
            table_name(Background): sources_sha256(found.backgrounds),
        },
    )


def recorded_sources(out: Location, beginning: Beginning | None) -> RecordedSources:
    """The sources that `out` was begun with, as far as their tables are there and whole."""
    if beginning is None:
        return RecordedSources()
    sha256 = beginning.origin.sources
    return RecordedSources(
        _recorded(out, Foreground, sha256[table_name(Foreground)]),
        _recorded(out, Background, sha256[table_name(Background)]),
    )


def _recorded(out: Location, kind: type[Source], sha256: str) -> list[Source]:
    try:
        return read_sources(out, kind, sha256)
    except ValueError:
        return []


def record_sources(out: Location, recorded: RecordedSources, found: RecordedSources) -> None:
    """Write the tables that are not there, or not whole."""
    if not recorded.foregrounds:
        write_sources(out, Foreground, found.foregrounds)
    if not recorded.backgrounds:
        write_sources(out, Background, found.backgrounds)


def refuse_other_sources(
    out: Location,
    old: Origin,
    new: Origin,
    recorded: RecordedSources,
    found: RecordedSources,
) -> None:
    """Raise RefusedError if `out` was begun with other sources; the message names some."""
    if new.sources == old.sources:
        return
    changes = [
        *_changes(recorded.foregrounds, found.foregrounds),
        *_changes(recorded.backgrounds, found.backgrounds),
    ]
    more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
    which = (
        f"{'; '.join(changes[:5])}{more}" if changes else "sources/ is lost, so which is unknown"
    )
    raise RefusedError(f"{out}: was begun with other sources ({which}); name another --out")


def _changes(
    old: Sequence[Foreground | Background], new: Sequence[Foreground | Background]
) -> list[str]:
    before, now = {s.id: s for s in old}, {s.id: s for s in new}
    if not before:
        return []
    both = before.keys() & now.keys()
    changes = [
        *(f"{name} is missing" for name in before if name not in now),
        *(f"{name} is new" for name in now if name not in before),
        *(
            f"{name} has changed"
            for name in now
            if name in both and replace(before[name], split=now[name].split) != now[name]
        ),
    ]
    # Which sources are held out may follow from the other changes
    return changes or [
        f"{name} is in {now[name].split} now" for name in now if before[name] != now[name]
    ]


def refuse_fewer_samples(out: Location, plans: Sequence[SplitPlan]) -> None:
    """Raise RefusedError if `out` has samples that the plans lack: a run throws nothing away."""
    planned = {shard.name: shard for plan in plans for shard in planned_shards(plan)}
    for name in shards_there(out):
        shard = planned.get(name)
        if shard is not None and (shard.is_full or _samples(out, shard) <= shard.samples):
            continue
        wanted = ", ".join(f"{plan.samples:,} of {plan.split}" for plan in plans)
        raise RefusedError(
            f"{out}: has more samples than these settings make ({wanted}); a set may grow, but "
            "not shrink: repeat the old --samples or a larger one, or name another --out"
        )


def _samples(out: Location, shard: PlannedShard) -> int:
    """How many samples a shard has; 0 if it is damaged, and made again."""
    try:
        record = read_shard_record(out, shard.name, shard.plan.split)
    except ValueError:
        return 0
    return 0 if record is None else record.samples


def whole_shard(out: Location, origin: Origin, shard: PlannedShard) -> Shard | None:
    """The record of a shard that is as it was made, to the last bit; None: it has to be made."""
    record = finished_shard(out, origin, shard)
    try:
        data = data_path(out, shard.name, ShardFormat(origin.settings["format"]))
        return record if record is not None and sha256_of(data) == record.sha256 else None
    except OSError:
        return None


def finished_shard(out: Location, origin: Origin, shard: PlannedShard) -> Shard | None:
    """The record of a shard as its index has it; of the data file only the size is checked."""
    path = data_path(out, shard.name, ShardFormat(origin.settings["format"]))
    try:
        if not exists(index_path(out, shard.name)) or not exists(path):
            return None
        record, notes = read_record_and_notes(out, shard.name, shard.plan.split)
        has_size = (record.samples, size_of(path)) == (shard.samples, record.bytes)
        return record if has_size and notes.origin == origin else None
    except ValueError:  # a damaged index: its shard is made again
        return None
