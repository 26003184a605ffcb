"""Files at a path or behind a URL, and the one way in which files are written.

If a file is there, it is whole: it is written under another name beside its place, then renamed, or
it is sent to its store in one request. http(s):// and hf:// are read only.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import tempfile
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from manifests import hub, object_store, web

PART = ".part-"  # begins the names of files that are not whole yet
_NO_SYNC = {errno.EACCES, errno.EINVAL, errno.ENOTSUP}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # writing raises these without a file's name
_READERS = 8  # files of a store that are read at a time
_WRITTEN = ", ".join(f"{scheme}://" for scheme in object_store.SCHEMES)


@dataclass(frozen=True)
class Url:
    """A folder or file behind a URL: s3://, gs://, az://, hf://, http(s)://.

    Its text form leaves out user names, passwords and signatures, since it is printed and logged.
    """

    text: str = field(repr=False)

    def __truediv__(self, part: str) -> Url:
        if not self.is_of_web:
            return Url(f"{self.text.rstrip('/')}/{part}")
        parts = urlsplit(self.text)
        return Url(urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{part}")))

    def __str__(self) -> str:
        if not self.is_of_web:  # any letter may be in a name
            return self.text
        parts = urlsplit(self.text)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))

    @property
    def scheme(self) -> str:
        return self.text.partition("://")[0]

    @property
    def is_of_web(self) -> bool:
        return self.scheme in {"http", "https"}

    @property
    def name(self) -> str:
        return PurePosixPath(str(self).partition("://")[2]).name

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Url:
        """The folder above; that of a whole bucket is itself."""
        text, slash, name = self.text.rstrip("/").rpartition("/")
        return self if text.endswith("/") or not slash or not name else Url(text)


Location = Path | Url
Name = TypeVar("Name")
Found = TypeVar("Found")


def location_of(text: str | Path) -> Location:
    """A path, file://, or a URL.

    Raises ValueError if a file:// URL names another machine, or if a bucket's holds a password.
    """
    if isinstance(text, Path) or "://" not in text:
        return Path(text)
    parts = urlsplit(text)
    if parts.scheme in object_store.SCHEMES and (parts.query or "@" in parts.netloc):
        raise ValueError(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}: leave passwords and "
            "options out of it, every user of the machine can read them; the environment is their "
            "place (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...)"
        )
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

    return web.with_retries(str(location), attempt)


def fetch(url: Url, path: Path) -> None:
    """Copy a file from elsewhere to `path`, whole or not at all.

    Transient faults are retried a few times. Raises FileNotFoundError if it is not there,
    OSError if it cannot be fetched, ValueError if the kind of URL is unknown.
    """

    def attempt() -> None:
        with writing(path) as part, part.open("wb") as file:
            download(url, file)

    web.with_retries(str(url), attempt)


def download(url: Url, sink: IO[bytes]) -> None:
    """One attempt: the whole file into `sink`, or web.TransientError, or what `fetch` raises."""
    _reader(url).download(url.text, str(url), sink)


@contextmanager
def as_file(location: Location) -> Iterator[Path]:
    """The path of a file of this machine, or of a copy that is removed with the body's end."""
    if isinstance(location, Path):
        yield location
        return
    with tempfile.TemporaryDirectory(prefix=PART) as folder:
        path = Path(folder) / location.name
        fetch(location, path)
        yield path


def exists(location: Location) -> bool:
    """Whether there is such a file. Raises OSError if what holds it does not say."""
    try:
        return size_of(location) >= 0
    except (FileNotFoundError, NotADirectoryError):
        return False


def size_of(location: Location) -> int:
    """Bytes of a file. Raises OSError (FileNotFoundError if it is not there)."""
    if isinstance(location, Path):
        return location.stat().st_size
    called = str(location)
    ask = _reader(location).size_of
    return int(web.with_retries(called, lambda: ask(location.text, called)))


def sha256_of(location: Location) -> str:
    """Of the content of a file, which is read once. Raises as `read_bytes`."""
    if isinstance(location, Path):
        with location.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    with as_file(location) as path:
        return sha256_of(path)


def each_of(
    root: Location, names: Iterable[Name], read: Callable[[Name], Found]
) -> Iterator[Found]:
    """What `read` finds for each name of files below `root`, in their order. Raises what it raises.

    A store takes its time to answer, so that several are asked for at once. In a folder threads
    would only wait for each other.
    """
    if isinstance(root, Path):
        yield from map(read, names)
        return
    with ThreadPoolExecutor(_READERS) as pool:
        yield from pool.map(read, names)


