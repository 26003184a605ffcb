"""Shards opened as they are needed: checked, and fetched first if they are elsewhere.

A temporary folder holds what the processes that read one set share: the shards fetched last, and
notes of which shards are whole. So each shard is fetched and checked once, not once a process.
"""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from manifests.pixels import Pixels
from manifests.samples import Sample, decode_part, decode_stream
from manifests.scratch import Scratch
from manifests.shards import (
    OpenShard,
    Shard,
    ShardFormat,
    data_path,
    open_shard,
    read_index_columns,
)
from manifests.storage import Location, Url, fetch, sha256_of, write_bytes

# How many shards a process keeps open. Readers in shuffled order come back to each of them. An open
# tar takes a megabyte, an open table up to three of its row groups.
_OPEN = {ShardFormat.WEBDATASET: 64, ShardFormat.PARQUET: 2}
_FETCHED = 4  # how many of the shards from elsewhere are kept in the temporary folder
# The search for the broken samples of a damaged shard ends when so many are found, or after so many
# seconds.
_NAMED, _SEARCH_SECONDS = 5, 10.0


class ShardStore:
    """The samples of some shards of one set, by the number of the shard and within the shard.

    root, form: where the set is, and the format of its shards.
    streams: names of the streams that are read.
    scratch: the folder shared by all processes that read the set.
    cache: a folder in which shards from elsewhere stay. If it is None, they are kept in the shared
        folder, the last few of them.
    check: whether the shards of a folder are compared with their checksums when they are opened;
        those from elsewhere always are.
    lenient: whether a shard that is not what dataset.json says is used as far as it can be read.
        It is then reported by `damage`.

    It may be copied to other processes, forked or pickled: each opens its own files.
    """

    def __init__(
        self,
        root: Location,
        form: ShardFormat,
        shards: Sequence[Shard],
        streams: Sequence[str],
        scratch: Scratch,
        cache: Path | None = None,
        check: bool = True,
        lenient: bool = False,
    ) -> None:
        self._root, self._form, self._shards = root, form, tuple(shards)
        self._streams = tuple(streams)
        self._scratch, self._cache = scratch, cache
        self._check, self._lenient = check, lenient
        # An open copy takes room on the disk even after it is removed from the temporary folder
        is_kept = isinstance(root, Path) or cache is not None
        self._most_open = _OPEN[form] if is_kept else min(_OPEN[form], _FETCHED)
        self._broken: dict[int, str] = {}
        self._keys: dict[int, list[str]] = {}
        self._damage: dict[str, str] = {}
        self._begin()

    def _begin(self) -> None:
        """Nothing is open in this process yet."""
        self._opened: OrderedDict[int, OpenShard] = OrderedDict()
        self._process = os.getpid()
        weakref.finalize(self, _close_all, self._opened)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_opened": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def sample(self, shard: int, sample: int) -> tuple[str, Streams]:
        """The key and the wanted streams of a sample: numbers of the shard and within it.

        Raises ValueError that names the shard's file and the sample if they cannot be read, OSError
        if the reason is this machine, for example a full disk, so that no sample could be read.
        """
        try:
            opened = self._open(shard)
        except ValueError as error:
            raise ValueError(f"sample {self.name(shard, sample)}: {error}") from error
        key = opened.key(sample)
        place = f"{self._location(shard)}: sample {key}: "
        try:
            return key, Streams(opened.read(sample, self._streams), place)
        except ValueError as error:
            raise ValueError(place + str(error).removeprefix(place)) from error

    def whole(self, shard: int, sample: int) -> tuple[Sample, Streams]:
        """The row and the wanted streams. Raises as `sample`."""
        _, streams = self.sample(shard, sample)
        return self.row(shard, sample), streams

    def row(self, shard: int, sample: int) -> Sample:
        """What the shard says of a sample. Raises ValueError as `sample`."""
        return self._open(shard).row(sample)

    def key(self, shard: int, sample: int) -> str:
        """Raises ValueError as `sample`."""
        return self._open(shard).key(sample)

    def name(self, shard: int, sample: int) -> str:
        """What to call a sample, even if its shard cannot be read: its key if the index can be."""
        name = self._shards[shard].name
        if shard not in self._keys:
            try:
                keys = read_index_columns(self._root, name, ["key"])["key"].to_pylist()
            except (ValueError, LookupError):
                keys = []
            self._keys[shard] = keys  # asked once a shard: it may take a while to fail
        keys = self._keys[shard]
        return keys[sample] if sample < len(keys) else f"{name}, number {sample}"

    def damage(self) -> dict[str, str]:
        """Of shards opened since the last call and used nevertheless: name -> what is wrong."""
        damage, self._damage = self._damage, {}
        return damage

    def close(self) -> None:
        """Close the files; reading opens them again."""
        _close_all(self._opened)

    def _location(self, number: int) -> Location:
        return data_path(self._root, self._shards[number].name, self._form)

    def _open(self, number: int) -> OpenShard:
        if self._process != os.getpid():  # a fork shares the places in the files
            self.close()
            self._process = os.getpid()
        if number in self._broken:  # once is enough for a download that fails
            raise ValueError(self._broken[number])
        if number not in self._opened:
            while len(self._opened) >= self._most_open:
                self._opened.popitem(last=False)[1].close()
            try:
                self._opened[number] = self._open_whole(number)
            except (OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                self._broken[number] = str(error)
                raise ValueError(str(error)) from error
        self._opened.move_to_end(number)
        return self._opened[number]

    def _open_whole(self, number: int) -> OpenShard:
        shard, location = self._shards[number], self._location(number)
        with self._alone():
            path = self._fetched(location, shard) if isinstance(location, Url) else location
            if not path.exists():
                raise FileNotFoundError(
                    f"{location}: missing; make it again with the datagen compose that made the set"
                )
            fault = self._fault(path, location, shard)
            try:
                if fault and not self._lenient:
                    found = _broken_samples(path, location, self._streams)
                    raise ValueError(f"{location}: {fault}; {found}")
                opened = open_shard(path, location)
            finally:
                if fault and path != location:
                    path.unlink()  # no cache keeps what is damaged; what is open stays readable
        if len(opened) != shard.samples:
            opened.close()
            raise ValueError(
                f"{location}: {len(opened)} samples, dataset.json says {shard.samples}"
            )
        if fault:
            self._damage[shard.name] = f"{location}: {fault}; used as far as it can be read"
        return opened

    def _fetched(self, url: Url, shard: Shard) -> Path:
        """A copy of a shard, named by its content: a cache may serve many sets."""
        path = (self._cache or self._scratch.folder()) / f"{shard.sha256}{url.suffix}"
        if not path.exists():
            self._note(shard).unlink(missing_ok=True)  # it is about an earlier copy
            try:
                fetch(url, path)
            except OSError as error:
                if error.errno is None:
                    raise
                reason = f"{error.strerror}: {url} cannot be kept in {path.parent}"
                raise OSError(error.errno, reason) from error
            if self._cache is None:
                copies = sorted(path.parent.glob(f"*{url.suffix}"), key=_written)
                for old in copies[:-_FETCHED]:
                    old.unlink()  # who has it open reads on
        return path

    def _fault(self, path: Path, location: Location, shard: Shard) -> str:
        """How a file differs from what dataset.json says; "" if it does not."""
        if not self._check and path == location:
            return ""
        note = self._note(shard)
        if not note.exists():
            size = path.stat().st_size
            fault = ""
            if size != shard.bytes:
                fault = f"{size} bytes, dataset.json says {shard.bytes}"
            elif sha256_of(path) != shard.sha256:
                fault = "its sha256 is not the one in dataset.json"
            write_bytes(note, fault.encode())
        return note.read_text()

    def _note(self, shard: Shard) -> Path:
        """Where a process says to the others how a shard differs, if at all."""
        return self._scratch.folder() / f"{shard.name}.checked"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process fetches the same shard meanwhile, or removes what is new."""
        with (self._scratch.folder() / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
            yield


def _close_all(opened: MutableMapping[int, OpenShard]) -> None:
    for shard in opened.values():
        shard.close()
    opened.clear()


class Streams:
    """The pixels of a sample by the name of the stream, decoded each time that they are asked for.

    A caller that drops one stream before it asks for the next reuses memory that is still in the
    processor's cache. Errors begin with `place`.
    """

    def __init__(self, encoded: Mapping[str, bytes], place: str = "") -> None:
        self.encoded, self._place = encoded, place
        self._sizes: dict[str, tuple[int, ...]] = {}

    def __getitem__(self, name: str) -> Pixels:
        """Raises ValueError with its name, or if streams differ in size."""
        try:
            pixels = decode_stream(name, self.encoded[name])
        except ValueError as error:
            raise ValueError(f"{self._place}{name}: {error}") from error
        self._check_size(name, pixels.shape[:2])
        return pixels

    def part(self, name: str, part: tuple[slice, slice]) -> Pixels:
        """self[name][part], decoded no further than that needs; raises as for the whole stream.

        part: rows and columns, slices with 0 <= start < stop.
        """
        try:
            pixels, size = decode_part(name, self.encoded[name], part)
        except ValueError as error:
            raise ValueError(f"{self._place}{name}: {error}") from error
        self._check_size(name, size)
        return pixels

    def _check_size(self, name: str, size: tuple[int, ...]) -> None:
        self._sizes[name] = size
        if len(set(self._sizes.values())) > 1:
            raise ValueError(f"{self._place}the streams differ in size: {self._sizes}")

    def all(self) -> dict[str, Pixels]:
        """Each stream that was wanted; raises as for one."""
        return {name: self[name] for name in self.encoded}


def _broken_samples(path: Path, location: Location, streams: Sequence[str]) -> str:
    """Which samples of a damaged shard show the damage, as far as a short search finds them."""
    end = time.monotonic() + _SEARCH_SECONDS
    broken: list[str] = []
    try:
        with closing(open_shard(path, location)) as opened:
            for number in range(len(opened)):
                if len(broken) == _NAMED or time.monotonic() > end:
                    return f"broken samples among the first {number}: {', '.join(broken) or 'none'}"
                try:
                    Streams(opened.read(number, streams)).all()
                except ValueError as error:
                    broken.append(f"{opened.key(number)} ({error})")
    except ValueError as error:
        return str(error).removeprefix(f"{location}: ")
    if not broken:
        return "each sample still decodes, so which one differs is not known"
    return f"broken samples: {', '.join(broken)}"


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns
