"""What an embedded Ray needs of the process that starts it. It leaves nothing of that behind."""

from __future__ import annotations

import functools
import os
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from manifests.scratch import Scratch

# Ray reads them when it is imported and when it starts.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's own name for "listen on loopback only"
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

# For a cluster that others have started, unless the user says otherwise.
JOINING = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_server_port_wait_time_s": "3",  # tries; a token that does not fit never will
}

# Linux allows 107 bytes for the path of a socket, and Ray appends up to 65:
# /session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store
_PATH_BYTES = 107 - 65

SESSIONS_CAN_BE_FOUND = Path("/proc/self/stat").exists()
_KILL_SECONDS = 5.0  # for processes to end after SIGKILL

_starting: set[int] = set()  # threads that start Ray, while they do


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for Ray's logs and sockets, below one that only its owner can enter.

    It is where the system wants temporary files, unless that path is too long for Ray's sockets.
    What killed runs left there is removed. Raises OSError if there is no such place.
    """
    scratch = _scratch()
    try:
        yield scratch.folder() / "ray"  # Ray opens this one to everybody
    finally:
        scratch.close()


def _scratch() -> Scratch:
    wanted = Path(tempfile.gettempdir())
    for place in (wanted, Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")):
        scratch = Scratch(place)
        with suppress(OSError):
            if len(os.fsencode(scratch.folder() / "ray")) <= _PATH_BYTES:
                return scratch
        scratch.close()
    raise OSError(
        f"{wanted}: Ray needs a folder for temporary files that can be written to and whose "
        f"path has at most {_PATH_BYTES - 25} letters; set TMPDIR to such a folder"
    )


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and restore them afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old


@contextmanager
def without_native_messages() -> Iterator[None]:
    """What C++ code prints on standard error inside is lost; so is what other threads print."""
    before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


@contextmanager
def ray_starts() -> Iterator[None]:
    """Ray starts inside. Its processes end when this process ends them, and at no other signal.

    They get a session of their own, each with the processes that it starts, and they block what a
    system sends to all processes of a job (Slurm, systemd). So only this process hears of it. Where
    there is no /proc, in which they are found again, they start as usual.
    """
    if not SESSIONS_CAN_BE_FOUND:
        with sigterm_held():
            yield
        return
    _prepare_forks()
    _starting.add(threading.get_ident())
    try:
        with sigterm_held():
            yield
    finally:
        _starting.discard(threading.get_ident())


@contextmanager
def sigterm_held() -> Iterator[None]:
    """SIGTERM waits until the body has ended, and the caller's handler stays.

    Ray replaces the handler while it starts, first by one that prints a C++ stack, and by none
    while it ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers are set by the main thread only, by Ray, too
        return
    handler = signal.getsignal(signal.SIGTERM)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def end_sessions(leaders: Collection[int]) -> None:
    """Kill processes that `ray_starts` let start, and all that they started.

    Returns when none of them runs any more, so that no worker writes afterwards.
    """
    end = time.monotonic() + _KILL_SECONDS
    while (found := _running_in(leaders)) and time.monotonic() < end:
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


def _running_in(sessions: Collection[int]) -> list[int]:
    """The leader of a session comes before its workers, so that it starts no others."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has ended meanwhile
                state, _, _, session, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(session) in sessions and state != "Z":
                    found.append(int(entry.name))
    return sorted(found, key=lambda process: process not in sessions)


@functools.cache
def _prepare_forks() -> None:
    os.register_at_fork(after_in_child=_begin_process)


def _begin_process() -> None:
    if threading.get_ident() in _starting:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
