"""What an embedded Ray needs of the process that starts it. It leaves nothing of that behind."""

from __future__ import annotations

import functools
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
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
    # A sample allocates the same few megabytes again and again; glibc would return them to the
    # kernel each time, and zeroing new pages took 7 % of a worker's time.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}

# Linux allows 107 bytes for the path of a socket, and Ray appends up to 65:
# /session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store
_PATH_BYTES = 107 - 65

_starting: set[int] = set()  # the thread that starts Ray, while it does


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
def sigterm_held() -> Iterator[None]:
    """Inside, Ray may start. SIGTERM waits until then, and the caller's handler stays.

    Ray replaces the handler, first by one that prints a C++ stack. The processes that it starts
    get a session of their own: what is sent to the whole group of this process (by `timeout`, or
    by a terminal) reaches this process alone, which then ends them in good order.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers are set by the main thread only, by Ray, too
        return
    _prepare_forks()
    handler = signal.getsignal(signal.SIGTERM)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    _starting.add(threading.get_ident())
    try:
        yield
    finally:
        _starting.clear()
        signal.signal(signal.SIGTERM, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@functools.cache
def _prepare_forks() -> None:
    os.register_at_fork(after_in_child=_begin_process)


def _begin_process() -> None:
    if threading.get_ident() in _starting:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
