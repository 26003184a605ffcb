"""What describes a shard set as a whole: dataset.json, and the tables of its sources."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq

from manifests.documents import parse_object
from manifests.names import file_below, plain_name, sha256_text
from manifests.parquet import MAX_ROWS, read_parquet, table_errors
from manifests.pixels import ImageCodec
from manifests.shards import Root, Shard, ShardFormat
from manifests.sources import Background, Foreground
from manifests.storage import Location, read_bytes, write_bytes, writing
from manifests.tables import from_dict, from_table, to_dict, to_table

CONTRACT = 1  # raised with every change that an old reader would misread

Source = TypeVar("Source", Foreground, Background)


@dataclass(frozen=True)
class Skipped:
    """A source that was left out, and why."""

    file: str
    kind: str
    reason: str


@dataclass(frozen=True)
class ShardSettings:
    """The settings that a reader of the shards needs, among those of the program that made them.

    size: height and width of each image, pixels.
    jpeg_quality: of the colours, if `image_codec` is JPEG.
    shard_size: samples in each shard of a split but its last.
    layers: whether the shards hold the streams foreground and background.
    """

    format: ShardFormat
    image_codec: ImageCodec
    jpeg_quality: int
    size: int
    shard_size: int
    layers: bool

    def __post_init__(self) -> None:
        for name in ("size", "shard_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}, expected 1 or more")


@dataclass(frozen=True)
class Manifest:
    """The content of dataset.json. Its presence means that every shard is there.

    settings: all those of the program that made the shards.
    """

    contract: int
    settings: dict[str, Any]
    libraries: dict[str, str]
    shards: tuple[Shard, ...]
    skipped: tuple[Skipped, ...]


def dataset_path(root: Root) -> Root:
    return root / "dataset.json"


def write_manifest(root: Path, manifest: Manifest) -> None:
    fields = {
        **vars(manifest),
        "shards": [to_dict(shard) for shard in manifest.shards],
        "skipped": [to_dict(source) for source in manifest.skipped],
    }
    write_bytes(dataset_path(root), (json.dumps(fields, indent=1) + "\n").encode())


def read_manifest(root: Location) -> tuple[Manifest, ShardSettings]:
    """Read and check dataset.json, in a folder or elsewhere.

    Raises FileNotFoundError if it is not there, OSError if it cannot be fetched,
    ValueError if it is malformed or of another contract.
    """
    path = dataset_path(root)
    try:
        data = read_bytes(path)
    except FileNotFoundError as error:
        there = not isinstance(root, Path) or root.is_dir()
        reason = "the shards are not finished, or not here" if there else "no such folder"
        raise FileNotFoundError(f"{path}: {reason}; make them with `datagen compose`") from error
    try:
        fields = parse_object(data)
        if fields["contract"] != CONTRACT:
            found = fields["contract"]
            raise ValueError(f"contract {found}, this program reads contract {CONTRACT}")
        for name in ("settings", "libraries"):
            if not isinstance(fields[name], dict):
                raise TypeError(f"{name} is not an object")
        manifest = Manifest(
            contract=fields["contract"],
            settings=fields["settings"],
            libraries=fields["libraries"],
            shards=tuple(_shard(shard) for shard in fields["shards"]),
            skipped=tuple(from_dict(Skipped, source) for source in fields["skipped"]),
        )
        return manifest, from_dict(ShardSettings, manifest.settings)
    except (KeyError, TypeError, ValueError) as error:
        missing = "no " if isinstance(error, KeyError) else ""
        raise ValueError(f"{path}: {missing}{error}") from error


def _shard(fields: Mapping[str, Any]) -> Shard:
    """One shard of dataset.json; its name and sha256 become names of files."""
    shard = from_dict(Shard, fields)
    plain_name(shard.name)
    for sha256 in (shard.sha256, shard.index_sha256):
        sha256_text(sha256)
    if not (0 <= shard.samples <= MAX_ROWS and 0 <= shard.bytes < 1 << 63):
        raise ValueError(f"{shard.name}: {shard.samples} samples in {shard.bytes} bytes")
    return shard


def sources_path(root: Root, kind: type) -> Root:
    return root / "sources" / f"{kind.__name__.lower()}s.parquet"


def write_sources(root: Path, kind: type[Source], sources: Iterable[Source]) -> None:
    with writing(sources_path(root, kind)) as part:
        pq.write_table(to_table(kind, sources), part, compression="zstd")


def read_sources(root: Location, kind: type[Source]) -> list[Source]:
    """What was composited. Raises ValueError that names the file if it cannot be read."""
    path = sources_path(root, kind)
    with table_errors(str(path)):
        sources = from_table(kind, read_parquet(read_bytes(path)))
        for source in sources:
            file_below(source.id)
            if isinstance(source, Foreground) and source.alpha_id:
                file_below(source.alpha_id)
        return sources


def check_splits(sources: Sequence[Foreground] | Sequence[Background], name: str) -> None:
    """Raise ValueError if one id, or the same pixels under two ids, is in two splits."""
    homes: dict[str, tuple[str, str]] = {}
    for source in sources:
        for mark in (source.id, source.pixels_sha256):
            other, split = homes.setdefault(mark, (source.id, source.split))
            if split != source.split:
                raise ValueError(
                    f"the splits leak: {name} {source.id} is in {source.split}, "
                    f"{other} with the same pixels is in {split}"
                )
