"""Shards: how samples lie on disk, written and read in one place.

    data/train-00042.tar        WebDataset: KEY.image.jpg, KEY.alpha.png, ..., KEY.json
    data/train-00042.parquet    or the same streams as columns `image`, `alpha`, ... of a table
    index/train-00042.parquet   the rows without pixels; written last: its shard is whole

Nothing in a file depends on when, where or by whom it was written.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from manifests.pixels import ImageCodec
from manifests.samples import EncodedSample, Sample, extension_of
from manifests.sources import Split
from manifests.storage import writing
from manifests.tables import from_dict, from_table, schema_of, to_dict

Histogram = NDArray[np.int64]  # 256 counts, one a level of alpha
Cell = tuple[str, str]  # subject, transparency

# Readers hold one row group in memory; Hugging Face asks for 100 MB at most.
_ROW_GROUP_BYTES = 64 << 20
_COPY_BYTES = 4 << 20  # a stream is one write, not twenty of 16 KiB: 0.5 ms a sample
_NOTES = b"matting"  # the key of our notes in the index's footer
_STREAM_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


class ShardFormat(StrEnum):
    WEBDATASET = "webdataset"
    PARQUET = "parquet"

    @property
    def extension(self) -> str:
        return "tar" if self is ShardFormat.WEBDATASET else "parquet"


@dataclass(frozen=True)
class Shard:
    """What dataset.json says of one shard: enough to find it and to tell whether it is unharmed."""

    name: str
    split: Split
    samples: int
    bytes: int
    sha256: str  # of the data file
    index_sha256: str


def shard_name(split: Split, number: int) -> str:
    return f"{split}-{number:05d}"


def data_path(root: Path, name: str, form: ShardFormat) -> Path:
    return root / "data" / f"{name}.{form.extension}"


def index_path(root: Path, name: str) -> Path:
    return root / "index" / f"{name}.parquet"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ShardWriter:
    """Writes one shard, sample by sample; a context that leaves a whole shard or none.

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
            kind = _TarStreams if self._form is ShardFormat.WEBDATASET else _TableStreams
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


class _TarStreams:
    def __init__(self, path: Path, codec: ImageCodec) -> None:
        self._codec = codec
        self._tar = tarfile.TarFile(path, "w", format=tarfile.USTAR_FORMAT, copybufsize=_COPY_BYTES)

    def add(self, sample: EncodedSample, values: dict[str, Any]) -> None:
        key = sample.row.key
        for stream, data in sample.streams.items():
            self._member(f"{key}.{stream}.{extension_of(stream, self._codec)}", data)
        row = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        self._member(f"{key}.json", row.encode())

    def _member(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)  # its defaults carry no time, owner or host
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))

    def close(self) -> None:
        self._tar.close()


class _TableStreams:
    def __init__(self, path: Path, codec: ImageCodec) -> None:
        self._path, self._codec = path, codec
        self._pending: list[tuple[EncodedSample, dict[str, Any]]] = []
        self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, sample: EncodedSample, values: dict[str, Any]) -> None:
        self._pending.append((sample, values))
        self._bytes += sum(map(len, sample.streams.values()))
        if self._bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        samples = [sample for sample, _ in self._pending]
        rows = [values for _, values in self._pending]
        table = pa.Table.from_pylist(rows, schema=schema_of(Sample))
        for stream in samples[0].streams:
            column = [
                {"bytes": sample.streams[stream], "path": self._file_name(sample.row.key, stream)}
                for sample in samples
            ]
            table = table.append_column(stream, pa.array(column, _STREAM_TYPE))
        features = _image_features(list(samples[0].streams))
        table = table.replace_schema_metadata({b"huggingface": features})
        if self._writer is None:
            # Pixels are compressed already; dictionaries would only hold them a second time.
            self._writer = pq.ParquetWriter(
                self._path, table.schema, compression="none", use_dictionary=False
            )
        self._writer.write_table(table)
        self._pending, self._bytes = [], 0

    def _file_name(self, key: str, stream: str) -> str:
        return f"{key}.{stream}.{extension_of(stream, self._codec)}"

    def close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()


def _image_features(streams: list[str]) -> bytes:
    """What makes Hugging Face `datasets` decode the columns as images."""
    features = {stream: {"_type": "Image"} for stream in streams}
    return json.dumps({"info": {"features": features}}).encode()


def read_shard(path: Path) -> Iterator[EncodedSample]:
    """The samples of a data file, in order; the form follows from the name.

    Raises ValueError that names the file (and the sample where it is known) if it is damaged.
    """
    return _read_tar(path) if path.suffix == ".tar" else _read_table(path)


def _read_tar(path: Path) -> Iterator[EncodedSample]:
    key, streams = "", dict[str, bytes]()
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                name, _, rest = member.name.partition(".")
                if streams and name != key:
                    raise ValueError(f"{path}: sample {key} has no row ({key}.json)")
                key, content = name, tar.extractfile(member)
                data = content.read() if content is not None else b""
                tar.members.clear()  # type: ignore[attr-defined]  # it would remember them all
                if rest == "json":
                    yield EncodedSample(_row_of(path, key, data), streams)
                    streams = {}
                else:
                    streams[rest.partition(".")[0]] = data
            # tarfile takes a damaged header for the end, and would lose the rest without a word
            file.seek(tar.offset)
            end = file.read()
            if len(end) < 2 * tarfile.BLOCKSIZE or end.strip(b"\0"):
                raise tarfile.ReadError("no end of archive")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{path}: not a whole tar file, after sample {key!r}: {error}") from error
    if streams:
        raise ValueError(f"{path}: sample {key} has no row ({key}.json)")


def _row_of(path: Path, key: str, data: bytes) -> Sample:
    try:
        return from_dict(Sample, json.loads(data))
    except ValueError as error:
        raise ValueError(f"{path}: sample {key}: {error}") from error


def _read_table(path: Path) -> Iterator[EncodedSample]:
    columns = set(schema_of(Sample).names)
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=16):
                for values in batch.to_pylist():
                    row = from_dict(Sample, {k: v for k, v in values.items() if k in columns})
                    streams = {k: v["bytes"] for k, v in values.items() if k not in columns}
                    yield EncodedSample(row, streams)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a whole shard: {error!r}") from error


def read_index(root: Path, name: str) -> list[Sample]:
    """The rows of one shard. Raises ValueError that names the file if it is damaged."""
    path = index_path(root, name)
    try:
        return from_table(Sample, pq.read_table(path))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_index_columns(root: Path, name: str, columns: list[str]) -> pa.Table:
    """Some columns of one shard's rows, for counting. Raises ValueError as `read_index`."""
    path = index_path(root, name)
    try:
        return pq.read_table(path, columns=columns)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_shard_record(root: Path, name: str, split: Split) -> Shard | None:
    """What a finished shard says of itself; None if it is not finished."""
    path = index_path(root, name)
    if not path.exists():
        return None
    notes = _read_notes(path)
    rows = pq.read_metadata(path).num_rows
    return Shard(name, split, rows, notes["bytes"], notes["sha256"], sha256_of(path))


def read_alpha_histograms(root: Path, name: str) -> dict[Cell, Histogram]:
    """256 counts of alpha levels for each cell (subject, transparency) of one shard."""
    return {
        (entry["subject"], entry["transparency"]): np.asarray(entry["counts"], np.int64)
        for entry in _read_notes(index_path(root, name))["alpha_histograms"]
    }


def _read_notes(path: Path) -> Mapping[str, Any]:
    try:
        notes: Mapping[str, Any] = json.loads(pq.read_schema(path).metadata[_NOTES])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not the index of a shard: {error}") from error
    return notes
