"""Faults: each disturbs one run, or what it left, then lets the command be repeated."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from datagen.job import make_shard_set
from manifests.storage import Location, read_bytes, remove, write_bytes
from tests.conftest import LocalSources, descendants, finish, folders, start
from tests.datagen.conftest import OF_SIXTY, SIXTY
from tests.datagen.in_process import InProcess
from tests.object_store import Store

AGAIN = "the same command"


@dataclass
class Trial:
    """One disturbed run. `seconds`: how long one takes that nothing happens to."""

    sources: LocalSources
    out: Location
    expected: Mapping[str, bytes]
    dice: random.Random
    seconds: float
    store: Store
    copies: Path

    def process(self) -> list[str]:
        return ["compose", *folders(self.sources), "--out", str(self.out), *OF_SIXTY]

    def here(self) -> None:
        """The same command in this process; what it raises is raised."""
        result = make_shard_set(InProcess(), self.sources, SIXTY, self.out, cache=self.copies)
        if result.failed:
            raise RuntimeError(str(result.failed))


Disturb = Callable[[Trial], None]


def signalled(number: int, kind: str, trial: Trial) -> None:
    """A process of the run, or one that it started, gets a signal at any moment of it."""
    run = start(*trial.process())
    time.sleep(trial.dice.uniform(0.2, 1.1) * trial.seconds)
    found = [run.pid]
    if kind:
        found = [p for p in descendants(run.pid) if kind in _name(p)]
    if found:
        with suppress(ProcessLookupError):
            os.kill(trial.dice.choice(found), number)
        if number == signal.SIGSTOP:
            time.sleep(trial.dice.uniform(0.1, 2.0))
            for process in found:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)
    finish(run)


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().partition("\0")[0].rpartition("/")[2]
    except OSError:
        return ""


def two_at_once(trial: Trial) -> None:
    """The second is refused, or it comes when the first has ended."""
    first = start(*trial.process())
    time.sleep(trial.dice.uniform(0, 1) * trial.seconds)
    second = start(*trial.process())
    finish(first)
    finish(second)


def damaged(how: str, part: str, trial: Trial) -> None:
    """A file of a finished set; `part` is how its name begins."""
    trial.here()
    names = [name for name in trial.expected if name.startswith(part)]
    path = trial.out / trial.dice.choice(names)
    data = bytearray(read_bytes(path))
    if how == "deleted":
        remove(path)
    elif how == "truncated":
        write_bytes(path, bytes(data[: trial.dice.randrange(len(data))]))
    else:
        data[trial.dice.randrange(len(data))] ^= 1 << trial.dice.randrange(8)
        write_bytes(path, bytes(data))


def weather(trial: Trial, **shares: float) -> None:
    """The store answers badly all the time, or not at all for a while."""
    for name, value in shares.items():
        setattr(trial.store, name, value)
    try:
        trial.here()
    finally:
        trial.store.errors = trial.store.throttled = trial.store.cut = trial.store.latency = 0.0


def gone(trial: Trial) -> None:
    """The store is away for a second, which begins at any moment."""
    begins = time.monotonic() + trial.dice.uniform(0, 1)
    trial.store.gone_from, trial.store.gone_until = begins, begins + 1.0
    trial.here()


_KILLS = {"command": "", "worker": "ray::", "raylet": "raylet", "gcs": "gcs_server"}
_SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}

ON_PROCESSES: dict[str, Disturb] = {
    **{f"kill -9: {n}": partial(signalled, signal.SIGKILL, kind) for n, kind in _KILLS.items()},
    **{f"{n}: command": partial(signalled, number, "") for n, number in _SIGNALS.items()},
    "SIGSTOP, SIGCONT: worker": partial(signalled, signal.SIGSTOP, "ray::"),
    "two commands at once": two_at_once,
}
_PARTS = {"shard": "data/", "index": "index/", "sources": "sources/", "dataset.json": "dataset"}
ON_FILES: dict[str, Disturb] = {
    f"{how}: {name}": partial(damaged, how, part)
    for how in ("damaged", "truncated", "deleted")
    for name, part in _PARTS.items()
}
ON_STORES: dict[str, Disturb] = {
    "store: 5 % errors": partial(weather, errors=0.05),
    "store: 10 % SlowDown": partial(weather, throttled=0.1),
    "store: 5 % of bodies cut": partial(weather, cut=0.05),
    "store: 50 ms slow": partial(weather, latency=0.05),
    "store: gone for a second": gone,
    **{f"store, {name}": fault for name, fault in ON_FILES.items()},
}
