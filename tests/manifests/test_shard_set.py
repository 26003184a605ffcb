"""A shard set as its users see it: samples by number and key, decoded, from a folder or a URL."""

from __future__ import annotations

import doctest
import gc
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import manifests
from manifests import open_shards
from manifests.dataset import ShardSettings, read_manifest, write_manifest
from manifests.pixels import ImageCodec
from manifests.shard_set import DecodedSample, ShardSet
from manifests.shards import ShardFormat
from manifests.sources import Split
from tests.strategies import few
from tests.training.shard_sets import break_sample, pixels_of, write_set
from tests.web import serving

COUNTS = {Split.TRAIN: [3, 1, 4], Split.VAL: [2, 1]}
every_form = pytest.mark.parametrize("form", ShardFormat)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="module", params=ShardFormat)
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uneven shards in each format. Not to be changed."""
    folder: Path = tmp_path_factory.mktemp("set")
    write_set(folder, COUNTS, request.param)
    return folder


@pytest.fixture
def shards(root: Path) -> Iterator[ShardSet]:
    with open_shards(root) as opened:
        yield opened


KEYS = [f"train-{n:08d}" for n in range(8)] + [f"val-{n:08d}" for n in range(3)]


def keys_of(samples: Sequence[DecodedSample]) -> list[str]:
    return [sample.key for sample in samples]


def assert_holds(sample: DecodedSample, key: str, layers: bool = True) -> None:
    """The sample has the key, and the pixels that were written under it."""
    assert (sample.key, sample.row.key) == (key, key)
    for name, pixels in pixels_of(int(key.rpartition("-")[2]), 40, 48).items():
        found = getattr(sample, name)
        if name in {"foreground", "background"} and not layers:
            assert found is None
        else:
            assert (found.dtype, found.flags.writeable) == (np.uint8, True), name
            assert np.array_equal(found, pixels), name


def test_what_a_set_says_of_itself(shards: ShardSet, root: Path) -> None:
    form = ShardFormat.WEBDATASET if list(root.glob("data/*.tar")) else ShardFormat.PARQUET
    assert shards.settings == ShardSettings(form, ImageCodec.PNG, 95, 40, 1000, True)
    assert shards.all_settings["format"] == str(form)
    assert (shards.root, shards.splits) == (root, ("train", "val"))
    assert (shards.libraries, shards.skipped) == ({}, ())
    assert (shards.foregrounds, shards.backgrounds) == ({}, {})
    assert [(shard.name, shard.samples) for shard in shards.shards] == [
        *(("train-00000", 3), ("train-00001", 1), ("train-00002", 4)),
        *(("val-00000", 2), ("val-00001", 1)),
    ]
    assert repr(shards) == f"<ShardSet {root}: 11 samples in 5 shards>"
    assert repr(shards[0]) == "<DecodedSample train-00000000: 40 x 48>"


def test_samples_by_number_and_by_key(shards: ShardSet) -> None:
    assert len(shards) == 11
    for number, key in enumerate(KEYS):
        assert_holds(shards[number], key)
        assert_holds(shards[number - 11], key)
        assert_holds(shards[key], key)
    assert shards[np.int64(3)].key == KEYS[3]


def test_a_sequence(shards: ShardSet) -> None:
    assert isinstance(shards, Sequence)
    assert keys_of(shards) == KEYS
    assert [sample.key for sample in reversed(shards)] == KEYS[::-1]
    assert all(map(shards.__contains__, KEYS))
    assert not any(map(shards.__contains__, ("train-00000008", "val-00000003", "", 3, None)))


bounds = st.none() | st.integers(-14, 14)


@given(start=bounds, stop=bounds, step=bounds.filter(lambda step: step != 0), data=st.data())
@few
def test_slices(
    root: Path, start: int | None, stop: int | None, step: int | None, data: st.DataObject
) -> None:
    with open_shards(root) as opened:
        part, expected = opened[start:stop:step], KEYS[start:stop:step]
        assert keys_of(part) == expected
        assert len(part) == len(expected)
        if expected:
            number = data.draw(st.integers(-len(expected), len(expected) - 1))
            assert part[number].key == expected[number]
        assert keys_of(part[1:]) == expected[1:]
        with pytest.raises(IndexError):
            part[len(expected)]


def test_a_split_is_a_set_of_its_own(shards: ShardSet) -> None:
    for name, keys in (("train", KEYS[:8]), (Split.VAL, KEYS[8:])):
        part = shards.split(name)
        assert (keys_of(part), len(part), part.splits) == (keys, len(keys), (str(name),))
        assert [part[key].key for key in keys] == keys
        assert part[-1].key == keys[-1]
        assert {shard.split for shard in part.shards} == {name}
        assert part.fingerprint != shards.fingerprint
    with pytest.raises(KeyError, match=r"no sample train-00000000 .* look like val-00000000"):
        shards.split("val")["train-00000000"]


def test_splits_may_be_mixed(tmp_path: Path) -> None:
    write_set(tmp_path, COUNTS)
    manifest, _ = read_manifest(tmp_path)
    shards = list(manifest.shards)
    shards.insert(1, shards.pop(3))
    write_manifest(tmp_path, replace(manifest, shards=tuple(shards)))
    with open_shards(tmp_path) as opened:
        assert keys_of(opened) == [*KEYS[:3], *KEYS[8:10], *KEYS[3:8], KEYS[10]]
        for key in KEYS:
            assert_holds(opened[key], key)
        assert keys_of(opened.split("val")) == KEYS[8:]


@pytest.mark.parametrize("number", [11, -12, 10**9])
def test_no_such_number(shards: ShardSet, root: Path, number: int) -> None:
    with pytest.raises(IndexError, match=rf"no sample number {number} in {root}, it has 11"):
        shards[number]


@pytest.mark.parametrize("key", ["train-00000008", "val-00000003", "train-0", "test-00000000", ""])
def test_no_such_key(shards: ShardSet, root: Path, key: str) -> None:
    with pytest.raises(KeyError) as error:
        shards[key]
    said = f"no sample {key} in {root} (its keys look like train-00000000)"
    assert error.value.args == (said,)


def test_no_such_split(shards: ShardSet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no split test, only train, val$"):
        shards.split("test")
    write_set(tmp_path, {Split.TRAIN: [1]})
    with pytest.raises(ValueError, match=r"no split val, only train .*--holdout-fg"):
        open_shards(tmp_path).split("val")


def test_what_is_no_index(shards: ShardSet) -> None:
    for which in (1.0, None, b"train-00000000"):
        with pytest.raises(TypeError):
            shards[which]  # type: ignore[call-overload]


def test_an_empty_set(tmp_path: Path) -> None:
    write_set(tmp_path, {})
    opened = open_shards(tmp_path)
    assert (len(opened), list(opened), opened.splits) == (0, [], ())
    with pytest.raises(IndexError, match="it has 0"):
        opened[0]
    with pytest.raises(KeyError, match=rf"no sample train-00000000 in {tmp_path}'"):
        opened["train-00000000"]
    with pytest.raises(ValueError, match="no split train, no samples at all"):
        opened.split("train")


@every_form
def test_a_set_without_layers(tmp_path: Path, form: ShardFormat) -> None:
    write_set(tmp_path, {Split.TRAIN: [2]}, form, layers=False)
    with open_shards(str(tmp_path)) as opened:
        assert_holds(opened[1], KEYS[1], layers=False)


def test_stored_bytes(shards: ShardSet) -> None:
    encoded = shards[0].encoded
    assert list(encoded) == [
        *("image", "alpha", "trimap", "crude_trimap"),
        *("foreground", "background"),
    ]
    assert encoded["alpha"].startswith(b"\x89PNG")


def test_damage_is_named(tmp_path: Path) -> None:
    write_set(tmp_path, {Split.TRAIN: [3]})
    break_sample(tmp_path, Split.TRAIN)
    with (
        open_shards(tmp_path) as opened,
        pytest.raises(ValueError, match=r"train-00000\.tar: its sha256 .* train-00000000 \(image"),
    ):
        opened[1]
    with open_shards(tmp_path, check=False) as opened:
        assert_holds(opened[1], KEYS[1])
        sample = opened[0]
        assert np.array_equal(sample.alpha, pixels_of(0, 40, 48)["alpha"])
        with pytest.raises(ValueError, match=r"train-00000\.tar: sample train-00000000: image: "):
            sample.image  # noqa: B018


def open_files() -> list[str]:
    """Files of shards that this process has open, or mapped."""
    links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    maps = Path("/proc/self/maps").read_text().split()
    return sorted({path for path in [*map(str, links), *maps] if "/data/" in path})


@pytest.mark.parametrize("how", ["close", "with", "forget"])
def test_files_are_closed(root: Path, how: str, tmp_path: Path) -> None:
    opened = open_shards(root)
    sample = opened[0]
    assert len([path for path in open_files() if str(root) in path]) == 1
    if how == "close":
        opened.close()
        assert opened[4].key == KEYS[4], "reading opens them again"
        opened.close()
    elif how == "with":
        with opened:
            keys_of(opened)
    else:
        del opened
        gc.collect()
    assert [path for path in open_files() if str(root) in path] == []
    assert_holds(sample, KEYS[0])


def test_nothing_stays_in_the_temporary_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opened = open_shards(root)
    assert list(tmp_path.iterdir()) == [], "nothing is needed yet"
    part = opened.split("val")
    keys_of(part)
    assert len(list(tmp_path.iterdir())) == 1
    del opened
    keys_of(part)
    del part
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def read(shards: ShardSet, number: int) -> tuple[str, bytes]:
    sample = shards[number]
    return sample.key, sample.image.tobytes()


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_other_processes(shards: ShardSet, method: str) -> None:
    expected = [read(shards, number) for number in range(11)]  # with files open here
    with ProcessPoolExecutor(2, get_context(method)) as pool:
        found = list(pool.map(read, [shards] * 11, range(11)))
    assert found == expected
    copy = pickle.loads(pickle.dumps(shards))
    assert [read(copy, number) for number in range(11)] == expected
    copy.close()
    assert read(shards, 10) == expected[10]
    part = pickle.loads(pickle.dumps(shards[8:]))
    assert keys_of(part) == KEYS[8:]
    assert_holds(pickle.loads(pickle.dumps(shards[5])), KEYS[5])


FORK = """\
import hashlib, os, sys
from manifests import open_shards
def marks(shards):
    return [hashlib.sha256(sample.image.tobytes()).hexdigest() for sample in shards]
