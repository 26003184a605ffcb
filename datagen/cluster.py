"""The scheduler, the only file that knows Ray. Tasks go out, failure comes back as a value.

Without an address an embedded Ray is started for this run alone: on loopback, no dashboard, no
usage statistics, a token of its own. With one, the tasks run on that cluster, whose machines need
this package and the same paths.
"""

from __future__ import annotations

import errno
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Any, Generic, TypeVar, cast

import cv2

Item = TypeVar("Item")
Result = TypeVar("Result")

# Set before Ray is imported, which reads them then.
_EMBEDDED = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's own name for "listen on loopback only"
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A sample allocates the same few megabytes again and again; glibc would return them to the
    # kernel each time, and zeroing new pages took 7 % of a worker's time.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}

_WORKER_RETRIES = 3  # of a task whose worker was killed
_WRITE_RETRIES = 2  # of a task that a passing fault of the file system stopped
_FINAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT}
_REPORT_SECONDS = 0.25


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of one item: a value, or the reason why there is none."""

    number: int  # of the item, in the order given
    item: Item
    value: Result | None
    error: str


@dataclass(frozen=True)
class Cluster:
    """Where tasks run: `workers` at a time."""

    workers: int

    def run(
        self,
        function: Callable[..., Result],
        items: Iterable[Item],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Outcome[Item, Result]]:
        """function(item) for each item, in any order, as they end.

        With `on_progress` the function is called as function(item, report), and what the tasks
        report is added up: on_progress(samples, bytes), a few times a second.
        """
        import ray

        board = _board() if on_progress else None
        shared = ray.put(function)  # once: with each task, what it holds would be copied again
        # Work waits on the driver, not in Ray: the queue of 880 shards, or of 100,000 files,
        # would be held in its memory.
        waiting = iter(enumerate(items))
        task = ray.remote(num_cpus=1, max_retries=_WORKER_RETRIES)(_attempt)
        running: dict[Any, tuple[int, Item]] = {}
        shown = 0.0
        with _cancelling(running):
            while True:
                for number, item in islice(waiting, max(0, 4 * self.workers - len(running))):
                    running[task.remote(shared, item, number, board)] = (number, item)
                if not running:
                    break
                done, _ = ray.wait(list(running), num_returns=1, timeout=_REPORT_SECONDS)
                is_due = time.monotonic() - shown >= _REPORT_SECONDS
                if board is not None and on_progress and is_due:
                    on_progress(*ray.get(board.total.remote()))
                    shown = time.monotonic()
                for reference in done:
                    yield _outcome(*running.pop(reference), reference)
        if board is not None and on_progress:
            on_progress(*ray.get(board.total.remote()))

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        on_done: Callable[[], None] | None = None,
    ) -> list[Result]:
        """The results in the order of the items; RuntimeError if one could not be had."""
        results: dict[int, Result] = {}
        for outcome in self.run(function, items):
            if outcome.error:
                raise RuntimeError(f"{outcome.item}: {outcome.error}")
            results[outcome.number] = cast(Result, outcome.value)
            if on_done:
                on_done()
        return [results[number] for number in range(len(results))]


@contextmanager
def cluster(workers: int | None = None, address: str | None = None) -> Iterator[Cluster]:
    """Start an embedded Ray with `workers` processes (default: one per core), or join `address`.

    If the program has started Ray already, that one is used and goes on afterwards. Ray prints a
    line on standard output for each worker that dies, whatever its settings say.

    Raises ConnectionError if there is no cluster at the address, ValueError for an address if Ray
    runs already in this process.
    """
    if address is not None:
        _knock(address)
    if is_running():
        if address is not None:
            raise ValueError(
                f"Ray runs already in this program, so it cannot join {address}; leave the address "
                "out, or call ray.shutdown() before"
            )
        yield from _joined(workers)
        return
    if address is None:
        os.environ.update(_EMBEDDED)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    with ExitStack() as stack:
        stack.enter_context(_own_sigterm())
        if address is None:
            folder = TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
            count = workers or os.cpu_count() or 1
            ray.init(
                address="local",
                num_cpus=count,
                include_dashboard=False,
                object_store_memory=128 << 20,  # samples never pass through it
                _temp_dir=stack.enter_context(folder),
                **quiet,
            )
        else:
            try:
                ray.init(address=address, **quiet)
            except (OSError, ValueError, RuntimeError) as error:
                raise ConnectionError(f"no Ray cluster at {address}: {error}") from error
            count = workers or _cores()
        stack.callback(ray.shutdown)
        try:
            yield Cluster(count)
        except ray.exceptions.RayError as error:
            raise RuntimeError(f"Ray: {error}") from error


def is_running() -> bool:
    """Whether this process is connected to a Ray already."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _joined(workers: int | None) -> Iterator[Cluster]:
    """The Ray that the program has started, which is not ended here."""
    import ray

    try:
        yield Cluster(workers or _cores())
    except ray.exceptions.RayError as error:
        raise RuntimeError(f"Ray: {error}") from error


