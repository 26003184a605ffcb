"""Files of a web server, http(s)://. They are read, never written; http.client does it."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, NoReturn, TypeVar

Value = TypeVar("Value")

_CHUNK = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte
PAUSES = (0.25, 1.0, 4.0)  # seconds before each further attempt
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses that may go away by themselves


class TransientError(Exception):
    """A fault that may be gone at the next attempt."""


def with_retries(called: str, attempt: Callable[[], Value]) -> Value:
    """What an attempt returns, the first that raises no TransientError.

    Raises OSError, with `called` for the file, after the last of the attempts, and what an attempt
    raises otherwise.
    """
    for pause in (*PAUSES, None):
        try:
            return attempt()
        except TransientError as error:
            if pause is None:
                tries = len(PAUSES) + 1
                raise OSError(f"{called}: {error} (tried {tries} times)") from error
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def download(url: str, called: str, sink: IO[bytes]) -> None:
    """One attempt: the whole file into `sink`.

    called: the URL as messages name it.

    Raises TransientError for what may be gone at the next attempt, FileNotFoundError,
    PermissionError or another OSError.
    """
    with _faults_named(called):
        response = urllib.request.urlopen(url, timeout=_TIMEOUT)
    read = 0
    with response:
        while True:
            with _faults_named(called):
                chunk = response.read(_CHUNK)
            if not chunk:
                break
            sink.write(chunk)
            read += len(chunk)
        length = response.headers["Content-Length"]
    # When a connection ends early, http.client returns what it has received
    if length is not None and read != int(length):
        raise TransientError(f"only {read} of {length} bytes came")


def size_of(url: str, called: str) -> int:
    """In bytes, as the server says without sending the file. Raises as `download`."""
    with _faults_named(called):
        asked = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(asked, timeout=_TIMEOUT) as response:
            return int(response.headers["Content-Length"] or 0)


@contextmanager
def _faults_named(called: str) -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        _raise_for(called, error)
    except (http.client.HTTPException, OSError) as error:  # URLError and timeouts are OSErrors
        raise TransientError(getattr(error, "reason", None) or repr(error)) from error


def _raise_for(called: str, error: urllib.error.HTTPError) -> NoReturn:
    error.close()
    said = f"HTTP {error.code} {error.reason}"
    if error.code in _TRANSIENT:
        raise TransientError(said) from error
    kinds = {401: PermissionError, 403: PermissionError, 404: FileNotFoundError}
    raise kinds.get(error.code, OSError)(f"{called}: {said}") from error
