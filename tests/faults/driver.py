"""A driver that stays: python -m tests.faults.driver ADDRESS FG BG

It composes on a cluster into each location that it reads, one a line, and answers with why that
failed, in a line that begins with "ended:".
"""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr

from datagen.cluster import cluster
from datagen.job import make_shard_set
from datagen.sources.folders import SourceFolders
from manifests.storage import location_of
from tests.faults.machine import ENDED, FEW, TOLD


def main(address: str, fg: str, bg: str) -> None:
    """Until the input ends."""
    folders = SourceFolders(location_of(fg), location_of(bg))
    with redirect_stderr(io.StringIO()), cluster(address=address) as ray:
        for line in sys.stdin:
            try:
                out = location_of(line.strip())
                result = make_shard_set(ray, folders, FEW, out, cache_bytes=10**9)
                failed = "; ".join(f"{one.shard}: {one.reason}" for one in result.failed)
            except TOLD as error:
                failed = f"{type(error).__name__}: {error}"
            print(f"\n{ENDED}{' '.join(failed.split())}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
