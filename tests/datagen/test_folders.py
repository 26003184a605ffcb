"""A source that is read again has to have the bytes that were scanned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datagen.cluster import Cluster, Outcome
from datagen.job import make_shard_set
from datagen.prepare import scan_sources
from datagen.settings import Settings
from datagen.sources.folders import (
    ChangedSourceError,
    read_background,
    read_foreground,
)
from datagen.sources.listing import Problem
from datagen.sources.record import ToScan
from datagen.sources.scan import scan
from manifests.pictures import read_cutout, read_photo
from manifests.sources import Background, Foreground
from tests.conftest import LocalSources, cutout, photo
from tests.datagen.in_process import InProcess


def one_of_each(folder: Path, has_alphas: bool = False) -> LocalSources:
    """One foreground, with an alpha file or without, and one background."""
    found = LocalSources(folder / "fgs", folder / "bgs", folder / "alphas" if has_alphas else None)
    for path in (found.foregrounds, found.backgrounds, found.alphas):
        if path is not None:
            path.mkdir()
    if found.alphas is None:
        cutout(0).save(found.foregrounds / "a.png")
    else:
        cutout(0).convert("RGB").save(found.foregrounds / "a.png")
        cutout(0).getchannel("A").save(found.alphas / "a.png")
    photo(0).save(found.backgrounds / "b.png")
    return found


def scanned(folders: LocalSources) -> tuple[Foreground, Background]:
    found = scan(folders.foregrounds, folders.backgrounds, folders.alphas)
    (foreground,), (background,) = found.foregrounds, found.backgrounds
    return foreground, background


@pytest.mark.parametrize("has_alphas", [False, True])
def test_unchanged_sources_are_read(tmp_path: Path, has_alphas: bool) -> None:
    folders = one_of_each(tmp_path, has_alphas)
    foreground, background = scanned(folders)
    alpha = folders.alphas and folders.alphas / "a.png"
    expected = read_cutout(folders.foregrounds / "a.png", alpha)
    assert np.array_equal(read_foreground(folders, foreground), expected)
    expected = read_photo(folders.backgrounds / "b.png")
    assert np.array_equal(read_background(folders, background), expected)


@pytest.mark.parametrize("changed", ["fgs/a.png", "alphas/a.png"])
def test_a_changed_foreground_is_refused(tmp_path: Path, changed: str) -> None:
    folders = one_of_each(tmp_path, True)
    foreground, _ = scanned(folders)
    with (tmp_path / changed).open("ab") as file:
        file.write(b"\0")  # after the end of the picture: the pixels stay the same
    with pytest.raises(ChangedSourceError, match=r"fgs/a\.png: has changed since it was scanned"):
        read_foreground(folders, foreground)


def test_a_changed_background_is_refused(tmp_path: Path) -> None:
    folders = one_of_each(tmp_path)
    _, background = scanned(folders)
    photo(1).save(folders.backgrounds / "b.png")
    with pytest.raises(ChangedSourceError, match=r"bgs/b\.png: has changed since it was scanned"):
        read_background(folders, background)


def test_an_alpha_folder_must_be_given_as_it_was(tmp_path: Path) -> None:
    folders = one_of_each(tmp_path, True)
    foreground, _ = scanned(folders)
    with pytest.raises(ValueError, match="give --alpha"):
        read_foreground(replace(folders, alphas=None), foreground)
    with pytest.raises(ValueError, match="leave --alpha out"):
        read_foreground(folders, replace(foreground, alpha_id=""))


@dataclass(frozen=True)
class Meanwhile(Cluster):
    """Do something between the scan of the sources and their preparation."""

    act: Callable[[], None]

    def run(
        self,
        function: Callable[..., Any],
        items: Iterable[Any],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Outcome[Any, Any]]:
        items = list(items)
        if isinstance(items[0], Foreground | Background):
            self.act()
        yield from super().run(function, items, on_progress)


def test_a_source_that_changes_after_the_scan_is_not_composited(
    two_workers: Cluster, own_sources: LocalSources, tmp_path: Path
) -> None:
    out, path = tmp_path / "shards", own_sources.foregrounds / "leaf.png"
    before, settings = path.read_bytes(), Settings(size=64, samples=6)
    change = Meanwhile(two_workers.workers, lambda: cutout(0).save(path))
    with pytest.raises(RuntimeError, match=rf"^{path}: has changed since it was scanned"):
        make_shard_set(change, own_sources, settings, out)
    assert not (out / "dataset.json").exists()
    assert not (out / "data").exists()
    path.write_bytes(before)
    assert make_shard_set(two_workers, own_sources, settings, out).samples == 6


class KillsAWorker(InProcess):
    """One file ends each worker that decodes it."""

    def run(
        self,
        function: Callable[..., Any],
        items: Iterable[Any],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Outcome[Any, Any]]:
        for outcome in super().run(function, items, on_progress):
            is_bad = isinstance(outcome.item, ToScan) and outcome.item.name == "leaf.png"
            yield replace(outcome, value=None, error="the worker died") if is_bad else outcome


def test_a_file_that_ends_its_worker_is_a_problem_and_the_others_are_scanned(
    sources: LocalSources,
) -> None:
    found = scan_sources(KillsAWorker(), sources)
    (problem,) = found.problems
    assert problem == Problem(f"{sources.foregrounds}/leaf.png", "failed", "the worker died")
    assert (len(found.foregrounds), len(found.backgrounds)) == (5, 5)
