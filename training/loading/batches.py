"""Shards -> batches of tensors; the only file that makes tensors of pixels.

A batch is a function of the shard set, the settings and its number. So any number of workers
makes the same batches, and resuming is to begin at a number: there is no state to restore.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from manifests.pixels import Pixels, trimap_of
from manifests.samples import LAYERS, Sample
from manifests.shard_set import ShardSet
from manifests.sources import Split
from manifests.store import ShardStore, Streams
from training.choices import TrimapChoice
from training.loading.augment import (
    Scales,
    cut_into,
    cut_unmixed_into,
    draw_pixel,
    draw_trimap,
    draw_window,
)
from training.loading.colours import NUMBERS, colour_maps
from training.loading.order import Order, Place, generator_of
from training.loading.workers import in_order
from training.settings import LoaderSettings

_STREAMS = ("image", "alpha", "crude_trimap")  # the exact trimap follows from alpha: Eq. (2)
_ENDLESS = sys.maxsize


@dataclass(frozen=True)
class Batch:
    """N samples, uint8, S x S; colours are RGB, in channels_last memory.

    N is the batch size, less the samples that were skipped: it may be 0.
    """

    number: int
    epoch: int  # of its first sample
    keys: tuple[str, ...]
    image: Tensor  # N x 3 x S x S
    given_trimap: Tensor  # N x 1 x S x S, codes 0, 1, 2: what the model is given
    alpha: Tensor  # N x 1 x S x S, 0..255
    trimap: Tensor  # N x 1 x S x S, codes 0, 1, 2: Eq. (2) of alpha
    foreground: Tensor | None  # N x 3 x S x S, grey (128) where it is not kept
    background: Tensor | None
    colours: Tensor  # N x 3 x 4 float32: the change of colours, to be applied to all of these
    skipped: tuple[str, ...]  # "file: sample KEY: reason" for each
    damaged: tuple[str, ...]  # "file: damage" of shards that are used as far as they can be read

    def pin_memory(self) -> Batch:
        """For a loader that copies to a GPU; torch calls it by this name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        pinned = {name: v.pin_memory() for name, v in values.items() if isinstance(v, Tensor)}
        return Batch(**{**values, **pinned})


@dataclass(frozen=True)
class WholeSample:
    """One whole sample as it is stored: H x W x 3 and H x W, uint8."""

    row: Sample
    image: Pixels
    alpha: Pixels
    trimap: Pixels
    crude_trimap: Pixels

    @property
    def key(self) -> str:
        return self.row.key


def epoch_length(shards: ShardSet, settings: LoaderSettings, world: int = 1) -> int:
    """How many samples an epoch has, over all `world` processes. Raises as `batches`."""
    return _order(shards.split(Split.TRAIN), settings, 0, world).epoch_samples


def batches(
    shards: ShardSet,
    settings: LoaderSettings,
    first: int = 0,
    end: int | None = None,
    rank: int = 0,
    world: int = 1,
) -> Generator[Batch, None, None]:
    """The batches of one rank with first <= number < end, or without end; epoch follows epoch.

    shards: the set that `settings` names, opened.

    To resume is to begin at `first`: what comes before is neither read nor counted. Closing the
    generator ends its workers.

    Raises ValueError if the set has no samples to train on or fewer shards than there are ranks;
    and, as batches come, ValueError that names the file and the sample that are broken,
    RuntimeError if a worker is killed.
    """
    trained = shards.split(Split.TRAIN)
    order = _order(trained, settings, rank, world)  # mistakes are found now, not at the first batch
    return _batches(trained, settings, order, range(first, _ENDLESS if end is None else end))


