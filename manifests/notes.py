"""What the index of a shard says beside its rows, in the footer of the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.checksums import BLANK, check_content
from manifests.documents import parse_object
from manifests.names import sha256_text
from manifests.tables import from_dict

KEY = b"matting"  # of the notes in the footer
_OF_CONTRACT_1 = {"sha256", "bytes", "alpha_histograms"}


@dataclass(frozen=True)
class Origin:
    """What the bytes of a shard depend on.

    settings: those of the program that made the shard, but for the number of samples: more samples
        of the same settings are further shards of the same set.
    libraries: the versions of those that decide bytes.
    sources: for each table of sources what `manifests.dataset.sources_sha256` returns.
    """

    settings: Mapping[str, Any]
    libraries: Mapping[str, str]
    sources: Mapping[str, str]

    def __post_init__(self) -> None:
        for fields in (self.libraries, self.sources):
            if not (isinstance(fields, Mapping) and all(map(_is_text, fields.values()))):
                raise TypeError("an origin with something else than text")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


@dataclass(frozen=True)
class Notes:
    """The notes about one shard. With them a set that has lost everything else is continued.

    sha256, bytes: of the data file.
    alpha_histograms: 256 counts of alpha levels for each cell (subject, transparency).
    origin: None in an index of contract 1, which also lacks a checksum of its own.
    """

    sha256: str
    bytes: int
    alpha_histograms: Mapping[tuple[str, str], NDArray[np.int64]]
    origin: Origin | None


@dataclass(frozen=True)
class _AlphaCounts:
    subject: str
    transparency: str
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != 256 or not all(0 <= count < 1 << 63 for count in self.counts):
            raise ValueError(f"{len(self.counts)} counts of alpha, expected 256 of 0 or more")


@dataclass(frozen=True)
class _OfData:
    sha256: str
    bytes: int
    alpha_histograms: tuple[_AlphaCounts, ...]


def notes_text(notes: Notes) -> bytes:
    """The text for the footer, still without the checksum of the file."""
    assert notes.origin is not None
    fields = {
        "sha256": notes.sha256,
        "bytes": notes.bytes,
        "alpha_histograms": [
            {"subject": cell[0], "transparency": cell[1], "counts": counts.tolist()}
            for cell, counts in sorted(notes.alpha_histograms.items())
        ],
        "origin": vars(notes.origin),
        **BLANK,
    }
    return json.dumps(fields).encode()


def notes_of(text: bytes, file: bytes) -> Notes:
    """The notes in a footer.

    file: the content of the whole index, which must have the checksum that it holds.

    Raises ValueError, LookupError or TypeError if the notes or the file are damaged.
    """
    fields = parse_object(text)
    check_content(file, must_hold=fields.keys() != _OF_CONTRACT_1)
    data = from_dict(_OfData, fields)
    counts = {
        (entry.subject, entry.transparency): np.asarray(entry.counts, np.int64)
        for entry in data.alpha_histograms
    }
    origin = Origin(**fields["origin"]) if "origin" in fields else None
    return Notes(sha256_text(data.sha256), data.bytes, counts, origin)
