"""Processes that make the batches for the training loop, in order, and that end with it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from console.interrupts import ENDS

Made = TypeVar("Made")


def in_order(dataset: Dataset[Made], workers: int, numbers: range) -> Generator[Made, None, None]:
    """dataset[number] for each number, made by `workers` processes, or by this one if 0.

    Closing the generator ends the processes. Raises RuntimeError if one of them is killed.
    """
    made = _loader(dataset, workers, numbers)
    try:
        for number in numbers:
            yield _next(made, number)
    finally:
        del made  # torch ends its processes with the iterator


def _loader(dataset: Dataset[Made], workers: int, numbers: range) -> Iterator[Made]:
    # A fork of this process would copy locks that are held by other threads (CUDA's, say), but not
    # the threads that release them. The fork server has no threads, and the modules that it has
    # imported are shared by all workers.
    server = get_context("forkserver")
    server.set_forkserver_preload([type(dataset).__module__])
    with warnings.catch_warnings(), _ends_blocked():
        # The caller may choose more workers than there are cores
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
                # By default each loader would draw from the generator that the model uses
                generator=torch.Generator(),
            )
        )


@contextmanager
def _ends_blocked() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C and the signals of a system (see `ENDS`).

    A terminal, Slurm or `timeout` sends them to all processes of a group. Here the loop goes on to
    the end of its iteration, needs its workers until then, and ends them itself. Processes inherit
    the signal mask, so it holds from their first moment.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        resource_tracker.ensure_running()  # if it starts here, it lets some of them through again
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _next(made: Iterator[Made], number: int) -> Made:
    try:
        return next(made)
    # Which error it is depends on when exactly the process dies
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
    cv2.setNumThreads(0)  # the processes use all cores already
    sys.excepthook = _ignore_broken_pipes
    for end in (_end_with_the_loop, _end_by_the_loop):
        threading.Thread(target=end, daemon=True).start()


def _ignore_broken_pipes(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """A pipe breaks when the loop is interrupted; the loop reports that itself."""
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


def _end_with_the_loop() -> None:
    """End this process when the one that runs the loop is gone, however it was killed.

    torch watches the parent process instead. That is the fork server here, which stays alive as
    long as it has children.
    """
    loop = parent_process()
    if loop is not None:
        wait([loop.sentinel])
        os._exit(1)


def _end_by_the_loop() -> None:
    """End this process on a SIGTERM of the loop, with which torch ends one that is too slow."""
    loop = parent_process()
    while loop is not None:
        if signal.sigwaitinfo({signal.SIGTERM}).si_pid == loop.pid:
            os._exit(1)
