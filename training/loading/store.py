"""The samples of one split by number: their shards checked, and fetched if they are elsewhere.

A folder of the run's own holds what its processes share: the shards fetched last, and notes of
which ones were found to be whole, so that each is fetched and checked once, not once a process.
"""

from __future__ import annotations

import fcntl
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from manifests.dataset import Dataset
from manifests.pixels import Pixels, decode_alpha, decode_colour, decode_trimap
from manifests.samples import Sample
from manifests.shards import (
    OpenShard,
    Shard,
    data_path,
    open_shard,
    read_index_columns,
    sha256_of,
)
from manifests.sources import Split
from manifests.storage import Location, Url, fetch

_OPEN = 2  # a batch straddles two shards, seldom more
_FETCHED = 4  # of the shards from elsewhere, how many are kept in the run's folder
_NAMED = 5  # broken samples of a shard

_DECODERS = {"alpha": decode_alpha, "trimap": decode_trimap, "crude_trimap": decode_trimap}


class ShardStore:
    """Opens shards as they are needed, a few at a time; may be copied to other processes before.

    With `lenient` a shard that is not what dataset.json says is used as far as it can be read, and
    told by `damage`.
    Shards from elsewhere go to `cache` and stay, or else to `folder` and make room for others.
    """

    def __init__(
        self,
        root: Location,
        dataset: Dataset,
        split: Split,
        streams: Sequence[str],
        folder: Path,
        cache: Path | None = None,
        lenient: bool = False,
    ) -> None:
        self._root, self._form, self._streams = root, dataset.format, tuple(streams)
        self._shards = shards_of(root, dataset, split)
        self._folder, self._cache, self._lenient = folder, cache, lenient
        self._opened: OrderedDict[int, OpenShard] = OrderedDict()
        self._broken: dict[int, str] = {}
        self._keys: dict[int, list[str]] = {}
        self._damage: dict[str, str] = {}

    def sample(self, shard: int, sample: int) -> tuple[str, Streams]:
        """The key and the wanted streams of a sample: numbers of the shard and within it.

        Raises ValueError that names the shard's file and the sample if they cannot be read, OSError
        if that is the fault of this machine (a full disk, say), and no sample could be.
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

    def row(self, shard: int, sample: int) -> Sample:
        """What the shard says of a sample. Raises ValueError as `sample`."""
        return self._open(shard).row(sample)

    def name(self, shard: int, sample: int) -> str:
        """What to call a sample, even if its shard cannot be read: its key if the index can be."""
        name = self._shards[shard].name
        if shard not in self._keys:
            try:
                keys = read_index_columns(self._root, name, ["key"])["key"].to_pylist()
            except (ValueError, LookupError):
                keys = []
            self._keys[shard] = keys  # one question for each shard: it may take a while to fail
        keys = self._keys[shard]
        return keys[sample] if sample < len(keys) else f"{name}, number {sample}"

    def damage(self) -> dict[str, str]:
        """Of shards opened since the last call and used nevertheless: name -> what is wrong."""
        told, self._damage = self._damage, {}
        return told

    def close(self) -> None:
        for opened in self._opened.values():
            opened.close()
        self._opened.clear()

    def _location(self, number: int) -> Location:
        return data_path(self._root, self._shards[number].name, self._form)

    def _open(self, number: int) -> OpenShard:
        if number in self._broken:  # once is enough for a download that fails
            raise ValueError(self._broken[number])
        if number not in self._opened:
            while len(self._opened) >= _OPEN:
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
            fault = self._fault(path, shard)
            try:
                opened = open_shard(path, location)
            finally:
                if fault and path != location:
                    path.unlink()  # no cache keeps what is damaged; what is open stays readable
        if fault and not self._lenient:
            fault = f"{fault}; {_broken_samples(opened, self._streams)}"
        elif len(opened) != shard.samples:
            fault = f"{len(opened)} samples, dataset.json says {shard.samples}"
        else:
            if fault:
                self._damage[shard.name] = f"{location}: {fault}; used as far as it can be read"
            return opened
        opened.close()
        raise ValueError(f"{location}: {fault}")

    def _fetched(self, url: Url, shard: Shard) -> Path:
        """A copy of a shard, named by its content: a cache may serve many sets."""
        path = (self._cache or self._folder) / f"{shard.sha256}{url.suffix}"
        if not path.exists():
            try:
                fetch(url, path)
            except OSError as error:
                if error.errno is None:
                    raise
                told = f"{error.strerror}: {url} cannot be kept in {path.parent}"
                raise OSError(error.errno, told) from error
            if self._cache is None:
                copies = sorted(self._folder.glob(f"*{url.suffix}"), key=_written)
                for old in copies[:-_FETCHED]:
                    old.unlink()  # who has it open reads on
        return path

    def _fault(self, path: Path, shard: Shard) -> str:
        """How a file differs from what dataset.json says; "" if it does not."""
        note = self._folder / f"{shard.name}.checked"
        if not note.exists():
            size = path.stat().st_size
            fault = ""
            if size != shard.bytes:
                fault = f"{size} bytes, dataset.json says {shard.bytes}"
            elif sha256_of(path) != shard.sha256:
                fault = "its sha256 is not the one in dataset.json"
            note.write_text(fault)
        return note.read_text()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process of the run is in here: none fetches the same, or removes what is new."""
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
            yield


def shards_of(root: Location, dataset: Dataset, split: Split) -> tuple[Shard, ...]:
    """The shards of one split. Raises ValueError with the splits there are if it has no samples."""
    shards = tuple(shard for shard in dataset.shards if shard.split == split)
    if not sum(shard.samples for shard in shards):
        there = sorted({shard.split for shard in dataset.shards if shard.samples})
        found = f"only {', '.join(there)}" if there else "no samples at all"
        hint = " (datagen compose --holdout-fg and --holdout-bg make one)" * (split == Split.VAL)
        raise ValueError(f"{root}: no split {split}, {found}{hint}")
    return shards


class Streams:
    """The pixels of a sample by the name of the stream, decoded each time that they are asked for.

    One that is cut and forgotten before the next leaves its memory to it while a core's cache
    still holds it. Errors begin with `place`.
    """

    def __init__(self, encoded: Mapping[str, bytes], place: str = "") -> None:
        self._encoded, self._place = encoded, place
        self._sizes: dict[str, tuple[int, ...]] = {}

    def __getitem__(self, name: str) -> Pixels:
        """Raises ValueError with its name, or if streams differ in size."""
        try:
            pixels: Pixels = _DECODERS.get(name, decode_colour)(self._encoded[name])
        except ValueError as error:
            raise ValueError(f"{self._place}{name}: {error}") from error
        self._sizes[name] = pixels.shape[:2]
        if len(set(self._sizes.values())) > 1:
            raise ValueError(f"{self._place}the streams differ in size: {self._sizes}")
        return pixels

    def all(self) -> dict[str, Pixels]:
        """Each stream that was wanted; raises as for one."""
        return {name: self[name] for name in self._encoded}


def _broken_samples(opened: OpenShard, streams: Sequence[str]) -> str:
    """Which samples of a damaged shard show it, as a sentence."""
    broken = []
    for number in range(len(opened)):
        try:
            Streams(opened.read(number, streams)).all()
        except ValueError as error:
            broken.append(f"{opened.key(number)} ({error})")
    if not broken:
        return "each sample still decodes, so which one differs is not known"
    more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
    return f"broken samples: {', '.join(broken[:_NAMED])}{more}"


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns
