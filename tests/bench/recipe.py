"""Short trainings with one change each: what does each do to the error on held-out samples?

    python -m tests.bench.recipe SHARDS --out DIR [--only NAME,...] [--seed N]

An `an-tw` of 250 batches of 16: the same samples in the same order, unless it is these that are
changed. SHARDS are 3,000 small
samples of the sources of `tests.bench.evidence`:

    datagen compose --fg WORK/foregrounds --bg WORK/backgrounds --out SHARDS --samples 3000 \\
        --size 320 --shard-size 500 --holdout-fg 40 --holdout-bg 200

A change that the trainer does not offer is made here, by putting something else in the place of a
part of it. Prints a table; a run that is in DIR already is not repeated. Each takes two minutes on
two idle cores.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from manifests import open_shards
from manifests.shard_set import ShardSet
from manifests.sources import Split
from training.choices import Precision
from training.loading import batches
from training.loading.order import Order, Place
from training.log import METRICS
from training.net import losses
from training.processes import Processes
from training.settings import TrainSettings
from training.train import News, Stopped, train

ITERATIONS, HALF, WARM_UP = 250, 125, 25
SMALL_CROP, LARGE_CROP = 160, 272  # together they have the pixels of two crops of 224, to 1 %
BASE = TrainSettings(
    batch_size=16,
    crop_size=224,
    scale_probability=0.8,
    iterations=ITERATIONS,
    lr=1e-3,
    precision=Precision.BF16,
    validate_every=HALF,
    validation_samples=100,
    workers=1,
)
ALONE = Processes(0, 1, torch.device("cpu"))


@dataclass(frozen=True)
class Change:
    """settings: of the run. part: what is put in another's place while it trains. first_crop: the
    size of the crops in its first half, if it is another."""

    settings: TrainSettings = BASE
    part: Callable[[ShardSet], AbstractContextManager[object]] = lambda shards: nullcontext()
    first_crop: int | None = None


def warmed_up(settings: TrainSettings, iteration: int) -> float:
    return _RATE(settings, iteration) * min(1.0, (iteration + 1) / WARM_UP)


_RATE = TrainSettings.learning_rate


def balanced(logits: Tensor, trimap: Tensor) -> Tensor:
    """Cross entropy in which the three classes of a batch weigh the same."""
    pixels = torch.bincount(trimap.flatten(), minlength=3).clamp(min=1)
    return cross_entropy(logits, trimap, weight=(trimap.numel() / 3 / pixels).float())


class Half(Order):
    """Of twice as many samples, the half with the best or the worst crude trimaps."""

    def __init__(self, wrong: Sequence[Sequence[float]], *order: Any) -> None:
        """wrong: for each sample of each shard; the half with the smaller values is kept."""
        super().__init__(*order)
        self._wrong = wrong

    def places(self, begin: int, end: int) -> Iterator[Place]:
        drawn = list(super().places(2 * begin, 2 * end))
        best = sorted(drawn, key=lambda place: self._wrong[place.shard][place.sample])
        kept = set(best[: end - begin])
        return (place for place in drawn if place in kept)


def by_error(sign: int, shards: ShardSet) -> AbstractContextManager[object]:
    """By the share of what a crude trimap claims to know that is wrong, times the sign."""
    files = [
        Path(f"{shards.root}/index/{one.name}.parquet") for one in shards.split(Split.TRAIN).shards
    ]
    shares = [pq.read_table(file)["crude_wrong_known_share"].to_pylist() for file in files]
    wrong = [[sign * share for share in of_shard] for of_shard in shares]
    return patch.object(batches, "Order", partial(Half, wrong))


CHANGES = {
    "none": Change(),
    "lr 2e-3": Change(replace(BASE, lr=2e-3)),
    "warm-up of 25 batches": Change(
        part=lambda _: patch.object(TrainSettings, "learning_rate", warmed_up)
    ),
    "crops of 160 then of 272": Change(replace(BASE, crop_size=LARGE_CROP), first_crop=SMALL_CROP),
    "weight of the rest 5": Change(part=lambda _: patch.object(losses, "REST", 5.0)),
    "weight of the rest 20": Change(part=lambda _: patch.object(losses, "REST", 20.0)),
    "classes of the trimap weigh the same": Change(
        part=lambda _: patch.object(losses, "cross_entropy", balanced)
    ),
    "the better half of the crude trimaps": Change(part=partial(by_error, 1)),
    "the worse half of the crude trimaps": Change(part=partial(by_error, -1)),
}


def errors(change: Change, shards: Path, seed: int, run: Path) -> dict[int, float]:
    """Iteration -> SAD of the whole image on held-out samples."""
    settings = replace(change.settings, shards=str(shards), seed=seed)
    if not _ended(run):
        shutil.rmtree(run, ignore_errors=True)
        opened = open_shards(shards)
        with change.part(opened):
            if change.first_crop is not None:
                done = count(1)
                first = replace(settings, crop_size=change.first_crop)
                with suppress(Stopped):
                    train(opened, first, run, ALONE, _silent, lambda: next(done) == HALF)
            train(opened, settings, run, ALONE, _silent)
    lines = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    return {x["iteration"]: x["validation"]["sad_whole"] for x in lines if "validation" in x}


def _ended(run: Path) -> bool:
    lines = (run / METRICS).read_text().splitlines() if (run / METRICS).exists() else []
    return any("validation" in x and f'"iteration": {ITERATIONS},' in x for x in lines)


def _silent(news: News) -> None:
    """Say nothing: the table is what is wanted."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Short trainings with one change each.")
    parser.add_argument("shards", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default=",".join(CHANGES), help="Changes, with commas between.")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"| change | error at {HALF} | error at {ITERATIONS} |\n| --- | --- | --- |")
    for name in options.only.split(","):
        run = options.out / f"{name.replace(' ', '-')}-{options.seed}"
        found = errors(CHANGES[name], options.shards, options.seed, run)
        print(f"| {name} | {found[HALF]:.3f} | {found[ITERATIONS]:.3f} |", flush=True)


if __name__ == "__main__":
    main()
