"""Files behind URLs: fetched whole or not at all, patient with passing faults, secrets kept."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests import open_shards, storage
from manifests import web as webs
from manifests.shards import ShardFormat, data_path
from manifests.sources import Split
from manifests.storage import Url, fetch, location_of, read_bytes
from manifests.web import PAUSES
from tests.training.shard_sets import write_set
from tests.web import Web, serving

DATA = bytes(range(256)) * 9000  # more than one chunk


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is reached directly, whatever the machine's settings are."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many attempts, without the seconds between them."""
    monkeypatch.setattr(webs, "PAUSES", (0.0,) * len(PAUSES))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "file.bin").write_bytes(DATA)
    with serving(tmp_path / "web") as served:
        yield served


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("shards", "shards"),
        ("/a b/c", "/a b/c"),
        ("file:///a%20b/c", "/a b/c"),
        ("file://localhost/a", "/a"),
    ],
)
def test_paths(text: str, path: str) -> None:
    assert location_of(text) == Path(path)
    assert location_of(Path(text)) == Path(text)


def test_a_file_url_of_another_machine() -> None:
    with pytest.raises(ValueError, match=r"file://server/a: .* write file:///"):
        location_of("file://server/a")


@pytest.mark.parametrize(
    ("text", "joined", "printed"),
    [
        ("http://h:80/a", "http://h:80/a/b/c.tar", "http://h:80/a/b/c.tar"),
        ("https://h/", "https://h/b/c.tar", "https://h/b/c.tar"),
        ("s3://b/a/", "s3://b/a/b/c.tar", "s3://b/a/b/c.tar"),
        ("https://k:secret@h/a", "https://k:secret@h/a/b/c.tar", "https://h/a/b/c.tar"),
        ("https://h/a?sig=secret", "https://h/a/b/c.tar?sig=secret", "https://h/a/b/c.tar"),
    ],
)
def test_urls(text: str, joined: str, printed: str) -> None:
    root = location_of(text)
    assert isinstance(root, Url)
    url = root / "b" / "c.tar"
    assert url.text == joined
    assert str(url) == printed
    assert "secret" not in repr(url)
    assert url.suffix == ".tar"


def test_what_is_there_comes(web: Web, tmp_path: Path) -> None:
    url = Url(web.url) / "file.bin"
    assert read_bytes(url) == DATA
    fetch(url, tmp_path / "new" / "copy.bin")
    assert (tmp_path / "new" / "copy.bin").read_bytes() == DATA
    assert web.requests == ["GET /file.bin"] * 2
    assert read_bytes(tmp_path / "new" / "copy.bin") == DATA


@pytest.mark.parametrize("fault", ["cut", "gone", 408, 425, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_tried_again(web: Web, tmp_path: Path, fault: int | str) -> None:
    web.faults["/file.bin"] += [fault, fault, fault]
    fetch(Url(web.url) / "file.bin", tmp_path / "copy.bin")
    assert (tmp_path / "copy.bin").read_bytes() == DATA
    assert len(web.requests) == 4


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("cut", rf"only {len(DATA) // 2} of {len(DATA)} bytes came"),
        ("gone", "RemoteDisconnected"),
        (503, "HTTP 503"),
    ],
)
def test_a_fault_that_stays(web: Web, tmp_path: Path, fault: int | str, said: str) -> None:
    web.faults["/file.bin"] += [fault] * 9
    with pytest.raises(OSError, match=rf"{web.url}/file\.bin: .*{said}.* \(tried 4 times\)"):
        fetch(Url(web.url) / "file.bin", tmp_path / "copy.bin")
    assert len(web.requests) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["web"], "nothing is left of it"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (404, FileNotFoundError),
        *((401, PermissionError), (403, PermissionError)),
        *((status, OSError) for status in (400, 402, 405, 409, 410, 424, 501, 505)),
    ],
)
def test_a_refusal_is_not_tried_again(web: Web, fault: int, kind: type[OSError]) -> None:
    web.faults["/file.bin"] += [fault]
    with pytest.raises(kind, match=rf"{web.url}/file\.bin: HTTP {fault}") as error:
        read_bytes(Url(web.url) / "file.bin")
    assert error.type is kind
    assert len(web.requests) == 1


def test_the_pauses_grow_and_end() -> None:
    assert list(PAUSES) == sorted(PAUSES)
    assert 0 < PAUSES[0] < 0.5
    assert 5 <= sum(PAUSES) < 6  # seconds


def test_there_is_a_pause_before_each_further_attempt(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webs, "PAUSES", (0.05, 0.1))
    web.faults["/file.bin"] += [503, 503]
    started = time.monotonic()
    assert read_bytes(Url(web.url) / "file.bin") == DATA
    assert time.monotonic() - started >= 0.15


def test_nobody_listens() -> None:
    with serving(Path()) as web:
        url = web.url
    with pytest.raises(OSError, match=r"Connection refused.*tried 4 times"):
        read_bytes(Url(url) / "file.bin")


def test_a_full_disk_is_not_the_network_s_fault(web: Web) -> None:
    with pytest.raises(OSError) as error, Path("/dev/full").open("wb", buffering=0) as full:
        storage.download(Url(web.url) / "file.bin", full)
    assert error.value.errno == errno.ENOSPC
    assert len(web.requests) == 1


def test_an_unknown_kind_of_url() -> None:
    with pytest.raises(
        ValueError, match=r"gopher://host/x: .*is not a kind of URL .* file://, http://"
    ):
        read_bytes(Url("gopher://host/x"))


@pytest.mark.parametrize("form", ShardFormat)
def test_a_shard_set_by_url(tmp_path: Path, form: ShardFormat) -> None:
    write_set(tmp_path / "set", {Split.TRAIN: [2]}, form)
    with serving(tmp_path) as web:
        root = location_of(f"{web.url}/set/")
        assert open_shards(root).fingerprint == open_shards(tmp_path / "set").fingerprint
        data = data_path(root, "train-00000", form)
        assert read_bytes(data) == data_path(tmp_path / "set", "train-00000", form).read_bytes()
        with pytest.raises(FileNotFoundError, match=rf"{web.url}/none/dataset\.json: the shards"):
            open_shards(location_of(f"{web.url}/none"))
        (tmp_path / "set" / "sources" / "foregrounds.parquet").unlink()
        with pytest.raises(ValueError, match=rf"{web.url}/set/sources/foregrounds\.parquet"):
            open_shards(root)


READ = """
import sys
from manifests.storage import location_of, read_bytes
try:
    read_bytes(location_of(sys.argv[1]))
except OSError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_host_that_cannot_be_reached_is_a_sentence() -> None:
    """Whatever the library of its protocol raises. Port 9 of this machine is closed."""
    url = "hf://datasets/none/such"
    ran = subprocess.run(
        [sys.executable, "-c", READ, url],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9"},
    )
    (line,) = ran.stdout.splitlines()
    assert line.startswith(f"{url}: cannot be fetched (")
    assert "onnect" in line
