"""Changes to bytes and to JSON, as damage and malice make them."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

from manifests.checksums import with_checksum

# Numbers at which readers of binary formats go wrong
_EDGES = (0, 1, -1, 127, 128, 255, 32767, 65535, 1 << 24, (1 << 31) - 1, -(1 << 31), (1 << 63) - 1)
_TEXTS = ("", "..", "../../x", "/etc/passwd", "\ud800", "\0", "\x1b[2J", "[/b]", "nan", "9" * 5000)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, [], {}, [[]], 1e400, float("nan"), 0.5, -1, 10**30, *_EDGES, *_TEXTS),
)
_TOKENS = (
    b"",
    b"null",
    b"{}",
    b"[",
    b"]",
    b'"',
    b"\\ud800",
    b"1e999",
    b"-",
    b"\xff",
    b"\0",
    b"../",
)
_MOST = 4  # changes at a time


def mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with a few changes."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, _MOST)):
        _change(rng, data, seeds)
    return bytes(data)


def _change(rng: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    length = min(rng.choice((1, 2, 4, 8, 64, 512)), len(data) - at)
    kind = rng.randrange(8)
    if kind == 0 and length:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at : at + length] = rng.randbytes(length)
    elif kind == 2:
        width = rng.choice((1, 2, 4, 8))
        number = rng.choice(_EDGES) % (1 << 8 * width)
        data[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
    elif kind == 3:
        del data[at : at + length]
    elif kind == 4:
        data[at:at] = data[at : at + length] * rng.choice((1, 2, 100))
    elif kind == 5:
        data[at : at + rng.randrange(8)] = rng.choice(_TOKENS)
    elif kind == 6 and rng.random() < 0.2:
        del data[at:]
    else:
        other = rng.choice(seeds)
        begin = rng.randrange(len(other) + 1)
        data[at : at + length] = other[begin : begin + length]


def resealed(data: bytes) -> bytes:
    """With the right checksum, if the file holds its own: otherwise readers look no further."""
    mark, zeros = b'"checksum": "', b"0" * 64
    at = data.rfind(mark) + len(mark)
    if mark not in data or len(data) < at + len(zeros):
        return data
    return with_checksum(data[:at] + zeros + data[at + len(zeros) :])


def mutated_sealed(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """As `mutated`, and mostly with the right checksum."""
    data = mutated(rng, seeds)
    return resealed(data) if rng.random() < 0.8 else data


def mutated_json(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the JSON documents with other values in it; sometimes nested without end, or damaged
    as bytes."""
    kind = rng.random()
    if kind < 0.2:
        return mutated(rng, seeds)
    if kind < 0.21:
        return b'{"a":' * 100_000 + b"[" * 100_000
    document = json.loads(rng.choice(seeds))
    for _ in range(rng.randint(1, _MOST)):
        document = _with_another(rng, document)
    return resealed(json.dumps(document).encode())


def _with_another(rng: random.Random, value: Any) -> Any:
    """The document with one of its values replaced, removed or doubled."""
    inside = value if isinstance(value, dict | list) else None
    if not inside or rng.random() < 0.1:
        return copy.deepcopy(rng.choice(_VALUES))  # its parts may be replaced later
    places = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
    place = rng.choice(places)
    if rng.random() < 0.1:
        del inside[place]
    elif isinstance(inside, list) and rng.random() < 0.1:
        inside.insert(rng.choice(places), copy.deepcopy(inside[place]))
    else:
        inside[place] = _with_another(rng, inside[place])
    return inside
