"""A process uses the cores that it was given, not all that the machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from console.cores import cores

ALL = len(os.sched_getaffinity(0))


def test_affinity() -> None:
    """As `taskset -c` and Slurm set it."""
    one = min(os.sched_getaffinity(0))
    script = f"import os; os.sched_setaffinity(0, [{one}]); from console.cores import cores"
    ran = subprocess.run(
        [sys.executable, "-c", script + "; print(cores())"],
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
        check=True,
        capture_output=True,
    )
    assert ran.stdout == b"1\n"


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({}, "0::/\n", ALL),
        ({"cpu.max": "max 100000"}, "0::/\n", ALL),
        ({"cpu.max": "100000 100000"}, "0::/\n", 1),
        ({"cpu.max": "50000 100000"}, "0::/\n", 1),
        ({"cpu.max": "900000000 100000"}, "0::/\n", ALL),
        ({"job/cpu.max": "100000 100000", "job/step/cpu.max": "max 100000"}, "0::/job/step\n", 1),
        # The group has the host's name in a container, and its limit at the top
        ({"cpu.max": "100000 100000"}, "0::/docker/abc\n", 1),
        (
            {"cpu/job/cpu.cfs_quota_us": "100000", "cpu/job/cpu.cfs_period_us": "100000"},
            "4:memory:/job\n3:cpu,cpuacct:/job\n0::/\n",
            1,
        ),
        (
            {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"},
            "3:cpu,cpuacct:/job\n",
            ALL,
        ),
        ({"cpu.max": ""}, "", ALL),
    ],
)
def test_quota_of_control_groups(
    files: dict[str, str], own: str, expected: int, tmp_path: Path
) -> None:
    groups = tmp_path / "groups"
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    (tmp_path / "own").write_text(own)
    assert cores(groups, tmp_path / "own") == expected
