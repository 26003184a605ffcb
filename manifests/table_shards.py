"""The Parquet form of a shard: the rows, and the streams as columns that hold encoded images."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.parquet import open_plain, table_errors
from manifests.pixels import STREAM_BYTES, ImageCodec
from manifests.samples import EncodedSample, Sample, extension_of
from manifests.tables import from_dict, schema_of

# Readers hold one row group in memory; Hugging Face asks for 100 MB at most.
_ROW_GROUP_BYTES = 64 << 20
_STREAM_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_DAMAGED = "not a whole shard"
# A row group ends after the sample with which it has 64 MB. A sample is at most so large: six
# streams of the largest size that decode without a loss.
_MOST_GROUP_BYTES = _ROW_GROUP_BYTES + 6 * STREAM_BYTES

# How many row groups a reader in random order holds. Samples that are less than a row group apart
# are in at most two of them; the third is the one that was read before.
_GROUPS_HELD = 3


class TableStreams:
    """Writes the samples of one shard, in order."""

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
            # Pixels are already compressed; dictionaries would only store them a second time.
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


def read_table(path: Path) -> Iterator[EncodedSample]:
    """The samples in order. Raises ValueError that names the file if it is damaged."""
    columns = set(schema_of(Sample).names)
    with table_errors(str(path), _DAMAGED), open_plain(path, _MOST_GROUP_BYTES) as file:
        for batch in file.iter_batches(batch_size=16):
            for values in batch.to_pylist():
                row = from_dict(Sample, {k: v for k, v in values.items() if k in columns})
                yield EncodedSample(
                    row, {k: _bytes_of(v) for k, v in values.items() if k not in columns}
                )


def _bytes_of(stream: Any) -> bytes:
    content = stream.get("bytes") if isinstance(stream, dict) else None
    if not isinstance(content, bytes):
        raise ValueError(f"a stream without bytes: {type(content).__name__}")
    return content


class OpenTable:
    """A table whose samples are read in any order, a row group at a time.

    The last few row groups are kept, so that it is cheap to read numbers that are close together.
    Raises ValueError as `read_table` does, with the file's `name`.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self._held: OrderedDict[tuple[int, tuple[str, ...]], pa.Table] = OrderedDict()
        with table_errors(name, _DAMAGED):
            self._file = open_plain(path, _MOST_GROUP_BYTES)
            try:
                keys = self._file.read(["key"], use_threads=False)
                self._keys: list[str] = [str(key) for key in keys["key"].to_pylist()]
            except BaseException:
                self._file.close(force=True)
                raise
        metadata = self._file.metadata
        sizes = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
        self._starts = [0, *accumulate(sizes)]

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, number: int) -> str:
        return self._keys[number]

    def read(self, number: int, streams: Collection[str]) -> dict[str, bytes]:
        """The encoded bytes of some streams of one sample."""
        names = self._file.schema_arrow.names
        if missing := [stream for stream in streams if stream not in names]:
            found = ", ".join(name for name in names if name not in schema_of(Sample).names)
            raise ValueError(f"{self._name}: no streams {', '.join(missing)}, only {found}")
        # Only the bytes, so that the file names beside them are not decoded
        with table_errors(self._name, _DAMAGED):
            values = self._at(number, tuple(f"{stream}.bytes" for stream in streams))
            return {stream: _bytes_of(values.get(stream)) for stream in streams}

    def row(self, number: int) -> Sample:
        with table_errors(self._name, _DAMAGED):
            return from_dict(Sample, self._at(number, tuple(schema_of(Sample).names)))

    def _at(self, number: int, columns: tuple[str, ...]) -> dict[str, Any]:
        group = bisect_right(self._starts, number) - 1
        held = (group, columns)
        if held not in self._held:
            while len(self._held) >= _GROUPS_HELD:
                self._held.popitem(last=False)
            table = self._file.read_row_group(group, list(columns), use_threads=False)
            self._held[held] = table
        self._held.move_to_end(held)
        one = self._held[held].slice(number - self._starts[group], 1)
        values: dict[str, Any] = one.to_pylist()[0]
        return values

    def close(self) -> None:
        self._held.clear()
        self._file.close(force=True)
