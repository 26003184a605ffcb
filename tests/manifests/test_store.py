"""The store of shards: how many it keeps open, and how far it looks into a damaged one."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from manifests import open_shards, store
from manifests.pixels import encode_alpha, encode_trimap
from manifests.shards import ShardFormat, data_path
from manifests.sources import Split
from manifests.store import Streams
from tests.training.shard_sets import write_set
from tests.web import serving


def open_files(name: str) -> list[str]:
    """The files whose path contains `name` that this process has open, whether removed or not."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing itself is one of them
            found.append(str(link.readlink()))
    return [path for path in found if name in path]


def test_shuffled_readers_open_each_tar_once(tmp_path: Path) -> None:
    write_set(tmp_path, {Split.TRAIN: [2] * 20})
    with closing(open_shards(tmp_path)) as shards:
        first = [shards[2 * shard].key for shard in range(20)]
        for shard in shards.shards:
            data_path(tmp_path, shard.name, ShardFormat.WEBDATASET).unlink()
        again = [shards[2 * shard + 1].alpha.shape for shard in range(20)]
    assert first == [f"train-{2 * number:08d}" for number in range(20)]
    assert again == [(40, 48)] * 20, "what is open is read on, so none was opened again"


@pytest.mark.parametrize(("form", "most"), [(ShardFormat.WEBDATASET, 64), (ShardFormat.PARQUET, 2)])
def test_no_more_than_some_are_open(tmp_path: Path, form: ShardFormat, most: int) -> None:
    counts = [1] * 70
    write_set(tmp_path, {Split.TRAIN: counts}, form, size=(8, 8), layers=False)
    with closing(open_shards(tmp_path)) as shards:
        assert [sample.key for sample in shards] == [f"train-{n:08d}" for n in range(len(counts))]
        assert len(open_files(f"{tmp_path}/data/")) == most
    assert open_files(f"{tmp_path}/data/") == []


def test_fetched_copies_that_are_removed_are_not_kept_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    write_set(tmp_path, {Split.TRAIN: [1] * 9}, size=(8, 8), layers=False)
    with serving(tmp_path) as web, closing(open_shards(web.url)) as shards:
        assert len([sample.key for sample in shards]) == 9
        assert len(open_files(".tar")) == 4, "each takes room on the disk"


def break_images(root: Path, samples: Sequence[int]) -> Path:
    """Zeros over the first image data of some samples of the first shard."""
    path = data_path(root, "train-00000", ShardFormat.WEBDATASET)
    content = path.read_bytes()
    for sample in samples:
        name = b"train-%08d.image.png" % sample
        begin = content.index(b"IDAT", content.index(name)) + 20
        content = content[:begin] + bytes(100) + content[begin + 100 :]
    path.write_bytes(content)
    return path


def test_five_broken_samples_are_enough(tmp_path: Path) -> None:
    write_set(tmp_path, {Split.TRAIN: [12]})
    path = break_images(tmp_path, range(1, 10))
    with closing(open_shards(tmp_path)) as shards, pytest.raises(ValueError) as caught:
        _ = shards[0].image
    said = str(caught.value)
    assert said.startswith(f"sample train-00000000: {path}: its sha256 is not the one in dataset.")
    assert "broken samples among the first 6: train-00000001 (image: not a JPEG or PNG" in said
    assert said.count("not a JPEG or PNG") == 5


def test_the_search_for_broken_samples_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_SEARCH_SECONDS", 0.0)
    write_set(tmp_path, {Split.TRAIN: [12]})
    break_images(tmp_path, [3])
    none = r"broken samples among the first [01]: none"
    with closing(open_shards(tmp_path)) as shards, pytest.raises(ValueError, match=none):
        _ = shards[0].image


def test_the_shard_that_was_read_longest_ago_is_closed(tmp_path: Path) -> None:
    write_set(tmp_path, {Split.TRAIN: [1] * 3}, ShardFormat.PARQUET, size=(8, 8), layers=False)
    with closing(open_shards(tmp_path)) as shards:
        for number in (0, 1, 0, 2):
            _ = shards[number].key
        found = sorted(Path(path).stem for path in open_files(f"{tmp_path}/data/"))
    assert found == ["train-00000", "train-00002"]


def test_the_last_fetched_shards_stay_in_a_temporary_folder_and_all_in_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    write_set(tmp_path / "set", {Split.TRAIN: [1] * 7}, size=(8, 8), layers=False)
    cache = tmp_path / "cache"
    with serving(tmp_path / "set") as web:
        for where, kept, place in ((None, 4, tmp_path / "temporary"), (cache, 7, cache)):
            with closing(open_shards(web.url, where)) as shards:
                assert len([sample.key for sample in shards]) == 7
                assert len(list(place.rglob("*.tar"))) == kept
        assert len(web.requests) == 2 * (7 + 3), "each once, and what describes the set"


def test_no_cache_keeps_what_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    write_set(tmp_path / "set", {Split.TRAIN: [2]})
    break_images(tmp_path / "set", [1])
    cache = tmp_path / "cache"
    with (
        serving(tmp_path / "set") as web,
        closing(open_shards(web.url, cache)) as shards,
        pytest.raises(ValueError, match="its sha256 is not"),
    ):
        _ = shards[0].image
    assert list(cache.iterdir()) == []


def test_each_copy_is_compared_when_it_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if an earlier copy of the same shard was whole, or was not."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    write_set(tmp_path / "set", {Split.TRAIN: [1] * 7}, size=(8, 8), layers=False)
    first = tmp_path / "set" / "data" / "train-00000.tar"
    whole = first.read_bytes()
    with serving(tmp_path / "set") as web, closing(open_shards(web.url)) as shards:
        other = pickle.loads(pickle.dumps(shards))  # as for another process
        keys = [sample.key for sample in shards]  # only the last few copies are kept
        assert keys[0] == "train-00000000"
        first.write_bytes(whole[:600] + bytes([whole[600] ^ 1]) + whole[601:])
        with pytest.raises(ValueError, match="its sha256 is not"):
            _ = shards[0].image
        first.write_bytes(whole)
        assert other[0].key == keys[0]


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is this machine's fault, not the shard's, so it is an OSError."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    write_set(tmp_path / "set", {Split.TRAIN: [1]})
    cache = tmp_path / "cache"
    cache.write_text("a file where the folder should be")
    with (
        serving(tmp_path / "set") as web,
        closing(open_shards(web.url, cache)) as shards,
        pytest.raises(OSError, match=f"train-00000.tar cannot be kept in {cache}"),
    ):
        _ = shards[0].image


@pytest.mark.parametrize("size", [(5, 6), (4, 7), (5, 7)])
def test_streams_of_one_sample_have_one_size(size: tuple[int, int]) -> None:
    large = encode_alpha(np.zeros((5, 7), np.uint8))
    streams = Streams({"alpha": large, "trimap": encode_trimap(np.zeros(size, np.uint8))}, "a: ")
    if size == (5, 7):
        assert {name: pixels.shape for name, pixels in streams.all().items()} == {
            "alpha": size,
            "trimap": size,
        }
    else:
        with pytest.raises(ValueError, match=r"^a: the streams differ in size"):
            streams.all()
