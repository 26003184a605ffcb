"""The settings of `datagen compose`. With the sources, they determine the bytes of a set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from console.settings import check_ranges, setting
from datagen.sample.crude_recipe import Preset
from manifests.pixels import ImageCodec
from manifests.shards import ShardFormat
from manifests.tables import from_dict, to_dict

# Below this quality, JPEG itself changes an image so much that `datagen verify` could hardly detect
# a wrong layer: at 50, an image differs from the blend of its layers by up to 12 levels on average
# for real pictures and by 28 for noise.
LOWEST_JPEG_QUALITY = 70


_RECIPE = "Ranges of the recipe"  # the heading of these options on the help page


@dataclass(frozen=True)
class Settings:
    """The settings of a run, with their defaults. Equal settings and sources give equal bytes.

    Each setting with a help text is an option of `datagen compose`. Raises ValueError for a value
    out of its range.
    """

    # 440 foregrounds over 2,000 backgrounds make 880,000 pairs.
    samples: int = setting(
        0, "Number of samples for training.", low=1, default="every pair of sources once"
    )
    size: int = setting(800, "Height and width of a sample, in pixels.", low=16, high=4096)
    seed: int = setting(0, "Number on which every random choice depends.", low=0)
    format: ShardFormat = setting(
        ShardFormat.WEBDATASET, "File format of the shards: tar files or tables."
    )
    image_codec: ImageCodec = setting(
        ImageCodec.JPEG, "File format of the colour images; alphas and trimaps are always PNG."
    )
    jpeg_quality: int = setting(
        95, "Quality of JPEG images (always 4:4:4).", low=LOWEST_JPEG_QUALITY, high=100
    )
    shard_size: int = setting(1000, "Number of samples in each shard.", low=1, high=100_000)
    layers: bool = setting(
        True, "Also store foreground and background of each sample, where its alpha is soft."
    )

    # val has the held-out foregrounds over the held-out backgrounds; train has the other
    # foregrounds over the other backgrounds.
    holdout_fg: int = setting(
        0, "Number of foregrounds used only for validation; needs --holdout-bg, too.", low=0
    )
    holdout_bg: int = setting(
        0, "Number of backgrounds used only for validation; needs --holdout-fg, too.", low=0
    )

    # The placement of the subject: mirrored or not, scaled by a factor drawn between scale_min and
    # scale_max, rotated, moved.
    flip_probability: float = setting(
        0.5, "Probability that a foreground is mirrored.", low=0, high=1, panel=_RECIPE
    )
    scale_min: float = setting(
        0.8, "Smallest factor by which a foreground is scaled.", low=0.5, high=1, panel=_RECIPE
    )
    scale_max: float = setting(1.0, low=0.5, high=1)
    rotation: float = setting(
        10.0,
        "Largest rotation in degrees, either way.",
        low=0,
        high=180,
        panel=_RECIPE,
    )
    translation: float = setting(
        0.25,
        "Largest share of a subject's width or height that is moved out of the image.",
        low=0,
        high=0.5,
        panel=_RECIPE,
    )
    visible_share: float = 0.4  # at least this share of the subject's opacity stays inside
    # Drawn separately for the foreground and for the background.
    brightness: float = setting(
        0.15,
        "Largest relative change of the brightness: a factor from 1 - X to 1 + X.",
        low=0,
        high=0.9,
        panel=_RECIPE,
    )
    contrast: float = setting(
        0.15,
        "Largest relative change of the contrast: a factor from 1 - X to 1 + X.",
        low=0,
        high=0.9,
        panel=_RECIPE,
    )
    saturation: float = setting(
        0.2,
        "Largest relative change of the saturation: a factor from 1 - X to 1 + X.",
        low=0,
        high=1,
        panel=_RECIPE,
    )
    hue: float = setting(
        6.0, "Largest rotation of the hue in degrees, either way.", low=0, high=180, panel=_RECIPE
    )

    # The canvas is cut from the background at a random place. A large photo is reduced first.
    background_cover: float = setting(
        1.25,
        "Short side of a reduced background, as a multiple of the size of a sample.",
        low=1,
        high=4,
        panel=_RECIPE,
    )

    merge_probability: float = setting(
        0.0,
        "Probability that a sample has a second foreground behind the first.",
        low=0,
        high=1,
        panel=_RECIPE,
    )
    crude: Preset = setting(
        Preset.SEGMENTATION,
        "Size of the errors in the crude trimaps; segmentation imitates a real network.",
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.scale_min <= self.scale_max:
            raise ValueError(f"scale_min = {self.scale_min}, expected 0.5 to {self.scale_max}")
        if not 0 < self.visible_share <= 0.9:
            raise ValueError(
                f"visible_share = {self.visible_share}, expected above 0 and at most 0.9"
            )
        if (self.holdout_fg > 0) != (self.holdout_bg > 0):
            raise ValueError(
                f"holdout_fg = {self.holdout_fg}, holdout_bg = {self.holdout_bg}: val is made of "
                "held-out foregrounds over held-out backgrounds, so set both or neither"
            )

    def to_json(self) -> dict[str, Any]:
        return to_dict(self)

    def of_a_shard(self) -> dict[str, Any]:
        """All but the number of samples, on which no shard depends but the last one of a split."""
        return {name: value for name, value in self.to_json().items() if name != "samples"}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Settings:
        """The inverse of `to_json`. Raises ValueError if a name or value is malformed."""
        return from_dict(cls, values)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The settings that differ, as "name: old -> new"."""
    names = [*new, *(name for name in old if name not in new)]
    return [f"{n}: {old.get(n)} -> {new.get(n)}" for n in names if old.get(n) != new.get(n)]
