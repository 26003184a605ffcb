"""Files at a path or behind a URL, and the one way in which files are written.

A file is written under another name beside its place, then renamed: if it is there, it is whole.
What is behind a URL is read, never written.
"""

from __future__ import annotations

import errno
import http.client
import io
import os
import shutil
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn, TypeVar
from urllib.parse import urlsplit, urlunsplit

import pyarrow as pa
from pyarrow import fs

Value = TypeVar("Value")

_PART = ".part-"
_NO_SYNC = {errno.EACCES, errno.EINVAL, errno.ENOTSUP}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # writing raises these without a file's name
_CHUNK = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte
PAUSES = (0.25, 1.0, 4.0)  # seconds before each further attempt
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses that may go away by themselves


@dataclass(frozen=True)
class Url:
    """A folder or file behind a URL: http(s), or what pyarrow supports (s3, gs, ...).

    Its text form leaves out user names, passwords and signatures, since it is printed and logged.
    """

    text: str = field(repr=False)

    def __truediv__(self, part: str) -> Url:
        parts = urlsplit(self.text)
        return Url(urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{part}")))

    def __str__(self) -> str:
        parts = urlsplit(self.text)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))

    @property
    def suffix(self) -> str:
        return PurePosixPath(urlsplit(self.text).path).suffix


Location = Path | Url


def location_of(text: str | Path) -> Location:
    """A path, file://, or a URL. Raises ValueError if a file:// URL names another machine."""
    if isinstance(text, Path) or "://" not in text:
        return Path(text)
    parts = urlsplit(text)
    if parts.scheme != "file":
        return Url(text)
    if parts.netloc not in {"", "localhost"}:
        raise ValueError(
            f"{text}: file:// works for files of this machine only; write file:///folder"
        )
    return Path(urllib.request.url2pathname(parts.path))


def read_bytes(location: Location) -> bytes:
    """A whole small file. Raises OSError (FileNotFoundError if it is not there)."""
    if isinstance(location, Path):
        return location.read_bytes()

    def attempt() -> bytes:
        buffer = io.BytesIO()
        download(location, buffer)
        return buffer.getvalue()

    return _with_retries(location, attempt)


def fetch(url: Url, path: Path) -> None:
    """Copy a file from elsewhere to `path`, whole or not at all.

    Transient faults are retried a few times. Raises FileNotFoundError if it is not there,
    OSError if it cannot be fetched, ValueError if the kind of URL is unknown.
    """

    def attempt() -> None:
        with writing(path) as part, part.open("wb") as file:
            download(url, file)

    _with_retries(url, attempt)


class _TransientError(Exception):
    """A fault that may be gone at the next attempt."""


def _with_retries(url: Url, attempt: Callable[[], Value]) -> Value:
    for pause in (*PAUSES, None):
        try:
            return attempt()
        except _TransientError as error:
            if pause is None:
                tries = len(PAUSES) + 1
                raise OSError(f"{url}: {error} (tried {tries} times)") from error
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def download(url: Url, sink: IO[bytes]) -> None:
    """One attempt: the whole file into `sink`, or _TransientError, or what `fetch` raises."""
    if urlsplit(url.text).scheme not in {"http", "https"}:
        _download_by_arrow(url, sink)
        return
    with _faults_named(url):
        response = urllib.request.urlopen(url.text, timeout=_TIMEOUT)
    read = 0
    with response:
        while True:
            with _faults_named(url):
                chunk = response.read(_CHUNK)
            if not chunk:
                break
            sink.write(chunk)
            read += len(chunk)
        length = response.headers["Content-Length"]
    # When a connection ends early, http.client returns what it has received
    if length is not None and read != int(length):
        raise _TransientError(f"only {read} of {length} bytes came")


@contextmanager
def _faults_named(url: Url) -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        _raise_for(url, error)
    except (http.client.HTTPException, OSError) as error:  # URLError and timeouts are OSErrors
        raise _TransientError(getattr(error, "reason", None) or repr(error)) from error


def _raise_for(url: Url, error: urllib.error.HTTPError) -> NoReturn:
    error.close()
    said = f"HTTP {error.code} {error.reason}"
    if error.code in _TRANSIENT:
        raise _TransientError(said) from error
    kinds = {401: PermissionError, 403: PermissionError, 404: FileNotFoundError}
    raise kinds.get(error.code, OSError)(f"{url}: {said}") from error


def _download_by_arrow(url: Url, sink: IO[bytes]) -> None:
    try:
        system, path = fs.FileSystem.from_uri(url.text)
        with system.open_input_stream(path) as source:
            shutil.copyfileobj(source, sink, _CHUNK)
    except pa.ArrowInvalid as error:
        scheme = urlsplit(url.text).scheme
        raise ValueError(
            f"{url}: pyarrow cannot open {scheme}:// here; expected a path, file://, http://, "
            f"https://, s3:// or gs:// ({error})"
        ) from error
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{url}: not found") from error
    except Exception as error:  # hf:// raises the errors of a library of its own
        if isinstance(error, OSError) and error.errno is not None:  # of the sink, on a full disk
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise OSError(f"{url}: cannot be fetched ({reason})") from error


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it at the end; removed if the body raises.

    The name is unique, because a task may run twice at the same time. The one that ends last wins,
    and both write the same bytes. It is short, because `path` may have the longest name that the
    file system allows. An OSError about the temporary path, or about a full disk, names `path`.
    """
    make_folder(path.parent)
    part = path.with_name(f"{_PART}{uuid.uuid4().hex[:12]}")
    try:
        yield part
        _sync(part)
        part.replace(path)
        _sync(path.parent)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and _is_about(error, part):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _is_about(error: OSError, part: Path) -> bool:
    is_unnamed = error.filename is None and error.errno in _FULL
    return is_unnamed or error.filename in {part, str(part)}


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole small file, atomically."""
    with writing(path) as part:
        part.write_bytes(data)


def write_changed(path: Path, data: bytes) -> None:
    """As `write_bytes`, but a file that has this content already is not touched."""
    if not path.is_file() or path.read_bytes() != data:
        write_bytes(path, data)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing; their names reach the disk, too."""
    if not folder.is_dir():
        if folder.parent != folder:
            make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:  # not every folder may be opened, or can be synced
        if error.errno not in _NO_SYNC or not path.is_dir():
            raise


def sweep(folder: Path) -> int:
    """Remove what killed writers left below `folder`; returns how many files."""
    parts = list(folder.rglob(f"{_PART}*")) if folder.is_dir() else []
    for part in parts:
        part.unlink(missing_ok=True)
    return len(parts)
