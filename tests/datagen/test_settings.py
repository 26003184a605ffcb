"""The settings: their defaults are allowed, every other value is checked and named."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.sample.crude_recipe import Preset
from datagen.settings import Settings, difference
from manifests.pixels import ImageCodec
from manifests.shards import ShardFormat

REFUSED: list[tuple[str, Any]] = [
    ("samples", -1),
    ("size", 15),
    ("size", 4097),
    ("seed", -1),
    ("jpeg_quality", 69),
    ("jpeg_quality", 101),
    ("shard_size", 0),
    ("shard_size", 100_001),
    ("flip_probability", 1.01),
    ("scale_min", 0.4),
    ("scale_max", 1.1),
    ("rotation", 181.0),
    ("translation", 0.51),
    ("visible_share", 0.0),
    ("visible_share", 0.95),
    ("brightness", -0.1),
    ("contrast", 0.95),
    ("saturation", 1.5),
    ("hue", math.nan),
    ("background_cover", 0.99),
    ("merge_probability", -0.01),
]

settings = st.builds(
    Settings,
    samples=st.integers(0, 10**6),
    size=st.integers(16, 4096),
    seed=st.integers(0, 2**40),
    format=st.sampled_from(ShardFormat),
    image_codec=st.sampled_from(ImageCodec),
    layers=st.booleans(),
    rotation=st.floats(0, 180),
    translation=st.floats(0, 0.5),
    hue=st.floats(0, 180),
    merge_probability=st.floats(0, 1),
    crude=st.sampled_from(Preset),
)


def test_the_defaults_are_those_of_the_paper() -> None:
    default = Settings()
    assert (default.samples, default.size, default.seed, default.shard_size) == (0, 800, 0, 1000)
    assert (default.scale_min, default.scale_max) == (0.8, 1.0)
    assert (default.holdout_fg, default.holdout_bg, default.merge_probability) == (0, 0, 0.0)
    assert default.layers
    assert (default.format, default.image_codec) == (ShardFormat.WEBDATASET, ImageCodec.JPEG)


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_value_out_of_range_is_named_with_its_value(name: str, value: Any) -> None:
    values: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"{name} = {value}, expected "):
        replace(Settings(), **values)


@pytest.mark.parametrize(("name", "value"), [("holdout_fg", 3), ("holdout_bg", 3)])
def test_both_kinds_of_source_are_held_out_or_neither(name: str, value: int) -> None:
    values: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match="set both or neither"):
        replace(Settings(), **values)
    assert Settings(holdout_fg=3, holdout_bg=2).holdout_bg == 2


@given(settings)
def test_settings_come_back_from_json(chosen: Settings) -> None:
    read = Settings.from_json(json.loads(json.dumps(chosen.to_json())))
    assert read == chosen
    for field in fields(Settings):
        assert type(getattr(read, field.name)) is type(getattr(chosen, field.name)), field.name


def test_json_without_a_setting_or_with_a_wrong_one_is_refused() -> None:
    values = Settings().to_json()
    with pytest.raises(ValueError, match="crude"):
        Settings.from_json({name: value for name, value in values.items() if name != "crude"})
    with pytest.raises(ValueError, match="zip"):
        Settings.from_json({**values, "format": "zip"})
    with pytest.raises(ValueError, match="size = 3"):
        Settings.from_json({**values, "size": 3})


@given(settings, settings)
def test_the_difference_names_just_what_differs(one: Settings, other: Settings) -> None:
    before, after = one.to_json(), other.to_json()
    named = [line.partition(":")[0] for line in difference(before, after)]
    assert named == [
        f.name for f in fields(Settings) if getattr(one, f.name) != getattr(other, f.name)
    ]
    assert difference(before, before) == []


def test_the_difference_shows_both_values_and_settings_of_other_versions() -> None:
    assert difference({"size": 800, "old": 1}, {"size": 400, "new": 2}) == [
        "size: 800 -> 400",
        "new: None -> 2",
        "old: 1 -> None",
    ]
