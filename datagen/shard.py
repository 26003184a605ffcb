"""One shard: a plain function of its plan and its sources, which knows nothing of Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from datagen.plan import Pair, ShardPlan
from datagen.sample.compose import Composite, compose, crop_background
from datagen.sample.crude import crude_mask, crude_trimap
from datagen.sample.crude_errors import crude_errors
from datagen.sample.place import Subject, colour_matrix, jitter, over, place
from datagen.sample.recipe import draw_recipe, draw_second, generator
from datagen.sample.working_copies import (
    Cutout,
    background_path,
    cutout_path,
    load_background,
    load_cutout,
)
from datagen.settings import Settings
from manifests.pixels import (
    ImageCodec,
    Pixels,
    encode_alpha,
    encode_colour,
    encode_trimap,
    trimap_of,
)
from manifests.samples import EncodedSample, Recipe, Sample
from manifests.shards import Histogram, ShardWriter
from manifests.sources import Background, Foreground

Report = Callable[[int, int], None]  # samples and bytes of the shard so far


@dataclass(frozen=True)
class ShardTask:
    """All that a worker needs to make one shard; sources by their numbers in the plan."""

    root: Path
    cache: Path
    settings: Settings
    plan: ShardPlan
    foregrounds: Mapping[int, Foreground]
    backgrounds: Mapping[int, Background]
    foreground_count: int


def shard_task(
    root: Path,
    cache: Path,
    settings: Settings,
    plan: ShardPlan,
    foregrounds: Sequence[Foreground],
    backgrounds: Sequence[Background],
) -> ShardTask:
    """A task with the sources that its plan needs; they are the split's, sorted by id."""
    used = {pair.foreground for pair in plan.pairs}
    if settings.merge_probability > 0:
        used = set(range(len(foregrounds)))
    return ShardTask(
        root=root,
        cache=cache,
        settings=settings,
        plan=plan,
        foregrounds={n: foregrounds[n] for n in sorted(used)},
        backgrounds={n: backgrounds[n] for n in sorted({p.background for p in plan.pairs})},
        foreground_count=len(foregrounds),
    )


def make_shard(task: ShardTask, report: Report) -> str:
    """Write one shard whole, or raise and leave nothing; returns its name."""
    settings, plan = task.settings, task.plan
    with ShardWriter(task.root, plan.name, settings.format, settings.image_codec) as writer:
        written = 0
        for count, pair in enumerate(plan.pairs, start=1):
            sample, histogram = make_sample(task, pair)
            writer.add(sample, histogram)
            written += sum(map(len, sample.streams.values()))
            report(count, written)
    return plan.name


def make_sample(task: ShardTask, pair: Pair) -> tuple[EncodedSample, Histogram]:
    """Draw and build one sample, and count its alpha levels."""
    composed = draw_and_compose(task, pair)
    return composed.encoded(task.settings), composed.histogram


@dataclass(frozen=True)
class Composed:
    """A sample in pixels: all but the encoding is done."""

    row: Sample
    composite: Composite
    crude_trimap: Pixels
    histogram: Histogram

    def encoded(self, settings: Settings) -> EncodedSample:
        return EncodedSample(self.row, encode(self.composite, self.crude_trimap, settings))


def draw_and_compose(task: ShardTask, pair: Pair) -> Composed:
    """One sample of a shard, from its own generator."""
    settings = task.settings
    rng = generator(settings.seed, pair.foreground, pair.background, pair.round)
    foreground, background = task.foregrounds[pair.foreground], task.backgrounds[pair.background]
    cutout = _load_cutout(task, foreground)
    number = draw_second(rng, settings, task.foreground_count, pair.foreground)
    second = None
    if number is not None:
        behind = task.foregrounds[number]
        second = (behind, _load_cutout(task, behind))
    recipe = draw_recipe(rng, settings, (foreground, cutout), background, second)
    path = background_path(task.cache, background, settings)
    photo = load_background(path, background, settings)
    cutouts = [(foreground, cutout), *([second] if second else [])]
    return compose_sample(settings, pair.key, task.plan, recipe, cutouts, (background, photo))


def _load_cutout(task: ShardTask, source: Foreground) -> Cutout:
    path = cutout_path(task.cache, source, task.settings)
    return load_cutout(path, source.box, task.settings)


def compose_sample(
    settings: Settings,
    key: str,
    plan: ShardPlan,
    recipe: Recipe,
    cutouts: Sequence[tuple[Foreground, Cutout]],
    background: tuple[Background, Pixels],
) -> Composed:
    """A sample from its recipe and working copies: nothing is drawn here."""
    foreground, size = cutouts[0][0], settings.size
    crop = recipe.background
    behind = crop_background(background[1], crop.top, crop.left, size, crop.flip)
    composite = compose(
        place_subject(recipe, cutouts, size),
        colour_matrix(recipe.foreground_colour),
        jitter(behind, colour_matrix(recipe.background_colour)),
        settings.layers,
    )
    alpha = composite.alpha
    mask = crude_mask(alpha, recipe.crude)
    crude = crude_trimap(mask, recipe.crude)
    errors = crude_errors(alpha, mask, crude)
    histogram = alpha_histogram(alpha)
    row = Sample(
        key=key,
        split=plan.split,
        shard=plan.name,
        foreground_id=foreground.id,
        background_id=background[0].id,
        foreground_sha256=foreground.sha256,
        background_sha256=background[0].sha256,
        subject=foreground.subject,
        transparency=foreground.transparency,
        seed=settings.seed,
        height=size,
        width=size,
        unknown_share=int(histogram[1:255].sum()) / alpha.size,
        crude_iou=errors.iou,
        crude_missed_share=errors.missed_share,
        crude_false_share=errors.false_share,
        crude_edge_p95=errors.edge_p95,
        crude_wrong_known_share=errors.wrong_known_share,
        recipe=recipe,
    )
    return Composed(row, composite, crude, histogram)


def place_subject(
    recipe: Recipe, cutouts: Sequence[tuple[Foreground, Cutout]], size: int
) -> Subject:
    """The foreground on the canvas, or the first of two in front of the second."""
    placed = [
        place(cutout, placement, source.box, size)
        for placement, (source, cutout) in zip(
            (recipe.foreground, recipe.second), cutouts, strict=False
        )
    ]
    return over(placed[0], placed[1], size) if len(placed) == 2 else placed[0]


def encode(composite: Composite, crude: Pixels, settings: Settings) -> dict[str, bytes]:
    """The streams of a sample, in the order of `samples.stream_names`."""
    codec, quality = ImageCodec(settings.image_codec), settings.jpeg_quality
    streams = {
        "image": encode_colour(composite.image, codec, quality),
        "alpha": encode_alpha(composite.alpha),
        "trimap": encode_trimap(trimap_of(composite.alpha)),
        "crude_trimap": encode_trimap(crude),
    }
    if composite.foreground is not None and composite.background is not None:
        streams["foreground"] = encode_colour(composite.foreground, codec, quality)
        streams["background"] = encode_colour(composite.background, codec, quality)
    return streams


def alpha_histogram(alpha: Pixels) -> Histogram:
    """How often each of the 256 levels occurs."""
    left, top, width, height = cv2.boundingRect(alpha)
    part = alpha[top : top + height, left : left + width]
    # Counts come as float32, exact to 2 ** 24: the pixels of the largest canvas.
    histogram = cv2.calcHist([part], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    histogram[0] += alpha.size - part.size
    return histogram
