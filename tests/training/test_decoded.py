"""Decoded samples: the same batches, each decoded once, whatever happens to what is kept."""

from __future__ import annotations

import json
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from console.commands import FAILED, WRONG_USAGE
from manifests.sources import Split
from tests.training.runs import ALONE, Capture, called, options
from tests.training.runs import settings_of as run_of
from tests.training.shard_sets import break_sample, opened, write_set
from tests.training.test_batches import run, same, settings_of
from training.cli import train_main
from training.loading.batches import Batch, batches
from training.runs import open_run
from training.settings import LoaderSettings

pytestmark = pytest.mark.slow

COUNTS, SIDE = [3, 5], 48
EPOCH, PIXELS = sum(COUNTS) // 4, SIDE * SIDE  # batches of an epoch, pixels of a sample
with_and_without_workers = pytest.mark.parametrize("workers", [0, 2])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    folder: Path = tmp_path_factory.mktemp("set")
    write_set(folder, {Split.TRAIN: COUNTS, Split.VAL: [2]}, size=(SIDE, SIDE))
    return folder


@pytest.fixture
def own(root: Path, tmp_path: Path) -> Path:
    """To be damaged."""
    return Path(shutil.copytree(root, tmp_path / "own"))


def kept_in(folder: Path, settings: LoaderSettings) -> LoaderSettings:
    return replace(settings, decoded=str(folder / "decoded"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "decoded").iterdir()}


def are_same(some: list[Batch], others: list[Batch]) -> bool:
    return len(some) == len(others) > 0 and all(map(same, some, others))


def changes_nothing(folder: Path, settings: LoaderSettings, first: int = 0) -> bool:
    """Whether two epochs are the same with decoded samples and without."""
    first, end = first * EPOCH, (first + 2) * EPOCH
    return are_same(run(kept_in(folder, settings), first, end), run(settings, first, end))


@with_and_without_workers
@pytest.mark.parametrize("layers", [False, True])
def test_the_batches_are_the_same(root: Path, tmp_path: Path, layers: bool, workers: int) -> None:
    settings = settings_of(root, layers=layers, workers=workers)
    assert changes_nothing(tmp_path, settings), "decoded, then read"
    rows = {len(content) for content in contents(tmp_path).values()}
    assert rows == {count * (4 + PIXELS * (11 if layers else 5)) for count in COUNTS}
    assert changes_nothing(tmp_path, settings, first=1), "read by another run"


def turn_grey(folder: Path) -> None:
    """Give every kept image the level 9 everywhere."""
    for path in (folder / "decoded").iterdir():
        content, row = path.read_bytes(), 4 + 5 * PIXELS
        rest = [content[at + 4 + 3 * PIXELS : at + row] for at in range(0, len(content), row)]
        greys = [b"\x09" * 3 * PIXELS + labels for labels in rest]
        path.write_bytes(b"".join(struct.pack("<I", zlib.crc32(grey)) + grey for grey in greys))


@with_and_without_workers
def test_what_is_kept_is_not_decoded_again(root: Path, tmp_path: Path, workers: int) -> None:
    settings = kept_in(tmp_path, settings_of(root, layers=False, workers=workers))
    run(settings, 0, EPOCH)
    turn_grey(tmp_path)
    images = [batch.image for batch in run(settings, EPOCH, 2 * EPOCH)]
    assert [(len(image), int(image.min()), int(image.max())) for image in images] == [(4, 9, 9)] * 2


