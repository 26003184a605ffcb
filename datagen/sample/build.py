"""One sample: its recipe and its prepared sources become pixels, then a row and encoded streams.

Nothing is drawn at random here, so that a sample can be rebuilt from its row and its sources.
"""

from __future__ import annotations

from dataclasses import dataclass

from datagen.sample.colour import colour_matrix
from datagen.sample.composite import Composite, composite, crop_background
from datagen.sample.crude import crude_mask, crude_trimap
from datagen.sample.crude_errors import CrudeErrors, crude_errors, joint_histogram
from datagen.sample.place import over, place
from datagen.sample.working_copies import PreparedBackground, PreparedForeground
from datagen.settings import Settings
from manifests.pixels import (
    ImageCodec,
    Pixels,
    encode_alpha,
    encode_colour,
    encode_layer,
    encode_trimap,
    trimap_of,
)
from manifests.samples import EncodedSample, Recipe, Sample
from manifests.shards import Histogram
from manifests.sources import Background, Foreground, Split


@dataclass(frozen=True)
class BuiltSample:
    """A sample in pixels, with the values for its row."""

    foreground: Foreground
    background: Background
    recipe: Recipe
    composite: Composite
    crude_trimap: Pixels
    crude_errors: CrudeErrors
    alpha_histogram: Histogram


def build_sample(
    recipe: Recipe,
    foreground: PreparedForeground,
    second: PreparedForeground | None,
    background: PreparedBackground,
    settings: Settings,
) -> BuiltSample:
    """Build a sample from its recipe; `second` is the foreground behind the first, if any."""
    size, crop = settings.size, recipe.background
    behind = crop_background(background.photo, crop.top, crop.left, size, crop.flip)
    placed = place(foreground.copy, recipe.foreground, foreground.source.box, size)
    if second is not None:
        placed = over(placed, place(second.copy, recipe.second, second.source.box, size), size)
    seen = composite(
        placed,
        colour_matrix(recipe.foreground_colour),
        behind,
        colour_matrix(recipe.background_colour),
        settings.layers,
    )
    mask = crude_mask(seen.alpha, recipe.crude)
    crude = crude_trimap(mask, recipe.crude)
    counts = joint_histogram(seen.alpha, mask, crude)
    return BuiltSample(
        foreground=foreground.source,
        background=background.source,
        recipe=recipe,
        composite=seen,
        crude_trimap=crude,
        crude_errors=crude_errors(seen.alpha, mask, counts),
        alpha_histogram=counts.sum(axis=(0, 1)),
    )


def encode_sample(
    built: BuiltSample, key: str, shard: str, split: Split, settings: Settings
) -> EncodedSample:
    """The sample as a shard stores it under its key."""
    row = _row(built, key, shard, split, settings)
    return EncodedSample(row, _streams(built, settings))


def _row(built: BuiltSample, key: str, shard: str, split: Split, settings: Settings) -> Sample:
    foreground, background, errors = built.foreground, built.background, built.crude_errors
    height, width = built.composite.alpha.shape
    return Sample(
        key=key,
        split=split,
        shard=shard,
        foreground_id=foreground.id,
        background_id=background.id,
        foreground_sha256=foreground.sha256,
        background_sha256=background.sha256,
        subject=foreground.subject,
        transparency=foreground.transparency,
        seed=settings.seed,
        height=height,
        width=width,
        unknown_share=int(built.alpha_histogram[1:255].sum()) / (height * width),
        crude_iou=errors.iou,
        crude_missed_share=errors.missed_share,
        crude_false_share=errors.false_share,
        crude_edge_p95=errors.edge_p95,
        crude_wrong_known_share=errors.wrong_known_share,
        recipe=built.recipe,
    )


def _streams(built: BuiltSample, settings: Settings) -> dict[str, bytes]:
    """The encoded streams, in the order of `samples.stream_names`."""
    codec, quality = ImageCodec(settings.image_codec), settings.jpeg_quality
    pixels = built.composite
    streams = {
        "image": encode_colour(pixels.image, codec, quality),
        "alpha": encode_alpha(pixels.alpha),
        "trimap": encode_trimap(trimap_of(pixels.alpha)),
        "crude_trimap": encode_trimap(built.crude_trimap),
    }
    if (layers := pixels.layers) is not None:
        streams["foreground"] = encode_layer(layers.foreground, layers.kept, codec, quality)
        streams["background"] = encode_layer(layers.background, layers.kept, codec, quality)
    return streams
