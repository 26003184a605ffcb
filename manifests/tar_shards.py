"""The WebDataset form of a shard: KEY.image.jpg, KEY.alpha.png, ..., KEY.json in a tar."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from manifests.documents import parse_json
from manifests.pixels import STREAM_BYTES, ImageCodec
from manifests.samples import EncodedSample, Sample, extension_of
from manifests.tables import from_dict

_COPY_BYTES = 4 << 20
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_PLAIN = tarfile.TarInfo("").tobuf(tarfile.USTAR_FORMAT)  # a header as TarStreams writes them
_SHORT, _SMALL = 99, 8**11 - 1  # of the names and the sizes that one header can hold
_ERRORS = (tarfile.TarError, EOFError, OSError)
# What tarfile raises for malformed headers beside its own errors.
_LEAKS = (ValueError, OverflowError, LookupError, RecursionError)


class TarStreams:
    """Writes the samples of one shard, in order, byte for byte as tarfile would (USTAR)."""

    def __init__(self, path: Path, codec: ImageCodec) -> None:
        self._codec = codec
        self._file = path.open("wb")
        self._bytes = 0

    def add(self, sample: EncodedSample, values: dict[str, Any]) -> None:
        key = sample.row.key
        parts = list[bytes]()
        for stream, data in sample.streams.items():
            parts += _member(f"{key}.{stream}.{extension_of(stream, self._codec)}", data)
        row = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        parts += _member(f"{key}.json", row.encode())
        self._bytes += self._file.write(b"".join(parts))

    def close(self) -> None:
        with self._file:
            end = 2 * tarfile.BLOCKSIZE
            self._file.write(bytes(end + -(self._bytes + end) % tarfile.RECORDSIZE))


def _member(name: str, data: bytes) -> tuple[bytes, bytes, bytes]:
    """A header without time, owner or host, the data, and what fills the last block."""
    return _header(name, len(data)), data, bytes(-len(data) % tarfile.BLOCKSIZE)


def _header(name: str, size: int) -> bytes:
    """The header that tarfile makes, which takes several times as long."""
    if len(name) > _SHORT or not name.isascii() or size > _SMALL:
        member = tarfile.TarInfo(name)
        member.size = size
        return member.tobuf(tarfile.USTAR_FORMAT)
    header = bytearray(_PLAIN)
    header[: len(name)] = name.encode()
    header[124:135] = b"%011o" % size
    header[148:154] = b"%06o" % (sum(header) - sum(header[148:156]) + 8 * 32)
    return bytes(header)


def read_tar(path: Path) -> Iterator[EncodedSample]:
    """The samples in order. Raises ValueError that names the file if it is damaged."""
    key, streams = "", dict[str, bytes]()
    try:
        with path.open("rb") as file:
            for member in _members(file):
                name, stream = _split(member.name)
                if streams and name != key:
                    raise _no_row(str(path), key)
                key = name
                file.seek(member.offset)
                data = file.read(member.size)
                if len(data) < member.size:
                    raise tarfile.ReadError("unexpected end of data")
                if stream == "json":
                    yield EncodedSample(_row_of(str(path), key, data), streams)
                    streams = {}
                else:
                    streams[stream] = data
    except _ERRORS as error:
        raise _damaged(str(path), key, error) from error
    if streams:
        raise _no_row(str(path), key)


class OpenTar:
    """A tar whose samples are read in any order.

    Its headers are read once, without the data between them. After that a stream costs one read.
    Raises ValueError as `read_tar` does, with the file's `name`.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self._keys: list[str] = []
        self._places: list[dict[str, tuple[int, int]]] = []  # stream -> offset, size
        self._file = path.open("rb", buffering=0)  # a buffer would read 8 KiB per header
        try:
            self._walk()
        except BaseException:
            self._file.close()
            raise

    def _walk(self) -> None:
        key, places = "", dict[str, tuple[int, int]]()
        try:
            for member in _members(self._file):
                name, stream = _split(member.name)
                if places and name != key:
                    raise _no_row(self._name, key)
                key = name
                places[stream] = (member.offset, member.size)
                if stream == "json":
                    self._keys.append(key)
                    self._places.append(places)
                    places = {}
        except _ERRORS as error:
            raise _damaged(self._name, key, error) from error
        if places:
            raise _no_row(self._name, key)

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, number: int) -> str:
        return self._keys[number]

    def read(self, number: int, streams: Collection[str]) -> dict[str, bytes]:
        """The encoded bytes of some streams of one sample."""
        return {stream: self._bytes(number, stream) for stream in streams}

    def row(self, number: int) -> Sample:
        return _row_of(self._name, self._keys[number], self._bytes(number, "json"))

    def _bytes(self, number: int, stream: str) -> bytes:
        key, places = self._keys[number], self._places[number]
        if stream not in places:
            found = ", ".join(places)
            raise ValueError(f"{self._name}: sample {key}: no stream {stream}, only {found}")
        offset, size = places[stream]
        try:
            data = os.pread(self._file.fileno(), size, offset)
        except OSError as error:
            raise ValueError(f"{self._name}: sample {key}: {stream}: {error}") from error
        if len(data) < size:  # cut since the headers were walked
            raise ValueError(f"{self._name}: sample {key}: {stream}: unexpected end of data")
        return data

    def close(self) -> None:
        self._file.close()


