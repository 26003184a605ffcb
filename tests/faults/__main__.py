"""python -m tests.faults [FAULT ...] [--minutes M] [--seed N]"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.campaign import FAULTS, HEADER, Tally, campaign


def main() -> int:
    """Try the faults in turns until the time is over; how many of them cost a sample."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="parts of names; all by default")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = [
        name
        for name in FAULTS
        if not options.faults or any(part in name for part in options.faults)
    ]
    if not names:
        parser.error(f"no such fault; there are {', '.join(FAULTS)}")
    tallies = {name: Tally() for name in names}
    end, number = time.monotonic() + 60 * options.minutes, 0
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stderr(io.StringIO()),
        campaign(Path(folder), seed=options.seed) as running,
    ):
        while time.monotonic() < end:
            for name in names:
                if time.monotonic() < end:
                    running.try_once(name, number, tallies[name])
            number += 1
    print(HEADER)
    for name, tally in tallies.items():
        print(tally.line(name))
    return sum(not tally.is_clean for tally in tallies.values())


if __name__ == "__main__":
    sys.exit(main())