TEARS: dict[str, Callable[[bytes], bytes]] = {
    "flipped": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "half": lambda content: content[: len(content) // 2] + bytes(len(content) // 2),
    "cut": lambda content: content[:-1],
}


@pytest.mark.parametrize("tear", TEARS)
def test_a_torn_row_is_mended(root: Path, tmp_path: Path, tear: str) -> None:
    settings = settings_of(root)
    run(kept_in(tmp_path, settings), 0, EPOCH)
    before = contents(tmp_path)
    for name, content in before.items():
        (tmp_path / "decoded" / name).write_bytes(TEARS[tear](content))
    assert changes_nothing(tmp_path, settings, first=1)
    assert contents(tmp_path) == before


@with_and_without_workers
def test_several_share_a_folder(root: Path, tmp_path: Path, workers: int) -> None:
    """Two of the same streams, and one of others; they take turns, or work at the same time."""
    ways = [settings_of(root), settings_of(root), settings_of(root, layers=False)]
    expected = [run(settings, 0, 2 * EPOCH) for settings in ways]
    kept = [kept_in(tmp_path, replace(settings, workers=workers)) for settings in ways]
    made = [batches(opened(settings), settings, 0, 2 * EPOCH) for settings in kept]
    together = zip(*zip(*made, strict=True), strict=True)
    assert all(map(are_same, map(list, together), expected))
    alone = tmp_path / "alone"
    for settings in ways[1:]:
        run(kept_in(alone, settings), 0, EPOCH)
    assert contents(tmp_path) == contents(alone)
    assert len(contents(alone)) == 2 * len(COUNTS)


def test_a_disk_with_too_little_room(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = kept_in(tmp_path, settings_of(root))
    huge = opened(settings)
    huge.settings = replace(huge.settings, size=10**7)
    said = r"decoded: decoded samples take 8800000\.0 GB there, and [\d.]+ are free; choose another"
    with pytest.raises(OSError, match=f"^{tmp_path}/{said}"):
        batches(huge, settings)
    run(settings, 0, EPOCH)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert len(run(settings, 0, EPOCH)) == EPOCH, "what is there takes no more room"
    with pytest.raises(OSError, match=r"and 0\.0 are free"):
        batches(opened(settings), kept_in(tmp_path / "other", settings))


@with_and_without_workers
def test_a_disk_that_is_full_meanwhile(root: Path, tmp_path: Path, workers: int) -> None:
    settings = kept_in(tmp_path, settings_of(root, workers=workers, skip_bad=True))
    run(settings, 0, EPOCH)
    path = max((tmp_path / "decoded").iterdir(), key=lambda path: path.stat().st_size)
    path.unlink()
    path.symlink_to("/dev/full")
    with pytest.raises(
        ValueError, match=rf"^{path}: No space left on device; name another folder \(--decoded\)$"
    ):
        run(settings, 0, EPOCH)


def test_a_folder_that_is_a_file(shards: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").touch()
    more = ("--decoded", str(tmp_path / "file"), "--workers", "0")
    ran = called(capsys, train_main, *options(shards, tmp_path / "run", *more))
    assert ran.code == FAILED
    said = f"{tmp_path}/file: is a file, but a folder is needed there; choose another path"
    assert ran.err == f"error: {said}\n"
    assert not (tmp_path / "run").exists(), "it would be in the way of the next try"


@pytest.mark.parametrize("option", ["--decoded", "--cache"])
def test_a_url_where_a_folder_is_needed(option: str, capsys: Capture) -> None:
    ran = called(capsys, train_main, option, "s3://bucket/here")
    assert ran.code == WRONG_USAGE
    assert f"{option[2:]} = s3://bucket/here, expected a folder, not a URL" in ran.err


@with_and_without_workers
def test_a_broken_sample_is_named_or_left_out(own: Path, tmp_path: Path, workers: int) -> None:
    break_sample(own, Split.TRAIN, shard=1)
    plain = settings_of(own, workers=workers)
    with pytest.raises(ValueError, match=r"broken samples: train-00000003 \(image: ") as first:
        run(plain, 0, EPOCH)
    with pytest.raises(ValueError, match=f"^{re.escape(str(first.value))}$"):
        run(kept_in(tmp_path, plain), 0, EPOCH)
    lenient = replace(plain, skip_bad=True, workers=0)  # which worker opens a shard is left to luck
    assert sum(len(batch.skipped) for batch in run(lenient, 0, EPOCH)) == 1
    assert changes_nothing(tmp_path, lenient)


def test_nothing_is_kept_of_a_damaged_shard(root: Path, own: Path, tmp_path: Path) -> None:
    """It would be taken for what the whole shard holds, which has the name."""
    write_set(tmp_path / "other", {Split.TRAIN: COUNTS[1:]}, size=(SIDE, SIDE))
    shutil.copy(tmp_path / "other/data/train-00000.tar", own / "data/train-00001.tar")
    assert changes_nothing(tmp_path, settings_of(own, skip_bad=True))
    assert [len(content) for content in contents(tmp_path).values()] == [3 * (4 + 11 * PIXELS)]
    assert changes_nothing(tmp_path, settings_of(root)), "the whole one"


def test_samples_of_another_size_are_decoded_each_time(tmp_path: Path) -> None:
    write_set(tmp_path / "set", {Split.TRAIN: COUNTS}, size=(40, SIDE))
    assert changes_nothing(tmp_path, settings_of(tmp_path / "set"))
    assert contents(tmp_path) == {}


def test_a_resumed_run_may_keep_them_elsewhere_or_not_at_all(shards: Path, tmp_path: Path) -> None:
    settings, folder = run_of(shards, decoded=str(tmp_path / "here")), tmp_path / "run"
    open_run(folder, opened(settings), settings, False, ALONE).close()
    for where in (str(tmp_path / "there"), ""):
        changed = replace(settings, decoded=where)
        open_run(folder, opened(settings), changed, True, ALONE).close()
        assert json.loads((folder / "config.json").read_text())["decoded"] == where
    other = replace(settings, seed=1, decoded="")
    with pytest.raises(ValueError, match=r"other settings \(seed: 0 -> 1\)"):
        open_run(folder, opened(settings), other, True, ALONE)
