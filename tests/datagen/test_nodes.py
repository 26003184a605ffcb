"""A cluster whose machines share nothing but an object store makes the bytes of one machine."""

from __future__ import annotations

import time

import pytest

from console.commands import DONE
from tests.conftest import LocalSources, finish
from tests.datagen.conftest import SIXTY
from tests.datagen.test_stores import ROOT, files, send
from tests.nodes import cluster_of
from tests.object_store import SECRET, Store

pytestmark = pytest.mark.slow


def test_machines_that_share_nothing(
    sources: LocalSources, undisturbed: dict[str, bytes], store: Store
) -> None:
    """Three of them; one dies in the middle, and another one joins."""
    send(sources.foregrounds, ROOT / "n/fgs")
    send(sources.backgrounds, ROOT / "n/bgs")
    where = ["--fg", f"{ROOT}/n/fgs", "--bg", f"{ROOT}/n/bgs", "--out", f"{ROOT}/n/out"]
    what = ["--size", str(SIXTY.size), "--shard-size", "5", "--samples", "60", "--cache-size", "1"]
    store.latency = 0.05
    with cluster_of(3, **store.environment) as nodes:
        running = nodes.start("compose", *where, *what, "--ray-address", nodes.address)
        while store.count("PUT", "/n/out/index/") < 2:
            assert running.poll() is None, finish(running)
            time.sleep(0.05)
        nodes.kill(2)
        nodes.add()
        ran = finish(running)
    store.latency = 0.0
    assert ran.code == DONE, ran
    assert SECRET not in ran.out + ran.err
    assert files(ROOT / "n/out") == undisturbed
