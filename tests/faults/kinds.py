"""All faults, by their names."""

from __future__ import annotations

import time
from functools import partial

from tests.faults.disks import ON_DISKS, full
from tests.faults.files import clock_set_back, copies_damaged, damaged, source_changed
from tests.faults.processes import ON_MACHINES, ON_PROCESSES
from tests.faults.trial import Disturb, Trial


def weather(trial: Trial, **shares: float) -> str:
    """The store answers badly all the time."""
    for name, value in shares.items():
        setattr(trial.store, name, value)
    try:
        return trial.here()
    finally:
        for name in shares:
            setattr(trial.store, name, 0.0)


def gone(trial: Trial) -> str:
    """The store is away for a second, which begins at any moment."""
    begins = time.monotonic() + trial.dice.uniform(0, 1)
    trial.store.gone_from, trial.store.gone_until = begins, begins + 1.0
    return trial.here()


_HOW = ("damaged", "truncated", "deleted")
_PARTS = {"shard": "data/", "index": "index/", "sources": "sources/", "dataset.json": "dataset"}
ON_FILES: dict[str, Disturb] = {
    f"{how}: {name}": partial(damaged, how, part) for how in _HOW for name, part in _PARTS.items()
}
IN_FOLDERS: dict[str, Disturb] = {
    **ON_PROCESSES,
    **ON_FILES,
    **{f"source {how}": partial(source_changed, how) for how in ("damaged", "deleted")},
    **ON_DISKS,
    "clock set back": clock_set_back,
}
IN_STORES: dict[str, Disturb] = {
    "errors, 5 %": partial(weather, errors=0.05),
    "SlowDown, 10 %": partial(weather, throttled=0.1),
    "bodies cut, 5 %": partial(weather, cut=0.05),
    "listings of before, 50 %": partial(weather, stale=0.5),
    "50 ms slow": partial(weather, latency=0.05),
    "gone for a second": gone,
    **{f"{how}: working copies": partial(copies_damaged, how) for how in _HOW},
    "disk full: temporary files": partial(full, "temporary files"),
    "clock set back": clock_set_back,
    **ON_MACHINES,
    **ON_FILES,
}
FAULTS: dict[str, Disturb] = {
    **IN_FOLDERS,
    **{f"store, {name}": fault for name, fault in IN_STORES.items()},
}
