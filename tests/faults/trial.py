"""One run that is disturbed: where its files are, and how it is begun."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from datagen.cluster import Cluster
from datagen.job import make_shard_set
from manifests.storage import Location, Url
from tests.conftest import LocalSources, folders, start
from tests.datagen.in_process import InProcess
from tests.faults.machine import ENDED, FEW, OF_FEW, TOLD
from tests.nodes import Nodes
from tests.object_store import Store

_STEPS = 42  # files that a run writes, with its working copies, and some more


def disturbed(number: int, happen: Callable[[], None]) -> InProcess:
    """Where something happens before one of the tasks: a source is scanned or prepared, a shard
    made."""
    numbers = count()
    return InProcess(before=lambda item: happen() if next(numbers) == number else None)


@dataclass(frozen=True)
class Machines:
    """Those of a cluster, and a driver on the first of them."""

    nodes: Nodes
    driver: subprocess.Popen[str]

    def compose(self, out: Location) -> str:
        """Returns why it failed, or ""."""
        assert self.driver.stdin is not None
        assert self.driver.stdout is not None
        print(out, file=self.driver.stdin, flush=True)
        for line in self.driver.stdout:
            if line.startswith(ENDED):
                return line.removeprefix(ENDED).strip()
        return "the driver has ended"


@dataclass
class Trial:
    """What a fault finds. It may put `out` elsewhere; what it enters into `stack` is left when the
    files have been compared."""

    sources: LocalSources
    out: Location
    expected: Mapping[str, bytes]
    dice: random.Random
    folder: Path  # empty, of this trial alone
    copies: Path  # working copies of these sources that are there already
    store: Store
    workers: Callable[[], Cluster]  # two, of a Ray that all trials share
    machines: Callable[[], Machines]  # two, likewise
    stack: ExitStack

    def command(self) -> subprocess.Popen[str]:
        """The run as a user begins it, with two workers."""
        copies = ["--cache", str(self.folder / "copies")] if isinstance(self.out, Url) else []
        places = [*folders(self.sources), "--out", str(self.out), *copies]
        return start("compose", *places, *OF_FEW)

    def machine(self, *limits: str) -> subprocess.Popen[str]:
        """The run in a process of its own, without Ray, and with its own working copies."""
        copies = self.folder / f"copies-{self.dice.random()}"
        places = self.sources.foregrounds, self.sources.backgrounds, self.out, copies
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.machine", *map(str, places), *limits],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def here(
        self,
        cluster: Cluster | None = None,
        copies: Path | None = None,
        copies_bytes: int = 0,
        sources: LocalSources | None = None,
    ) -> str:
        """The run in this process; returns why it failed, or ""."""
        try:
            result = make_shard_set(
                *(cluster or InProcess(), sources or self.sources, FEW, self.out),
                cache=copies or self.copies,
                cache_bytes=copies_bytes,
            )
        except TOLD as error:
            return f"{type(error).__name__}: {error}"
        return "; ".join(f"{one.shard}: {one.reason}" for one in result.failed)

    def wait(self, has_ended: Callable[[], Any], starts: float) -> None:
        """For any moment of a run: while it starts, or when it has written so many files."""
        step = self.dice.randrange(-_STEPS // 3, _STEPS)
        if step < 0:
            time.sleep(self.dice.uniform(0, starts))
        while not has_ended() and self._files() < step:
            time.sleep(0.002)

    def _files(self) -> int:
        if isinstance(self.out, Url):
            return self.store.count("PUT", self.out.name)
        return sum(len(files) for _, _, files in os.walk(self.out))

    def own_sources(self) -> LocalSources:
        """A copy of the sources, to be changed."""
        own = self.folder / "sources"
        shutil.copytree(self.sources.foregrounds.parent, own, dirs_exist_ok=True)
        return LocalSources(own / "fgs", own / "bgs")


# Disturbs a run, or what it left. Returns what was wrong, if the run should have ended well.
Disturb = Callable[[Trial], str]
