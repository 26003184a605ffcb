"""Shards: how samples are stored on disk, written and read in one place.

    data/train-00042.tar        WebDataset: KEY.image.jpg, KEY.alpha.png, ..., KEY.json
    data/train-00042.parquet    or the same streams as columns `image`, `alpha`, ... of a table
    index/train-00042.parquet   the rows without pixels, and notes about the data file; written
                                last, so if it is there the shard is whole

Nothing in a file depends on when, where or by whom it was written.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from manifests.checksums import check_content, with_checksum
from manifests.notes import KEY, Notes, Origin, notes_of, notes_text
from manifests.parquet import read_footer, read_parquet, table_errors
from manifests.pixels import ImageCodec
from manifests.samples import EncodedSample, Sample
from manifests.sources import Split
from manifests.storage import (
    Location,
    Url,
    exists,
    files_below,
    read_bytes,
    sha256_of,
    write_bytes,
    writing,
)
from manifests.table_shards import OpenTable, TableStreams, read_table
from manifests.tables import from_table, schema_of, to_dict
from manifests.tar_shards import OpenTar, TarStreams, read_tar

Histogram = NDArray[np.int64]  # 256 counts, one for each level of alpha
Cell = tuple[str, str]  # subject, transparency
Root = TypeVar("Root", Path, Url, Location)  # of a shard set


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
    return index_folder(root) / f"{name}.parquet"


def index_folder(root: Root) -> Root:
    return root / "index"


def shards_there(root: Location) -> list[str]:
    """The names of all shards that have an index, sorted."""
    names = files_below(index_folder(root))
    return sorted(name.removesuffix(".parquet") for name in names if name.endswith(".parquet"))


class ShardWriter:
    """Writes one shard, sample by sample. As a context it leaves a whole shard or nothing.

    with ShardWriter(root, name, form, codec, origin) as writer:
        writer.add(sample, alpha_histogram)
    """

    def __init__(
        self,
        root: Location,
        name: str,
        form: ShardFormat,
        codec: ImageCodec,
        origin: Origin | None = None,
    ) -> None:
        self._root, self._name, self._form, self._codec = root, name, form, codec
        self._origin = origin or Origin({}, {}, {})
        self._rows: list[dict[str, Any]] = []
        self._histograms: dict[Cell, Histogram] = {}
        self._context = contextlib.ExitStack()

    def __enter__(self) -> ShardWriter:
        with contextlib.ExitStack() as stack:
            part = stack.enter_context(writing(data_path(self._root, self._name, self._form)))
            self._part = part
            stack.push(self._measure)
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

    def _measure(self, *error: Any) -> None:
        """Before the data file leaves this machine."""
        if error[0] is None:
            self._sha256, self._bytes = sha256_of(self._part), self._part.stat().st_size

    def _write_index(self) -> None:
        notes = Notes(self._sha256, self._bytes, self._histograms, self._origin)
        table = pa.Table.from_pylist(self._rows, schema=schema_of(Sample))
        write_index(self._root, self._name, table, notes)


def write_index(root: Location, name: str, table: pa.Table, notes: Notes) -> None:
    """Write the index of a shard; `table` holds its rows."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({KEY: notes_text(notes)})
    write_bytes(index_path(root, name), with_checksum(buffer.getvalue()))


class OpenShard(Protocol):
    """A shard whose samples are read by number, in any order, only the streams that are wanted.

    When it is opened, the places of its samples in the file are found. Opening and reading raise
    ValueError if the file is damaged; the message names the file, and the sample if it is known.
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


def read_index(root: Location, name: str) -> list[Sample]:
    """The rows of one shard. Raises ValueError that names the file if it is damaged."""
    data = _read_index(root, name)[0]
    with table_errors(str(index_path(root, name))):
        return from_table(Sample, read_parquet(data))


def read_index_columns(root: Location, name: str, columns: list[str]) -> pa.Table:
    """Some columns of one shard's rows, for counting. Raises ValueError as `read_index`."""
    return read_columns_and_notes(root, name, columns)[0]


def read_columns_and_notes(root: Location, name: str, columns: list[str]) -> tuple[pa.Table, Notes]:
    """Some columns of one shard's rows, and the notes. Raises ValueError as `read_index`."""
    data, _, notes = _read_index(root, name)
    with table_errors(str(index_path(root, name))):
        return read_parquet(data, columns), notes


def read_shard_record(root: Location, name: str, split: Split) -> Shard | None:
    """The record of a shard; None if the shard is not finished. Raises ValueError as `read_index`.

    The data file is not read.
    """
    if not exists(index_path(root, name)):
        return None
    return read_record_and_notes(root, name, split)[0]


def read_record_and_notes(root: Location, name: str, split: Split) -> tuple[Shard, Notes]:
    """Likewise of a shard that is finished, with all that its index says beside its rows."""
    data, rows, notes = _read_index(root, name)
    index_sha256 = hashlib.sha256(data).hexdigest()
    return Shard(name, split, rows, notes.bytes, notes.sha256, index_sha256), notes


def read_notes(root: Location, name: str) -> Notes:
    """What the index of a shard says beside its rows. Raises ValueError as `read_index`."""
    return _read_index(root, name)[2]


def read_alpha_histograms(root: Location, name: str) -> Mapping[Cell, Histogram]:
    """256 counts of alpha levels for each cell (subject, transparency) of one shard.

    Raises ValueError as `read_index`.
    """
    return read_notes(root, name).alpha_histograms


def _read_index(root: Location, name: str) -> tuple[bytes, int, Notes]:
    """The content of an index, which has the right checksum, its number of rows and its notes."""
    path = index_path(root, name)
    try:
        data = read_bytes(path)
    except FileNotFoundError as error:
        raise ValueError(
            f"{path}: missing; repeat the datagen compose that made the set"
        ) from error
    with table_errors(str(path), "not the index of a shard"):
        check_content(data, must_hold=False)
        footer = read_footer(data)
        text = (footer.metadata or {}).get(KEY)
        if text is None:
            raise ValueError("there are no notes in its footer")
        return data, footer.num_rows, notes_of(text, data)
