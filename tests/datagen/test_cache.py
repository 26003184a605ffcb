"""A folder of working copies serves many sets, at the same time too, and never with old copies."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import datagen.copies
from datagen.cache import copies_folder, copy_path
from datagen.copies import Copies, prepare_source
from datagen.estimate import Estimate, estimate, too_large
from datagen.job import make_shard_set
from datagen.prepare import scan_sources
from datagen.resume import WORK, RefusedError
from datagen.room import disk_of
from datagen.sample import working_copies
from datagen.settings import Settings
from manifests.checksums import DamagedError
from manifests.pixels import Pixels
from manifests.sources import Background, Foreground
from tests.conftest import LocalSources, contents, flip_byte
from tests.datagen.in_process import InProcess

SETTINGS = Settings(samples=6, size=64)


def written(folder: Path) -> dict[str, int]:
    """When each file was written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.raw")}


def of_set(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(folder).items() if WORK not in name}


def test_a_second_set_uses_the_copies_of_the_first(sources: LocalSources, tmp_path: Path) -> None:
    kept, other = tmp_path / "kept", replace(SETTINGS, seed=5)
    make_shard_set(InProcess(), sources, SETTINGS, tmp_path / "first", cache=kept)
    before = written(kept)
    make_shard_set(InProcess(), sources, other, tmp_path / "second", cache=kept)
    assert before
    assert written(kept) == before
    assert not (tmp_path / "second" / WORK).exists()
    make_shard_set(InProcess(), sources, other, tmp_path / "alone")
    assert of_set(tmp_path / "second") == of_set(tmp_path / "alone")


def test_other_settings_have_copies_of_their_own(sources: LocalSources, tmp_path: Path) -> None:
    source = scan_sources(InProcess(), sources).foregrounds[0]
    others = [
        *(SETTINGS, replace(SETTINGS, size=65), replace(SETTINGS, scale_max=0.9)),
        *(replace(SETTINGS, scale_min=low) for low in (0.7, 0.80000001)),
    ]
    paths = {copy_path(tmp_path, source, settings) for settings in others}
    assert len(paths) == len(others)
    photo = scan_sources(InProcess(), sources).backgrounds[0]
    covers = [1.25, 1.250000001]
    assert len({copy_path(tmp_path, photo, Settings(background_cover=c)) for c in covers}) == 2


def test_copies_of_another_version_are_not_used(sources: LocalSources, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    make_shard_set(InProcess(), sources, SETTINGS, tmp_path / "first", cache=kept)
    (old,) = kept.iterdir()
    other = old.rename(kept / "copies-0123456789abcdef")
    for path in other.rglob("*.raw"):
        path.write_bytes(bytes(path.stat().st_size))
    make_shard_set(InProcess(), sources, SETTINGS, tmp_path / "second", cache=kept)
    assert of_set(tmp_path / "second") == of_set(tmp_path / "first")
    assert len(written(old)) == len(written(other)) > 0


@pytest.mark.parametrize("room", [0, 10**9])  # one folder for all machines, and one for each
def test_damaged_copies_are_made_again(
    sources: LocalSources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    kept = tmp_path / "kept"
    make_shard_set(InProcess(), sources, SETTINGS, tmp_path / "first", cache=kept)
    whole = contents(kept)
    for number, name in enumerate(whole):
        path, size = kept / name, len(whole[name])
        if number % 3 == 0:
            flip_byte(path, size * number // len(whole))
        else:
            os.truncate(path, size // 2 if number % 3 == 1 else 0)
    assert not any(whole[name] == data for name, data in contents(kept).items())
    monkeypatch.setattr(working_copies, "_whole", set())  # as in another process
    done = make_shard_set(
        InProcess(), sources, SETTINGS, tmp_path / "second", cache=kept, cache_bytes=room
    )
    assert not done.failed
    assert of_set(tmp_path / "second") == of_set(tmp_path / "first")
    assert contents(kept) == whole


def test_every_bit_of_a_copy_counts(
    sources: LocalSources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = scan_sources(InProcess(), sources).backgrounds[0]
    prepare_source(sources, SETTINGS, tmp_path, source)
    path, copies = copy_path(tmp_path, source, SETTINGS), Copies(tmp_path)
    copies.background(source, SETTINGS)
    for position in (0, path.stat().st_size // 2, path.stat().st_size - 1):
        monkeypatch.setattr(working_copies, "_whole", set())
        flip_byte(path, position)
        with pytest.raises(DamagedError, match=f"^{path}: the working copy is damaged"):
            copies.background(source, SETTINGS)
        flip_byte(path, position)


def test_a_disk_that_keeps_nothing_is_named(
    sources: LocalSources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a worker would make the same copy for ever."""

    def save(path: Path, photo: Pixels) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(photo.nbytes + 4))

    monkeypatch.setattr(datagen.copies, "save_background", save)
    source = scan_sources(InProcess(), sources).backgrounds[0]
    with pytest.raises(DamagedError, match="the working copy is damaged"):
        Copies(tmp_path, sources).background(source, SETTINGS)


def test_runs_may_fill_a_cache_at_the_same_time(sources: LocalSources, tmp_path: Path) -> None:
    found = scan_sources(InProcess(), sources)
    folders = [tmp_path / "one", tmp_path / "many"]
    for folder in folders:
        folder.mkdir()
    every: list[Foreground | Background] = [*found.foregrounds, *found.backgrounds]

    def fill(folder: Path) -> None:
        for source in every:
            prepare_source(sources, SETTINGS, folder, source)

    fill(folders[0])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fill, [folders[1]] * 4))
    assert contents(folders[0]) == contents(folders[1])
    assert len(written(folders[1])) == len(every)


def test_a_cache_has_a_folder_of_its_own(sources: LocalSources, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    for cache in (out, out / "cache", sources.foregrounds, sources.backgrounds / "cache"):
        with pytest.raises(RefusedError, match=f"^{cache}: is inside .*; name another --cache"):
            make_shard_set(InProcess(), sources, SETTINGS, out, cache=cache)
    assert not out.exists()


def test_an_estimate_knows_the_copies_that_are_there(sources: LocalSources, tmp_path: Path) -> None:
    kept, found = tmp_path / "kept", scan_sources(InProcess(), sources)
    copies = copies_folder(tmp_path / "shards", kept)
    before = estimate(sources, SETTINGS, found, 1, copies)
    assert before.cached_bytes == 0
    make_shard_set(InProcess(), sources, Settings(size=64), tmp_path / "first", cache=kept)
    after = estimate(sources, SETTINGS, found, 1, copies)
    sizes = [path.stat().st_size for path in kept.rglob("*.raw")]
    assert after.cached_bytes == after.working_bytes == sum(sizes)
    assert before.working_bytes == pytest.approx(sum(sizes), rel=0.5)


def test_each_disk_needs_room_for_what_it_will_hold(tmp_path: Path) -> None:
    out, memory = tmp_path / "shards", Path("/dev/shm/matting-copies")
    assert disk_of(out) != disk_of(memory)

    def fits(bytes_: int, working: int, cached: int, copies: Path) -> str:
        expected = Estimate(1, 1, bytes_, working, cached, 1.0, 1.0, 1)
        return too_large(expected, out, copies).partition(":")[0]

    huge = 10**18
    assert fits(1, huge, 0, memory) == str(memory)
    assert fits(huge, 1, 0, memory) == str(out)
    assert fits(1, huge, huge, memory) == ""
    assert fits(1, huge, 0, out / WORK) == str(out)