def whole_samples(
    shards: ShardSet,
    split: Split = Split.VAL,
    limit: int | None = None,
    skipped: dict[str, str] | None = None,
) -> Iterator[WholeSample]:
    """Whole samples, each once, in order; `limit` of them, evenly spread over the split.

    If `skipped` is given, broken samples are left out and added to it, key -> reason, and so are
    damaged shards that are used nevertheless, by their names. Otherwise they raise as in `batches`.
    """
    of_split = shards.split(split)
    counts = [shard.samples for shard in of_split.shards]
    places = [(shard, n) for shard, count in enumerate(counts) for n in range(count)]
    if limit is not None and limit < len(places):
        places = [places[n * len(places) // limit] for n in range(limit)]
    store = of_split.store(_STREAMS, lenient=skipped is not None)
    try:
        for place in places:
            try:
                row, streams = store.whole(*place)
                pixels = streams.all()
            except ValueError as error:
                if skipped is None:
                    raise
                skipped[store.name(*place)] = str(error)
                continue
            finally:
                if skipped is not None:
                    skipped |= store.damage()
            alpha, crude = pixels["alpha"], pixels["crude_trimap"]
            yield WholeSample(row, pixels["image"], alpha, trimap_of(alpha), crude)
    finally:
        store.close()


def _order(shards: ShardSet, settings: LoaderSettings, rank: int, world: int) -> Order:
    return Order([shard.samples for shard in shards.shards], settings.seed, rank, world)


def _batches(
    shards: ShardSet, settings: LoaderSettings, order: Order, numbers: range
) -> Generator[Batch, None, None]:
    layers = LAYERS if settings.layers and shards.settings.layers else ()
    store = shards.store((*_STREAMS, *layers), lenient=settings.skip_bad)
    made = in_order(_Batches(settings, order, store, layers), settings.workers, numbers)
    try:
        for batch in made:
            if isinstance(batch, _Failure):
                raise ValueError(batch.reason)  # noqa: TRY004 (the type says: no batch)
            yield batch
    finally:
        made.close()  # ends the workers
        store.close()


@dataclass(frozen=True)
class _Failure:
    """Why a batch could not be made: an error that crosses processes without its traceback."""

    reason: str


class _Batches(Dataset["Batch | _Failure"]):
    """Batches by their number."""

    def __init__(
        self, settings: LoaderSettings, order: Order, store: ShardStore, layers: tuple[str, ...]
    ) -> None:
        self._settings, self._order, self._store, self._layers = settings, order, store, layers

    def __getitem__(self, number: int) -> Batch | _Failure:
        size = self._settings.batch_size
        places = list(self._order.places(number * size, (number + 1) * size))
        crops = _Crops(self._settings, self._layers)
        keys: list[str] = []
        skipped: list[str] = []
        for place in places:
            try:
                key, streams = self._store.sample(place.shard, place.sample)
                self._fill(crops, len(keys), place, streams)
            except ValueError as error:
                if not self._settings.skip_bad:
                    return _Failure(str(error))
                skipped.append(str(error))
                continue
            except OSError as error:
                return _Failure(str(error))
            keys.append(key)
        tensors = crops.tensors(len(keys))
        damaged = tuple(self._store.damage().values())
        return Batch(
            number, places[0].epoch, tuple(keys), **tensors, skipped=tuple(skipped), damaged=damaged
        )

    def _fill(self, crops: _Crops, slot: int, place: Place, streams: Streams) -> None:
        settings, rng = self._settings, generator_of(self._settings.seed, place)
        choice = draw_trimap(rng, settings.trimap)
        scales = Scales(settings.scale_min, settings.scale_max, settings.scale_probability)
        alpha, crude = streams["alpha"], streams["crude_trimap"]
        around = draw_pixel(rng, alpha, None if choice is TrimapChoice.EXACT else crude)
        window = draw_window(rng, around, alpha.shape, settings.crop_size, scales)
        cut_into(alpha, window, crops.alpha[slot])
        crops.trimap[slot] = trimap_of(crops.alpha[slot])
        if choice is TrimapChoice.EXACT:
            crops.given_trimap[slot] = crops.trimap[slot]
        else:
            cut_unmixed_into(crude, window, crops.given_trimap[slot])
        for name, colours in crops.colours.items():
            cut = cut_into if name == "image" else cut_unmixed_into
            cut(streams[name], window, colours[slot])
        crops.numbers[slot] = rng.random(NUMBERS)


class _Crops:
    """Room for the crops of one batch: tensors, and the arrays that fill them."""

    def __init__(self, settings: LoaderSettings, layers: tuple[str, ...]) -> None:
        shape = (settings.batch_size, settings.crop_size, settings.crop_size)
        self._planes = {name: _room(shape) for name in ("alpha", "trimap", "given_trimap")}
        self._colours = {name: _room((*shape, 3)) for name in ("image", *layers)}
        self.alpha, self.trimap, self.given_trimap = (t.numpy() for t in self._planes.values())
        self.colours = {name: tensor.numpy() for name, tensor in self._colours.items()}
        self.numbers = np.empty((settings.batch_size, NUMBERS))  # for their new colours
        self._strength = settings.colour

    def tensors(self, count: int) -> dict[str, Any]:
        """The first `count`, by the names in Batch; None for layers that are not there."""
        planes = {name: tensor[:count, None] for name, tensor in self._planes.items()}
        colours = {name: t[:count].permute(0, 3, 1, 2) for name, t in self._colours.items()}
        maps = torch.from_numpy(colour_maps(self.numbers[:count], self._strength))
        return {**dict.fromkeys(LAYERS), **planes, **colours, "colours": maps}


def _room(shape: tuple[int, ...]) -> Tensor:
    """uint8 to be filled; of a worker in shared memory, where else the batch would be copied."""
    if get_worker_info() is None:
        return torch.from_numpy(np.empty(shape, np.uint8))
    # As torch's own collation does
    shared = torch.UntypedStorage._new_shared(math.prod(shape))  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=torch.uint8).set_(shared).reshape(shape)
