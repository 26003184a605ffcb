"""gs://, az:// and hf:// on loopback: what is asked of these stores, and what is made of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from manifests import object_store as stores
from manifests.storage import (
    Url,
    exists,
    files_below,
    read_bytes,
    remove,
    size_of,
    write_bytes,
    write_new,
    writing,
)
from tests.object_store import BUCKET, Store
from tests.other_stores import Azure, Hub, served

DATA = bytes(range(256)) * 20
Environment = dict[str, str]


@pytest.fixture
def google(store: Store, tmp_path: Path) -> Environment:
    """Google's store speaks S3's protocol where we use it, but for signatures."""
    account = {"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": True}
    url = f"http://127.0.0.1:{store.port}"
    path = tmp_path / "account.json"
    path.write_text(json.dumps({**account, "gcs_base_url": url}))
    return {"GOOGLE_SERVICE_ACCOUNT": str(path), "GOOGLE_BASE_URL": url}


@pytest.fixture
def azure() -> Iterator[Environment]:
    with served(Azure) as memory:
        yield {
            "AZURE_STORAGE_ACCOUNT_NAME": "name",
            "AZURE_STORAGE_ACCOUNT_KEY": "c2VjcmV0",
            "AZURE_STORAGE_ENDPOINT": memory.url,
        }


@pytest.mark.parametrize(("scheme", "vendor"), [("gs", "google"), ("az", "azure")])
def test_what_is_written_is_there(
    scheme: str, vendor: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**request.getfixturevalue(vendor), "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stores, "_PIECE", 1000)
    monkeypatch.setattr(stores, "PATIENCE", timedelta(seconds=5))
    stores._store.cache_clear()  # each has the environment of its first use
    folder = Url(f"{scheme}://{BUCKET}/{scheme}")
    names = ["data/a b#ü.bin", "empty", "x/y/1", "x/y/2", "x/y/3"]
    assert files_below(folder) == {}
    for name in names:
        with writing(folder / name) as part:
            part.write_bytes(b"" if name == "empty" else DATA)
    write_bytes(Url(f"{folder}-beside/z"), DATA)
    assert files_below(folder) == {name: 0 if name == "empty" else len(DATA) for name in names}
    for name in names:
        assert read_bytes(folder / name) == (b"" if name == "empty" else DATA)
    assert size_of(folder / names[0]) == len(DATA)
    assert not exists(folder / "data")
    with pytest.raises(FileNotFoundError, match=f"^{folder}/none: not found$"):
        read_bytes(folder / "none")
    remove(folder / names[0])
    remove(folder / names[0])
    assert list(files_below(folder)) == names[1:]
    if scheme == "az":  # moto does not know Google's word for it
        assert write_new(folder / "new", b"first")
        assert not write_new(folder / "new", b"second")
    stores._store.cache_clear()


READ = """
from manifests.storage import Url, exists, files_below, read_bytes, size_of
root = Url("hf://datasets/name/set/shards")
assert read_bytes(root / "dataset.json") == b"{}"
assert files_below(root) == {"dataset.json": 2, "index/a b.parquet": 5000}
assert size_of(root / "index/a b.parquet") == len(read_bytes(root / "index/a b.parquet")) == 5000
assert not exists(root / "none")
"""


@pytest.mark.slow
def test_the_hub_is_read() -> None:
    """By a process of its own, since its library finds its server when it is imported."""
    with served(Hub) as memory:
        top = "datasets/name/set"
        memory.files |= {
            f"{top}/shards/dataset.json": b"{}",
            f"{top}/shards/index/a b.parquet": bytes(5000),
            f"{top}/README.md": b"x",
        }
        found = {"HF_ENDPOINT": memory.url, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        subprocess.run([sys.executable, "-c", READ], check=True, env=os.environ | found)
