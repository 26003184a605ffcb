"""What describes a shard set as a whole: dataset.json, and the tables of its sources.

Each of these files holds its own checksum, and dataset.json holds those of all others.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.card import About, card_of
from manifests.checksums import BLANK, DamagedError, check_content, with_checksum
from manifests.croissant import croissant_json
from manifests.documents import parse_object
from manifests.features import features_yaml
from manifests.names import file_below, plain_name, sha256_text
from manifests.notes import KEY
from manifests.parquet import MAX_ROWS, read_parquet, table_errors
from manifests.pixels import ImageCodec
from manifests.shards import Root, Shard, ShardFormat
from manifests.sources import NOT_STATED, Background, Foreground, licence_of
from manifests.storage import Location, exists, read_bytes, write_bytes, write_changed
from manifests.tables import from_dict, from_table, to_dict, to_table

# Raised with every change that an old reader would misread. Sets of contract 1 are read, too: their
# files hold no checksums of their own, and dataset.json none of the sources.
CONTRACT = 2
_REMEDY = "repeat the datagen compose that made the set, it makes this file again"
_LICENCE = "licence"  # a column that tables of earlier versions lack
_FIELDS_OF_CONTRACT_1 = {"contract", "settings", "libraries", "shards", "skipped"}

Source = TypeVar("Source", Foreground, Background)


class _OtherContractError(Exception):
    """A set that another version of this program made."""

    def __init__(self, found: object) -> None:
        super().__init__(f"contract {found}, this program reads contract 1 and {CONTRACT}")


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
    libraries: the versions of those that decide bytes.
    sources: the checksum of each table of sources; empty in contract 1, which has none.
    licences: for each table of sources how many have which licence; empty in a set of an earlier
        version.
    about: what people said of the set.
    """

    contract: int
    settings: dict[str, Any]
    libraries: dict[str, str]
    shards: tuple[Shard, ...]
    skipped: tuple[Skipped, ...]
    sources: dict[str, str]
    licences: dict[str, dict[str, int]] = field(default_factory=dict)
    about: About = field(default_factory=About)


def dataset_path(root: Root) -> Root:
    return root / "dataset.json"


def card_path(root: Root) -> Root:
    return root / "README.md"


def croissant_path(root: Root) -> Root:
    return root / "croissant.json"


def write_manifest(root: Location, manifest: Manifest, text: str = "") -> None:
    """Write README.md and croissant.json, then dataset.json.

    What people wrote into README.md stays.

    text: what the program that made the set says about it in README.md.
    """
    readme, settings = card_path(root), from_dict(ShardSettings, manifest.settings)
    before = read_bytes(readme) if exists(readme) else b""
    is_tar = settings.format is ShardFormat.WEBDATASET
    card = card_of(
        manifest.shards,
        settings.format,
        before.decode(errors="surrogateescape"),
        features_yaml(is_tar, settings.image_codec, settings.layers),
        manifest.about,
        text,
    )
    write_changed(readme, card.encode(errors="surrogateescape"))
    of_files = settings.format, settings.image_codec, settings.layers
    write_changed(croissant_path(root), croissant_json(manifest.shards, *of_files, manifest.about))
    fields = {
        **vars(manifest),
        "shards": [to_dict(shard) for shard in manifest.shards],
        "skipped": [to_dict(source) for source in manifest.skipped],
        "about": to_dict(manifest.about),
        **BLANK,
    }
    write_bytes(dataset_path(root), with_checksum((json.dumps(fields, indent=1) + "\n").encode()))


