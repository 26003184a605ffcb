"""A shard set is the same whatever happened while it was made, or it is not there and says why."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from console.commands import INTERRUPTED, WRONG_USAGE
from datagen.cluster import Cluster, Outcome
from datagen.inspect.card import card_text
from datagen.inspect.stats import read_stats
from datagen.job import FailedShard, make_shard_set
from datagen.resume import RefusedError
from datagen.settings import Settings
from datagen.shard import make_shard
from manifests import open_shards
from manifests.dataset import read_manifest, write_manifest
from manifests.pixels import ImageCodec
from manifests.samples import Sample
from manifests.shards import (
    ShardFormat,
    data_path,
    index_path,
    read_index,
    read_notes,
    read_shard_record,
    write_index,
)
from manifests.tables import to_table
from tests.conftest import (
    CUTOUTS,
    SMALL,
    LocalSources,
    Ran,
    contents,
    cutout,
    datagen,
    descendants,
    finish,
    flip_byte,
    folders,
    is_alive,
    photo,
    start,
)

pytestmark = pytest.mark.slow

SETTINGS = Settings(samples=60, size=64, shard_size=10)
FORMS = [
    replace(SETTINGS, format=form, image_codec=codec)
    for form in ShardFormat
    for codec in ImageCodec
]
LONG = replace(SETTINGS, samples=480)  # enough for something to happen meanwhile

ONE_WORKER = """
import json, sys
from pathlib import Path
from datagen.job import make_shard_set
from datagen.cluster import cluster
from datagen.settings import Settings
from datagen.sources.folders import SourceFolders
fgs, bgs, out, forms = sys.argv[1:]
with cluster(1) as ray:
    for number, values in enumerate(json.loads(forms)):
        sources, settings = SourceFolders(Path(fgs), Path(bgs)), Settings.from_json(values)
        assert not make_shard_set(ray, sources, settings, Path(out) / str(number)).failed
"""


def form_name(settings: Settings) -> str:
    return f"{settings.format}-{settings.image_codec}"


def stamps(root: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (root / "data").iterdir()}


@pytest.fixture(scope="module")
def of_two(
    two_workers: Cluster, sources: LocalSources, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same set in every form, by two workers."""
    root = tmp_path_factory.mktemp("of-two")
    for number, settings in enumerate(FORMS):
        result = make_shard_set(two_workers, sources, settings, root / str(number))
        assert (result.samples, result.shards, result.failed) == (60, 6, ())
    return root


