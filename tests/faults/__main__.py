"""python -m tests.faults [FAULT ...] [--minutes M] [--times N] [--seed N]"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.campaign import HEADER, Tally, campaign
from tests.faults.kinds import FAULTS


def main() -> int:
    """Try the faults in turns until the time is over; how many of them cost a sample.

    Ctrl-C ends it earlier. It mounts small disks and starts machines, for which it has to be root.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="parts of names; all by default")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--times", type=int, default=sys.maxsize, help="at most, of each")
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
    end = time.monotonic() + 60 * options.minutes
    with (
        contextlib.suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stderr(io.StringIO()),
        campaign(Path(folder), seed=options.seed) as running,
    ):
        rounds = ((number, name) for number in range(options.times) for name in names)
        while time.monotonic() < end and (one := next(rounds, None)):
            number, name = one
            running.try_once(name, number, tallies[name])
    print(HEADER)
    for name, tally in tallies.items():
        print(tally.line(name))
    for tally in tallies.values():
        print(*tally.notes, sep="\n", end="\n" if tally.notes else "")
    return sum(not tally.is_clean for tally in tallies.values())


if __name__ == "__main__":
    sys.exit(main())
