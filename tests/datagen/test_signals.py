"""`datagen compose`, ended by SIGTERM at any moment: one sentence, 143, and nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from datagen.cluster import Cluster
from datagen.job import make_shard_set
from tests.conftest import QUIET, LocalSources, contents, descendants, finish, folders
from tests.datagen.conftest import OF_SIXTY, SIXTY

pytestmark = pytest.mark.slow

LATEST = 7.0  # seconds; by then it composes, also on a slow machine
MOMENTS = int(os.environ.get("MOMENTS", "3"))  # `make campaign` tries more
ORDINARY = ("scan:", "warning:", "check:", "prepare:", "compose:")


def to_process(process: int) -> None:
    """As Kubernetes does."""
    os.kill(process, signal.SIGTERM)


def to_all(process: int) -> None:
    """As systemd and Slurm do, in any order. `timeout` sends it to fewer of them."""
    processes = list({process, *descendants(process)})
    random.shuffle(processes)
    for one in processes:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGTERM)


def wait_for_handler(process: subprocess.Popen[str]) -> None:
    """Before it, there is only Python."""
    while True:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            name, _, mask = line.partition(":")
            if name == "SigCgt" and int(mask, 16) >> (signal.SIGTERM - 1) & 1:
                return
        assert process.poll() is None
        time.sleep(0.002)


@pytest.mark.parametrize("send", [to_process, to_all])
def test_sigterm_at_any_moment(
    send: Callable[[int], None],
    sources: LocalSources,
    undisturbed: dict[str, bytes],
    two_workers: Cluster,
    tmp_path: Path,
) -> None:
    out = tmp_path / "shards"
    command = ("compose", *folders(sources), "--out", str(out), *OF_SIXTY)
    interrupted = 0
    for seed in range(MOMENTS):
        rng = random.Random(f"{send.__name__} {seed}")
        process = subprocess.Popen(
            [sys.executable, "-m", "datagen", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | QUIET,
            start_new_session=True,
        )
        wait_for_handler(process)
        time.sleep(LATEST * rng.random() ** 2)  # more of them early
        send(process.pid)
        ran = finish(process)
        if ran.code == 0:  # it came too late
            assert contents(out) == undisturbed
            continue
        assert ran.code == 128 + signal.SIGTERM, ran
        *progress, last = ran.err.splitlines()
        assert last.startswith("error: interrupted by SIGTERM"), ran
        assert all(line.startswith(ORDINARY) for line in progress), ran
        assert ran.out == ""
        assert not list(out.rglob(".part-*")), "half a shard is left"
        interrupted += 1
    assert interrupted, "all signals came too late"
    assert not make_shard_set(two_workers, sources, SIXTY, out).failed
    assert contents(out) == undisturbed
