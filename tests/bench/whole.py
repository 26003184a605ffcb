"""The whole data set, 880,000 samples, through every command, as JSON.

    python -m tests.bench.whole FOLDER [--samples N] [--size N] [--workers N]

FOLDER holds the sources, foregrounds/ and backgrounds/, as `python -m tests.bench.full_set FOLDER`
makes them. It gets the shards, and whole.jsonl with one line a step: the seconds by the clock, and
the most memory of the command and of its largest worker, without what is in memory of files. Steps
whose line is there are not repeated, and composing goes on where it was stopped, so that the same
command may be given again; its seconds are then those of the last part. Take an idle machine. With
the defaults it takes hours and 30 GB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from tests.bench.memory import Memory

SAMPLES, SIZE = 880_000, 128
BATCH, CROP = 256, 64


def read_epoch(root: str, workers: int) -> int:
    """The samples of one epoch of the trainer's loader."""
    from manifests import open_shards
    from training.loading.batches import batches
    from training.settings import LoaderSettings

    samples = open_shards(root).split("train")
    settings = LoaderSettings(batch_size=BATCH, crop_size=CROP, layers=False, workers=workers)
    with closing(batches(samples, settings, 0, len(samples) // BATCH)) as made:
        return sum(len(batch.keys) for batch in made)


def read_stream(root: str) -> int:
    """The training samples by the `datasets` library, streamed."""
    import datasets

    return sum(1 for _ in datasets.load_dataset(root, streaming=True)["train"])


def steps(folder: Path, samples: int, size: int, workers: int) -> dict[str, list[str]]:
    """The commands by their names."""
    shards = str(folder / "shards")
    sources = ["--fg", str(folder / "foregrounds"), "--bg", str(folder / "backgrounds")]
    made = ["--samples", str(samples), "--size", str(size), "--no-layers", "--out", shards]
    datagen, here = ["-m", "datagen.cli"], ["-m", "tests.bench.whole", str(folder)]
    several = ["--workers", str(workers)]
    return {
        "compose": [*datagen, "compose", *sources, *made, *several],
        "stats": [*datagen, "stats", "--shards", shards, "--by-transparency"],
        "verify": [*datagen, "verify", "--shards", shards, *several],
        "report": [*datagen, "report", "--shards", shards, "--out", str(folder / "report.html")],
        "loader": [*here, "--read", "loader", *several],
        "datasets": [*here, "--read", "datasets"],
    }


def run(command: list[str]) -> dict[str, float]:
    """The seconds and the memory of a command, which shows its progress itself."""
    begin = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL) as running:
        memory = Memory(running.pid)
        memory.start()
        code = running.wait()
        memory.end()
    if code:
        raise SystemExit(f"{' '.join(command)}: exit code {code}")
    return {
        "seconds": round(time.perf_counter() - begin, 1),
        "command_mb": memory.driver,
        "worker_mb": memory.worker_own,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The whole data set through every command.")
    parser.add_argument("folder", type=Path, help="Folder of foregrounds/ and backgrounds/.")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="Training samples.")
    parser.add_argument("--size", type=int, default=SIZE, help="Side of a sample, in pixels.")
    parser.add_argument("--workers", type=int, default=2, help="Worker processes.")
    parser.add_argument("--read", choices=("loader", "datasets"), help="Only read all samples so.")
    options = parser.parse_args()
    shards = str(options.folder / "shards")
    if options.read:
        is_loader = options.read == "loader"
        read = read_epoch(shards, options.workers) if is_loader else read_stream(shards)
        print(f"{read} samples", file=sys.stderr)
        return
    lines = options.folder / "whole.jsonl"
    done = lines.read_text().splitlines() if lines.exists() else []
    there = {json.loads(line)["step"] for line in done}
    sizes = options.samples, options.size, options.workers
    for step, command in steps(options.folder, *sizes).items():
        if step not in there:
            figures = {"step": step, "samples": options.samples, "size": options.size}
            line = json.dumps({**figures, **run(command)})
            with lines.open("a") as file:
                print(line, file=file)
    print(lines.read_text(), end="")


if __name__ == "__main__":
    main()