@pytest.fixture(scope="module")
def of_one(sources: LocalSources, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by one worker of another Ray."""
    root = tmp_path_factory.mktemp("of-one")
    forms = json.dumps([settings.to_json() for settings in FORMS])
    command = [sys.executable, "-c", ONE_WORKER, str(sources.foregrounds), str(sources.backgrounds)]
    subprocess.run([*command, str(root), forms], check=True, capture_output=True, timeout=300)
    return root


@pytest.fixture(scope="module")
def long(
    two_workers: Cluster, sources: LocalSources, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What an uninterrupted run leaves."""
    out = tmp_path_factory.mktemp("long") / "shards"
    assert not make_shard_set(two_workers, sources, LONG, out).failed
    return out


@pytest.fixture
def whole(of_two: Path, tmp_path: Path) -> Path:
    """A shard set of its own for a test to harm; in WebDataset form with JPEG."""
    return Path(shutil.copytree(of_two / str(FORMS.index(SETTINGS)), tmp_path / "whole"))


@pytest.mark.parametrize("number", range(len(FORMS)), ids=[form_name(form) for form in FORMS])
def test_bytes_do_not_depend_on_the_workers(of_one: Path, of_two: Path, number: int) -> None:
    one, two = contents(of_one / str(number)), contents(of_two / str(number))
    assert one == two
    folders = [path.partition("/")[0] for path in two]
    parts = ["data"] * 6 + ["dataset.json"] + ["index"] * 6 + ["preview.jpg"] + ["sources"] * 2
    assert sorted(folders) == ["README.md", "croissant.json", *parts]


def test_same_command_again_makes_nothing(
    two_workers: Cluster, sources: LocalSources, whole: Path
) -> None:
    before, times = contents(whole), stamps(whole)
    again = make_shard_set(two_workers, sources, SETTINGS, whole)
    assert (again.samples, again.shards, again.samples_per_second) == (60, 6, 0.0)
    assert contents(whole) == before
    assert stamps(whole) == times


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    flip_byte(path, path.stat().st_size // 2)


@pytest.mark.parametrize("harm", [Path.unlink, cut, flip], ids=["deleted", "truncated", "flipped"])
@pytest.mark.parametrize("kind", ["data", "index"])
def test_harmed_shard_alone_is_made_again(
    two_workers: Cluster, sources: LocalSources, whole: Path, kind: str, harm: object
) -> None:
    assert callable(harm)
    before, times = contents(whole), stamps(whole)
    name = "train-00003"
    harm(data_path(whole, name, SETTINGS.format) if kind == "data" else index_path(whole, name))
    result = make_shard_set(two_workers, sources, SETTINGS, whole)
    assert (result.samples, result.failed) == (60, ())
    assert contents(whole) == before
    changed = {path for path, time_ in stamps(whole).items() if time_ != times[path]}
    assert changed == {f"{name}.tar"}


def test_other_settings_are_refused_with_the_difference(whole: Path, sources: LocalSources) -> None:
    ran = datagen(
        *("compose", *folders(sources), "--out", str(whole), *SMALL),
        *("--samples", "60", "--seed", "7", "--crude", "harsh"),
    )
    assert ran.code == WRONG_USAGE
    assert "seed: 0 -> 7; crude: segmentation -> harsh" in ran.err
    assert str(whole) in ran.err


def as_if_made_with(out: Path, **versions: str) -> None:
    """Let all files that tell say that other libraries made the set."""
    for path in sorted((out / "index").iterdir()):
        notes, rows = read_notes(out, path.stem), to_table(Sample, read_index(out, path.stem))
        assert notes.origin is not None
        origin = replace(notes.origin, libraries={**notes.origin.libraries, **versions})
        write_index(out, path.stem, rows, replace(notes, origin=origin))
    manifest, _ = read_manifest(out)
    shards = [read_shard_record(out, shard.name, shard.split) for shard in manifest.shards]
    libraries = {**manifest.libraries, **versions}
    known = tuple(shard for shard in shards if shard is not None)
    changed = replace(manifest, libraries=libraries, shards=known)
    write_manifest(out, changed, card_text(changed, read_stats(open_shards(out))))


def test_other_libraries_are_refused_while_something_is_missing(
    two_workers: Cluster, sources: LocalSources, whole: Path
) -> None:
    """A set that is made with two versions could not be reproduced."""
    used = read_manifest(whole)[0].libraries["pillow"]
    as_if_made_with(whole, pillow="9.0")
    before = contents(whole)
    assert make_shard_set(two_workers, sources, SETTINGS, whole).samples == 60
    assert contents(whole) == before
    (whole / "dataset.json").unlink()
    assert make_shard_set(two_workers, sources, SETTINGS, whole).samples == 60
    assert contents(whole) == before, "to describe a set, no library matters"
    data_path(whole, "train-00003", SETTINGS.format).unlink()
    before = contents(whole)
    expected = re.escape(
        f"other versions of libraries (pillow: 9.0 -> {used}); install the old ones, "
        "or name another --out, or remove the folder"
    )
    with pytest.raises(RefusedError, match=expected):
        make_shard_set(two_workers, sources, SETTINGS, whole)
    assert contents(whole) == before
    (whole / "dataset.json").unlink()  # as if the run had been interrupted
    with pytest.raises(RefusedError, match=expected):
        make_shard_set(two_workers, sources, SETTINGS, whole)


class Elsewhere(Cluster):
    """A cluster that writes one of the shards on another disk."""

    def run(self, function: Any, items: Iterable[Any], on_progress: Any = None) -> Iterator[Any]:
        if function is not make_shard:
            yield from super().run(function, items, on_progress)
            return
        *here, there = items
        yield from super().run(function, here, on_progress)
        yield Outcome(len(here), there, there.shard.name, "")


def test_shards_that_land_elsewhere_are_failures(
    two_workers: Cluster, sources: LocalSources, of_two: Path, tmp_path: Path
) -> None:
    out = tmp_path / "shards"
    result = make_shard_set(Elsewhere(two_workers.workers), sources, SETTINGS, out)
    reason = f"was made, but is not in {out}; all machines must share this folder"
    assert result.failed == (FailedShard("train-00005", reason),)
    assert (result.samples, result.shards) == (50, 5)
    assert not (out / "dataset.json").exists()
    assert make_shard_set(two_workers, sources, SETTINGS, out).failed == ()
    assert contents(out) == contents(of_two / str(FORMS.index(SETTINGS)))


def test_other_sources_are_refused_by_name(
    two_workers: Cluster, own_sources: LocalSources, tmp_path: Path
) -> None:
    out = tmp_path / "shards"
    make_shard_set(two_workers, own_sources, SETTINGS, out)
    before = contents(out, "data", "index", "sources", "dataset.json")
    (own_sources.backgrounds / "lake.jpg").unlink()
    photo(9).save(own_sources.backgrounds / "moor.png")
    with Image.open(own_sources.foregrounds / "leaf.png") as leaf:
        leaf.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(own_sources.foregrounds / "leaf.png")
    with pytest.raises(RefusedError, match=r"leaf\.png has changed"):
        make_shard_set(two_workers, own_sources, SETTINGS, out)
    (own_sources.foregrounds / "leaf.png").unlink()
    with pytest.raises(RefusedError, match=r"leaf\.png is missing"):
        make_shard_set(two_workers, own_sources, SETTINGS, out)
    cutout(CUTOUTS.index("leaf.png")).save(own_sources.foregrounds / "leaf.png")  # as it was
    with pytest.raises(RefusedError, match=r"lake\.jpg is missing; moor\.png is new"):
        make_shard_set(two_workers, own_sources, SETTINGS, out)
    assert contents(out, "data", "index", "sources", "dataset.json") == before


def wait_for(pattern: str, folder: Path, process: subprocess.Popen[str]) -> None:
    """Until a file of that pattern is in the folder."""
    end = time.monotonic() + 120
    while not any(folder.glob(pattern)):
        assert process.poll() is None, Ran(process.returncode, *process.communicate())
        assert time.monotonic() < end, f"no {pattern} in {folder}"
        time.sleep(0.005)


def begin(sources: LocalSources, out: Path, *options: str) -> subprocess.Popen[str]:
    """The long run as a process with a Ray of its own."""
    size = (*SMALL, "--samples", str(LONG.samples), "--workers", "2")
    return start("compose", *folders(sources), "--out", str(out), *size, *options)


def settle(processes: set[int]) -> set[int]:
    """Those that are still there after a while.

    A worker of Ray that was just starting looks for its raylet first; on a busy machine that took
    it up to 25 seconds. Ray's two agents, which do no work for us, wait a minute for an answer.
    """
    processes = {number for number in processes if b"Agent" not in command_line(number)}
    end = time.monotonic() + 60
    while processes and time.monotonic() < end:
        time.sleep(0.05)
        processes = {number for number in processes if Path(f"/proc/{number}/cwd").exists()}
    return processes


def leftovers(out: Path) -> list[str]:
    return [path.name for path in out.rglob("*") if path.name.startswith(".part-")]


def go_on(two_workers: Cluster, sources: LocalSources, out: Path, long: Path) -> None:
    """The same command makes the rest, and all is as if nothing had happened."""
    kept = stamps(out)
    finished = {path.stem for path in (out / "index").iterdir()}
    assert 0 < len(finished) < LONG.samples // LONG.shard_size, "it was not in the middle"
    assert not (out / "dataset.json").exists()
    assert not make_shard_set(two_workers, sources, LONG, out).failed
    assert contents(out) == contents(long)
    assert all(stamps(out)[f"{name}.tar"] == kept[f"{name}.tar"] for name in finished)


def test_kill_of_everything(
    two_workers: Cluster, sources: LocalSources, long: Path, tmp_path: Path
) -> None:
    out = tmp_path / "shards"
    process = begin(sources, out)
    wait_for("index/train-*.parquet", out, process)
    others = descendants(process.pid)
    assert len(others) > 2
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    left = settle(others)
    assert not left, [command_line(number) for number in left]
    go_on(two_workers, sources, out, long)


def test_interrupt(two_workers: Cluster, sources: LocalSources, long: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    process = begin(sources, out)
    wait_for(".work/settings.json", out, process)
    with pytest.raises(RefusedError, match="another datagen compose is running here"):
        make_shard_set(two_workers, sources, LONG, out)
    wait_for("index/train-*.parquet", out, process)
    others = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    ran = finish(process)
    assert [command_line(number) for number in others if is_alive(number)] == []
    assert ran.code == INTERRUPTED
    assert "the same command goes on from there" in ran.err
    assert ran.out == ""
    assert leftovers(out) == []
    go_on(two_workers, sources, out, long)


def test_killed_worker_changes_nothing(sources: LocalSources, long: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    process = begin(sources, out, "--json")
    wait_for("data/.part-*", out, process)
    workers = [n for n in descendants(process.pid) if b"ray::_attempt" in command_line(n)]
    assert workers
    os.kill(workers[0], signal.SIGKILL)
    ran = finish(process)
    assert ran.code == 0, ran
    assert json.loads(ran.out)["samples"] == LONG.samples
    assert contents(out) == contents(long)


def command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
