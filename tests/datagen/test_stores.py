"""The commands with everything in an object store: the same as in folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.commands import DONE, FAILED
from datagen.inspect.verify import verify
from datagen.job import make_shard_set
from datagen.settings import Settings
from datagen.sources.folders import SourceFolders
from manifests import open_shards
from manifests.storage import Url, remove, write_bytes
from tests.conftest import contents, folders, here
from tests.datagen.in_process import InProcess
from tests.object_store import BUCKET, SECRET, Store

SETTINGS = Settings(size=64, shard_size=4, samples=10)
ROOT = Url(f"s3://{BUCKET}/sets")
Capture = pytest.CaptureFixture[str]


def send(folder: Path, url: Url) -> Url:
    """All files of a folder, to a folder of the store."""
    for name, data in contents(folder).items():
        write_bytes(url / name, data)
    return url


@pytest.fixture(scope="module")
def here_set(sources: SourceFolders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set in a folder."""
    out = tmp_path_factory.mktemp("set") / "shards"
    assert not make_shard_set(InProcess(), sources, SETTINGS, out).failed
    return out


@pytest.fixture(scope="module")
def there_set(here_set: Path, store: Store) -> Iterator[Url]:
    """The same set in the store. Nothing that is printed in its tests tells a secret."""
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == SECRET
    yield send(here_set, ROOT / "there")


def test_the_shards_are_the_same(here_set: Path, there_set: Url) -> None:
    with open_shards(there_set) as there, open_shards(here_set) as here_:
        assert there.fingerprint == here_.fingerprint
        assert [s.encoded for s in there] == [s.encoded for s in here_]


@pytest.mark.parametrize(
    "command", ["stats", "stats --json", "preview --worst --out", "report --out"]
)
def test_a_set_is_looked_at(
    command: str, here_set: Path, there_set: Url, tmp_path: Path, capsys: Capture
) -> None:
    printed = []
    for name, shards in (("here", str(here_set)), ("there", str(there_set))):
        path = [str(tmp_path / name)] if command.endswith("--out") else []
        ran = here(capsys, *command.split(), *path, "--shards", shards)
        assert ran.code == DONE, ran
        assert SECRET not in ran.out + ran.err
        made = (tmp_path / name).read_bytes() if path and "preview" in command else b""
        printed.append((ran.out.replace(str(tmp_path / name), ""), made))
    assert printed[0] == printed[1]


def test_a_sample_is_composed_again(
    sources: SourceFolders, there_set: Url, tmp_path: Path, capsys: Capture
) -> None:
    options = ["--shards", str(there_set), "--out", str(tmp_path)]
    ran = here(capsys, "replay", "train-00000005", *folders(sources), *options)
    assert (ran.code, "matches, byte for byte" in ran.out) == (DONE, True)


def test_a_set_is_verified(here_set: Path, store: Store) -> None:
    url = send(here_set, ROOT / "damaged")

    def findings() -> list[str]:
        with open_shards(url) as opened:
            return sorted(f.reason for _, found in verify(InProcess(), opened) for f in found)

    assert findings() == []
    damaged = bytearray((here_set / "data" / "train-00001.tar").read_bytes())
    damaged[3000] ^= 1
    write_bytes(url / "data" / "train-00001.tar", bytes(damaged))
    remove(url / "index" / "train-00002.parquet")
    remove(url / "data" / "train-00000.tar")
    first, second, *_ = findings()
    assert first.startswith(f"{url}/data/train-00000.tar: missing; repeat the datagen compose")
    assert second.startswith(f"{url}/data/train-00001.tar: its sha256 is not")
    assert any(one.startswith(f"{url}/index/train-00002.parquet: missing") for one in findings())


def test_there_is_no_such_set(store: Store, capsys: Capture) -> None:
    ran = here(capsys, "stats", "--shards", f"s3://{BUCKET}/none")
    assert (ran.code, ran.out) == (FAILED, "")
    assert ran.err.startswith(
        f"error: s3://{BUCKET}/none/dataset.json: the shards are not finished"
    )


def test_a_secret_in_an_option_is_refused(capsys: Capture) -> None:
    ran = here(capsys, "stats", "--shards", f"s3://name:{SECRET}@{BUCKET}/x")
    assert ran.code == 2
    assert SECRET not in ran.err
    assert "leave passwords and options out of it" in " ".join(ran.err.replace("│", " ").split())
