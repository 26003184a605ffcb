"""Files in an object store: s3://, gs://, az://. The only user of obstore.

The library signs, repeats what failed for a passing reason, and pages through listings. A file is
sent in one request: either all of it is in the store afterwards, or nothing, and there are no parts
of an upload that a killed process could leave behind.

Credentials come from where the vendor's own tools look, never from the URL: the environment
(AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME, ...), the machine's
or container's role, and ~/.aws if boto3 is installed.
"""

from __future__ import annotations

import importlib.util
import mmap
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

Value = TypeVar("Value")

SCHEMES = ("s3", "gs", "az")
# Where a store is that is not the vendor's own
_ENDPOINTS = {"s3": "AWS_ENDPOINT_URL", "gs": "GOOGLE_BASE_URL", "az": "AZURE_STORAGE_ENDPOINT"}
PATIENCE = timedelta(seconds=90)  # how long a request is repeated before it has failed

_PIECE = 32 << 20  # bytes of one request for a part of a file
_LARGEST = 5 << 30  # bytes of one request that S3 takes
_SECONDS = {"read": 60, "write": 900}  # for one request
_STATUS = re.compile(r"status code: (\d{3} [A-Za-z -]+)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_FAULT = re.compile(r"HTTP error: (.+?)(?: Debug source|$)", re.DOTALL)
_BROKEN = re.compile(r"body error|IncompleteBody|Interrupted|connection closed", re.IGNORECASE)
_PAUSE = 0.2  # seconds before a broken answer is asked for again
_ADDRESS = re.compile(r"\w+://\S+")


def download(url: str, called: str, sink: IO[bytes]) -> None:
    """The whole file, in pieces, into `sink`.

    called: the URL as messages name it.

    Raises FileNotFoundError, PermissionError or another OSError without an errno; what the sink
    raises is raised as it is.
    """
    import obstore

    store, path = _place(url, "read")
    found = _asked(called, lambda: obstore.head(store, path))
    size, tag = found["size"], found["e_tag"]
    for start in range(0, size, _PIECE):
        options: Any = {"range": (start, min(start + _PIECE, size))}
        if tag:  # all pieces are of one file, even if it is replaced meanwhile
            options["if_match"] = tag
        sink.write(_asked(called, partial(_piece, store, path, options)))


def _piece(store: Any, path: str, options: Any) -> Any:
    import obstore

    return obstore.get(store, path, options=options).bytes()


def upload(url: str, called: str, source: Path | bytes, is_new: bool = False) -> bool:
    """Send a file; True when the store has it, whole.

    is_new: send it only if there is none of that name; returns False if there is.

    Raises OSError without an errno if it cannot be sent.
    """
    import obstore

    store, path = _place(url, "write")
    options: Any = {"mode": "create"} if is_new else {}

    def send(data: Any, size: int) -> bool:
        if size > _LARGEST:
            reason = f"{size:,} bytes are more than a store takes at once"
            raise OSError(f"{called}: {reason}; make smaller shards (--shard-size)")
        try:
            _asked(called, lambda: obstore.put(store, path, data, use_multipart=False, **options))
        except FileExistsError:
            return False
        return True

    if isinstance(source, bytes):
        return send(source, len(source))
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return send(b"", 0)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return send(data, size)


def size_of(url: str, called: str) -> int:
    """In bytes. Raises FileNotFoundError if there is no such file, or another OSError."""
    import obstore

    store, path = _place(url, "read")
    return int(_asked(called, lambda: obstore.head(store, path)["size"]))


def listing(url: str, called: str) -> list[tuple[str, int]]:
    """Names and sizes of all files below a folder: one request for a thousand. Raises OSError."""
    import obstore

    store, path = _place(url, "read")
    prefix = f"{path}/" if path else ""

    def pages() -> list[tuple[str, int]]:
        found = obstore.list(store, prefix or None, chunk_size=1000)
        return [(f["path"].removeprefix(prefix), int(f["size"])) for page in found for f in page]

    return _asked(called, pages)


def delete(url: str, called: str) -> None:
    """Remove a file; no error if it is not there. Raises OSError if it cannot be removed."""
    import obstore

    store, path = _place(url, "write")
    with suppress(FileNotFoundError):
        _asked(called, lambda: obstore.delete(store, path))


def _place(url: str, kind: str) -> tuple[Any, str]:
    """The store of a URL, and the path within it."""
    scheme, _, place = url.partition("://")
    if _process() != os.getpid():
        raise RuntimeError(
            f"{scheme}:// was used before this process was forked, and the library's threads did "
            "not come along; start the process with the method spawn or forkserver"
        )
    bucket, _, path = place.partition("/")
    return _store(scheme, bucket, kind), path.strip("/")


@cache
def _process() -> int:
    """The process that uses stores first; what it has opened does not work after a fork."""
    return os.getpid()


@cache
def _store(scheme: str, bucket: str, kind: str) -> Any:
    import obstore.store

    client: dict[str, Any] = {
        "timeout": timedelta(seconds=_SECONDS[kind]),
        "connect_timeout": timedelta(seconds=5),
    }
    if os.environ.get(_ENDPOINTS[scheme], "").startswith("http://"):
        client["allow_http"] = True
    backoff = {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5)}
    provider = _aws_profile() if scheme == "s3" else None
    from_url: Any = obstore.store.from_url  # its types name every option of every vendor
    return from_url(
        f"{scheme}://{bucket}",
        client_options=client,
        retry_config={"max_retries": 1000, "retry_timeout": PATIENCE, "backoff": backoff},
        **({} if provider is None else {"credential_provider": provider()}),
    )


