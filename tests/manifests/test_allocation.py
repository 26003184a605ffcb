"""Freed memory stays with a process that asks for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Page faults while ten arrays of 8 MB, 2,000 pages each, are made and freed one after the other
FAULTS = """
import resource, sys
import numpy as np
from manifests.allocation import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(3):
    np.ones(1 << 23, np.uint8), np.ones(1 << 23, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    both = np.ones(1 << 23, np.uint8), np.ones(1 << 23, np.uint8)
    del both
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is asked")
def test_freed_memory_needs_no_new_pages() -> None:
    assert faults("keep") < 1000 < faults("leave")