class _Member(NamedTuple):
    name: str
    offset: int  # of its data
    size: int


def _members(file: IO[bytes]) -> Iterator[_Member]:
    """The members up to a proper end of archive. Raises tarfile.TarError or OSError.

    No size is used before it is held against the length of the file: a negative one would lead
    back to the same header for ever, and a large one would ask for any amount of memory.
    """
    length = file.seek(0, os.SEEK_END)
    for member in _announced_members(file):
        if not 0 <= member.size <= length - member.offset:
            raise tarfile.ReadError(
                f"the header of {member.name} announces {member.size} bytes at byte "
                f"{member.offset}, but the file has {length} bytes"
            )
        if member.size > STREAM_BYTES:
            raise tarfile.ReadError(
                f"{member.name} has {member.size} bytes, at most {STREAM_BYTES}"
            )
        yield member


def _announced_members(file: IO[bytes]) -> Iterator[_Member]:
    """The members with the sizes that their headers announce.

    Headers as TarStreams writes them are parsed here, because tarfile takes several times as long
    and a reader in random order has to wait until all headers of a shard are read. From the first
    other header on (a long name, a time, damage, the end of the archive), tarfile reads the rest.
    """
    start = 0
    while True:
        file.seek(start)
        member = _plain_member(file.read(tarfile.BLOCKSIZE), start)
        if member is None:
            yield from _other_members(file, start)
            return
        yield member
        start = member.offset + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _plain_member(header: bytes, start: int) -> _Member | None:
    """The member if its header differs from ours only in name, size and checksum, else None."""
    for same in (slice(100, 124), slice(135, 148), slice(156, None)):
        if header[same] != _PLAIN[same]:
            return None
    # The sum of all bytes, with blanks for those of the checksum itself
    if header[148:156] != b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * 32):
        return None
    try:
        name, size = header[:100].rstrip(b"\0").decode("ascii"), int(header[124:135], 8)
    except ValueError:
        return None
    return _Member(name, start + tarfile.BLOCKSIZE, size)


def _other_members(file: IO[bytes], start: int) -> Iterator[_Member]:
    try:
        yield from _members_of_tarfile(file, start)
    except _LEAKS as error:
        raise tarfile.ReadError(f"a malformed header ({error})") from error


def _members_of_tarfile(file: IO[bytes], start: int) -> Iterator[_Member]:
    file.seek(start)
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            tar.members.clear()  # type: ignore[attr-defined]  # otherwise it keeps all of them
            if member.type not in _FILES:
                raise tarfile.ReadError(f"{member.name} is not a file")
            yield _Member(member.name, member.offset_data, member.size)
        # tarfile takes a damaged header for the end of the archive, and drops the rest silently
        file.seek(tar.offset)
        size = 0
        while end := file.read(_COPY_BYTES):
            size += len(end)
            if end.strip(b"\0"):
                raise tarfile.ReadError("no end of archive")
        if size < 2 * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("no end of archive")


def _split(name: str) -> tuple[str, str]:
    """KEY.stream.extension -> (KEY, stream); the key ends at the first dot."""
    key, _, rest = name.partition(".")
    return key, rest.partition(".")[0]


def _row_of(path: str, key: str, data: bytes) -> Sample:
    try:
        return from_dict(Sample, parse_json(data))
    except ValueError as error:
        raise ValueError(f"{path}: sample {key}: {error}") from error


def _no_row(path: str, key: str) -> ValueError:
    return ValueError(f"{path}: sample {key} has no row ({key}.json)")


def _damaged(path: str, key: str, error: Exception) -> ValueError:
    where = f"after sample {key!r}" if key else "in its first sample"
    return ValueError(f"{path}: not a whole tar file, {where}: {error}")
