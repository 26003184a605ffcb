"""Speed of `datagen compose` with as many sources as a whole data set has, as JSON.

    python -m tests.bench.scale [--samples N] [--foregrounds N] [--backgrounds N] [--folder DIR]

The sources are made from the real ones: each is scaled to a long side of 1,000 pixels, then cut,
mirrored and recoloured a little, differently for each. The same command composes samples of
800 x 800, without layers, with two workers: first from a few of these sources, then from all, then
with another seed from the working copies that are there. What is in memory of files (the working
copies) counts in `worker_rss_mb`, and not in `worker_own_mb`. Run it on an idle machine with 20 GB
of free disk. It takes about ten minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.bench.memory import Memory

DATA = Path(__file__).parents[3] / "shared" / "data"
LONG_SIDE, MARGIN = 1000, 12  # pixels
FEW = 63, 352  # the sources that there are, and that tests.bench.compose uses
WORKERS = 2


def make_variants(original: Path, names: list[Path]) -> None:
    """As many pictures as there are names, each with other pixels than the original."""
    with Image.open(original) as opened:
        picture = opened.convert("RGBA" if names[0].suffix == ".png" else "RGB")
    scale = (LONG_SIDE + MARGIN) / max(picture.size)
    size = round(picture.width * scale), round(picture.height * scale)
    whole = np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
    for number, name in enumerate(names):
        pixels = whole[number % MARGIN : number % MARGIN - MARGIN, MARGIN // 2 : -MARGIN // 2]
        pixels = pixels[:, ::-1].copy() if number % 2 else pixels.copy()
        pixels[..., number % 3] = pixels[..., number % 3] * (1 - 0.01 * number)
        Image.fromarray(pixels).save(name, compress_level=1, quality=92)


def make_sources(folder: Path, originals: Path, suffix: str, count: int) -> None:
    """`count` pictures in a folder, in the order of their names as different as possible."""
    folder.mkdir(parents=True)
    paths = sorted(path for path in originals.iterdir() if path.suffix == suffix)
    names = [folder / f"{number:05d}{suffix}" for number in range(count)]
    wanted = [(path, names[number :: len(paths)]) for number, path in enumerate(paths)]
    with ProcessPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(make_variants, *one) for one in wanted if one[1]]:
            done.result()


def some_of(folder: Path, count: int) -> Path:
    """A folder with the first sources of another."""
    few = folder.with_name(f"{folder.name}-few")
    few.mkdir()
    for path in sorted(folder.iterdir())[:count]:
        (few / path.name).hardlink_to(path)
    return few


def compose(foregrounds: Path, backgrounds: Path, out: Path, *more: object) -> dict[str, Any]:
    """What a run printed, and the most memory that it took."""
    command = [sys.executable, "-m", "datagen.cli", "compose", "--json", "--no-layers"]
    command += ["--fg", str(foregrounds), "--bg", str(backgrounds), "--out", str(out)]
    command += ["--workers", str(WORKERS), "--shard-size", "250", *map(str, more)]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        memory = Memory(running.pid)
        memory.start()
        printed, errors = running.communicate()
        memory.end()
    if running.returncode:
        raise SystemExit(errors.decode()[-2000:])
    result: dict[str, Any] = json.loads(printed)
    composing = result["samples"] / result["samples_per_second"]
    first = time.perf_counter() - begin - composing
    return {**result, "first": round(first, 1), "memory": memory}


def measure(folder: Path, samples: int, foregrounds: int, backgrounds: int) -> dict[str, float]:
    fgs, bgs, kept = folder / "fgs", folder / "bgs", folder / "kept"
    begin = time.perf_counter()
    make_sources(fgs, DATA / "foregrounds", ".png", foregrounds)
    make_sources(bgs, DATA / "backgrounds", ".jpg", backgrounds)
    making = time.perf_counter() - begin
    number = ("--samples", samples)
    few = compose(some_of(fgs, FEW[0]), some_of(bgs, FEW[1]), folder / "few", *number)
    every = compose(fgs, bgs, folder / "every", *number, "--cache", kept)
    again = compose(fgs, bgs, folder / "again", *number, "--cache", kept, "--seed", 1)
    fronts, behinds = (
        [path.stat().st_size for path in kept.rglob(f"{kind}/*.raw")]
        for kind in ("foregrounds", "backgrounds")
    )
    return {
        "foregrounds": foregrounds,
        "backgrounds": backgrounds,
        "samples_per_second": every["samples_per_second"],
        "samples_per_second_of_few_sources": few["samples_per_second"],
        "ratio": round(every["samples_per_second"] / few["samples_per_second"], 3),
        "first_sample_seconds": every["first"],
        "first_sample_seconds_from_cache": again["first"],
        "samples_per_second_from_cache": again["samples_per_second"],
        "bytes_per_foreground": round(sum(fronts) / len(fronts)),
        "bytes_per_background": round(sum(behinds) / len(behinds)),
        "working_copies_gb": round((sum(fronts) + sum(behinds)) / 1e9, 2),
        "driver_rss_mb": every["memory"].driver,
        "worker_rss_mb": every["memory"].worker,
        "worker_own_mb": every["memory"].worker_own,
        "seconds_to_make_the_sources": round(making, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of compose with many sources, as JSON.")
    parser.add_argument("--samples", type=int, default=5000, help="Samples of each run.")
    parser.add_argument("--foregrounds", type=int, default=440, help="How many to make.")
    parser.add_argument("--backgrounds", type=int, default=2000, help="How many to make.")
    parser.add_argument("--folder", type=Path, help="Where there is room for a temporary folder.")
    options = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f"{DATA}: missing; the sources are made from real ones")
    sizes = options.samples, options.foregrounds, options.backgrounds
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        print(json.dumps(measure(Path(folder), *sizes), indent=1))


if __name__ == "__main__":
    main()