def read_manifest(root: Location) -> tuple[Manifest, ShardSettings]:
    """Read and check dataset.json, in a folder or elsewhere.

    Raises FileNotFoundError if it is not there, OSError if it cannot be fetched, DamagedError, a
    ValueError, if it is not what was written, ValueError if it is of another contract.
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
        contract = fields["contract"]
        is_old = contract == 1 and fields.keys() == _FIELDS_OF_CONTRACT_1
        check_content(data, must_hold=not is_old)
        if not is_old and contract != CONTRACT:
            raise _OtherContractError(contract)
        for name in ("settings", "libraries"):
            if not isinstance(fields[name], dict):
                raise TypeError(f"{name} is not an object")
        manifest = Manifest(
            contract=contract,
            settings=fields["settings"],
            libraries=fields["libraries"],
            shards=tuple(_shard(shard) for shard in fields["shards"]),
            skipped=tuple(from_dict(Skipped, source) for source in fields["skipped"]),
            sources={} if contract == 1 else _checksums_of_sources(fields["sources"]),
            licences=_licences(fields.get("licences", {})),
            about=from_dict(About, fields["about"]) if "about" in fields else About(),
        )
        return manifest, from_dict(ShardSettings, manifest.settings)
    except _OtherContractError as error:
        raise ValueError(f"{path}: {error}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DamagedError(f"{path}: it is empty, or no JSON; {_REMEDY}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        missing = "no " if isinstance(error, KeyError) else ""
        raise DamagedError(f"{path}: {missing}{error}; {_REMEDY}") from error


def _shard(fields: Mapping[str, Any]) -> Shard:
    """One shard of dataset.json; its name and sha256 become names of files."""
    shard = from_dict(Shard, fields)
    plain_name(shard.name)
    for sha256 in (shard.sha256, shard.index_sha256):
        sha256_text(sha256)
    if not (0 <= shard.samples <= MAX_ROWS and 0 <= shard.bytes < 1 << 63):
        raise ValueError(f"{shard.name}: {shard.samples} samples in {shard.bytes} bytes")
    return shard


def _checksums_of_sources(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: sha256_text(fields[name]) for name in map(table_name, (Foreground, Background))}


def _licences(fields: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    counts = {name: dict(fields[name]) for name in fields}
    for number in (number for licences in counts.values() for number in licences.values()):
        if type(number) is not int:
            raise TypeError(f"{number!r} sources of a licence")
    return counts


def table_name(kind: type) -> str:
    """Of the sources of one kind: "foregrounds" or "backgrounds"."""
    return f"{kind.__name__.lower()}s"


def sources_path(root: Root, kind: type) -> Root:
    return root / "sources" / f"{table_name(kind)}.parquet"


def sources_sha256(sources: Iterable[Foreground] | Iterable[Background]) -> str:
    """A checksum of what is recorded of some sources; no library's version changes it."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(json.dumps(to_dict(source)).encode() + b"\n")
    return digest.hexdigest()


def write_sources(root: Location, kind: type[Source], sources: Sequence[Source]) -> str:
    """Write the table of one kind of source, and return its `sources_sha256`.

    It has one column more than the records, for those who read it elsewhere: `licence`, which
    follows from `labels` and is null where they name none.
    """
    table, buffer = to_table(kind, sources), io.BytesIO()
    licences = [None if one == NOT_STATED else one for one in map(licence_of, sources)]
    table = table.append_column(_LICENCE, pa.array(licences, pa.string()))
    with pq.ParquetWriter(buffer, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({KEY: json.dumps(BLANK).encode()})
    write_bytes(sources_path(root, kind), with_checksum(buffer.getvalue()))
    return sources_sha256(sources)


def read_sources(root: Location, kind: type[Source], sha256: str = "") -> list[Source]:
    """What was composited.

    sha256: what `sources_sha256` returned for them; "" in a set of contract 1, which has none.

    Raises DamagedError, a ValueError that names the file, if it cannot be read, or if it is not
    what was written.
    """
    path = sources_path(root, kind)
    try:
        data = read_bytes(path)
    except FileNotFoundError as error:
        raise DamagedError(f"{path}: missing; {_REMEDY}") from error
    except OSError as error:
        raise ValueError(f"{path}: {error}") from error
    try:
        with table_errors(str(path)):
            check_content(data, must_hold=bool(sha256))
            table = read_parquet(data)
            own = [name for name in table.column_names if name != _LICENCE]
            sources = from_table(kind, table.select(own))
            if sha256 and sources_sha256(sources) != sha256:
                raise ValueError("its sources are not those of dataset.json")
            for source in sources:
                file_below(source.id)
                if isinstance(source, Foreground) and source.alpha_id:
                    file_below(source.alpha_id)
            return sources
    except ValueError as error:
        raise DamagedError(f"{error}; {_REMEDY}") from error


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