shards = open_shards(sys.argv[1])
before = shards[0].key
children = []
for _ in range(3):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, "\\n".join(marks(shards)).encode())
        os._exit(0)
    os.close(writing)
    children.append(reading)
here = marks(shards)
for child in children:
    with open(child) as file:
        print(file.read().splitlines() == here)
    os.wait()
print(len(set(here)))
"""


def test_forks(root: Path) -> None:
    """As the workers of a DataLoader are made on Linux, with files open before the fork."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORK, str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("True\nTrue\nTrue\n8\n", "")


@every_form
def test_a_set_behind_a_url(tmp_path: Path, form: ShardFormat) -> None:
    write_set(tmp_path / "set", COUNTS, form)
    cache = tmp_path / "cache"
    with serving(tmp_path / "set") as web:

        def fetched() -> list[str]:
            return sorted(r.rpartition("/")[2] for r in web.requests if "/data/" in r)

        with open_shards(web.url, cache=str(cache)) as opened:
            assert len(opened) == 11
            assert fetched() == []
            assert_holds(opened["val-00000002"], "val-00000002")
            assert fetched() == [f"val-00001.{form.extension}"]
            with ProcessPoolExecutor(2, get_context("forkserver")) as pool:
                assert [key for key, _ in pool.map(read, [opened] * 11, range(11))] == KEYS
        assert len(fetched()) == len(set(fetched())) == 5, "each once, by whichever process"
        assert len(list(cache.iterdir())) == 5
        with open_shards(web.url, cache) as opened:
            assert keys_of(opened) == KEYS
        assert len(fetched()) == 5, "a cache serves later openings"
        of_description = [r for r in web.requests if "/data/" not in r]
        assert sorted(of_description) == sorted(
            2
            * [
                "GET /dataset.json",
                "GET /sources/backgrounds.parquet",
                "GET /sources/foregrounds.parquet",
            ]
        )


def test_damage_elsewhere_is_found_whatever_is_asked(tmp_path: Path) -> None:
    write_set(tmp_path, {Split.TRAIN: [2]})
    break_sample(tmp_path, Split.TRAIN)
    with (
        serving(tmp_path) as web,
        open_shards(web.url, check=False) as opened,
        pytest.raises(ValueError, match=rf"{web.url}/data/train-00000\.tar: its sha256"),
    ):
        opened[1]


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path / "shards", {Split.TRAIN: [2, 1], Split.VAL: [2]})
    monkeypatch.chdir(tmp_path)
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    (example,) = finder.find(open_shards, globs={"open_shards": open_shards})
    assert runner.run(example) == doctest.TestResults(0, 6)


def test_the_package_hands_on_what_it_promises() -> None:
    assert manifests.__version__ == "0.1.0"
    assert manifests.open_shards is open_shards
    with pytest.raises(AttributeError, match="'manifests' has no attribute 'nothing'"):
        manifests.nothing  # noqa: B018
    program = "import sys, manifests; print(sorted({'ray', 'torch', 'numpy'} & set(sys.modules)));"
    program += "manifests.open_shards; print(sorted({'ray', 'torch'} & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("[]\n[]\n", "")
