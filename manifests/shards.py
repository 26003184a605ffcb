"""Shards: how samples are stored on disk, written and read in one place.

    data/train-00042.tar        WebDataset: KEY.image.jpg, KEY.alpha.png, ..., KEY.json
    data/train-00042.parquet    or the same streams as columns `image`, `alpha`, ... of a table
    index/train-00042.parquet   the rows without pixels; written last, so if it is there
                                the shard is whole

Nothing in a file depends on when, where or by whom it was written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from manifests.documents import parse_json
from manifests.names import sha256_text
from manifests.parquet import read_footer, read_parquet, table_errors
from manifests.pixels import ImageCodec
from manifests.samples import EncodedSample, Sample
from manifests.sources import Split
from manifests.storage import Location, Url, read_bytes, writing
from manifests.table_shards import OpenTable, TableStreams, read_table
from manifests.tables import from_dict, from_table, schema_of, to_dict
from manifests.tar_shards import OpenTar, TarStreams, read_tar

Histogram = NDArray[np.int64]  # 256 counts, one a level of alpha
Cell = tuple[str, str]  # subject, transparency
Root = TypeVar("Root", Path, Url, Location)  # of a shard set

_NOTES = b"matting"  # the key of our notes in the index's footer
_NO_INDEX = "not the index of a shard"


class ShardFormat(StrEnum):
    WEBDATASET = "webdataset"
    PARQUET = "parquet"

    @property
    def extension(self) -> str:
        return "tar" if self is ShardFormat.WEBDATASET else "parquet"


@dataclass(frozen=True)
class Shard:
    """What dataset.json says about one shard: enough to find it and to check that it is whole."""

    name: str
    split: Split
    samples: int
    bytes: int
    sha256: str  # of the data file
    index_sha256: str


def shard_name(split: Split, number: int) -> str:
    return f"{split}-{number:05d}"


def data_path(root: Root, name: str, form: ShardFormat) -> Root:
    return root / "data" / f"{name}.{form.extension}"


def index_path(root: Root, name: str) -> Root:
    return root / "index" / f"{name}.parquet"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ShardWriter:
    """Writes one shard, sample by sample. As a context it leaves a whole shard or nothing.

    with ShardWriter(root, name, form, codec) as writer:
        writer.add(sample, alpha_histogram)
    """

    def __init__(self, root: Path, name: str, form: ShardFormat, codec: ImageCodec) -> None:
        self._root, self._name, self._form, self._codec = root, name, form, codec
        self._rows: list[dict[str, Any]] = []
        self._histograms: dict[Cell, Histogram] = {}
        self._context = contextlib.ExitStack()

    def __enter__(self) -> ShardWriter:
        with contextlib.ExitStack() as stack:
            part = stack.enter_context(writing(data_path(self._root, self._name, self._form)))
            self._part = part
            kind = TarStreams if self._form is ShardFormat.WEBDATASET else TableStreams
            self._streams = stack.enter_context(contextlib.closing(kind(part, self._codec)))
            self._context = stack.pop_all()
        return self

    def add(self, sample: EncodedSample, alpha_histogram: Histogram) -> None:
        row, values = sample.row, to_dict(sample.row)
        self._streams.add(sample, values)
        self._rows.append(values)
        cell = (str(row.subject), str(row.transparency))
        self._histograms[cell] = self._histograms.get(cell, 0) + alpha_histogram

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)
        if error[0] is None:
            self._write_index()

    def _write_index(self) -> None:
        data = data_path(self._root, self._name, self._form)
        notes = {
            "sha256": sha256_of(data),
            "bytes": data.stat().st_size,
            "alpha_histograms": [
                {"subject": cell[0], "transparency": cell[1], "counts": counts.tolist()}
                for cell, counts in sorted(self._histograms.items())
            ],
        }
        table = pa.Table.from_pylist(self._rows, schema=schema_of(Sample))
        table = table.replace_schema_metadata({_NOTES: json.dumps(notes)})
        with writing(index_path(self._root, self._name)) as part:
            pq.write_table(table, part, compression="zstd")


class OpenShard(Protocol):
    """A shard whose samples are read by number, in any order, only the streams that are wanted.

    Opening it finds where they lie; that and reading raise ValueError that names the file (and
    the sample where it is known) if it is damaged.
    """

    def __len__(self) -> int: ...

    def key(self, number: int) -> str: ...

    def read(self, number: int, streams: Collection[str]) -> dict[str, bytes]: ...

    def row(self, number: int) -> Sample: ...

    def close(self) -> None: ...


def open_shard(path: Path, called: Location | None = None) -> OpenShard:
    """Open a data file for random access; the form follows from the name.

    Errors name the file as `called`, if it is a copy of another.
    """
    name = str(called or path)
    return OpenTar(path, name) if path.suffix == ".tar" else OpenTable(path, name)


def read_shard(path: Path) -> Iterator[EncodedSample]:
    """The samples of a data file, in order; the form follows from the name.

    Raises ValueError that names the file (and the sample where it is known) if it is damaged.
    """
    return read_tar(path) if path.suffix == ".tar" else read_table(path)


def read_index(root: Path, name: str) -> list[Sample]:
    """The rows of one shard. Raises ValueError that names the file if it is damaged."""
    path = index_path(root, name)
    with table_errors(str(path)):
        return from_table(Sample, read_parquet(path))


def read_index_columns(root: Location, name: str, columns: list[str]) -> pa.Table:
    """Some columns of one shard's rows, for counting. Raises ValueError as `read_index`."""
    path = index_path(root, name)
    with table_errors(str(path)):
        # A file is not read whole for a few of its columns
        return read_parquet(path if isinstance(path, Path) else read_bytes(path), columns)


def read_shard_record(root: Path, name: str, split: Split) -> Shard | None:
    """The record of a shard; None if the shard is not finished.

    Raises ValueError that names the index if it is damaged.
    """
    path = index_path(root, name)
    if not path.exists():
        return None
    rows, notes = _read_notes(path)
    return Shard(name, split, rows, notes.bytes, notes.sha256, sha256_of(path))


def read_alpha_histograms(root: Path, name: str) -> dict[Cell, Histogram]:
    """256 counts of alpha levels for each cell (subject, transparency) of one shard.

    Raises ValueError that names the index if it is damaged.
    """
    _, notes = _read_notes(index_path(root, name))
    return {
        (entry.subject, entry.transparency): np.asarray(entry.counts, np.int64)
        for entry in notes.alpha_histograms
    }


@dataclass(frozen=True)
class _AlphaCounts:
    subject: str
    transparency: str
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != 256 or not all(0 <= count < 1 << 63 for count in self.counts):
            raise ValueError(f"{len(self.counts)} counts of alpha, expected 256 of 0 or more")


@dataclass(frozen=True)
class _Notes:
    """What we note in the footer of an index."""

    sha256: str  # of the data file
    bytes: int
    alpha_histograms: tuple[_AlphaCounts, ...]


def _read_notes(path: Path) -> tuple[int, _Notes]:
    """The number of rows of an index, and the notes in its footer."""
    with table_errors(str(path), _NO_INDEX):
        footer = read_footer(path)
        notes = from_dict(_Notes, parse_json((footer.metadata or {})[_NOTES]))
        sha256_text(notes.sha256)
        return footer.num_rows, notes
