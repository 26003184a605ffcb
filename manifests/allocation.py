"""Memory that was freed stays with the process, ready for the next array of the same size."""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_BYTES = 1 << 30


@cache
def keep_freed_memory() -> None:
    """Let the allocator keep up to 1 GB of freed memory.

    By default, glibc returns each large array to the system when it is freed, and the next one is
    new memory again, which the system has to clear page by page. For images of 2 MB, that takes as
    long as a pass over their pixels. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            mallopt(parameter, _BYTES)
