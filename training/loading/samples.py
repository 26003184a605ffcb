"""A shard set as a torch data set, for training loops of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, SupportsIndex

import torch
from torch import Tensor
from torch.utils.data import Dataset

from manifests.pixels import Pixels, trimap_of
from manifests.samples import LAYERS
from manifests.shard_set import ShardSet, open_shards
from manifests.storage import Location
from manifests.store import Streams
from training.choices import TrimapChoice
from training.loading.colours import recoloured
from training.loading.crops import STREAMS, Crops, check_crop
from training.loading.order import Place
from training.settings import LoaderSettings


class Samples(Dataset[dict[str, Any]]):
    """The samples of one split as a map-style data set, whole or as random crops.

    >>> dataset = Samples("shards", split="train", crop=32)
    >>> item = dataset[0]
    >>> item["key"], item["image"].shape, item["image"].dtype
    ('train-00000000', torch.Size([3, 32, 32]), torch.float32)
    >>> loader = torch.utils.data.DataLoader(dataset, batch_size=4, shuffle=True)
    >>> batch = next(iter(loader))
    >>> batch["alpha"].shape, batch["crude_trimap"].dtype
    (torch.Size([4, 1, 32, 32]), torch.uint8)

    An item is a dict; S is `crop`, and without crops S x S is the height and width of the sample:

        key                     str
        image                   3 x S x S float32 in 0..1, RGB
        alpha                   1 x S x S float32 in 0..1
        trimap                  1 x S x S uint8: 0 background, 1 unknown, 2 foreground; exact
        crude_trimap            1 x S x S uint8 of the same codes; as a segmentation leads to it
        foreground, background  3 x S x S float32 in 0..1, RGB, grey where alpha is not soft; only
                                if the set keeps them and `layers` is True

    Crops are those of `train`: each contains a pixel where alpha is soft or the crude trimap is
    unknown, if the sample has one, and some are scaled and mirrored. A crop depends only on
    `seed`, the number of the sample and the epoch; `set_epoch` gives new ones.

    shards: a folder, a URL, or a set opened by `manifests.open_shards`.
    split: "train" or "val".
    crop: side of the crops in pixels, at least 8; None for whole samples, which fit into one batch
        if they are of one size, as those of `datagen` are.
    seed: decides the crops, 0 or more.
    scale_probability: share of the crops that are scaled, 0..1.
    colour: how strongly colours of crops are changed, 0 (not at all) to 1; image, foreground and
        background change alike, and the image is clipped to 0..1.
    layers: whether items have `foreground` and `background`, if the set keeps them.
    cache: a folder in which shards from a URL stay; see `manifests.open_shards`.

    Workers of a DataLoader may be forked or spawned; with `num_workers=0` no main guard is needed.
    Raises what `manifests.open_shards` raises, and ValueError if the split has no samples or an
    argument is out of range.
    """

    def __init__(
        self,
        shards: str | Location | ShardSet,
        split: str = "train",
        crop: int | None = 512,
        *,
        seed: int = 0,
        scale_probability: float = LoaderSettings.scale_probability,
        colour: float = 0.0,
        layers: bool = True,
        cache: str | Path | None = None,
    ) -> None:
        opened = shards if isinstance(shards, ShardSet) else open_shards(shards, cache)
        self.shards = opened.split(split)
        if crop is not None:
            check_crop(opened, crop)
        self._crop = crop
        self._settings = LoaderSettings(
            crop_size=LoaderSettings.crop_size if crop is None else crop,
            trimap=TrimapChoice.CRUDE,
            scale_probability=scale_probability,
            colour=colour,
            layers=layers,
            seed=seed,
        )
        self._layers = LAYERS if layers and self.shards.settings.layers else ()
        self._store = self.shards.store((*STREAMS, *self._layers))
        # In shared memory, so that workers that stay alive notice a new epoch
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def set_epoch(self, epoch: int) -> None:
        """Draw other crops from now on: those of this epoch, 0 or more. The first is 0."""
        if epoch < 0:
            raise ValueError(f"epoch = {epoch}, expected 0 or more")
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        """One item; see the class.

        Raises IndexError if there is no such sample, ValueError that names the file and the sample
        if it is damaged, OSError if its shard cannot be fetched.
        """
        number = range(len(self))[index]
        shard, place = self.shards.place(number)
        key, streams = self._store.sample(shard, place)
        if self._crop is None:
            return {"key": key, **_whole(streams)}
        crops = Crops(self._settings, 1, self._layers)
        crops.fill(0, Place(int(self._epoch), shard, place), streams)
        return {"key": key, **_item(crops.tensors(1), self._layers)}


def _whole(streams: Streams) -> dict[str, Tensor]:
    pixels = {name: _tensor(array) for name, array in streams.all().items()}
    trimap = _tensor(trimap_of(pixels["alpha"][0].numpy()))
    crude = pixels.pop("crude_trimap")
    shares = {name: values.float() / 255 for name, values in pixels.items()}
    return {**shares, "trimap": trimap, "crude_trimap": crude}


def _tensor(pixels: Pixels) -> Tensor:
    """H x W or H x W x 3 -> 1 x H x W or 3 x H x W."""
    values = torch.from_numpy(pixels)
    return values[None] if values.ndim == 2 else values.permute(2, 0, 1).contiguous()


def _item(crops: dict[str, Any], layers: tuple[str, ...]) -> dict[str, Tensor]:
    colours = {
        name: recoloured(crops[name].float() / 255, crops["colours"])[0].contiguous()
        for name in ("image", *layers)
    }
    return {
        **colours,
        "image": colours["image"].clamp(0, 1),
        "alpha": crops["alpha"][0].float() / 255,
        "trimap": crops["trimap"][0],
        "crude_trimap": crops["given_trimap"][0],
    }
