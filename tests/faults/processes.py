"""Faults of processes and machines: killed, stopped, or more of them than one."""

from __future__ import annotations

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.conftest import descendants, finish
from tests.faults.trial import Disturb, Trial

_WORKER = "^ray::(?!.*Agent)"  # Ray's agents have such names, too; Ray ends with them


def signalled(number: int, kind: str, trial: Trial) -> str:
    """The command, or a process of a kind that it started, gets a signal.

    The command says why it ends, unless it was killed itself.
    """
    run = trial.command()
    trial.wait(lambda: run.poll() is not None, starts=4.0)
    _send(number, _processes(kind, run.pid) if kind else [run.pid], trial)
    ran = finish(run)
    return str(ran) if ran.code > 0 and "error:" not in ran.err else ""


def worker_signalled(number: int, trial: Trial) -> str:
    """A worker of a Ray that goes on; it is replaced, so the run ends well."""
    workers = trial.workers()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(trial.here, workers, trial.folder / "copies")
        trial.wait(run.done, starts=0.5)
        hit = _send(number, _processes(_WORKER, os.getpid()), trial)
        if number == signal.SIGSTOP:
            time.sleep(trial.dice.uniform(0, 2.0))
            _send(signal.SIGCONT, hit, trial)
        return run.result()


def _send(number: int, processes: list[int], trial: Trial) -> list[int]:
    """Send a signal to one of them, if there are any; returns it."""
    hit = [trial.dice.choice(processes)] if processes else []
    for process in hit:
        with suppress(ProcessLookupError):
            os.kill(process, number)
    return hit


def _processes(kind: str, ancestor: int) -> list[int]:
    return sorted(p for p in descendants(ancestor) if re.search(kind, _name(p)))


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().partition("\0")[0].rpartition("/")[2]
    except OSError:
        return ""


def node_lost(trial: Trial) -> str:
    """One of two machines is lost, and another one joins; the run ends well."""
    machines = trial.machines()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(machines.compose, trial.out)
        trial.wait(run.done, starts=0.5)
        machines.nodes.kill(1)
        machines.nodes.add()
        return run.result()


def two_at_once(is_killed: bool, trial: Trial) -> str:
    """In a folder, the second is refused unless the first has ended. In a bucket, both work."""
    first = trial.machine()
    time.sleep(trial.dice.uniform(0, 1))
    second = trial.machine()
    if is_killed:
        trial.wait(lambda: first.poll() is not None, starts=1.0)
        first.kill()
    ran = [finish(run) for run in (first, second)]
    failed = [one for one in ran if one.code > 0]
    most = 1 if isinstance(trial.out, Path) else 0
    return str(failed) if len(failed) > most else ""


ON_PROCESSES: dict[str, Disturb] = {
    "kill -9: command": partial(signalled, signal.SIGKILL, ""),
    "kill -9: worker": partial(worker_signalled, signal.SIGKILL),
    "kill -9: raylet": partial(signalled, signal.SIGKILL, "raylet"),
    "kill -9: gcs": partial(signalled, signal.SIGKILL, "gcs_server"),
    "kill -9: agent": partial(signalled, signal.SIGKILL, "Agent"),
    "SIGTERM: command": partial(signalled, signal.SIGTERM, ""),
    "SIGINT: command": partial(signalled, signal.SIGINT, ""),
    "SIGSTOP, SIGCONT: worker": partial(worker_signalled, signal.SIGSTOP),
    "two runs at once": partial(two_at_once, False),
    "two runs at once, one killed": partial(two_at_once, True),
}
ON_MACHINES: dict[str, Disturb] = {
    "kill -9: command": partial(signalled, signal.SIGKILL, ""),
    "kill -9: node": node_lost,
    "two machines": partial(two_at_once, False),
    "two machines, one killed": partial(two_at_once, True),
}
