"""Compose a set on a machine without Ray: the same shards, made by plain processes.

    python -m tests.bench.without_ray WORK [--samples N] [--workers N] [--no-layers]

WORK has the folders of `tests.bench.full_set`; the set is that of `tests.bench.evidence`. Machines
with a GPU often have torch and little else, and no way to install Ray.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from pathlib import Path

import cv2

from console.cores import cores
from datagen.cluster import Cluster, Item, Outcome, Result
from datagen.job import make_shard_set
from datagen.printing import print_result
from datagen.settings import Settings
from datagen.sources.folders import SourceFolders
from manifests.allocation import keep_freed_memory
from tests.bench.full_set import SETTINGS


class Pool(Cluster):
    """Runs tasks as `Cluster` does; but a task that fails ends everything."""

    def run(
        self,
        function: Callable[..., Result],
        items: Iterable[Item],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Outcome[Item, Result]]:
        waiting = iter(enumerate(items))
        running: dict[Future[Result], tuple[int, Item]] = {}
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.workers, context, _begin) as pool:
            while True:
                for number, item in islice(waiting, 2 * self.workers - len(running)):
                    further = () if on_progress is None else (_unheard,)
                    running[pool.submit(function, item, *further)] = number, item
                if not running:
                    return
                for task in wait(running, return_when=FIRST_COMPLETED).done:
                    yield Outcome(*running.pop(task), task.result(), "")


def _begin() -> None:
    cv2.setNumThreads(1)
    keep_freed_memory()


def _unheard(samples: int, bytes_: int) -> None:
    """A report that nobody listens to."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Compose the set of the experiment without Ray.")
    parser.add_argument("work", type=Path)
    parser.add_argument("--samples", type=int, default=40_000)
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--no-layers", action="store_true")
    options = parser.parse_args()
    work = options.work
    folders = SourceFolders(work / "foregrounds", work / "backgrounds")
    layers = not options.no_layers
    settings = Settings(samples=options.samples, layers=layers, **SETTINGS)
    out = work / "shards"
    print_result(make_shard_set(Pool(options.workers), folders, settings, out), out)


if __name__ == "__main__":
    main()
