"""Check a shard set: checksums, counts, and every rule of the contract about rows and streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datagen.cluster import Cluster
from datagen.sample.crude_errors import joint_histogram
from datagen.sample.sampling import blend_into
from manifests.dataset import ShardSettings, read_sources, table_name
from manifests.jpeg import BLOCK
from manifests.pixels import (
    BACKGROUND,
    FOREGROUND,
    NOT_KEPT,
    UNKNOWN,
    ImageCodec,
    Pixels,
    check_colour,
    trimap_of,
)
from manifests.samples import LABELS, EncodedSample, Sample, decode_stream, stream_names
from manifests.shard_set import ShardSet
from manifests.shards import (
    Shard,
    data_path,
    index_path,
    read_alpha_histograms,
    read_index,
    read_shard,
)
from manifests.sources import Background, Foreground
from manifests.storage import Location, as_file, exists, sha256_of

# Allowed mean difference, where layers are kept, between a JPEG image of quality 95 and the blend
# of its JPEG layers, and the increase for each step of quality below 95. White noise, the worst
# case, has differences of 4, 14 and 20 levels at quality 95, 80 and 70; real pictures have 3, 8 and
# 10. A wrong layer has larger ones.
_JPEG_TOLERANCE, _TOLERANCE_PER_STEP = 10.0, 0.6

_GREY = np.full(3, NOT_KEPT)
_LEVELS = np.arange(256, dtype=np.uint8)

_REMEDY = "repeat the datagen compose that made the set, it makes only this shard again"


@dataclass(frozen=True)
class Finding:
    """A broken rule; `sample` is the key of the sample, or "" if it concerns the whole shard."""

    shard: str
    sample: str
    reason: str


@dataclass(frozen=True)
class Promises:
    """What a worker needs to know of a set to check one of its shards.

    It is sent with every task, so it holds nothing that grows with the number of shards or sources.
    """

    root: Location
    settings: ShardSettings
    seed: object  # of the set
    sources: tuple[str, str]  # checksums of the tables of foregrounds and backgrounds


def promises_of(shards: ShardSet) -> Promises:
    names = (table_name(Foreground), table_name(Background))
    foregrounds, backgrounds = (shards.sources.get(name, "") for name in names)
    seed = shards.all_settings.get("seed")
    return Promises(shards.root, shards.settings, seed, (foregrounds, backgrounds))


@lru_cache(maxsize=1)
def _sources(promises: Promises) -> tuple[dict[str, Foreground], dict[str, Background]]:
    """By their ids; each worker reads them once."""
    foregrounds, backgrounds = promises.sources
    return (
        {source.id: source for source in read_sources(promises.root, Foreground, foregrounds)},
        {source.id: source for source in read_sources(promises.root, Background, backgrounds)},
    )


def verify(cluster: Cluster, shards: ShardSet) -> Iterator[tuple[Shard, list[Finding]]]:
    """Check every shard; they come in any order. A shard without findings is correct."""
    for outcome in cluster.run(partial(verify_shard, promises_of(shards)), shards.shards):
        failed = [Finding(outcome.item.name, "", outcome.error)] if outcome.error else []
        yield outcome.item, failed or (outcome.value or [])


def verify_shard(promises: Promises, shard: Shard) -> list[Finding]:
    """Every broken rule in one shard."""
    location = data_path(promises.root, shard.name, promises.settings.format)
    index = index_path(promises.root, shard.name)
    of_index = _fault(index, index, shard.index_sha256)
    if not exists(location):
        return _of_files(shard, f"{location}: missing; {_REMEDY}", of_index)
    with as_file(location) as data:
        findings = _of_files(shard, _fault(location, data, shard.sha256), of_index)
        return (
            [*findings, *_content_faults(promises, shard, data, location)]
            if exists(index)
            else findings
        )


def _of_files(shard: Shard, *faults: str) -> list[Finding]:
    return [Finding(shard.name, "", fault) for fault in faults if fault]


def _fault(location: Location, content: Location, sha256: str) -> str:
    """What is wrong with a file, whose content may be in a copy; "" if nothing is."""
    if not exists(content):
        return f"{location}: missing; {_REMEDY}"
    if sha256_of(content) != sha256:
        return f"{location}: its sha256 is not the one in dataset.json; {_REMEDY}"
    return ""


def _content_faults(
    promises: Promises, shard: Shard, data: Path, location: Location
) -> list[Finding]:
    """Every broken rule about the samples of a shard; `data` is its file, or a copy of it."""
    root = promises.root
    findings: list[Finding] = []
    about_samples: list[Finding] = []
    keys: set[str] = set()
    histogram = np.zeros(256, np.int64)
    count = 0
    try:
        rows = read_index(root, shard.name)
        for count, sample in enumerate(read_shard(data), start=1):
            row = rows[count - 1] if count <= len(rows) else None
            reasons, counts = _sample_faults(promises, shard, sample, row)
            if sample.row.key in keys:
                reasons.append("another sample has the same key")
            keys.add(sample.row.key)
            about_samples += [Finding(shard.name, sample.row.key, reason) for reason in reasons]
            histogram += counts
        if count != shard.samples or len(rows) != shard.samples:
            reason = f"{count} samples, {len(rows)} rows, dataset.json says {shard.samples}"
            findings.append(Finding(shard.name, "", reason))
        elif not about_samples and any(
            np.sum(list(read_alpha_histograms(root, shard.name).values()), 0) != histogram
        ):
            findings.append(Finding(shard.name, "", "the alpha histogram in the index is wrong"))
    except (ValueError, OSError) as error:
        reason = str(error).replace(str(data), str(location))
        findings.append(Finding(shard.name, "", reason))
    return findings + about_samples


def _sample_faults(
    promises: Promises, shard: Shard, sample: EncodedSample, indexed: Sample | None
) -> tuple[list[str], NDArray[np.int64]]:
    """The broken rules of one sample, and its alpha histogram."""
    settings, row = promises.settings, sample.row
    faults = list(_row_faults(promises, shard, row, indexed))
    expected = stream_names(settings.layers)
    if tuple(sample.streams) != expected:
        faults.append(f"streams {list(sample.streams)}, expected {list(expected)}")
        return faults, np.zeros(256, np.int64)
    streams: dict[str, Pixels] = {}
    for name, data in sample.streams.items():
        try:
            if name in LABELS or settings.layers:
                streams[name] = decode_stream(name, data)
                size = streams[name].shape[:2]
            else:  # nothing says which colours an image without layers should have
                size = check_colour(data)
        except ValueError as error:
            faults.append(f"{name}: {error}")
            continue
        if size != (row.height, row.width):
            faults.append(f"{name}: {size}, expected {(row.height, row.width)}")
    if faults:
        return faults, np.zeros(256, np.int64)
    faults, histogram = _pixel_faults(row, *(streams[name] for name in LABELS))
    if settings.layers:
        is_jpeg = settings.image_codec is ImageCodec.JPEG
        quality = settings.jpeg_quality if is_jpeg else None
        faults += _layer_faults(streams, quality)
    return faults, histogram


def _row_faults(
    promises: Promises, shard: Shard, row: Sample, indexed: Sample | None
) -> Iterator[str]:
    if row != indexed:
        yield "its row differs from the one in the index"
    if (row.shard, row.split) != (shard.name, shard.split):
        yield f"its row says that it is in {row.shard} ({row.split})"
    size = promises.settings.size
    if (row.height, row.width) != (size, size):
        yield f"{row.height} x {row.width}, the settings say {size} x {size}"
    if row.seed != promises.seed:
        yield f"its seed is {row.seed}, the settings say {promises.seed}"
    foregrounds, backgrounds = _sources(promises)
    foreground = foregrounds.get(row.foreground_id)
    background = backgrounds.get(row.background_id)
    second = foregrounds.get(row.recipe.second.foreground_id)
    if foreground is None or foreground.sha256 != row.foreground_sha256:
        yield f"foreground {row.foreground_id} is not in sources/"
    elif (row.subject, row.transparency) != (foreground.subject, foreground.transparency):
        yield f"{row.subject}, {row.transparency} are not the labels of {foreground.id}"
    if background is None or background.sha256 != row.background_sha256:
        yield f"background {row.background_id} is not in sources/"
    if row.recipe.foreground.foreground_id != row.foreground_id:
        yield f"its recipe is for {row.recipe.foreground.foreground_id}"
    if row.recipe.second.foreground_id and second is None:
        yield f"foreground {row.recipe.second.foreground_id} is not in sources/"
    for name, source in (
        ("foreground", foreground),
        ("foreground", second),
        ("background", background),
    ):
        if source is not None and source.split != row.split:
            yield f"the splits leak: {name} {source.id} is a source of {source.split}"


def _pixel_faults(
    row: Sample, alpha: Pixels, trimap: Pixels, crude: Pixels
) -> tuple[list[str], NDArray[np.int64]]:
    """What is wrong with the labels of a sample, and its alpha histogram."""
    faults = []
    counts = joint_histogram(alpha, trimap, crude)
    of_trimap, of_crude = counts.sum(axis=1), counts.sum(axis=0)
    histogram = of_trimap.sum(axis=0)
    if not histogram[1:].any():
        faults.append("alpha is 0 everywhere, so the subject is not visible")
    if of_trimap[trimap_of(_LEVELS), _LEVELS].sum() < alpha.size:
        faults.append("trimap does not follow from alpha (Eq. 2)")
    unknown = of_trimap[UNKNOWN].sum() / trimap.size
    if abs(unknown - row.unknown_share) > 1e-6:
        faults.append(f"unknown_share is {unknown:.6f}, its row says {row.unknown_share:.6f}")
    wrong = (of_crude[FOREGROUND, :255].sum() + of_crude[BACKGROUND, 1:].sum()) / alpha.size
    if abs(wrong - row.crude_wrong_known_share) > 1e-6:
        stated = row.crude_wrong_known_share
        faults.append(f"crude_wrong_known_share is {wrong:.6f}, its row says {stated:.6f}")
    return faults, histogram


def _layer_faults(streams: dict[str, Pixels], jpeg_quality: int | None) -> Iterator[str]:
    """What is kept of the layers, and Eq. (1) there.

    It must hold on average for JPEG, and within one level for PNG (jpeg_quality None).
    """
    is_kept = _kept(streams["trimap"])
    for name in ("foreground", "background"):
        is_grey = np.asarray(cv2.inRange(streams[name], _GREY, _GREY), np.uint8)
        if np.count_nonzero(is_grey | is_kept) < is_kept.size:
            yield f"{name} is not grey in blocks without soft alpha"
    if not is_kept.any():
        return
    blended = streams["background"].copy()
    blend_into(blended, streams["foreground"], streams["alpha"], 0, 0)
    difference = np.asarray(cv2.absdiff(streams["image"], blended), np.uint8)
    if jpeg_quality is None:
        most = (difference * is_kept[..., None]).max()
        if most > 1:
            yield f"image differs from the blend of its layers by {most} levels"
        return
    mean = np.asarray(cv2.mean(difference, is_kept))[:3].mean()
    if mean > _JPEG_TOLERANCE + _TOLERANCE_PER_STEP * (95 - jpeg_quality):
        yield f"image differs from the blend of its layers by {mean:.1f} levels (mean)"


def _kept(trimap: Pixels) -> Pixels:
    """1 in the blocks of 8 x 8 in which a pixel is soft, else 0; H x W.

    It does not ask the code that made the set, which would not find its own mistake.
    """
    height, width = trimap.shape
    padded = np.pad(trimap == UNKNOWN, ((0, -height % BLOCK), (0, -width % BLOCK)))
    down, across = (side // BLOCK for side in padded.shape)
    is_kept = padded.reshape(down, BLOCK, across, BLOCK).any((1, 3)).view(np.uint8)
    return is_kept.repeat(BLOCK, 0).repeat(BLOCK, 1)[:height, :width].copy()
