"""The sources of the experiment behind docs/results.md: 440 foregrounds and 2,000 photos.

    python -m tests.bench.full_set WORK [--only-real]

makes WORK/foregrounds and WORK/backgrounds, with labels that say what is held out. All 279 real
foregrounds and 1,476 real photos are taken; `datagen synth` makes the rest. The procedural
foregrounds go to the cells of subject and transparency that have fewest, so that these become
equally full.

Held out are GT16 to GT20, 35 other real foregrounds, drawn from the cells in proportion but at
least one from each that has a real one, and 200 real photos. With --only-real nothing procedural
is added; what is held out is the same.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from manifests.sources import Split, Subject, Transparency
from tests.bench.real_masks import HELD_OUT

DATA = Path(__file__).parents[3] / "shared" / "data"
SEED = 0
FOREGROUNDS, BACKGROUNDS = 440, 2_000
MORE_HELD_OUT = 35
HELD_OUT_FOREGROUNDS, HELD_OUT_BACKGROUNDS = len(HELD_OUT) + MORE_HELD_OUT, 200
SIZE = 640  # long side of what is procedural; half of the real sources are smaller
# Of the set that is composed from these sources, by `datagen compose`
SETTINGS: dict[str, Any] = {
    "size": 512,
    "shard_size": 500,
    "holdout_fg": HELD_OUT_FOREGROUNDS,
    "holdout_bg": HELD_OUT_BACKGROUNDS,
    "seed": SEED,
}
Cell = tuple[Subject, Transparency]
CELLS = [(s, t) for s in (Subject.HUMAN, Subject.NON_HUMAN) for t in Transparency]


@dataclass(frozen=True)
class Source:
    """A file, and what its labels say; a photo has no cell."""

    folder: Path
    file: str
    origin: str
    cell: Cell | None = None


def labelled(folder: Path, labels: Path, origin: str | None = None) -> list[Source]:
    """The sources of a folder. origin: where they are from, if the labels do not say that."""
    with labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        cell = None
        if "subject" in row:
            cell = Subject(row["subject"]), Transparency(row["transparency"])
        found.append(Source(folder, row["file"], origin or row["source"], cell))
    return found


def real(kind: str) -> list[Source]:
    folders = (DATA / kind, DATA / "full" / kind)
    return [s for folder in folders for s in labelled(folder, folder.with_suffix(".csv"))]


def procedural(work: Path, foregrounds: int, backgrounds: int) -> tuple[list[Source], list[Source]]:
    """At least so many, made by `datagen synth`: as many of each cell."""
    folder = work / "procedural"
    if not folder.exists():
        program = Path(sys.executable).with_name("datagen")
        counts = ["--fg", str(foregrounds), "--bg", str(backgrounds), "--size", str(SIZE)]
        subprocess.run([program, "synth", "--out", folder, *counts, "--workers", "1"], check=True)
    fgs, bgs = folder / "fgs", folder / "bgs"
    return (
        labelled(fgs, fgs / "foregrounds.csv", "procedural"),
        labelled(bgs, bgs / "backgrounds.csv", "procedural"),
    )


def held_out_foregrounds(sources: list[Source]) -> set[str]:
    """GT16 to GT20, and others of each cell in proportion to its size."""
    rng = np.random.default_rng([SEED, 0])
    names = {s.file for s in sources if Path(s.file).stem.endswith(tuple(HELD_OUT))}
    others = of_cells(s for s in sources if s.file not in names)
    total = sum(map(len, others.values()))
    exact = {cell: MORE_HELD_OUT * len(files) / total for cell, files in others.items()}
    count = {cell: max(1, int(share)) for cell, share in exact.items()}
    while sum(count.values()) < MORE_HELD_OUT:  # the largest remainders first
        count[max(exact, key=lambda cell: exact[cell] - count[cell])] += 1
    for cell, files in others.items():
        names |= set(rng.permutation(sorted(files))[: count[cell]].tolist())
    return names


def of_cells(sources: Iterable[Source]) -> dict[Cell, list[str]]:
    found = defaultdict(list)
    for source in sources:
        assert source.cell is not None
        found[source.cell].append(source.file)
    return dict(sorted(found.items()))


def additions(sources: list[Source], total: int) -> dict[Cell, int]:
    """How many each cell gets, one after the other to the one that has fewest."""
    have = dict.fromkeys(CELLS, 0) | {c: len(x) for c, x in of_cells(sources).items()}
    given = dict.fromkeys(CELLS, 0)
    for _ in range(total - len(sources)):
        given[min(CELLS, key=lambda cell: have[cell] + given[cell])] += 1
    return given


def gather(work: Path, only_real: bool = False) -> None:
    """Make work/foregrounds and work/backgrounds, which must not be there."""
    foregrounds, backgrounds = real("foregrounds"), real("backgrounds")
    fg_out = held_out_foregrounds(foregrounds)
    rng = np.random.default_rng([SEED, 1])
    bg_out = set(rng.permutation([s.file for s in backgrounds])[:HELD_OUT_BACKGROUNDS].tolist())
    if not only_real:
        wanted = additions(foregrounds, FOREGROUNDS)
        missing = BACKGROUNDS - len(backgrounds)
        made, photos = procedural(work, max(wanted.values()) * len(CELLS), missing)
        for source in made:
            assert source.cell is not None
            if wanted[source.cell]:
                wanted[source.cell] -= 1
                foregrounds.append(source)
        backgrounds += photos[:missing]
    write(work / "foregrounds", foregrounds, fg_out)
    write(work / "backgrounds", backgrounds, bg_out)


def write(folder: Path, sources: list[Source], held_out: set[str]) -> None:
    """A folder of links, and its labels."""
    folder.mkdir(parents=True)
    assert len({source.file for source in sources}) == len(sources)
    with (folder / f"{folder.name}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "source", "split", "subject", "transparency"))
        for source in sources:
            (folder / source.file).symlink_to(source.folder.resolve() / source.file)
            split = Split.VAL if source.file in held_out else Split.TRAIN
            writer.writerow((source.file, source.origin, split, *(source.cell or ("", ""))))
    print(f"{folder}: {len(sources)} files, {len(held_out)} of them held out")


def main() -> None:
    parser = argparse.ArgumentParser(description="The sources of the experiment.")
    parser.add_argument("work", type=Path)
    parser.add_argument("--only-real", action="store_true", help="Add nothing procedural.")
    options = parser.parse_args()
    gather(options.work, options.only_real)


if __name__ == "__main__":
    main()