def _cores() -> int:
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray handles SIGTERM while it runs; afterwards the caller's handler is back."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # no other can set handlers
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _cancelling(running: dict[Any, Any]) -> Iterator[None]:
    """Whatever ends the body, no task goes on writing after it."""
    try:
        yield
    finally:
        if running:
            import ray

            for reference in running:
                ray.cancel(reference, force=True)
            ray.wait(list(running), num_returns=len(running), timeout=10)


def _knock(address: str) -> None:
    """Raise ConnectionError if nobody listens at HOST:PORT; Ray would try for half an hour."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:  # OverflowError: no such port
            raise ConnectionError(f"no Ray cluster at {address}: {error}") from error


def _attempt(function: Callable[..., Any], item: Any, number: int, board: Any) -> tuple[Any, str]:
    """Run one item in a worker; (value, "") or (None, reason)."""
    cv2.setNumThreads(1)  # one core per worker: Ray counts the cores
    report = None if board is None else _Reporter(board, number)
    for trial in range(_WRITE_RETRIES + 1):
        try:
            value = function(item) if report is None else function(item, report)
            if report is not None:
                report.flush()
            return value, ""
        except OSError as error:
            if error.errno in _FINAL or error.errno is None or trial == _WRITE_RETRIES:
                return None, _reason(error)
            time.sleep(1 + trial)
        except Exception as error:
            return None, _reason(error)
    raise AssertionError("unreachable")


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _outcome(number: int, item: Any, reference: Any) -> Outcome[Any, Any]:
    import ray

    try:
        value, error = ray.get(reference)
    except ray.exceptions.RayTaskError as failure:
        return Outcome(number, item, None, _reason(failure.cause))
    except ray.exceptions.RayError as failure:
        lines = str(failure).strip().splitlines() or [""]
        tries = _WORKER_RETRIES + 1
        return Outcome(number, item, None, f"the worker died {tries} times: {lines[0]}")
    return Outcome(number, item, value, error)


class _Reporter:
    """Tells the board what one task has done so far, a few times a second."""

    def __init__(self, board: Any, number: int) -> None:
        self._board, self._number, self._last = board, number, 0.0
        self._done = (0, 0)

    def __call__(self, samples: int, bytes_: int) -> None:
        self._done = (samples, bytes_)
        if time.monotonic() - self._last >= _REPORT_SECONDS:
            self._last = time.monotonic()
            self._board.post.remote(self._number, *self._done)

    def flush(self) -> None:
        """Before the task ends, so that the last count is the right one."""
        import ray

        ray.get(self._board.post.remote(self._number, *self._done))


def _board() -> Any:
    """An actor that holds what each task has done so far; a task that is retried starts over."""
    import ray

    class Board:
        def __init__(self) -> None:
            self._done: dict[int, tuple[int, int]] = {}

        def post(self, number: int, samples: int, bytes_: int) -> None:
            self._done[number] = (samples, bytes_)

        def total(self) -> tuple[int, int]:
            samples, bytes_ = zip(*self._done.values(), strict=True) if self._done else ((), ())
            return sum(samples), sum(bytes_)

    return ray.remote(num_cpus=0)(Board).remote()
