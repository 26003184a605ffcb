"""How many cores this process may use: all, or as many as a job or a container was given."""

from __future__ import annotations

import os
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def cores(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """At least 1. The smaller of the affinity (`taskset`, Slurm) and the quota (containers)."""
    allowed = len(os.sched_getaffinity(0))
    return max(1, min(allowed, int(_quota(groups, own) or allowed)))


def _quota(groups: Path, own: Path) -> float | None:
    """Processors that the control groups of this process may use; None if there is no limit.

    A limit holds for all groups below it. groups: where version 2 (or, in "cpu", version 1) of the
    control groups is mounted; own: the list of the process's groups.
    """
    found = []
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = groups / "cpu" if controllers else groups
        # In a container the path may be that of the host, and its limit is then at the top.
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            found += _limit(folder)
    return min(found, default=None)


def _limit(folder: Path) -> list[float]:
    """The limit of one group, if it has one: microseconds of work in each period."""
    words = _text(folder / "cpu.max").split() or [
        *_text(folder / "cpu.cfs_quota_us").split(),
        *_text(folder / "cpu.cfs_period_us").split(),
    ]
    if len(words) != 2 or not all(word.isdecimal() for word in words) or int(words[1]) == 0:
        return []  # "max", -1, or not there
    return [int(words[0]) / int(words[1])]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
