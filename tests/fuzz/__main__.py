"""python -m tests.fuzz [READER ...] [--seconds N] [--seed N] [--keep DIR]"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.campaign import keep, run, summary
from tests.fuzz.readers import READERS


def main() -> int:
    """Fuzz the readers; the number of those that broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(READERS))
    parser.add_argument("--seconds", type=float, default=60.0, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="for the inputs")
    options = parser.parse_args()
    if unknown := [name for name in options.readers if name not in READERS]:
        parser.error(f"no reader {', '.join(unknown)}; there are {', '.join(READERS)}")
    broken = 0
    for name in options.readers or READERS:
        reader = READERS[name]
        with tempfile.TemporaryDirectory() as folder:
            count, found = run(reader, Path(folder), options.seed, options.seconds)
        kept = [keep(finding, name, options.keep) for finding in found]
        print(summary(reader, count, found, kept), flush=True)
        broken += bool(found)
    return broken


if __name__ == "__main__":
    sys.exit(main())
