"""The commands with everything in an object store: the same as in folders."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from console.commands import DONE, FAILED
from datagen.cache import folder_of_each_machine
from datagen.copies import Copies, make_room
from datagen.inspect.verify import verify
from datagen.job import Result, make_shard_set
from datagen.prepare import BadSourcesError
from datagen.resume import RefusedError
from datagen.settings import Settings
from datagen.sources.folders import SourceFolders
from datagen.sources.listing import list_folder
from manifests import open_shards
from manifests.storage import Url, files_below, read_bytes, remove, write_bytes
from tests.conftest import CUTOUTS, PHOTOS, LocalSources, contents, datagen, folders, here
from tests.datagen.in_process import InProcess
from tests.object_store import BUCKET, SECRET, Store
from tests.other_stores import Large, served

SETTINGS = Settings(size=64, shard_size=4, samples=10)
ROOT = Url(f"s3://{BUCKET}/sets")
Capture = pytest.CaptureFixture[str]


def send(folder: Path, url: Url) -> Url:
    """All files of a folder, to a folder of the store."""
    for name, data in contents(folder).items():
        write_bytes(url / name, data)
    return url


@pytest.fixture(scope="module")
def here_set(sources: LocalSources, tmp_path_factory: pytest.TempPathFactory) -> Path:
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
        path = [str(tmp_path / f"{name}.png")] if command.endswith("--out") else []
        ran = here(capsys, *command.split(), *path, "--shards", shards)
        assert ran.code == DONE, ran
        assert SECRET not in ran.out + ran.err
        made = Path(path[0]).read_bytes() if path and "preview" in command else b""
        printed.append((ran.out.replace(str(tmp_path / name), ""), made))
    assert printed[0] == printed[1]


def test_a_sample_is_composed_again(
    sources: LocalSources, there_set: Url, tmp_path: Path, capsys: Capture
) -> None:
    options = ["--shards", str(there_set), "--out", str(tmp_path)]
    ran = here(capsys, "replay", "train-00000005", *folders(sources), *options)
    assert (ran.code, "matches, byte for byte" in ran.out) == (DONE, True)


@pytest.mark.slow
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


@pytest.fixture(scope="module")
def sources_there(sources: LocalSources, store: Store) -> SourceFolders:
    """The same sources in the store, beside what some tools leave there."""
    write_bytes(ROOT / "fgs/", b"")
    write_bytes(ROOT / "fgs/.hidden/x.png", b"x")
    return SourceFolders(
        send(sources.foregrounds, ROOT / "fgs"), send(sources.backgrounds, ROOT / "bgs")
    )


def files(url: Url) -> dict[str, bytes]:
    return {name: read_bytes(url / name) for name in files_below(url)}


@pytest.mark.slow
def test_composed_from_a_store_into_a_store(
    sources_there: SourceFolders, here_set: Path, store: Store, tmp_path: Path
) -> None:
    """The same bytes, in however many runs; what is finished is not made again."""
    out = ROOT / "made"
    cache = tmp_path / "copies"

    def make() -> Result:
        return make_shard_set(InProcess(), sources_there, SETTINGS, out, cache=cache)

    assert not make().failed
    expected = contents(here_set)
    assert files(out) == expected
    sent = store.count("PUT", "/made/")
    assert make().samples_per_second == 0.0
    assert store.count("PUT", "/made/") == sent + 2, "only the claim and the settings"
    for name in ("data/train-00001.tar", "index/train-00000.parquet", "dataset.json", "README.md"):
        remove(out / name)
    assert not make().failed
    assert files(out) == expected


@pytest.mark.slow
def test_a_store_in_bad_weather(
    sources_there: SourceFolders, here_set: Path, store: Store, tmp_path: Path
) -> None:
    out = ROOT / "weather"
    store.errors = store.throttled = store.cut = 0.05
    try:
        result = make_shard_set(InProcess(), sources_there, SETTINGS, out, cache=tmp_path)
    finally:
        store.errors = store.throttled = store.cut = 0.0
    assert not result.failed
    assert files(out) == contents(here_set)


@pytest.mark.slow
def test_two_runs_in_one_folder_of_a_store(
    sources_there: SourceFolders, store: Store, tmp_path: Path
) -> None:
    """Those of the same settings make the same bytes; others wait."""
    out = ROOT / "two"
    claim = json.dumps(SETTINGS.to_json()).encode()
    write_bytes(out / ".work/run.json", claim)
    with pytest.raises(RefusedError, match=r"other settings \(samples: 10 -> 11\) is running here"):
        make_shard_set(
            InProcess(), sources_there, replace(SETTINGS, samples=11), out, cache=tmp_path
        )
    assert not make_shard_set(InProcess(), sources_there, SETTINGS, out, cache=tmp_path).failed
    assert not [name for name in files_below(out) if name.startswith(".work")]
    grown = make_shard_set(
        InProcess(), sources_there, replace(SETTINGS, samples=11), out, cache=tmp_path
    )
    assert (grown.samples, grown.failed) == (11, ())


def test_a_refused_run_leaves_no_claim(
    own_sources: LocalSources, store: Store, tmp_path: Path
) -> None:
    """So that other settings can be tried, as in a folder."""
    out = ROOT / "refused"
    bad = own_sources.backgrounds / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(BadSourcesError):
        make_shard_set(InProcess(), own_sources, SETTINGS, out, cache=tmp_path)
    assert not files_below(out)
    bad.unlink()
    other = replace(SETTINGS, seed=3)
    assert not make_shard_set(InProcess(), own_sources, other, out, cache=tmp_path).failed


def test_what_is_no_set_is_left_alone(sources: LocalSources, store: Store) -> None:
    write_bytes(ROOT / "other" / "thesis.txt", b"x")
    with pytest.raises(RefusedError, match="holds something that is not a shard set"):
        make_shard_set(InProcess(), sources, SETTINGS, ROOT / "other")


def test_copies_take_no_more_room_than_is_allowed(
    sources: LocalSources, here_set: Path, tmp_path: Path
) -> None:
    """And the bytes are the same: what has gone is made again."""
    kept, most = tmp_path / "kept", 400_000
    out = tmp_path / "shards"
    made = make_shard_set(InProcess(), sources, SETTINGS, out, cache=kept, cache_bytes=most)
    assert not made.failed
    assert contents(out) == contents(here_set)
    sizes = [len(data) for data in contents(kept).values()]
    assert 0 < sum(sizes) <= most
    assert len(sizes) < len(CUTOUTS) + len(PHOTOS)


def test_copies_of_the_future_go_first(
    sources: LocalSources, here_set: Path, tmp_path: Path
) -> None:
    """Else a clock that is set back would make each new copy the oldest, which goes at once."""
    kept, most = tmp_path / "kept", 400_000
    make_shard_set(InProcess(), sources, SETTINGS, tmp_path / "first", cache=kept)
    tomorrow = time.time() + 86_400
    for number, path in enumerate(sorted(kept.rglob("*.raw"))):
        os.utime(path, (tomorrow, tomorrow))
        if number % 3 == 0:
            path.unlink()
    out = tmp_path / "shards"
    made = make_shard_set(InProcess(), sources, SETTINGS, out, cache=kept, cache_bytes=most)
    assert made.failed == ()
    assert contents(out) == contents(here_set)


def test_what_killed_processes_left_counts_and_goes(tmp_path: Path) -> None:
    """But what may still be written stays."""
    hours = {"old.raw": 3.0, ".part-old": 2.0, "new.raw": 0.5, ".part-new": 0.4, "last.raw": 0.1}
    for name, ago in hours.items():
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (time.time() - 3600 * ago,) * 2)
    make_room(tmp_path, 500)
    assert len(list(tmp_path.iterdir())) == 5
    make_room(tmp_path, 300)
    assert {path.name for path in tmp_path.iterdir()} == {"new.raw", ".part-new", "last.raw"}
    make_room(tmp_path, 0)
    assert {path.name for path in tmp_path.iterdir()} == {".part-new"}


def test_the_folder_of_a_machine_belongs_to_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = folder_of_each_machine(Url("s3://bucket/set"), None)
    Copies(folder, most_bytes=1).check()
    own = tmp_path / f"matting-copies-{os.getuid()}"
    assert Copies(folder).here.parent == own
    assert own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o777)  # as of somebody who was there first
    with pytest.raises(ValueError, match="is not yours alone"):
        Copies(folder, most_bytes=1).check()
    named = folder_of_each_machine(tmp_path / "out", Path("matting-copies"))
    assert Copies(named).here.parent == Path("matting-copies").absolute()


def test_no_room_for_a_single_copy(sources: LocalSources, tmp_path: Path) -> None:
    made = make_shard_set(
        InProcess(), sources, SETTINGS, tmp_path / "shards", cache=tmp_path / "c", cache_bytes=1
    )
    assert all("allow a larger --cache-size" in failure.reason for failure in made.failed)
    assert len(made.failed) == 3


def test_a_listing_of_many_sources_is_short(
    sources_there: SourceFolders, store: Store, capsys: Capture
) -> None:
    before = store.count("GET", "list-type")
    assert len(list_folder(sources_there.foregrounds).names) == 7
    assert store.count("GET", "list-type") == before + 1


@pytest.mark.slow
def test_a_listing_of_a_hundred_thousand_sources(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request for each thousand of them, and none for a single one."""
    assert SECRET in store.environment.values()
    with served(Large) as memory:
        monkeypatch.setenv("AWS_ENDPOINT_URL", memory.url)
        found = list_folder(Url("s3://large/photos"))
    assert (len(found.names), found.problems, found.hidden) == (Large.COUNT, [], [])
    assert found.names[-1] == "099999.jpg"
    assert len(memory.requests) == Large.COUNT / 1000
    assert {request.partition("?")[0] for request in memory.requests} == {"GET /large"}


@pytest.mark.slow
def test_the_command_with_nothing_but_urls(
    sources_there: SourceFolders, here_set: Path, store: Store
) -> None:
    """By workers of a Ray of its own, as a process; it prints no secret."""
    out = ROOT / "by-command"
    where = ["--fg", f"{ROOT}/fgs", "--bg", f"{ROOT}/bgs", "--out", str(out), "--workers", "2"]
    ran = datagen("compose", *where, "--size", "64", "--shard-size", "4", "--samples", "10")
    assert ran.code == DONE, ran
    assert SECRET not in ran.out + ran.err
    assert files(out) == contents(here_set)
    assert not any(SECRET.encode() in data for data in files(out).values())
