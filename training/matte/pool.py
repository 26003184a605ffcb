"""Processes that work on items, in order. If one of them is killed, that costs one item."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, Protocol, TypeVar

import cv2

from training.matte.faults import Failure


class Named(Protocol):
    """What an item needs: a name to be called by."""

    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)
Result = TypeVar("Result")


class Pool(Generic[Item, Result]):
    """`work` must be picklable; results come in the order in which items were submitted."""

    def __init__(self, work: Callable[[Item], Result], workers: int) -> None:
        self._work, self._workers = work, workers
        self._processes = _processes(workers)
        self._submitted: deque[tuple[Item, Future[Result]]] = deque()

    @property
    def waiting(self) -> int:
        """How many results are still to be fetched."""
        return len(self._submitted)

    def submit(self, item: Item) -> None:
        try:
            future = self._processes.submit(self._work, item)
        except BrokenProcessPool:
            self._processes.shutdown()
            self._processes = _processes(self._workers)
            future = self._processes.submit(self._work, item)
        self._submitted.append((item, future))

    def next(self) -> Result | Failure:
        """The result for the item that was submitted first; Failure if it ended its process."""
        item, future = self._submitted.popleft()
        try:
            return future.result()
        except BrokenProcessPool:
            return self._alone(item)

    def _alone(self, item: Item) -> Result | Failure:
        """Try again in a process for this item only.

        If a process is killed, all items in the pool fail, and it is not known which one is the
        cause.
        """
        with _processes(1) as process:
            try:
                return process.submit(self._work, item).result()
            except BrokenProcessPool:
                reason = "its process was killed, perhaps because memory ran out"
                return Failure(item.name, reason)

    def close(self) -> None:
        self._processes.shutdown()


def _processes(count: int) -> ProcessPoolExecutor:
    # Not forked: a lock held by a thread of torch or OpenCV would never be released in the child.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, cv2.setNumThreads, (1,))
