"""A machine that composes in one process: python -m tests.faults.machine FG BG OUT COPIES

It is `datagen compose` without Ray, which takes most of the time of a small set. With --files or
--bytes it may open only so many files, or have only so many more bytes of memory.
"""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path

from datagen.job import make_shard_set
from datagen.prepare import BadSourcesError
from datagen.resume import RefusedError
from datagen.settings import Settings
from datagen.sources.folders import SourceFolders
from manifests.storage import location_of
from tests.datagen.in_process import InProcess

FEW = Settings(size=96, shard_size=3, samples=36)
OF_FEW = ("--size", "96", "--shard-size", "3", "--samples", "36", "--workers", "2")

# How a run tells what is wrong: the commands print these as a sentence.
TOLD = (OSError, ValueError, RuntimeError, MemoryError, RefusedError, BadSourcesError)

ENDED = "ended:"  # begins a driver's answer


def main() -> str:
    """Compose; returns what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.machine", description=__doc__)
    parser.add_argument("locations", nargs=4, metavar="FG BG OUT COPIES")
    parser.add_argument("--files", type=int)
    parser.add_argument("--bytes", type=int)
    options = parser.parse_args()
    fg, bg, out, copies = options.locations
    if options.files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (options.files, options.files))
    if options.bytes is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + options.bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    folders = SourceFolders(location_of(fg), location_of(bg))
    try:
        result = make_shard_set(InProcess(), folders, FEW, location_of(out), cache=Path(copies))
    except TOLD as error:
        return f"error: {type(error).__name__}: {error}"
    return "; ".join(f"{one.shard}: {one.reason}" for one in result.failed)


if __name__ == "__main__":
    sys.exit(main() or None)
