"""The scheduler: it runs tasks and returns failures as values. With `board`, the only user of Ray.

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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import uuid4

import cv2

from console.cores import cores
from console.messages import warn
from datagen.board import REPORT_SECONDS, Board, Reporter, interrupted_with
from datagen.embedded import (
    ENVIRONMENT,
    JOINING,
    SESSIONS_CAN_BE_FOUND,
    end_sessions,
    environment,
    ray_starts,
    sigterm_held,
    temporary_folder,
    without_native_messages,
)
from datagen.versions import VersionsError, check_versions, versions
from manifests.allocation import keep_freed_memory
from manifests.pictures import PictureError

Item = TypeVar("Item")
Result = TypeVar("Result")

_WORKER_RETRIES = 3  # for a task whose worker was killed
_WRITE_RETRIES = 2  # for a task that was stopped by a temporary fault of the file system
_FINAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT}
_STOP_SECONDS = 5.0  # after an interrupt, for the tasks that run
_CPU_SECONDS = 3.0  # for a cluster to report a free CPU
_OPTIONS = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}


class LostRayError(RuntimeError):
    """The embedded Ray has ended in the middle of the work."""


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
                _refuse_lost_ray()
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
    if address is not None:
        _knock(address)
    with ExitStack() as stack:
        if not is_running():
            if address is None:
                _start(stack, workers)
            else:
                _join(stack, address)
        elif address is not None:
            raise ValueError(
                f"Ray already runs in this program, so it cannot join {address}; leave the address "
                "out, or call ray.shutdown() first"
            )
        import ray

        try:
            yield Cluster(workers or _cores(), is_of_others=address is not None)
        except ray.exceptions.RayError as error:
            raise RuntimeError(f"Ray: {error}") from error


def _start(stack: ExitStack, workers: int | None) -> None:
    """Start an embedded Ray, which ends with the stack."""
    stack.enter_context(environment(ENVIRONMENT))
    folder = stack.enter_context(temporary_folder())
    with ray_starts(), without_native_messages():
        import ray

        stack.callback(_end)
        ray.init(
            address="local",
            num_cpus=workers or cores(),
            include_dashboard=False,
            object_store_memory=128 << 20,  # samples never pass through it
            job_config=_job_config([str(Path(__file__).parents[1])]),
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
            **_OPTIONS,
        )


def _end() -> None:
    """Leave Ray, and end the processes that were started for it."""
    import ray

    if not SESSIONS_CAN_BE_FOUND:
        with sigterm_held():
            ray.shutdown()
        return
    node, ray._private.worker._global_node = ray._private.worker._global_node, None
    kinds = [] if node is None else list(node.all_processes.values())
    processes = [info.process for infos in kinds for info in infos]
    with sigterm_held(), without_native_messages():
        ray.shutdown()  # without the node it only leaves: it would send signals that are blocked
        end_sessions({process.pid for process in processes})
        for process in processes:
            process.wait()


def _join(stack: ExitStack, address: str) -> None:
    """Join a cluster, and leave it with the stack."""
    wanted = {name: os.environ.get(name, value) for name, value in JOINING.items()}
    stack.enter_context(environment(wanted))
    try:
        with sigterm_held(), without_native_messages():
            import ray

            stack.callback(_end)
            ray.init(address=address, job_config=_job_config([]), **_OPTIONS)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise ConnectionError(
            f"no Ray cluster at {address} that this machine may join: if the cluster asks for a "
            "token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here, too, to the token that `ray "
            f"get-auth-token` prints where the cluster was started ({_first_line(error)})"
        ) from error
    _warn_if_busy(address)
    _refuse_other_versions()


def _refuse_other_versions() -> None:
    """Raise VersionsError if a machine of the cluster would make other bytes than this one.

    Machines that come later are asked by the first task that they get.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    asked = ray.remote(num_cpus=0, max_retries=1)(check_versions)
    answers = [
        asked.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(versions())
        for node in nodes
    ]
    try:
        ray.get(answers)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, VersionsError):
            raise error.cause from error
        raise VersionsError(
            f"a machine of the cluster cannot run this package ({_first_line(error.cause)}); "
            "install it on every machine, in the same version"
        ) from error


def _warn_if_busy(address: str) -> None:
    """A cluster without a free CPU may get one, so this is no error; but then nothing moves."""
    import ray

    end = time.monotonic() + _CPU_SECONDS
    while ray.available_resources().get("CPU", 0) < 1:
        if time.monotonic() >= end:
            total = int(ray.cluster_resources().get("CPU", 0))
            warn(
                f"the Ray cluster at {address} has no free CPU ({total} in all); the work begins "
                "when it has one"
            )
            return
        time.sleep(0.2)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _job_config(search: list[str]) -> Any:
    """What the workers import from: what is installed, and `search` before that.

    By default Ray's workers look in the driver's working folder first. A cv2.py that a user has
    there would end them. Only the flag of Ray's client has Ray leave that folder out.
    """
    from ray.job_config import JobConfig

    return JobConfig(_client_job=True, _py_driver_sys_path=search)


def is_running() -> bool:
    """Whether this process is already connected to Ray."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _cores() -> int:
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


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
                _refuse_lost_ray()
                board.stop(run)
                ray.wait(list(running), num_returns=len(running), timeout=_STOP_SECONDS)


def _refuse_lost_ray() -> None:
    """Raise LostRayError if a process of the embedded Ray has ended."""
    import ray

    node = ray._private.worker._global_node
    dead = [] if node is None else [str(kind) for kind, _ in node.dead_processes()]
    if dead:
        raise LostRayError(
            f"Ray has lost a process of its own ({', '.join(dead)}): it was killed, or ran out of "
            "memory; what is finished is kept, and the same command goes on from there"
        )


def _knock(address: str) -> None:
    """Raise ConnectionError if nothing listens at HOST:PORT. Ray would retry for half an hour."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:  # OverflowError: port above 65535
            raise ConnectionError(f"no Ray cluster at {address}: {error}") from error


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
        error = f"the worker died {tries} times: {_first_line(failure)}"
        return Outcome(number, item, None, error), (0, 0)
    return Outcome(number, item, value, error), done
