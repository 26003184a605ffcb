"""Files in an object store: whole or not at all, whatever the weather; secrets kept."""

from __future__ import annotations

import io
import multiprocessing
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from manifests import object_store as stores
from manifests.storage import (
    Url,
    as_file,
    exists,
    fetch,
    files_below,
    location_of,
    read_bytes,
    remove,
    sha256_of,
    size_of,
    write_bytes,
    write_changed,
    write_new,
    writing,
)
from tests.object_store import BUCKET, SECRET, Store

ROOT = Url(f"s3://{BUCKET}")
DATA = bytes(range(256)) * 300


@pytest.fixture
def folder(store: Store, request: pytest.FixtureRequest) -> Iterator[Url]:
    """A folder of each test's own in the store, which has its own weather."""
    url = ROOT / request.node.name
    yield url
    store.latency = store.errors = store.throttled = store.cut = store.gone_until = 0.0


def test_what_is_written_is_there(folder: Url) -> None:
    url = folder / "data" / "a b#ü.bin"
    assert not exists(url)
    assert files_below(folder) == {}
    write_bytes(url, DATA)
    assert exists(url)
    assert not exists(folder / "data"), "a store has no folders"
    assert (size_of(url), read_bytes(url)) == (len(DATA), DATA)
    with as_file(url) as path:
        assert path.read_bytes() == DATA
        assert sha256_of(url) == sha256_of(path)
    assert not path.exists()
    assert files_below(folder) == {"data/a b#ü.bin": len(DATA)}
    remove(url)
    remove(url)
    assert not exists(url)


def test_a_file_is_sent_when_it_is_whole(folder: Url, store: Store) -> None:
    for name in ("whole", "empty"):
        with writing(folder / name) as part:
            part.write_bytes(DATA if name == "whole" else b"")
            assert not exists(folder / name)
    with pytest.raises(RuntimeError), writing(folder / "half") as part:
        part.write_bytes(DATA)
        raise RuntimeError
    assert files_below(folder) == {"whole": len(DATA), "empty": 0}
    assert not part.parent.exists()
    assert store.count("POST", "uploads") == 0, "an upload in parts could leave some behind"


def test_one_of_two_writers_is_first(folder: Url) -> None:
    assert write_new(folder / "x", b"first")
    assert not write_new(folder / "x", b"second")
    assert read_bytes(folder / "x") == b"first"


def test_what_has_not_changed_is_not_sent(folder: Url, store: Store) -> None:
    for data in (b"a", b"a", b"b"):
        write_changed(folder / "x", data)
    assert store.count("PUT", folder.name) == 2


def test_a_file_in_several_pieces(
    folder: Url, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_PIECE", 10_000)
    write_bytes(folder / "x", DATA)
    fetch(folder / "x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA


@pytest.mark.slow
def test_a_listing_is_read_by_the_thousand(folder: Url, store: Store) -> None:
    for number in range(1005):
        store_put(store, f"{folder.name}/n{number:04d}")
    before = len(store.requests)
    assert len(files_below(folder)) == 1005
    assert len(store.requests) - before == 2


def store_put(store: Store, key: str) -> None:
    stores.upload(f"s3://{BUCKET}/{key}", key, b"")


@pytest.mark.slow
def test_answers_that_break_off(folder: Url, store: Store) -> None:
    """Listings and deletions, too, which the library does not repeat by itself."""
    for number in range(3):
        write_bytes(folder / f"{number}", DATA)
    store.cut = 0.5
    for _ in range(10):
        assert len(files_below(folder)) == 3
        assert read_bytes(folder / "0") == DATA


@pytest.mark.slow
def test_bad_weather(folder: Url, store: Store) -> None:
    store.latency, store.errors, store.throttled, store.cut = 0.01, 0.05, 0.05, 0.05
    for number in range(60):
        write_bytes(folder / f"{number}", DATA)
        assert read_bytes(folder / f"{number}") == DATA
    assert len(files_below(folder)) == 60


@pytest.mark.slow
def test_an_outage(folder: Url, store: Store) -> None:
    """A short one; STORE_OUTAGE says how many seconds."""
    seconds = float(os.environ.get("STORE_OUTAGE", "1.5"))
    write_bytes(folder / "x", DATA)
    store.gone_until = time.monotonic() + seconds
    assert read_bytes(folder / "x") == DATA
    store.gone_until = time.monotonic() + seconds
    write_bytes(folder / "y", DATA)
    assert read_bytes(folder / "y") == DATA


def test_a_store_that_stays_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "PATIENCE", timedelta(seconds=0.5))
    stores._store.cache_clear()
    store.gone_until = time.monotonic() + 99
    url = Url("s3://other/a/b")
    with pytest.raises(
        OSError, match=r"^s3://other/a/b: the store fails, tried for 0 s \("
    ) as error:
        read_bytes(url)
    store.gone_until = 0
    stores._store.cache_clear()
    assert error.value.errno is None
    assert "http" not in str(error.value)


def test_what_is_not_there(folder: Url) -> None:
    with pytest.raises(FileNotFoundError, match=rf"^s3://{BUCKET}/.*/x: not found$"):
        read_bytes(folder / "x")
    with pytest.raises(FileNotFoundError, match=r"^s3://none/x: there is no such bucket$"):
        write_bytes(Url("s3://none/x"), b"")
    with pytest.raises(FileNotFoundError, match=r"^s3://none: there is no such bucket$"):
        files_below(Url("s3://none"))


@pytest.mark.parametrize("text", [f"s3://name:{SECRET}@b/x", f"s3://b/x?key={SECRET}"])
def test_a_secret_in_a_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^s3://b/x: leave passwords") as error:
        location_of(text)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("url", ["https://h/x", "hf://datasets/a/b"])
def test_what_is_only_read(url: str) -> None:
    refusal = rf"{url}: .* is read, not written; write to s3://"
    with pytest.raises(ValueError, match=refusal):
        write_bytes(Url(url), b"")
    with pytest.raises(ValueError, match=refusal):
        remove(Url(url))
    if url.startswith("https"):
        with pytest.raises(ValueError, match="a web server does not say which files it has"):
            files_below(Url(url))


def _after_fork(connection: multiprocessing.connection.Connection) -> None:
    try:
        read_bytes(ROOT / "x")
    except RuntimeError as error:
        connection.send(str(error))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_is_told_that_it_cannot_go_on(folder: Url) -> None:
    """It would wait for ever for threads that only its parent has."""
    write_bytes(folder / "x", DATA)
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_after_fork, args=(theirs,))
    child.start()
    assert "spawn or forkserver" in ours.recv()
    child.join()


def test_a_full_disk_is_not_the_store_s_fault(folder: Url) -> None:
    write_bytes(folder / "x", DATA)
    url = str(folder / "x")
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError) as error:
        stores.download(url, url, full)
    assert error.value.errno is not None
    whole = io.BytesIO()
    stores.download(url, url, whole)
    assert whole.getvalue() == DATA
