"""What a shard set already has, and what it was begun with.

A run continues with the same settings, sources and libraries, or it is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datagen.plan import SplitPlan
from datagen.settings import Settings, difference
from manifests.dataset import (
    dataset_path,
    read_sources,
    sources_path,
    write_sources,
)
from manifests.shard_set import ShardSet, open_shards
from manifests.shards import Shard, data_path, read_shard_record, shard_name
from manifests.sources import Background, Foreground, Split
from manifests.storage import write_bytes

WORK = ".work"  # inside the shard set while it is made: the settings, the lock, the working copies

_LIBRARIES = ("numpy", "pillow", "opencv-python-headless", "isal", "pyarrow")


class RefusedError(Exception):
    """The run was not started; the user can remove the reason."""


@dataclass(frozen=True)
class Beginning:
    """What the bytes of a shard set depend on besides its sources; and the set if finished."""

    settings: Mapping[str, Any]
    libraries: Mapping[str, str]
    shards: ShardSet | None = None


@dataclass(frozen=True)
class RecordedSources:
    """The sources that a shard set was begun with; empty if it was never begun."""

    foregrounds: Sequence[Foreground] = ()
    backgrounds: Sequence[Background] = ()


def write_beginning(out: Path, settings: Settings) -> None:
    """Store the settings and library versions until dataset.json records them."""
    beginning = {"settings": settings.to_json(), "libraries": libraries()}
    write_bytes(out / WORK / "settings.json", json.dumps(beginning).encode())


def check_beginning(out: Path, settings: Settings) -> Beginning | None:
    """What `out` was begun with; None if it was never begun.

    Raises RefusedError if `out` holds something else, if it was begun with other settings, or if
    it is unfinished and was begun with other libraries; the message lists the differences. Raises
    ValueError if a finished set is malformed.
    """
    beginning = _beginning(out)
    if beginning is None:
        return None
    changes = difference(beginning.settings, settings.to_json())
    if changes:
        raise RefusedError(
            f"{out}: was begun with other settings ({'; '.join(changes)}); repeat the old ones, "
            "or name another --out, or remove the folder"
        )
    if beginning.shards is None:
        refuse_other_libraries(out, beginning)
    return beginning


def refuse_other_libraries(out: Path, beginning: Beginning) -> None:
    """Raise RefusedError if `out` was begun with other libraries; the message lists them.

    The bytes depend on their versions, too. A set that was made with two versions could not be
    reproduced.
    """
    changes = difference(beginning.libraries, libraries())
    if changes:
        raise RefusedError(
            f"{out}: was begun with other versions of libraries ({'; '.join(changes)}); install "
            "the old ones, or name another --out, or remove the folder"
        )


def _beginning(out: Path) -> Beginning | None:
    if dataset_path(out).exists():
        shards = open_shards(out)
        return Beginning(shards.all_settings, shards.libraries, shards)
    if (out / WORK / "settings.json").exists():
        fields = json.loads((out / WORK / "settings.json").read_bytes())
        if fields.keys() != {"settings", "libraries"}:
            raise RefusedError(f"{out}: was begun by another version of datagen; remove the folder")
        return Beginning(fields["settings"], fields["libraries"])
    if out.exists() and (not out.is_dir() or any(p.name != WORK for p in out.iterdir())):
        raise RefusedError(f"{out}: holds something that is not a shard set; name another --out")
    return None


def libraries() -> dict[str, str]:
    """The versions of the libraries on which the bytes of a set depend."""
    return {name: version(name) for name in _LIBRARIES}


def recorded_sources(out: Path, beginning: Beginning | None) -> RecordedSources:
    """The sources that `out` was begun with."""
    if beginning is not None and beginning.shards is not None:
        shards = beginning.shards
        return RecordedSources(
            tuple(shards.foregrounds.values()), tuple(shards.backgrounds.values())
        )
    if not all(sources_path(out, kind).exists() for kind in (Foreground, Background)):
        return RecordedSources()
    return RecordedSources(read_sources(out, Foreground), read_sources(out, Background))


def record_sources(
    out: Path,
    recorded: RecordedSources,
    foregrounds: Sequence[Foreground],
    backgrounds: Sequence[Background],
) -> None:
    """Record the sources. Raises RefusedError if `out` was begun with other ones."""
    if recorded.foregrounds:
        _refuse_other_sources(out, recorded.foregrounds, foregrounds)
        _refuse_other_sources(out, recorded.backgrounds, backgrounds)
    else:
        write_sources(out, Foreground, foregrounds)
        write_sources(out, Background, backgrounds)


def _refuse_other_sources(
    out: Path, old: Sequence[Foreground | Background], new: Sequence[Foreground | Background]
) -> None:
    before, now = {s.id: s for s in old}, {s.id: s for s in new}
    changes = [
        *(f"{name} is missing" for name in before if name not in now),
        *(f"{name} is new" for name in now if name not in before),
        *(f"{name} has changed" for name in now if name in before and before[name] != now[name]),
    ]
    if changes:
        more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
        raise RefusedError(
            f"{out}: was begun with other sources ({'; '.join(changes[:5])}{more}); "
            "name another --out"
        )


def missing_shards(
    plans: Sequence[SplitPlan], settings: Settings, out: Path
) -> list[tuple[SplitPlan, int]]:
    """The plan and the number of each shard that is still missing."""
    return [
        (plan, number)
        for plan in plans
        for number in range(plan.shards)
        if finished_shard(out, shard_name(plan.split, number), plan.split, settings) is None
    ]


def finished_shard(out: Path, name: str, split: Split, settings: Settings) -> Shard | None:
    """The record of a shard if it is whole; checks its index and the size of its data file."""
    path = data_path(out, name, settings.format)
    try:
        record = read_shard_record(out, name, split)
    except ValueError:  # a damaged index: its shard is made again
        return None
    is_whole = record is not None and path.is_file() and path.stat().st_size == record.bytes
    return record if is_whole else None