def _aws_profile() -> Callable[[], Any] | None:
    """boto3 reads profiles and single sign-on, which obstore does not."""
    named = "AWS_PROFILE" in os.environ or (
        "AWS_ACCESS_KEY_ID" not in os.environ and (Path.home() / ".aws").is_dir()
    )
    if not named or importlib.util.find_spec("boto3") is None:
        return None
    from obstore.auth.boto3 import Boto3CredentialProvider

    return Boto3CredentialProvider


def _asked(called: str, question: Callable[[], Value]) -> Value:
    """The answer of the store; errors are raised as sentences.

    The library repeats requests, but not those whose answer breaks off in the middle.
    """
    from obstore.exceptions import BaseError, GenericError

    end = time.monotonic() + PATIENCE.total_seconds()
    while True:
        try:
            return question()
        except (BaseError, OSError) as error:  # what is not found is a FileNotFoundError
            is_passing = isinstance(error, GenericError) and _BROKEN.search(str(error))
            if not is_passing or time.monotonic() > end:
                _raise_named(called, error)
        time.sleep(_PAUSE)


def _raise_named(called: str, error: Exception) -> NoReturn:
    """In a sentence, without addresses: those of some stores hold a signature."""
    from obstore.exceptions import (
        AlreadyExistsError,
        PermissionDeniedError,
        UnauthenticatedError,
    )

    text = str(error)
    status, code, fault = (found.search(text) for found in (_STATUS, _CODE, _FAULT))
    if code is not None and code[1] == "NoSuchBucket":
        raise FileNotFoundError(f"{called}: there is no such bucket") from error
    if isinstance(error, FileNotFoundError):
        raise FileNotFoundError(f"{called}: not found") from error
    if isinstance(error, AlreadyExistsError):
        raise FileExistsError(f"{called}: is there already") from error
    if status is not None:
        reason = f"HTTP {status[1].strip()}" + (f", {code[1]}" if code else "")
    else:
        reason = " ".join(_ADDRESS.sub("...", fault[1] if fault else text).split())[:200]
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        raise PermissionError(
            f"{called}: the store refuses it ({reason}); check the credentials"
        ) from error
    seconds = int(PATIENCE.total_seconds())
    raise OSError(f"{called}: the store fails, tried for {seconds} s ({reason})") from error
