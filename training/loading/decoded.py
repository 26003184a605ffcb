"""Samples that stay decoded: each is decoded once, then read back from a folder as plain pixels.

Decoding takes most of a loader's time. A folder in memory or on a fast disk gives the same pixels
faster, to all processes and all runs that name it.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np
from isal.isal_zlib import crc32

from manifests.pixels import Pixels
from manifests.samples import LABELS
from manifests.shards import Shard
from manifests.store import ShardStore

_CHECKSUM = struct.Struct("<I")


class Pictures(Protocol):
    """The pixels of a sample by the name of the stream, as `manifests.store.Streams` has them."""

    def __getitem__(self, name: str) -> Pixels: ...

    def part(self, name: str, part: tuple[slice, slice], /) -> Pixels: ...


class DecodedStore:
    """The samples of a `ShardStore`, decoded once.

    store, shards: as `ShardStore` takes them. streams: what is read. size: height and width of the
    samples.
    folder: where the pixels are kept, a file for each shard, named by its content. A row is the
        checksum of a sample's pixels, and these. So a row that was never written, or not to its
        end, is decoded again; and no process has to wait for another. Nothing is kept of a shard
        that is not what its name says.

    Raises OSError if the folder's disk has too little room.
    """

    def __init__(
        self,
        store: ShardStore,
        shards: Sequence[Shard],
        streams: Sequence[str],
        size: int,
        folder: Path,
    ) -> None:
        self._store, self._shards, self._folder = store, tuple(shards), folder
        self._shapes = {name: _shape(name, size) for name in streams}
        self._row = _CHECKSUM.size + sum(map(prod, self._shapes.values()))
        self._damaged: set[str] = set()  # names of shards
        self._damage: dict[str, str] = {}  # not yet told
        folder.mkdir(parents=True, exist_ok=True)
        wanted = sum(shard.samples for shard in shards) * self._row
        there = sum(_room_taken(self._path(number)) for number in range(len(shards)))
        if wanted - there > (free := shutil.disk_usage(folder).free):
            raise OSError(
                f"{folder}: decoded samples take {wanted / 1e9:.1f} GB there, and "
                f"{(free + there) / 1e9:.1f} are free; choose another folder (--decoded)"
            )

    def sample(self, shard: int, sample: int) -> tuple[str, Pictures]:
        """The key and the streams of a sample. Raises as `ShardStore.sample`, but streams are
        decoded here."""
        kept = self._kept(shard, sample)
        if kept is not None:
            return self._store.key(shard, sample), kept
        key, streams = self._store.sample(shard, sample)
        pixels = streams.all()
        self._note_damage()
        is_whole = self._shards[shard].name not in self._damaged
        if is_whole and {name: one.shape for name, one in pixels.items()} == self._shapes:
            self._keep(shard, sample, pixels)
        return key, _Kept(pixels)

    def damage(self) -> dict[str, str]:
        """As `ShardStore.damage`."""
        self._note_damage()
        damage, self._damage = self._damage, {}
        return damage

    def close(self) -> None:
        """As `ShardStore.close`."""
        self._store.close()

    def _note_damage(self) -> None:
        found = self._store.damage()
        self._damaged |= found.keys()
        self._damage |= found

    def _kept(self, shard: int, sample: int) -> _Kept | None:
        row = bytearray(self._row)
        try:
            with self._path(shard).open("rb", buffering=0) as file:
                if os.preadv(file.fileno(), [row], sample * self._row) < len(row):
                    return None
        except FileNotFoundError:
            return None
        at = _CHECKSUM.size
        if _CHECKSUM.unpack_from(row) != (crc32(memoryview(row)[at:]),):
            return None
        pixels = {}
        for name, shape in self._shapes.items():
            pixels[name] = np.frombuffer(row, np.uint8, prod(shape), at).reshape(shape)
            at += prod(shape)
        return _Kept(pixels)

    def _keep(self, shard: int, sample: int, pixels: Mapping[str, Pixels]) -> None:
        """By a call of the system: a mapped file on a full disk would end this process."""
        content = b"".join(pixels[name].tobytes() for name in self._shapes)
        path = self._path(shard)
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(file, _CHECKSUM.pack(crc32(content)) + content, sample * self._row)
        except OSError as error:
            reason = f"{path}: {error.strerror}; name another folder (--decoded)"
            raise OSError(reason) from error
        finally:
            os.close(file)

    def _path(self, shard: int) -> Path:
        return self._folder / f"{self._shards[shard].sha256}-{'-'.join(self._shapes)}.raw"


class _Kept:
    """Decoded streams."""

    def __init__(self, pixels: Mapping[str, Pixels]) -> None:
        self._pixels = pixels

    def __getitem__(self, name: str) -> Pixels:
        return self._pixels[name]

    def part(self, name: str, part: tuple[slice, slice]) -> Pixels:
        return self._pixels[name][part]


def _shape(name: str, size: int) -> tuple[int, ...]:
    return (size, size) if name in LABELS else (size, size, 3)


def _room_taken(path: Path) -> int:
    return path.stat().st_blocks * 512 if path.exists() else 0