def files_below(folder: Location) -> dict[str, int]:
    """All files below a folder, by their names with '/' between the parts, and their sizes.

    Empty if there is no such folder: a store has no folders, only names. Raises OSError if they
    cannot be listed, ValueError for http(s)://, whose servers do not say what they have.
    """
    if isinstance(folder, Path):
        paths = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    reader = _reader(folder)
    if reader is web:
        raise ValueError(
            f"{folder}: a web server does not say which files it has; name a folder, or a bucket "
            f"({_WRITTEN}, hf://)"
        )
    return dict(reader.listing(folder.text, str(folder)))


def is_below(location: Location, folder: Location) -> bool:
    """Whether a location is a folder, or is inside it."""
    if isinstance(location, Path) and isinstance(folder, Path):
        return location.resolve().is_relative_to(folder.resolve())
    if isinstance(location, Url) and isinstance(folder, Url):
        return f"{location}/".startswith(f"{str(folder).rstrip('/')}/")
    return False


def cannot_write(error: Exception) -> bool:
    """Whether the next file would meet the same, because nothing can be written any more."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def remove(location: Location) -> None:
    """Remove a file; no error if it is not there."""
    if isinstance(location, Path):
        location.unlink(missing_ok=True)
    else:
        object_store.delete(refuse_unwritable(location).text, str(location))


def refuse_unwritable(url: Url) -> Url:
    """The same URL. Raises ValueError if files of its kind are only read."""
    if url.scheme not in object_store.SCHEMES:
        raise ValueError(f"{url}: {url.scheme}:// is read, not written; write to {_WRITTEN}")
    return url


def _reader(url: Url) -> Any:
    """The module that reads this kind of URL: each has `download` and `size_of`."""
    if url.scheme in object_store.SCHEMES:
        return object_store
    if url.is_of_web:
        return web
    if url.scheme == "hf":
        return hub
    raise ValueError(
        f"{url}: {url.scheme}:// is not a kind of URL that is read here; expected a path, file://, "
        f"http://, https://, hf://, {_WRITTEN}"
    )


@contextmanager
def writing(location: Location) -> Iterator[Path]:
    """A temporary path for what `location` will hold, whole, when the body ends.

    That of a path lies beside it and is renamed. That of a URL is where the system wants temporary
    files, and is sent. If the body raises, it is removed, and nothing else has happened.
    """
    if isinstance(location, Path):
        with _writing_beside(location) as part:
            yield part
        return
    refuse_unwritable(location)
    with tempfile.TemporaryDirectory(prefix=PART) as folder:
        part = Path(folder) / "file"
        yield part
        object_store.upload(location.text, str(location), part)


@contextmanager
def _writing_beside(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it at the end; removed if the body raises.

    The name is unique, because a task may run twice at the same time. The one that ends last wins,
    and both write the same bytes. It is short, because `path` may have the longest name that the
    file system allows. An OSError about the temporary path, or about a full disk, names `path`.
    """
    make_folder(path.parent)
    part = path.with_name(f"{PART}{uuid.uuid4().hex[:12]}")
    try:
        yield part
        sync(part)
        part.replace(path)
        sync(path.parent)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and _is_about(error, part):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _is_about(error: OSError, part: Path) -> bool:
    is_unnamed = error.filename is None and error.errno in _FULL
    return is_unnamed or error.filename in {part, str(part)}


def write_bytes(location: Location, data: bytes) -> None:
    """Write a whole small file, atomically."""
    if isinstance(location, Url):
        object_store.upload(refuse_unwritable(location).text, str(location), data)
        return
    with writing(location) as part:
        part.write_bytes(data)


def write_new(location: Url, data: bytes) -> bool:
    """As `write_bytes`, but only if there is no such file; returns False if there is one.

    Of several machines that try at the same time, one succeeds.
    """
    return object_store.upload(refuse_unwritable(location).text, str(location), data, is_new=True)


def write_changed(location: Location, data: bytes) -> None:
    """As `write_bytes`, but a file that has this content already is not touched."""
    if not exists(location) or read_bytes(location) != data:
        write_bytes(location, data)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing; their names reach the disk, too."""
    if not folder.is_dir():
        if folder.parent != folder:
            make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def sync(path: Path) -> None:
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
    parts = list(folder.rglob(f"{PART}*")) if folder.is_dir() else []
    for part in parts:
        part.unlink(missing_ok=True)
    return len(parts)
