"""A shard set as its readers see it: opened once, then handed on."""

from __future__ import annotations

import hashlib
import operator
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, SupportsIndex, overload

from manifests.card import About
from manifests.dataset import (
    Manifest,
    ShardSettings,
    Skipped,
    check_splits,
    read_manifest,
    read_sources,
)
from manifests.pixels import Pixels
from manifests.samples import Sample, stream_names
from manifests.scratch import Scratch
from manifests.shards import Shard
from manifests.sources import Background, Foreground, Split
from manifests.storage import Location, location_of
from manifests.store import ShardStore, Streams
from manifests.tables import from_dict


def open_shards(
    location: str | Location, cache: str | Path | None = None, check: bool = True
) -> ShardSet:
    """Open a finished shard set.

    >>> shards = open_shards("shards")
    >>> len(shards), shards.splits
    (5, ('train', 'val'))
    >>> sample = shards["train-00000001"]
    >>> sample.image.shape, sample.alpha.dtype
    ((40, 48, 3), dtype('uint8'))
    >>> shards[-1].key
    'val-00000001'
    >>> [sample.key for sample in shards.split("val")]
    ['val-00000000', 'val-00000001']

    location: a folder or a URL (file://, https://, s3://, gs://, az://, hf://). Shards behind a URL
        are fetched when one of their samples is read.
    cache: a folder in which fetched shards stay. Without it a temporary folder holds the last few.
    check: compare each shard of a folder with its checksum before its first sample is read, which
        takes about a second a gigabyte. Shards from elsewhere are always compared.

    Raises FileNotFoundError if no finished set is there, OSError if it cannot be fetched,
    ValueError if it is malformed, of another contract, or if one source is in two splits.
    """
    root = location_of(location) if isinstance(location, str) else location
    manifest, settings = read_manifest(root)
    foregrounds = read_sources(root, Foreground, manifest.sources.get("foregrounds", ""))
    backgrounds = read_sources(root, Background, manifest.sources.get("backgrounds", ""))
    check_splits(foregrounds, "foreground")
    check_splits(backgrounds, "background")
    return ShardSet(
        root,
        manifest,
        settings,
        {source.id: source for source in foregrounds},
        {source.id: source for source in backgrounds},
        Scratch(),
        None if cache is None else Path(cache),
        check,
    )


def shard_set_of(
    folder: Location,
    manifest: Manifest,
    foregrounds: Sequence[Foreground],
    backgrounds: Sequence[Background],
) -> ShardSet:
    """A set whose shards are finished, before its dataset.json is there."""
    settings = from_dict(ShardSettings, manifest.settings)
    by_id = {s.id: s for s in foregrounds}, {s.id: s for s in backgrounds}
    return ShardSet(folder, manifest, settings, *by_id, Scratch(), None, check=False)


