"""One sample and one shard: deterministic, and the row says what the streams hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from datagen.copies import Copies
from datagen.plan import Pair, ShardPairs, SplitPlan
from datagen.sample.build import build_sample, encode_sample
from datagen.sample.composite import crop_background
from datagen.sample.crude import crude_mask
from datagen.sample.crude_errors import crude_errors, joint_histogram
from datagen.sample.recipe import NO_FOREGROUND
from datagen.sample.working_copies import (
    background_path,
    foreground_path,
    load_background,
    load_foreground,
    prepare_cutout,
    prepare_photo,
    save_background,
    save_foreground,
)
from datagen.settings import Settings
from datagen.shard import (
    ShardTask,
    make_sample,
    make_shard,
    shard_task,
)
from manifests.pixels import (
    ImageCodec,
    Pixels,
    decode_alpha,
    decode_colour,
    decode_trimap,
    trimap_of,
)
from manifests.samples import EncodedSample, stream_names
from manifests.shards import (
    ShardFormat,
    data_path,
    index_path,
    read_alpha_histograms,
    read_index,
    read_shard,
)
from manifests.sources import Background, Box, Foreground, Split, Subject, Transparency
from manifests.storage import sha256_of

SIZE = 44  # not a multiple of a block
CELLS = (
    (Subject.HUMAN, Transparency.LITTLE),
    (Subject.NON_HUMAN, Transparency.HIGHLY),
    (Subject.HUMAN, Transparency.STRONGLY),
)


@dataclass(frozen=True)
class Sources:
    foregrounds: Sequence[Foreground]
    backgrounds: Sequence[Background]


def cutout_pixels(number: int) -> Pixels:
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:80, :70]
    alpha = np.clip((30 - np.hypot(y - 40, x - 35)) / (2 + 6 * number), 0, 1) * 255
    colour = rng.integers(0, 256, (80, 70, 3))
    return np.dstack([colour, alpha.round()]).astype(np.uint8)


def prepared(cache: Path, settings: Settings) -> Sources:
    """Three foregrounds and two backgrounds, with their working copies in `cache`."""
    foregrounds, backgrounds = [], []
    for number, cell in enumerate(CELLS):
        pixels = cutout_pixels(number)
        rows, columns = (np.flatnonzero(pixels[..., 3].any(axis=axis)) for axis in (1, 0))
        box = Box(int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
        name = f"fg{number}"
        source = Foreground(
            f"{name}.png", name, name, 80, 70, box, *cell, False, 0.1, Split.TRAIN, "{}"
        )
        path = foreground_path(cache, source, settings)
        save_foreground(path, prepare_cutout(pixels, box, settings))
        foregrounds.append(source)
    for number, (height, width) in enumerate(((60, 90), (30, 40))):
        photo = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        name = f"bg{number}"
        background = Background(f"{name}.jpg", name, name, height, width, Split.TRAIN, "{}")
        made = prepare_photo(photo, settings)
        save_background(background_path(cache, background, settings), made)
        backgrounds.append(background)
    return Sources(foregrounds, backgrounds)


def make_task(folder: Path, settings: Settings, samples: int = 6) -> ShardTask:
    sources = prepared(folder / "cache", settings)
    plan = SplitPlan(Split.TRAIN, 3, 2, samples, 100, settings.seed).shard(0)
    root, cache = folder / "shards", folder / "cache"
    return shard_task(root, Copies(cache), settings, plan, sources.foregrounds, sources.backgrounds)


def samples_of(task: ShardTask) -> list[tuple[EncodedSample, NDArray[np.int64]]]:
    return [make_sample(task, pair) for pair in task.shard.pairs]


@pytest.mark.parametrize("codec", ImageCodec)
@pytest.mark.parametrize("layers", [False, True])
@pytest.mark.parametrize("form", ShardFormat)
def test_a_shard_holds_its_samples(
    tmp_path: Path, form: ShardFormat, codec: ImageCodec, layers: bool
) -> None:
    settings = Settings(size=SIZE, format=form, image_codec=codec, layers=layers)
    task = make_task(tmp_path, settings)
    reports: list[tuple[int, int]] = []
    name = make_shard(task, lambda done, size: reports.append((done, size)))
    path = data_path(tmp_path / "shards", name, form)
    first = (sha256_of(path), sha256_of(index_path(task.root, name)))
    made = samples_of(task)
    read = list(read_shard(path))
    assert read == [sample for sample, _ in made]
    assert read_index(task.root, name) == [sample.row for sample in read]
    assert [sample.row.key for sample in read] == [pair.key for pair in task.shard.pairs]
    assert all(tuple(sample.streams) == stream_names(layers) for sample in read)
    total = sum(len(data) for sample in read for data in sample.streams.values())
    assert [done for done, _ in reports] == [1, 2, 3, 4, 5, 6]
    assert reports[-1][1] == total
    make_shard(task, lambda done, size: None)
    assert (sha256_of(path), sha256_of(index_path(task.root, name))) == first
    histograms = read_alpha_histograms(task.root, name)
    assert set(histograms) == {(str(subject), str(kind)) for subject, kind in CELLS}
    assert sum(int(counts.sum()) for counts in histograms.values()) == 6 * SIZE**2


@pytest.mark.parametrize("merge_probability", [0.0, 1.0])
def test_rows_say_what_the_streams_hold(tmp_path: Path, merge_probability: float) -> None:
    settings = Settings(
        size=SIZE, image_codec=ImageCodec.PNG, merge_probability=merge_probability, seed=5
    )
    task = make_task(tmp_path, settings, 12)
    for pair, (sample, histogram) in zip(task.shard.pairs, samples_of(task), strict=True):
        row, streams = sample.row, sample.streams
        alpha, crude = decode_alpha(streams["alpha"]), decode_trimap(streams["crude_trimap"])
        assert np.array_equal(decode_trimap(streams["trimap"]), trimap_of(alpha))
        assert row.unknown_share == ((alpha > 0) & (alpha < 255)).mean()
        assert np.array_equal(histogram, np.bincount(alpha.ravel(), minlength=256))
        mask = crude_mask(alpha, row.recipe.crude)
        errors = crude_errors(alpha, mask, joint_histogram(alpha, mask, crude))
        assert row.crude_iou == errors.iou
        assert row.crude_missed_share == errors.missed_share
        assert row.crude_false_share == errors.false_share
        assert row.crude_edge_p95 == errors.edge_p95
        wrong = ((crude == 2) & (alpha < 255)) | ((crude == 0) & (alpha > 0))
        assert row.crude_wrong_known_share == pytest.approx(wrong.mean(), abs=1e-6)
        assert row.crude_wrong_known_share == errors.wrong_known_share
        foreground, background = (
            task.foregrounds[pair.foreground],
            task.backgrounds[pair.background],
        )
        assert (row.foreground_id, row.foreground_sha256) == (foreground.id, foreground.sha256)
        assert (row.background_id, row.background_sha256) == (background.id, background.sha256)
        assert (row.subject, row.transparency) == (foreground.subject, foreground.transparency)
        assert (row.key, row.seed, row.height, row.width) == (pair.key, 5, SIZE, SIZE)
        assert (row.split, row.shard) == (Split.TRAIN, "train-00000")
        assert row.recipe.foreground.foreground_id == foreground.id
        blended = _blend(streams, alpha)
        assert np.abs(decode_colour(streams["image"]) - blended)[_soft(alpha)].max() <= 1


def _soft(alpha: Pixels) -> NDArray[np.bool_]:
    return np.asarray((alpha > 0) & (alpha < 255), np.bool_)


def _blend(streams: dict[str, bytes], alpha: Pixels) -> NDArray[np.float64]:
    front, back = decode_colour(streams["foreground"]), decode_colour(streams["background"])
    opacity = alpha[..., None] / 255
    blended: NDArray[np.float64] = np.rint(opacity * front + (1 - opacity) * back)
    return blended


@pytest.mark.parametrize("merge_probability", [0.0, 1.0])
@pytest.mark.parametrize("codec", ImageCodec)
def test_a_sample_is_rebuilt_from_its_recipe(
    tmp_path: Path, merge_probability: float, codec: ImageCodec
) -> None:
    settings = Settings(size=SIZE, image_codec=codec, merge_probability=merge_probability)
    task = make_task(tmp_path, settings)
    by_id = {source.id: source for source in task.foregrounds.values()}
    for pair, (sample, histogram) in zip(task.shard.pairs, samples_of(task), strict=True):
        again, same_histogram = make_sample(task, pair)
        assert again == sample
        recipe = sample.row.recipe
        used = [p.foreground_id for p in (recipe.foreground, recipe.second) if p.foreground_id]
        assert len(used) == len(set(used)) == (2 if merge_probability else 1)
        assert (recipe.second == NO_FOREGROUND) == (merge_probability == 0)
        foreground, *second = [
            load_foreground(task.copies.folder, by_id[i], settings) for i in used
        ]
        background = load_background(
            task.copies.folder, task.backgrounds[pair.background], settings
        )
        behind = second[0] if second else None
        rebuilt = build_sample(recipe, foreground, behind, background, settings)
        name, split = task.shard.name, task.shard.split
        assert encode_sample(rebuilt, pair.key, name, split, settings) == sample
        assert np.array_equal(rebuilt.alpha_histogram, histogram)
        assert np.array_equal(same_histogram, histogram)
        crop = recipe.background
        part = crop_background(background.photo, crop.top, crop.left, SIZE, crop.flip)
        assert part.shape == (SIZE, SIZE, 3)


def test_neither_the_shard_nor_its_neighbours_change_a_sample(tmp_path: Path) -> None:
    task = make_task(tmp_path, Settings(size=SIZE))
    made = {pair: make_sample(task, pair) for pair in reversed(task.shard.pairs)}
    assert [made[pair][0] for pair in task.shard.pairs] == [s for s, _ in samples_of(task)]
    streams = {sample.streams["image"] for sample, _ in made.values()}
    assert len(streams) == 6


def test_rounds_and_seeds_differ(tmp_path: Path) -> None:
    task = make_task(tmp_path, Settings(size=SIZE))
    first = task.shard.pairs[0]
    later = Pair(first.key, first.foreground, first.background, 1)
    other = make_task(tmp_path, Settings(size=SIZE, seed=1))
    recipes = {
        make_sample(t, p)[0].row.recipe for t, p in ((task, first), (task, later), (other, first))
    }
    assert len(recipes) == 3


def test_a_task_names_only_what_its_worker_needs(tmp_path: Path) -> None:
    settings = Settings(size=SIZE)
    sources = prepared(tmp_path, settings)
    plan = ShardPairs("train-00000", Split.TRAIN, (Pair("train-00000000", 2, 1, 0),))
    lists = (sources.foregrounds, sources.backgrounds)
    alone = shard_task(tmp_path, Copies(tmp_path), settings, plan, *lists)
    assert (list(alone.foregrounds), list(alone.backgrounds)) == ([2], [1])
    merged = Settings(size=SIZE, merge_probability=0.1)
    every = shard_task(tmp_path, Copies(tmp_path), merged, plan, *lists)
    assert (list(every.foregrounds), every.foreground_count) == ([0, 1, 2], 3)


def test_a_failure_leaves_no_shard(tmp_path: Path) -> None:
    task = make_task(tmp_path, Settings(size=SIZE))
    background_path(task.copies.folder, task.backgrounds[1], task.settings).unlink()
    with pytest.raises(FileNotFoundError):
        make_shard(task, lambda done, size: None)
    assert [path for path in (tmp_path / "shards").rglob("*") if path.is_file()] == []
