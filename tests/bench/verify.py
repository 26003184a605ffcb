"""Speed of `datagen verify` on real composites, as JSON.

    python -m tests.bench.verify [--against TREE]

Sets of 800 x 800 with and without layers are composed and verified by one worker, both by the
command itself. `--against` names a checkout of another version, which composes and verifies sets of
its own in turns with this one. Rates are by the clock, without the time that a set of 8 samples
takes, and the best turn counts; run it on an idle machine. It takes three minutes, or six.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parents[2]
DATA = HERE.parent / "shared" / "data"
FEW, TURNS = 8, 3
LAYERS = ("--layers", "--no-layers")


def datagen(tree: Path, *arguments: object) -> float:
    """Seconds of a command of the version in `tree`."""
    command = [sys.executable, "-m", "datagen.cli", *map(str, arguments)]
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} in {tree}: {done.stderr[-2000:]}")
    return time.perf_counter() - begin


def sources() -> list[object]:
    return ["--fg", DATA / "foregrounds", "--bg", DATA / "backgrounds"]


def measure(trees: dict[str, Path], folder: Path, samples: int) -> dict[str, float]:
    sets: dict[tuple[str, str, int], Path] = {}
    for name, tree in trees.items():
        for layers in LAYERS:
            for count in (FEW, samples):
                out = folder / f"{name}{layers}-{count}"
                datagen(tree, "compose", *sources(), "--out", out, "--samples", count, layers)
                sets[name, layers, count] = out
    seconds = dict.fromkeys(sets, float("inf"))
    for _ in range(TURNS):
        for which, out in sets.items():
            taken = datagen(trees[which[0]], "verify", "--shards", out, "--workers", 1)
            seconds[which] = min(seconds[which], taken)
    figures: dict[str, float] = {}
    for layers in LAYERS:
        rates = {
            name: (samples - FEW) / (seconds[name, layers, samples] - seconds[name, layers, FEW])
            for name in trees
        }
        suffix = "_layers" if layers == "--layers" else ""
        figures |= {f"{name}{suffix}_per_second": round(rate, 1) for name, rate in rates.items()}
        if "against" in rates:
            figures[f"ratio{suffix}"] = round(rates["verify"] / rates["against"], 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of datagen verify, as JSON.")
    parser.add_argument("--against", type=Path, help="A checkout of another version.")
    parser.add_argument("--samples", type=int, default=1000, help="Samples of each set.")
    options = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f"{DATA}: missing; the figures need real composites")
    trees = {"verify": HERE}
    if options.against is not None:
        trees["against"] = options.against.resolve()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(trees, Path(folder), options.samples), indent=1))


if __name__ == "__main__":
    main()
