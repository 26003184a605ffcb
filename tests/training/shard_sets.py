"""Shard sets of small samples, written as datagen writes them, in any form and of any counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from manifests import open_shards
from manifests.dataset import CONTRACT, Manifest, write_manifest, write_sources
from manifests.pixels import (
    ImageCodec,
    Pixels,
    encode_alpha,
    encode_colour,
    encode_trimap,
    trimap_of,
)
from manifests.samples import (
    Colour,
    Crop,
    CrudeRecipe,
    EncodedSample,
    Piece,
    Placement,
    Recipe,
    Sample,
    stream_names,
)
from manifests.shard_set import ShardSet
from manifests.shards import (
    Shard,
    ShardFormat,
    ShardWriter,
    data_path,
    read_shard_record,
    shard_name,
)
from manifests.sources import Background, Foreground, Split, Subject, Transparency
from training.settings import LoaderSettings

_PLAIN = Colour(1.0, 1.0, 1.0, 0.0)
_PLACED = Placement("fg.png", False, 1.0, 1.0, 0.0, 0.0, 0.0)
_NO_PIECE = Piece(0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_CRUDE = CrudeRecipe(
    4.0, 0.5, 1.0, (0.0, 0.0), 0.0, 0.0, 0.0, 0, 0.0, _NO_PIECE, _NO_PIECE, 0.05, 0.05
)
_RECIPE = Recipe(
    _PLACED,
    Placement("", False, 1.0, 1.0, 0.0, 0.0, 0.0),
    _PLAIN,
    Crop(1.0, 0, 0, False),
    _PLAIN,
    _CRUDE,
)


def smooth(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Colours that change slowly, H x W x 3."""
    small = rng.integers(0, 256, (4, 4, 3), np.uint8)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.uint8)


def soft_disc(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """An alpha with an edge some pixels wide, somewhere, H x W."""
    y, x = np.mgrid[:height, :width]
    row, column = rng.uniform(0.3, 0.7) * height, rng.uniform(0.3, 0.7) * width
    away = np.hypot(y - row, x - column) / min(height, width)
    alpha: Pixels = np.rint(np.clip((0.3 - away) * 8, 0, 1) * 255).astype(np.uint8)
    return alpha


def pixels_of(number: int, height: int, width: int) -> dict[str, Pixels]:
    """The streams of a sample. In each fifth alpha is hard: its exact trimap has no unknown."""
    rng = np.random.default_rng([7, number])
    alpha = soft_disc(rng, height, width)
    if number % 5 == 4:
        alpha = np.where(alpha > 127, 255, 0).astype(np.uint8)
    foreground, background = smooth(rng, height, width), smooth(rng, height, width)
    opacity = alpha[..., None] / 255
    image = np.rint(opacity * foreground + (1 - opacity) * background).astype(np.uint8)
    crude = trimap_of(np.asarray(cv2.blur(np.roll(alpha, 2, axis=1), (5, 5)), np.uint8))
    streams = {"image": image, "alpha": alpha, "trimap": trimap_of(alpha), "crude_trimap": crude}
    return {**streams, "foreground": foreground, "background": background}


def encoded(key: str, split: Split, shard: str, pixels: Mapping[str, Pixels]) -> EncodedSample:
    height, width = pixels["alpha"].shape
    streams = {
        name: encode_alpha(array)
        if name == "alpha"
        else encode_trimap(array)
        if name in {"trimap", "crude_trimap"}
        else encode_colour(array, ImageCodec.PNG)
        for name, array in pixels.items()
    }
    row = Sample(
        key=key,
        split=split,
        shard=shard,
        foreground_id="fg.png",
        background_id="bg.jpg",
        foreground_sha256="f",
        background_sha256="b",
        subject=Subject.HUMAN,
        transparency=Transparency.MEDIUM,
        seed=0,
        height=height,
        width=width,
        unknown_share=float(np.mean(pixels["trimap"] == 1)),
        crude_iou=0.9,
        crude_missed_share=0.0,
        crude_false_share=0.0,
        crude_edge_p95=0.0,
        crude_wrong_known_share=0.0,
        recipe=_RECIPE,
    )
    return EncodedSample(row, streams)


def write_set(
    root: Path,
    counts: Mapping[Split, Sequence[int]],
    form: ShardFormat = ShardFormat.WEBDATASET,
    size: tuple[int, int] = (40, 48),
    layers: bool = True,
    merged: Sequence[int] = (),
) -> list[str]:
    """A shard set with so many samples in each shard of each split; returns the keys in order.

    merged: numbers of samples whose recipes have a second foreground.
    """
    keys: list[str] = []
    shards: list[Shard] = []
    for split, sizes in counts.items():
        number = 0
        for place, count in enumerate(sizes):
            name = shard_name(split, place)
            with ShardWriter(root, name, form, ImageCodec.PNG) as writer:
                for _ in range(count):
                    key = f"{split}-{number:08d}"
                    pixels = pixels_of(number, *size)
                    wanted = {stream: pixels[stream] for stream in stream_names(layers)}
                    histogram = np.bincount(pixels["alpha"].ravel(), minlength=256)
                    sample = encoded(key, split, name, wanted)
                    if number in merged:
                        recipe = replace(_RECIPE, second=_PLACED)
                        sample = replace(sample, row=replace(sample.row, recipe=recipe))
                    writer.add(sample, histogram)
                    keys.append(key)
                    number += 1
            record = read_shard_record(root, name, split)
            assert record is not None
            shards.append(record)
    sources = {
        "foregrounds": write_sources(root, Foreground, []),
        "backgrounds": write_sources(root, Background, []),
    }
    of_colours = {"image_codec": "png", "jpeg_quality": 95}
    settings = {"format": str(form), "layers": layers, "size": size[0], "shard_size": 1000}
    write_manifest(root, Manifest(CONTRACT, settings | of_colours, {}, tuple(shards), (), sources))
    return keys


def opened(settings: LoaderSettings) -> ShardSet:
    """The shard set that the settings name."""
    return open_shards(settings.shards, settings.cache or None)


def break_sample(root: Path, split: Split, shard: int = 0) -> None:
    """Zeros over the pixels of a shard's first image."""
    path = data_path(root, shard_name(split, shard), ShardFormat.WEBDATASET)
    content = path.read_bytes()
    begin = content.index(b"IDAT") + 20
    path.write_bytes(content[:begin] + bytes(200) + content[begin + 200 :])
