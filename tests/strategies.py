"""Every Hypothesis strategy of the tests.

Pictures come from a drawn seed and a drawn kind, not value by value: thousands of drawn values
would neither be found faster nor shrink better.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from manifests.pixels import Pixels
from manifests.samples import EncodedSample, Sample, stream_names
from manifests.shards import Shard
from manifests.sources import Background, Foreground, Split

Record = TypeVar("Record")

# The machines that run the tests differ in speed by more than any deadline is worth.
few = settings(max_examples=20, deadline=None)
many = settings(max_examples=60, deadline=None)

_SIDES = st.integers(8, 48)
_SEEDS = st.integers(0, 2**32 - 1)

_SCALARS: dict[Any, SearchStrategy[Any]] = {
    str: st.text(st.characters(codec="utf-8"), max_size=12),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
}


def records(kind: type[Record]) -> SearchStrategy[Record]:
    """Any record of a dataclass: any value of its type in every field, nested ones too."""
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(typing.cast(Any, kind))]
    values = st.fixed_dictionaries({name: _values(hints[name]) for name in names})
    return values.map(lambda drawn: kind(**drawn))


def _values(kind: Any) -> SearchStrategy[Any]:
    if isinstance(kind, types.GenericAlias):
        return st.tuples(*map(_values, typing.get_args(kind)))
    if dataclasses.is_dataclass(kind):
        return records(typing.cast(type, kind))
    if issubclass(kind, StrEnum):
        return st.sampled_from(list(kind))
    if issubclass(kind, tuple):
        return st.builds(kind, *map(_values, typing.get_type_hints(kind).values()))
    return _SCALARS[kind]


# The path of a user's file below its folder: any letters but "/" and NUL
_files = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(
    lambda name: name not in (".", "..")
)
foregrounds = st.builds(
    lambda source, name, alpha: dataclasses.replace(source, id=name, alpha_id=alpha),
    *(records(Foreground), _files, st.just("") | _files),
)
backgrounds = st.builds(
    lambda source, name: dataclasses.replace(source, id=name), records(Background), _files
)
rows = records(Sample)
shard_records = records(Shard)


@st.composite
def rgb_images(draw: st.DrawFn) -> Pixels:
    """H x W x 3: noise, flat, or blocks of one colour."""
    height, width, rng = draw(_SIDES), draw(_SIDES), np.random.default_rng(draw(_SEEDS))
    block = draw(st.sampled_from([1, 4, 48]))
    small = rng.integers(0, 256, (height // block + 1, width // block + 1, 3), np.uint8)
    image: Pixels = small.repeat(block, axis=0).repeat(block, axis=1)[:height, :width].copy()
    return image


@st.composite
def smooth_images(draw: st.DrawFn) -> Pixels:
    """H x W x 3 that changes slowly, as photos do, and each channel in a way of its own."""
    height, width, rng = draw(_SIDES), draw(_SIDES), np.random.default_rng(draw(_SEEDS))
    y, x = np.mgrid[:height, :width][..., None] / 48
    rate, phase = rng.uniform(-4, 4, (2, 3)), rng.uniform(0, 6, 3)
    waves = np.sin(rate[0] * y + rate[1] * x + phase)
    image: Pixels = np.rint(127.5 + 120 * waves).astype(np.uint8)
    return image


@st.composite
def soft_alphas(draw: st.DrawFn) -> Pixels:
    """H x W with any share of 0, of 255 and of the values between them."""
    height, width, rng = draw(_SIDES), draw(_SIDES), np.random.default_rng(draw(_SEEDS))
    middle, spread = draw(st.integers(-100, 355)), draw(st.sampled_from([0, 3, 100, 400]))
    levels = rng.integers(middle - spread, middle + spread + 1, (height, width))
    return levels.clip(0, 255).astype(np.uint8)


@st.composite
def trimaps(draw: st.DrawFn) -> Pixels:
    """H x W of the codes 0, 1 and 2, or of some of them."""
    height, width, rng = draw(_SIDES), draw(_SIDES), np.random.default_rng(draw(_SEEDS))
    codes = draw(st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=3))
    return rng.choice(np.array(codes, np.uint8), (height, width))


@st.composite
def encoded_samples(draw: st.DrawFn, least: int = 1, most: int = 4) -> list[EncodedSample]:
    """The samples of one shard: any rows, any bytes as streams, of lengths around a tar block."""
    layers = draw(st.booleans())
    numbers = draw(st.lists(st.integers(0, 10**8 - 1), min_size=least, max_size=most, unique=True))
    split = draw(st.sampled_from(Split))
    lengths = st.sampled_from([513, 512, 511, 1500, 1, 0])
    samples = []
    for number in numbers:
        row = dataclasses.replace(draw(rows), key=f"{split}-{number:08d}")
        rng = np.random.default_rng(draw(_SEEDS))
        streams = {name: rng.bytes(draw(lengths)) for name in stream_names(layers)}
        samples.append(EncodedSample(row, streams))
    return samples
