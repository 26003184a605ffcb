"""The settings of `datagen compose`: everything that decides the bytes of a shard set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datagen.sample.crude_recipe import Preset
from manifests.pixels import ImageCodec
from manifests.shards import ShardFormat
from manifests.tables import from_dict, to_dict

# Below it, JPEG alone takes an image so far from the blend of its layers (at 50, real pictures by
# up to 12 levels on average, noise by 28) that `datagen verify` could hardly tell a wrong layer.
LOWEST_JPEG_QUALITY = 70
_JPEG_QUALITIES = f"{LOWEST_JPEG_QUALITY} to 100"


@dataclass(frozen=True)
class Settings:
    """The defaults here are the defaults. Two runs with equal settings and sources are equal."""

    samples: int = 0  # 0: every pair once; 440 foregrounds over 2,000 backgrounds make 880,000
    size: int = 800  # height and width of the canvas, pixels
    seed: int = 0
    format: ShardFormat = ShardFormat.WEBDATASET
    image_codec: ImageCodec = ImageCodec.JPEG
    jpeg_quality: int = 95  # always 4:4:4
    shard_size: int = 1000
    layers: bool = True

    # Sources set apart: val is the held-out foregrounds over the held-out backgrounds, train the
    # rest over the rest.
    holdout_fg: int = 0
    holdout_bg: int = 0

    # Where the subject comes to lie: mirrored or not, reduced by a factor drawn between scale_min
    # and scale_max, turned, moved.
    flip_probability: float = 0.5
    scale_min: float = 0.8
    scale_max: float = 1.0
    rotation: float = 10.0  # at most this many degrees either way
    translation: float = 0.25  # at most this share of the subject's box leaves the frame, per axis
    visible_share: float = 0.4  # at least this share of the subject's opacity stays inside

    # Colours of foreground and background, each drawn for itself: factors between 1 - x and 1 + x.
    brightness: float = 0.15
    contrast: float = 0.15
    saturation: float = 0.2
    hue: float = 6.0  # degrees either way

    # A canvas is cut from the background at random; a large photo is reduced before, until its
    # short side is this many canvases long.
    background_cover: float = 1.25

    merge_probability: float = 0.0  # of a second foreground behind the first
    crude: Preset = Preset.SEGMENTATION

    def __post_init__(self) -> None:
        check = [
            (self.samples >= 0, "samples", "0 (every pair) or more"),
            (16 <= self.size <= 4096, "size", "16 to 4096 pixels"),
            (self.seed >= 0, "seed", "0 or more"),
            (LOWEST_JPEG_QUALITY <= self.jpeg_quality <= 100, "jpeg_quality", _JPEG_QUALITIES),
            (1 <= self.shard_size <= 100_000, "shard_size", "1 to 100,000"),
            (self.holdout_fg >= 0, "holdout_fg", "0 or more"),
            (self.holdout_bg >= 0, "holdout_bg", "0 or more"),
            (0 <= self.flip_probability <= 1, "flip_probability", "0 to 1"),
            (0.5 <= self.scale_min <= self.scale_max <= 1, "scale_min", "0.5 to scale_max, <= 1"),
            (0 <= self.rotation <= 180, "rotation", "0 to 180 degrees"),
            (0 <= self.translation <= 0.5, "translation", "0 to 0.5"),
            (0 < self.visible_share <= 0.9, "visible_share", "above 0, to 0.9"),
            (0 <= self.brightness <= 0.9, "brightness", "0 to 0.9"),
            (0 <= self.contrast <= 0.9, "contrast", "0 to 0.9"),
            (0 <= self.saturation <= 1, "saturation", "0 to 1"),
            (0 <= self.hue <= 180, "hue", "0 to 180 degrees"),
            (1 <= self.background_cover <= 4, "background_cover", "1 to 4"),
            (0 <= self.merge_probability <= 1, "merge_probability", "0 to 1"),
        ]
        for holds, name, expected in check:
            if not holds:
                raise ValueError(f"{name} = {getattr(self, name)}, expected {expected}")
        if (self.holdout_fg > 0) != (self.holdout_bg > 0):
            raise ValueError(
                f"holdout_fg = {self.holdout_fg}, holdout_bg = {self.holdout_bg}: val is made of "
                "held-out foregrounds over held-out backgrounds, so set both or neither"
            )

    def to_json(self) -> dict[str, Any]:
        return to_dict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Settings:
        """The inverse of `to_json`. Raises ValueError if a value is not a setting's."""
        return from_dict(cls, values)


def difference(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The settings that differ, as "name: old -> new"."""
    names = [*new, *(name for name in old if name not in new)]
    return [f"{n}: {old.get(n)} -> {new.get(n)}" for n in names if old.get(n) != new.get(n)]
