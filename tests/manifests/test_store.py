"""The store of shards: how many it keeps open, and how far it looks into a damaged one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

from manifests import open_shards, store
from manifests.shards import ShardFormat, data_path
from manifests.sources import Split
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
