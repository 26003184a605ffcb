"""The scheduler, the only file that imports Ray. It runs tasks and returns failures as values.

Without an address an embedded Ray is started for this run only: on loopback, without a dashboard
or usage statistics, and with its own token. With an address the tasks run on that cluster, whose
machines need this package and the same paths.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Any, Generic, TypeVar, cast

import cv2

from datagen.embedded import ENVIRONMENT, environment, sigterm_held
from manifests.pictures import PictureError

Item = TypeVar("Item")
Result = TypeVar("Result")

_WORKER_RETRIES = 3  # for a task whose worker was killed
_WRITE_RETRIES = 2  # for a task that was stopped by a temporary fault of the file system
_FINAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT}
_REPORT_SECONDS = 0.25


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """The result of one item: its value, or the reason why it has no value."""

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
        """Call function(item) for each item; outcomes come in the order in which the tasks end.

        With `on_progress` the function is called as function(item, report). The numbers that the
        tasks report are added up and given to on_progress(samples, bytes) a few times per second.
        """
        import ray

        board = _board() if on_progress else None
        shared = ray.put(function)  # once, so that its data is not copied with every task
        # Items wait here and not in Ray, which would keep all 880 shards, or 100,000 files, in
        # its memory.
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
        """The results in the order of the items. Raises RuntimeError if an item failed."""
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

    If the program has started Ray already, that Ray is used and keeps running afterwards. Ray
    prints a line on standard output for each worker that dies. No setting prevents that.

    Raises ConnectionError if there is no cluster at the address, ValueError if an address is given
    although Ray already runs in this process.
    """
    if address is not None:
        _knock(address)
    if is_running():
        if address is not None:
            raise ValueError(
                f"Ray already runs in this program, so it cannot join {address}; leave the address "
                "out, or call ray.shutdown() first"
            )
        yield from _joined(workers)
        return
    with ExitStack() as stack:
        no_statistics = {"RAY_USAGE_STATS_ENABLED": os.environ.get("RAY_USAGE_STATS_ENABLED", "0")}
        stack.enter_context(environment(no_statistics if address else ENVIRONMENT))
        import ray

        quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
        if address is None:
            folder = TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
            count = workers or os.cpu_count() or 1
            temporary = stack.enter_context(folder)
            stack.callback(ray.shutdown)
            with sigterm_held():
                ray.init(
                    address="local",
                    num_cpus=count,
                    include_dashboard=False,
                    object_store_memory=128 << 20,  # samples never pass through it
                    _temp_dir=temporary,
                    **quiet,
                )
        else:
            stack.callback(ray.shutdown)
            try:
                with sigterm_held():
                    ray.init(address=address, **quiet)
            except (OSError, ValueError, RuntimeError) as error:
                raise ConnectionError(f"no Ray cluster at {address}: {error}") from error
            count = workers or _cores()
        try:
            yield Cluster(count)
        except ray.exceptions.RayError as error:
            raise RuntimeError(f"Ray: {error}") from error


def is_running() -> bool:
    """Whether this process is already connected to Ray."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _joined(workers: int | None) -> Iterator[Cluster]:
    """The Ray that the program has started. It keeps running afterwards."""
    import ray

    try:
        yield Cluster(workers or _cores())
    except ray.exceptions.RayError as error:
        raise RuntimeError(f"Ray: {error}") from error


def _cores() -> int:
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


@contextmanager
def _cancelling(running: dict[Any, Any]) -> Iterator[None]:
    """Cancel the running tasks when the body ends, so that none of them writes afterwards."""
    try:
        yield
    finally:
        if running:
            import ray

            for reference in running:
                ray.cancel(reference, force=True)
            ray.wait(list(running), num_returns=len(running), timeout=10)


def _knock(address: str) -> None:
    """Raise ConnectionError if nothing listens at HOST:PORT. Ray would retry for half an hour."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:  # OverflowError: port above 65535
            raise ConnectionError(f"no Ray cluster at {address}: {error}") from error


def _attempt(function: Callable[..., Any], item: Any, number: int, board: Any) -> tuple[Any, str]:
    """Run one item in a worker; (value, "") or (None, reason)."""
    cv2.setNumThreads(1)  # Ray gives each worker one core
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
    """The text of an error. The name of its class comes first if the text does not name a file."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, PictureError):  # says what is wrong with a file that the caller names
        return text
    if isinstance(error, OSError | ValueError) and "/" in text.partition(": ")[0]:  # PATH: reason
        return text
    return f"{type(error).__name__}: {text}"


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
    """Reports to the board what one task has done so far, a few times per second."""

    def __init__(self, board: Any, number: int) -> None:
        self._board, self._number, self._last = board, number, 0.0
        self._done = (0, 0)

    def __call__(self, samples: int, bytes_: int) -> None:
        self._done = (samples, bytes_)
        if time.monotonic() - self._last >= _REPORT_SECONDS:
            self._last = time.monotonic()
            self._board.post.remote(self._number, *self._done)

    def flush(self) -> None:
        """Report the final count before the task ends."""
        import ray

        ray.get(self._board.post.remote(self._number, *self._done))


def _board() -> Any:
    """An actor that holds what each task has done so far. A task that is retried starts at 0."""
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
