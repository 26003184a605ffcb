"""Faults of processes and machines: killed, stopped, or more of them than one."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.conftest import descendants, finish
from tests.faults.machine import OF_FEW
from tests.faults.trial import Disturb, Trial
from tests.object_store import BUCKET

_WORKER = "ray::"


def signalled(number: int, kind: str, trial: Trial) -> str:
    """The command, or a process of a kind that it started, gets a signal.

    A worker is replaced, so the command ends well.
    """
    run = trial.command()
    trial.wait(run)
    found = [p for p in descendants(run.pid) if kind in _name(p)] if kind else [run.pid]
    hit = [trial.dice.choice(sorted(found))] if found else []
    for process in hit:
        with suppress(ProcessLookupError):
            os.kill(process, number)
    if number == signal.SIGSTOP:
        time.sleep(trial.dice.uniform(0, 2.0))
        for process in hit:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)
    ran = finish(run)
    return str(ran) if ran.code and kind == _WORKER else ""


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().partition("\0")[0].rpartition("/")[2]
    except OSError:
        return ""


def node_lost(trial: Trial) -> str:
    """One of two machines is lost, and another one joins; the command ends well."""
    nodes, there = trial.nodes(), f"s3://{BUCKET}/sources"
    run = nodes.start(
        *("compose", "--fg", f"{there}/fgs", "--bg", f"{there}/bgs", "--out", str(trial.out)),
        *(*OF_FEW[:-2], "--cache-size", "1", "--ray-address", nodes.address),
    )
    trial.wait(run)
    nodes.kill(1)
    nodes.add()
    ran = finish(run)
    return str(ran) if ran.code else ""


def two_at_once(is_killed: bool, trial: Trial) -> str:
    """In a folder, the second is refused unless the first has ended. In a bucket, both work."""
    first = trial.machine()
    time.sleep(trial.dice.uniform(0, 1))
    second = trial.machine()
    if is_killed:
        trial.wait(first, starts=1.0)
        first.kill()
    ran = [finish(run) for run in (first, second)]
    failed = [one for one in ran if one.code > 0]
    most = 1 if isinstance(trial.out, Path) else 0
    return str(failed) if len(failed) > most else ""


_KINDS = {"worker": _WORKER, "raylet": "raylet", "gcs": "gcs_server"}
ON_PROCESSES: dict[str, Disturb] = {
    "kill -9: command": partial(signalled, signal.SIGKILL, ""),
    **{f"kill -9: {n}": partial(signalled, signal.SIGKILL, kind) for n, kind in _KINDS.items()},
    "SIGTERM: command": partial(signalled, signal.SIGTERM, ""),
    "SIGINT: command": partial(signalled, signal.SIGINT, ""),
    "SIGSTOP, SIGCONT: worker": partial(signalled, signal.SIGSTOP, _WORKER),
    "two runs at once": partial(two_at_once, False),
    "two runs at once, one killed": partial(two_at_once, True),
}
ON_MACHINES: dict[str, Disturb] = {
    "kill -9: command": partial(signalled, signal.SIGKILL, ""),
    "kill -9: node": node_lost,
    "two machines": partial(two_at_once, False),
    "two machines, one killed": partial(two_at_once, True),
}
