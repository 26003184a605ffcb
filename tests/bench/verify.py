"""Speed of `datagen verify` on real composites, as JSON.

    python -m tests.bench.verify [--against TREE]

Sets of 800 x 800 with and without layers are composed by the command, and their shards are checked
by one process, as a worker checks them. `--against` names a checkout of another version, which
composes and checks sets of its own in turns with this one. Rates are by the clock, the best turn
counts, and what is compiled or read once is not counted. Run it on an idle machine. It takes
three minutes against another version.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parents[2]
DATA = HERE.parent / "shared" / "data"
LAYERS = ("--layers", "--no-layers")
SOURCES = 12  # of each kind, so that composing is quick
TURNS, REPEATS = 3, 3

# The best seconds in which a version checks all shards of a set. It runs in the checkout of that
# version; the first one that is compared with had other names.
CHECK = """
import sys, time
from pathlib import Path
root, repeats = Path(sys.argv[1]), int(sys.argv[2])
try:
    from datagen.inspect.verify import promises_of, verify_shard
    from manifests import open_shards
    found = open_shards(root)
    of_set = (promises_of(found),)
except ImportError:
    from datagen.verify import verify_shard
    from manifests.dataset import read_dataset
    found = read_dataset(root)
    of_set = (root, found)
seconds = []
for _ in range(1 + repeats):
    begin = time.perf_counter()
    assert not any(verify_shard(*of_set, shard) for shard in found.shards)
    seconds.append(time.perf_counter() - begin)
print(min(seconds[1:]))
"""


def in_tree(tree: Path, *arguments: object) -> str:
    """What Python prints in a checkout."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"in {tree}: {done.stderr[-2000:]}")
    return done.stdout


def measure(trees: dict[str, Path], folder: Path, samples: int) -> dict[str, float]:
    sources: list[object] = []
    for option, name, suffix in (("--fg", "foregrounds", ".png"), ("--bg", "backgrounds", ".jpg")):
        (folder / name).mkdir()
        paths = (path for path in (DATA / name).iterdir() if path.suffix == suffix)
        for path in sorted(paths)[:SOURCES]:
            shutil.copy(path, folder / name)
        sources += [option, folder / name]
    figures: dict[str, float] = {}
    for layers in LAYERS:
        seconds = dict.fromkeys(trees, float("inf"))
        for name, tree in trees.items():
            out = ["--out", folder / f"{name}{layers}", "--samples", samples]
            in_tree(tree, "-m", "datagen.cli", "compose", *sources, *out, layers)
        for _ in range(TURNS):
            for name, tree in trees.items():
                taken = float(in_tree(tree, "-c", CHECK, folder / f"{name}{layers}", REPEATS))
                seconds[name] = min(seconds[name], taken)
        suffix = "_layers" if layers == "--layers" else ""
        for name in trees:
            figures[f"{name}{suffix}_per_second"] = round(samples / seconds[name], 1)
        if "against" in trees:
            figures[f"ratio{suffix}"] = round(seconds["against"] / seconds["verify"], 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of datagen verify, as JSON.")
    parser.add_argument("--against", type=Path, help="A checkout of another version.")
    parser.add_argument("--samples", type=int, default=144, help="Samples of each set.")
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
