"""A run that cannot fit on its disk does not begin, and a disk that is full is named."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from datagen.cluster import Outcome
from datagen.copies import Copies
from datagen.estimate import Estimate, too_large
from datagen.job import make_shard_set
from datagen.resume import WORK
from datagen.room import FullDiskError, NotSharedError, disk_of, free_bytes, raise_if_hopeless
from datagen.settings import Settings
from datagen.shard import ShardTask
from tests.conftest import LocalSources
from tests.datagen.in_process import InProcess


def test_a_set_that_cannot_fit_is_refused(sources: LocalSources, tmp_path: Path) -> None:
    """Also one whose shards could not even be listed."""
    out = tmp_path / "shards"
    for samples in (free_bytes(tmp_path) // 500, 10**12):
        settings = Settings(size=64, samples=samples)
        with pytest.raises(FullDiskError, match=rf"{out}: needs about .* its disk, {disk_of(out)}"):
            make_shard_set(InProcess(), sources, settings, out)
        assert not out.exists()


def estimated(bytes_: int) -> Estimate:
    return Estimate(1, 1, bytes_, 0, 0, 1.0, 1.0, 1)


def test_what_is_there_already_needs_no_room(tmp_path: Path) -> None:
    free = free_bytes(tmp_path)
    assert too_large(estimated(free // 2), tmp_path, tmp_path / WORK) == ""
    assert "but its disk" in too_large(estimated(2 * free), tmp_path, tmp_path / WORK)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2 * free)  # sparse
    assert too_large(estimated(2 * free), tmp_path, tmp_path / WORK) == ""


class FullDisk(InProcess):
    """Has room for one shard."""

    went_on: ClassVar[list[ShardTask]] = []

    def run(
        self,
        function: Callable[..., Any],
        items: Iterable[Any],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Outcome[Any, Any]]:
        for outcome in super().run(function, items, on_progress):
            yield outcome
            if isinstance(outcome.item, ShardTask):
                yield Outcome(1, outcome.item, None, f"OSError: {os.strerror(errno.ENOSPC)}")
                self.went_on.append(outcome.item)


def test_a_full_disk_ends_the_run_and_is_named(sources: LocalSources, tmp_path: Path) -> None:
    settings, out = Settings(size=64, samples=12, shard_size=3), tmp_path / "shards"
    with pytest.raises(FullDiskError, match=rf"^{out}: its disk, {disk_of(out)}, is full"):
        make_shard_set(FullDisk(), sources, settings, out)
    assert FullDisk.went_on == []
    assert len(list(out.glob("index/*"))) == 1
    assert make_shard_set(InProcess(), sources, settings, out).failed == ()


class OtherMachine(InProcess):
    """Lacks the folder of the shard set, under which the driver's machine has it."""

    def run(
        self,
        function: Callable[..., Any],
        items: Iterable[Any],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Outcome[Any, Any]]:
        there = (
            replace(item, copies=Copies(item.copies.folder / "elsewhere"))
            if isinstance(item, ShardTask)
            else item
            for item in items
        )
        return super().run(function, there, on_progress)


def test_a_machine_without_the_folder_is_one_sentence(
    sources: LocalSources, tmp_path: Path
) -> None:
    settings, out = Settings(size=64, samples=12, shard_size=3), tmp_path / "shards"
    with pytest.raises(NotSharedError, match=r"elsewhere: is missing on .*; do all machines share"):
        make_shard_set(OtherMachine(), sources, settings, out)


def test_other_errors_are_no_full_disk(tmp_path: Path) -> None:
    raise_if_hopeless(f"OSError: {os.strerror(errno.EIO)}", tmp_path)
    with pytest.raises(FullDiskError):
        raise_if_hopeless(f"a.tar: {os.strerror(errno.EDQUOT)}", tmp_path)


def test_the_disk_of_a_folder_that_is_missing(tmp_path: Path) -> None:
    assert disk_of(tmp_path / "not" / "there") == disk_of(tmp_path)
    assert disk_of(tmp_path).is_mount()
    assert disk_of(Path("/proc/self/not-there")) == Path("/proc")
