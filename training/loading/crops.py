"""Samples -> crops, as tensors: one visit of one sample is drawn and cut here, and only here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from manifests.pixels import trimap_of
from manifests.samples import LAYERS
from manifests.shard_set import ShardSet
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
from training.loading.decoded import Pictures
from training.loading.order import Place, generator_of
from training.settings import LoaderSettings

STREAMS = ("image", "alpha", "crude_trimap")  # the exact trimap follows from alpha: Eq. (2)


def check_crop(shards: ShardSet, side: int) -> None:
    """Raise ValueError if a crop is larger than the samples: it would show each several times."""
    if side > (size := shards.settings.size):
        raise ValueError(
            f"{shards.root}: its samples have {size} x {size} pixels, and a crop {side} x {side}; "
            f"choose crops of {size} or less (--crop-size)"
        )


class Crops:
    """Room for `count` crops, and how they are filled.

    layers: the streams beside STREAMS that are cut, too. shared: whether the tensors lie in shared
    memory, so that a batch made by a worker is not copied.
    """

    def __init__(
        self, settings: LoaderSettings, count: int, layers: tuple[str, ...], shared: bool = False
    ) -> None:
        self._settings = settings
        shape = (count, settings.crop_size, settings.crop_size)
        names = ("alpha", "trimap", "given_trimap")
        self._planes = {name: _room(shape, shared) for name in names}
        self._colours = {name: _room((*shape, 3), shared) for name in ("image", *layers)}
        self._numbers = np.empty((count, NUMBERS))  # for their new colours

    def fill(self, slot: int, place: Place, streams: Pictures) -> None:
        """Draw the crop of a visit and cut it out of the streams of its sample.

        Raises ValueError that names the sample if a stream is broken; the slot may be used again.
        """
        settings, rng = self._settings, generator_of(self._settings.seed, place)
        choice = draw_trimap(rng, settings.trimap)
        scales = Scales(settings.scale_min, settings.scale_max, settings.scale_probability)
        alpha, crude = streams["alpha"], streams["crude_trimap"]
        around = draw_pixel(rng, alpha, None if choice is TrimapChoice.EXACT else crude)
        window = draw_window(rng, around, alpha.shape, settings.crop_size, scales)
        inside = window.inside(alpha.shape)
        planes = {name: tensor[slot].numpy() for name, tensor in self._planes.items()}
        cut_into(alpha[inside], window, planes["alpha"])
        planes["trimap"][:] = trimap_of(planes["alpha"])
        if choice is TrimapChoice.EXACT:
            planes["given_trimap"][:] = planes["trimap"]
        else:
            cut_unmixed_into(crude[inside], window, planes["given_trimap"])
        for name, tensor in self._colours.items():
            cut = cut_into if name == "image" else cut_unmixed_into
            cut(streams.part(name, inside), window, tensor[slot].numpy())
        self._numbers[slot] = rng.random(NUMBERS)

    def tensors(self, count: int) -> dict[str, Any]:
        """The first `count` crops, by the names of `Batch`; None for layers that are not there."""
        planes = {name: tensor[:count, None] for name, tensor in self._planes.items()}
        colours = {name: t[:count].permute(0, 3, 1, 2) for name, t in self._colours.items()}
        maps = torch.from_numpy(colour_maps(self._numbers[:count], self._settings.colour))
        return {**dict.fromkeys(LAYERS), **planes, **colours, "colours": maps}


def _room(shape: tuple[int, ...], shared: bool) -> Tensor:
    """uint8 to be filled."""
    if not shared:
        return torch.from_numpy(np.empty(shape, np.uint8))
    # As torch's own collation does
    memory = torch.UntypedStorage._new_shared(math.prod(shape))  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=torch.uint8).set_(memory).reshape(shape)
