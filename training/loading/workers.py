"""Other processes that make what the loop takes, in order, and that never outlive it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

Made = TypeVar("Made")


def in_order(dataset: Dataset[Made], workers: int, numbers: range) -> Generator[Made, None, None]:
    """dataset[number] for each number, made by `workers` processes, or by this one if 0.

    Closing it ends the processes. Raises RuntimeError if one of them is killed.
    """
    made = _loader(dataset, workers, numbers)
    try:
        for number in numbers:
            yield _next(made, number)
    finally:
        del made  # torch ends its processes with the iterator


def _loader(dataset: Dataset[Made], workers: int, numbers: range) -> Iterator[Made]:
    # A fork would copy the locks of threads that it does not copy: the loop's, CUDA's. A server
    # that forks has none, and what it has imported is shared by all.
    server = get_context("forkserver")
    server.set_forkserver_preload([type(dataset).__module__])
    with warnings.catch_warnings(), _deaf_to_interrupts():
        # More workers than cores are the caller's to choose
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        return iter(
            DataLoader(
                dataset,
                batch_size=None,
                sampler=numbers,
                num_workers=workers,
                collate_fn=_as_it_is,
                worker_init_fn=_begin,
                multiprocessing_context=server if workers else None,
                pin_memory=torch.cuda.is_available(),
                # Its own: else each loader would draw from the generator that the model uses
                generator=torch.Generator(),
            )
        )


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started meanwhile never see Ctrl-C, which a terminal sends to all: the loop ends
    them. They inherit the mask, so there is no moment at which one could be hit."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _next(made: Iterator[Made], number: int) -> Made:
    try:
        return next(made)
    # Whether torch finds a dead process or one dies while it hands over a tensor is chance
    except (RuntimeError, OSError, EOFError) as error:
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        raise RuntimeError(
            f"batch {number}: a process that loads was killed, or ran out of memory or of "
            f"/dev/shm; try fewer workers or a smaller batch ({error})"
        ) from error


def _as_it_is(made: Any) -> Any:
    return made


def _begin(number: int) -> None:
    cv2.setNumThreads(0)  # one process a core is enough
    sys.excepthook = _say_nothing_of_a_loop_that_is_gone
    threading.Thread(target=_end_with_the_loop, daemon=True).start()


def _say_nothing_of_a_loop_that_is_gone(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """A loop interrupted while it takes a batch has its own error; here a pipe breaks."""
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


def _end_with_the_loop() -> None:
    """End this process when the one that runs the loop is gone, however it was killed.

    torch looks at the parent instead, which here is the server; and the server stays as long as
    it has children.
    """
    loop = parent_process()
    if loop is not None:
        wait([loop.sentinel])
        os._exit(1)
