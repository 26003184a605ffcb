"""The scheduler: it runs tasks on Ray, and returns failures as values."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, Generic, TypeVar
from uuid import uuid4

import cv2

from datagen.board import REPORT_SECONDS, Board, Reporter, interrupted_with
from datagen.ray_session import LostRayError, first_line, ray_session, refuse_lost_ray
from datagen.versions import VersionsError, check_versions, versions
from manifests.allocation import keep_freed_memory
from manifests.pictures import PictureError

Item = TypeVar("Item")
Result = TypeVar("Result")

_WORKER_RETRIES = 3  # for a task whose worker was killed
_WRITE_RETRIES = 2  # for a task that was stopped by a temporary fault of the file system
_FINAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT}
_STOP_SECONDS = 5.0  # after an interrupt, for the tasks that run


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
    is_of_others: bool = field(default=False, kw_only=True)  # its machines may have other versions

    @cached_property
    def board(self) -> Board:
        """Made when the first tasks run."""
        return Board()

    def run(
        self,
        function: Callable[..., Result],
        items: Iterable[Item],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Outcome[Item, Result]]:
        """Call function(item) for each item; outcomes come in the order in which the tasks end.

        With `on_progress` the function is called as function(item, report). The numbers that the
        tasks report are added up and given to on_progress(samples, bytes) a few times per second.
        If the caller stops early, so do the tasks.
        """
        import ray

        run = uuid4().hex
        wanted = versions() if self.is_of_others else None
        shared = ray.put(function)  # once, so that its data is not copied with every task
        # Items wait here and not in Ray, which would keep all 880 shards, or 100,000 files, in
        # its memory.
        waiting = iter(enumerate(items))
        task = ray.remote(num_cpus=1, max_retries=_WORKER_RETRIES)(_attempt)
        running: dict[Any, tuple[int, Item]] = {}
        shown, ended = 0.0, (0, 0)
        with _stopping(self.board, run, running):
            while True:
                for number, item in islice(waiting, max(0, 4 * self.workers - len(running))):
                    reports = on_progress is not None
                    reference = task.remote(shared, item, self.board, run, number, reports, wanted)
                    running[reference] = (number, item)
                if not running:
                    break
                done, _ = ray.wait(list(running), num_returns=1, timeout=REPORT_SECONDS)
                refuse_lost_ray()
                if on_progress and time.monotonic() - shown >= REPORT_SECONDS:
                    so_far = self.board.total(run, [number for number, _ in running.values()])
                    on_progress(ended[0] + so_far[0], ended[1] + so_far[1])
                    shown = time.monotonic()
                for reference in done:
                    outcome, (samples, bytes_) = _outcome(*running.pop(reference), reference)
                    ended = (ended[0] + samples, ended[1] + bytes_)
                    yield outcome
        if on_progress:
            on_progress(*ended)


@contextmanager
def cluster(workers: int | None = None, address: str | None = None) -> Iterator[Cluster]:
    """Start an embedded Ray with `workers` processes (default: one per core), or join `address`.

    If the program has started Ray already, that Ray is used and keeps running afterwards. Ray
    prints a line on standard output for each worker that dies. No setting prevents that.

    Raises ConnectionError if there is no cluster at the address, ValueError if an address is given
    although Ray already runs in this process, RuntimeError if Ray fails.
    """
    with ray_session(workers, address) as at_a_time:
        yield Cluster(at_a_time, is_of_others=address is not None)


@contextmanager
def _stopping(board: Board, run: str, running: dict[Any, Any]) -> Iterator[None]:
    """Stop the running tasks when the body ends, so that none of them writes afterwards."""
    try:
        yield
    finally:
        if running:
            import ray

            # Without Ray, there are no tasks either
            with suppress(ray.exceptions.RayError, LostRayError):
                refuse_lost_ray()
                board.stop(run)
                ray.wait(list(running), num_returns=len(running), timeout=_STOP_SECONDS)


def _attempt(
    function: Callable[..., Any],
    item: Any,
    board: Board,
    run: str,
    number: int,
    reports: bool,
    wanted: Mapping[str, str] | None,
) -> tuple[Any, str, tuple[int, int]]:
    """Run one item in a worker: its value and "", or None and the reason; and what was reported."""
    cv2.setNumThreads(1)  # Ray gives each worker one core
    keep_freed_memory()
    report = Reporter(board, run, number)
    if wanted is not None:
        try:
            check_versions(wanted)
        except VersionsError as refusal:
            return None, str(refusal), (0, 0)
    try:
        with interrupted_with(board, run):
            value, error = _tried(lambda: function(item, report) if reports else function(item))
    except KeyboardInterrupt:
        value, error = None, "stopped"
    return value, error, report.done


def _tried(function: Callable[[], Any]) -> tuple[Any, str]:
    for trial in range(_WRITE_RETRIES + 1):
        try:
            return function(), ""
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


def _outcome(number: int, item: Any, reference: Any) -> tuple[Outcome[Any, Any], tuple[int, int]]:
    """And the samples and bytes that the task has made."""
    import ray

    try:
        value, error, done = ray.get(reference)
    except ray.exceptions.RayTaskError as failure:
        return Outcome(number, item, None, _reason(failure.cause)), (0, 0)
    except ray.exceptions.RayError as failure:
        tries = _WORKER_RETRIES + 1
        error = f"the worker died {tries} times: {first_line(failure)}"
        return Outcome(number, item, None, error), (0, 0)
    return Outcome(number, item, value, error), done
