"""Shards -> batches of crops.

A batch is a function of the shard set, the settings and its number. So any number of workers makes
the same batches, and a resumed run begins at a number: there is no state to restore.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from dataclasses import dataclass, fields
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from manifests.samples import LAYERS
from manifests.shard_set import ShardSet
from manifests.sources import Split
from manifests.store import ShardStore
from training.loading.crops import STREAMS, Crops, check_crop
from training.loading.decoded import DecodedStore
from training.loading.order import Order
from training.loading.workers import in_order
from training.settings import LoaderSettings

_ENDLESS = sys.maxsize
Store = ShardStore | DecodedStore


@dataclass(frozen=True)
class Batch:
    """N samples, uint8, S x S; colours are RGB, in channels_last memory.

    N is the batch size minus the number of skipped samples; it may be 0.
    """

    number: int
    epoch: int  # of its first sample
    keys: tuple[str, ...]
    image: Tensor  # N x 3 x S x S
    given_trimap: Tensor  # N x 1 x S x S, codes 0, 1, 2: what the model is given
    alpha: Tensor  # N x 1 x S x S, 0..255
    trimap: Tensor  # N x 1 x S x S, codes 0, 1, 2: Eq. (2) of alpha
    foreground: Tensor | None  # N x 3 x S x S, grey (128) where alpha is not soft
    background: Tensor | None
    colours: Tensor  # N x 3 x 4 float32: the change of colours, not yet applied to any of these
    skipped: tuple[str, ...]  # "file: sample KEY: reason" for each
    damaged: tuple[str, ...]  # "file: damage" of shards that are used as far as they can be read

    def pin_memory(self) -> Batch:
        """In memory from which a GPU copies fast; torch calls this method by its name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        pinned = {name: v.pin_memory() for name, v in values.items() if isinstance(v, Tensor)}
        return Batch(**{**values, **pinned})


def check_loading(shards: ShardSet, settings: LoaderSettings, world: int) -> None:
    """Raise what `batches` raises at once: for a set or settings that cannot be used."""
    trained = shards.split(Split.TRAIN)
    _order(trained, settings, 0, world)
    _store(trained, settings, _layers(shards, settings)).close()


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

    A resumed run begins at `first`: earlier batches are not read. Closing the generator ends its
    workers.

    Raises ValueError if the set has no samples to train on, smaller ones than the crops or fewer
    shards than there are ranks, OSError if decoded samples cannot be kept where they should be;
    and, as batches come, ValueError that names the file and the sample that are broken,
    RuntimeError if a worker is killed.
    """
    trained = shards.split(Split.TRAIN)
    order = _order(trained, settings, rank, world)  # mistakes are found now, not at the first batch
    layers = _layers(shards, settings)
    dataset = _Batches(settings, order, _store(trained, settings, layers), layers)
    return _batches(dataset, settings.workers, range(first, _ENDLESS if end is None else end))


def _order(shards: ShardSet, settings: LoaderSettings, rank: int, world: int) -> Order:
    check_crop(shards, settings.crop_size)
    return Order([shard.samples for shard in shards.shards], settings.seed, rank, world)


def _layers(shards: ShardSet, settings: LoaderSettings) -> tuple[str, ...]:
    return LAYERS if settings.layers and shards.settings.layers else ()


def _store(shards: ShardSet, settings: LoaderSettings, layers: tuple[str, ...]) -> Store:
    streams = *STREAMS, *layers
    store = shards.store(streams, lenient=settings.skip_bad)
    if not settings.decoded:
        return store
    size, folder = shards.settings.size, Path(settings.decoded)
    return DecodedStore(store, shards.shards, streams, size, folder)


def _batches(dataset: _Batches, workers: int, numbers: range) -> Generator[Batch, None, None]:
    made = in_order(dataset, workers, numbers)
    try:
        for batch in made:
            if isinstance(batch, _Failure):
                raise ValueError(batch.reason)
            yield batch
    finally:
        made.close()  # ends the workers
        dataset.close()


@dataclass(frozen=True)
class _Failure:
    """Why a batch could not be made: an error that crosses processes without its traceback."""

    reason: str


class _Batches(Dataset["Batch | _Failure"]):
    """Batches by their number."""

    def __init__(
        self, settings: LoaderSettings, order: Order, store: Store, layers: tuple[str, ...]
    ) -> None:
        self._settings, self._order, self._store, self._layers = settings, order, store, layers

    def close(self) -> None:
        self._store.close()

    def __getitem__(self, number: int) -> Batch | _Failure:
        size = self._settings.batch_size
        places = list(self._order.places(number * size, (number + 1) * size))
        crops = Crops(self._settings, size, self._layers, get_worker_info() is not None)
        keys: list[str] = []
        skipped: list[str] = []
        for place in places:
            try:
                key, streams = self._store.sample(place.shard, place.sample)
                crops.fill(len(keys), place, streams)
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