class ShardSet(Sequence["DecodedSample"]):
    """The samples of a shard set, or of one of its splits; made by `open_shards`.

    A sequence of DecodedSample. Samples are read by their number, from 0 in the order of the
    shards, or by their key; a slice is a sequence that reads them when they are asked for.

    root: the folder or URL.
    settings: what readers need to know; `all_settings`: all that the program that made the set
        recorded, as plain values.
    libraries: versions of the libraries that made it.
    sources: the checksums of the tables of sources, by their names.
    shards: the shards of these samples, in their order.
    skipped: sources that were left out.
    about: title, licence, url and citation, as somebody stated them.
    foregrounds, backgrounds: the sources of the whole set by their id.

    It may be pickled, or used after a fork: each process opens files of its own, and all share the
    fetched shards. Threads of one process must not share it. Files are closed by `close`, at the
    end of a with statement, or when the object is no longer referenced.
    """

    def __init__(
        self,
        root: Location,
        manifest: Manifest,
        settings: ShardSettings,
        foregrounds: Mapping[str, Foreground],
        backgrounds: Mapping[str, Background],
        scratch: Scratch,
        cache: Path | None,
        check: bool,
    ) -> None:
        self.root, self.settings = root, settings
        self.all_settings: Mapping[str, Any] = manifest.settings
        self.libraries: Mapping[str, str] = manifest.libraries
        self.sources: Mapping[str, str] = manifest.sources
        self.shards: tuple[Shard, ...] = manifest.shards
        self.skipped: tuple[Skipped, ...] = manifest.skipped
        self.about: About = manifest.about
        self.foregrounds, self.backgrounds = foregrounds, backgrounds
        self._manifest, self._scratch, self._cache, self._check = manifest, scratch, cache, check
        self._ends = list(accumulate(shard.samples for shard in self.shards))
        self._store = self.store(stream_names(settings.layers))

    def __repr__(self) -> str:
        return f"<ShardSet {self.root}: {len(self)} samples in {len(self.shards)} shards>"

    @property
    def fingerprint(self) -> str:
        """Hexadecimal; the same for the same samples in the same order, wherever they are."""
        digests = "".join(shard.sha256 for shard in self.shards)
        return hashlib.sha256(digests.encode()).hexdigest()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have samples."""
        return tuple(sorted({str(shard.split) for shard in self.shards if shard.samples}))

    def split(self, name: str) -> ShardSet:
        """The samples of one split, "train" or "val", numbered from 0.

        Raises ValueError that lists the splits that have samples if this one has none.
        """
        if name not in self.splits:
            found = f"only {', '.join(self.splits)}" if self.splits else "no samples at all"
            hint = " (datagen compose --holdout-fg and --holdout-bg make one)" * (name == Split.VAL)
            raise ValueError(f"{self.root}: no split {name}, {found}{hint}")
        shards = tuple(shard for shard in self.shards if shard.split == name)
        return ShardSet(
            self.root,
            replace(self._manifest, shards=shards),
            self.settings,
            self.foregrounds,
            self.backgrounds,
            self._scratch,
            self._cache,
            self._check,
        )

    def store(self, streams: Sequence[str], lenient: bool = False) -> ShardStore:
        """A reader of some streams by shard and number, for programs that read a great deal.

        lenient: use damaged shards as far as they can be read; see ShardStore.
        """
        access = self._scratch, self._cache, self._check, lenient
        return ShardStore(self.root, self.settings.format, self.shards, streams, *access)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, which: SupportsIndex | str) -> DecodedSample: ...

    @overload
    def __getitem__(self, which: slice) -> Sequence[DecodedSample]: ...

    def __getitem__(
        self, which: SupportsIndex | str | slice
    ) -> DecodedSample | Sequence[DecodedSample]:
        """A sample by its number or key, or some of them by a slice.

        Raises IndexError or KeyError if there is no such sample, ValueError that names the file
        and the sample if it is damaged, OSError if its shard cannot be fetched.
        """
        if isinstance(which, slice):
            return _Slice(self, range(len(self))[which])
        if isinstance(which, str):
            return self._by_key(which)
        number = operator.index(which)
        if not -len(self) <= number < len(self):
            raise IndexError(f"no sample number {number} in {self.root}, it has {len(self)}")
        return DecodedSample(*self._store.whole(*self.place(number % len(self))))

    def __contains__(self, key: object) -> bool:
        """Whether there is a sample with this key."""
        return isinstance(key, str) and self._number_of(key) is not None

    def __iter__(self) -> Iterator[DecodedSample]:
        return map(self.__getitem__, range(len(self)))

    def place(self, number: int) -> tuple[int, int]:
        """The number of the shard that holds a sample, and the sample's number in that shard."""
        shard = bisect_right(self._ends, number)
        return shard, number - (self._ends[shard] - self.shards[shard].samples)

    def key(self, number: int) -> str:
        """The key of a sample by its number, from the index alone."""
        return self._store.name(*self.place(number))

    def _by_key(self, key: str) -> DecodedSample:
        number = self._number_of(key)
        if number is None:
            like = f" (its keys look like {self._store.name(0, 0)})" if self else ""
            raise KeyError(f"no sample {key} in {self.root}{like}")
        return self[number]

    def _number_of(self, key: str) -> int | None:
        """Keys count the samples of each split, so that no search is needed."""
        split, _, digits = key.rpartition("-")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
            return None
        left = int(digits)
        for shard, end in zip(self.shards, self._ends, strict=True):
            if shard.split == split:
                if left < shard.samples:
                    number = end - shard.samples + left
                    return number if self._store.key(*self.place(number)) == key else None
                left -= shard.samples
        return None

    def close(self) -> None:
        """Close the files and remove the temporary folder. Reading would open them again."""
        self._store.close()
        self._scratch.close()

    def __enter__(self) -> ShardSet:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Slice(Sequence["DecodedSample"]):
    """Some samples of a set, read when they are asked for."""

    def __init__(self, shards: ShardSet, numbers: range) -> None:
        self._shards, self._numbers = shards, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, which: int) -> DecodedSample: ...

    @overload
    def __getitem__(self, which: slice) -> Sequence[DecodedSample]: ...

    def __getitem__(self, which: int | slice) -> DecodedSample | Sequence[DecodedSample]:
        if isinstance(which, slice):
            return _Slice(self._shards, self._numbers[which])
        return self._shards[self._numbers[which]]


class DecodedSample:
    """One sample of a shard set. Its pixels are decoded when they are first asked for, into arrays
    that may be changed.

    Raises ValueError that names the file, the sample and the stream if the pixels are damaged.
    """

    def __init__(self, row: Sample, streams: Streams) -> None:
        self.row, self._streams = row, streams

    def __repr__(self) -> str:
        return f"<DecodedSample {self.key}: {self.row.height} x {self.row.width}>"

    @property
    def key(self) -> str:
        return self.row.key

    @property
    def encoded(self) -> Mapping[str, bytes]:
        """The stored bytes of each stream."""
        return self._streams.encoded

    @cached_property
    def image(self) -> Pixels:
        """H x W x 3 uint8, RGB."""
        return self._streams["image"]

    @cached_property
    def alpha(self) -> Pixels:
        """H x W uint8, 0..255."""
        return self._streams["alpha"]

    @cached_property
    def trimap(self) -> Pixels:
        """H x W uint8: 0 background, 1 unknown, 2 foreground."""
        return self._streams["trimap"]

    @cached_property
    def crude_trimap(self) -> Pixels:
        """H x W uint8 of the codes of `trimap`."""
        return self._streams["crude_trimap"]

    @cached_property
    def foreground(self) -> Pixels | None:
        """H x W x 3 uint8, RGB, grey where alpha is not soft; None if the set has no layers."""
        return self._layer("foreground")

    @cached_property
    def background(self) -> Pixels | None:
        """As `foreground`."""
        return self._layer("background")

    def _layer(self, name: str) -> Pixels | None:
        return self._streams[name] if name in self._streams.encoded else None
