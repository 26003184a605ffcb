"""What 880,000 samples of 800 x 800 cost from the sources of a whole set, as JSON.

    python -m tests.bench.cost FOLDER [--samples N] [--parts N]

FOLDER holds foregrounds/ and backgrounds/, as `python -m tests.bench.full_set FOLDER` makes them.
By default 20,000 samples without layers are composed with two workers, in four sets of other seeds
that share their working copies; the spread is that between the sets. Where labels hold out sources,
each set has as many held-out samples, too. Run it on an idle machine with 30 GB of free disk. It
takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, stdev

WHOLE, WORKERS, NODE_CORES = 880_000, 2, 16
SIZE = 800


def compose(folder: Path, out: Path, cache: Path, samples: int, seed: int) -> dict[str, float]:
    """What `datagen compose --json` says of a set, and its seconds by the clock."""
    begin = time.monotonic()
    sources = ["--fg", str(folder / "foregrounds"), "--bg", str(folder / "backgrounds")]
    made = ["--size", str(SIZE), "--no-layers", "--samples", str(samples), "--seed", str(seed)]
    where = ["--out", str(out), "--cache", str(cache), "--workers", str(WORKERS), "--json"]
    command = [sys.executable, "-m", "datagen.cli", "compose", *sources, *made, *where]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return {**json.loads(printed), "clock_seconds": time.monotonic() - begin}


def main() -> None:
    """Print the rates, and the hours that they mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--parts", type=int, default=4)
    options = parser.parse_args()
    each = options.samples // options.parts
    with tempfile.TemporaryDirectory(dir=options.folder) as own:
        cache = Path(own) / "cache"
        found = []
        for seed in range(options.parts):
            out = Path(own) / f"shards-{seed}"
            found.append(compose(options.folder, out, cache, each, seed))
            print(json.dumps(found[-1]), file=sys.stderr, flush=True)
        copies = sum(path.stat().st_size for path in cache.rglob("*.raw"))
    rates = [one["samples_per_second"] for one in found]
    spread = stdev(rates) / mean(rates) if len(rates) > 1 else 0.0
    hours = WHOLE / mean(rates) / 3600
    first, later = found[0]["clock_seconds"], [one["clock_seconds"] for one in found[1:]]
    samples = sum(one["samples"] for one in found)
    per_sample = sum(one["bytes"] for one in found) / samples
    figures = {
        "samples": samples,
        "samples_per_second": round(mean(rates), 1),
        "relative_spread": round(spread, 3),
        "hours_here": round(hours, 2),
        "hours_of_16_cores": round(hours * WORKERS / NODE_CORES, 2),
        "seconds_to_prepare": round(first - mean(later), 1) if later else None,
        "bytes_per_sample": round(per_sample),
        "whole_gb": round(per_sample * WHOLE / 1e9),
        "working_copies_gb": round(copies / 1e9, 2),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
