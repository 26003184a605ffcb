"""How this process comes to a Ray, and leaves it.

Without an address an embedded Ray is started for this run only: on loopback, without a dashboard
or usage statistics, and with its own token. With an address the cluster there is joined; its
machines need this package.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from console.cores import cores
from console.messages import warn
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

_CPU_SECONDS = 3.0  # for a cluster to report a free CPU
_OPTIONS = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}


class LostRayError(RuntimeError):
    """The embedded Ray has ended in the middle of the work."""


@contextmanager
def ray_session(workers: int | None, address: str | None) -> Iterator[int]:
    """The number of tasks that run at a time, while this process is connected to a Ray.

    It is the program's own, if that has started one; else an embedded one, or that at `address`.
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
            yield workers or _cores()
        except ray.exceptions.RayError as error:
            raise RuntimeError(f"Ray: {error}") from error


def _start(stack: ExitStack, workers: int | None) -> None:
    """Start an embedded Ray, which ends with the stack."""
    stack.enter_context(environment(ENVIRONMENT))
    folder = stack.enter_context(temporary_folder())
    with ray_starts(), without_native_messages():
        import ray

        stack.callback(_end)
        try:
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
        except OSError:  # names its file
            raise
        except Exception as error:  # Ray has no class for what fails here
            raise RuntimeError(f"Ray did not start: {first_line(error)}; try again") from error


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
    except Exception as error:  # of any class, see `_start`
        raise ConnectionError(
            f"no Ray cluster at {address} that this machine may join: if the cluster asks for a "
            "token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here, too, to the token that `ray "
            f"get-auth-token` prints where the cluster was started ({first_line(error)})"
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
            f"a machine of the cluster cannot run this package ({first_line(error.cause)}); "
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


def first_line(error: BaseException) -> str:
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


def refuse_lost_ray() -> None:
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
