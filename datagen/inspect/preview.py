"""A picture of a few samples of a shard set, for a look before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from manifests.pixels import Pixels
from manifests.samples import Sample
from manifests.shard_set import DecodedSample, ShardSet
from manifests.shards import read_index
from manifests.storage import writing

_CELL = 240  # pixels
_GAP = 6
_CAPTION = 22
_COLUMNS = ("image", "alpha", "trimap", "crude trimap")
_INK, _PAPER = (235, 235, 235), (24, 24, 26)


def preview(shards: ShardSet, path: Path, rows: int) -> list[str]:
    """Draw up to `rows` samples, of as many cells as possible, into a PNG; returns their keys.

    They are taken from the first shard, so that the time does not depend on the size of the set.
    """
    chosen = _varied(read_index(shards.folder, shards.shards[0].name), rows)
    samples = [shards[row.key] for row in chosen]
    with writing(path) as part:
        _sheet(samples).save(part, "PNG")
    return [sample.key for sample in samples]


def _varied(rows: list[Sample], count: int) -> list[Sample]:
    """`count` rows: first one row of each cell, then a second one of each, and so on."""
    seen: dict[tuple[str, str], int] = {}
    ranked = []
    for number, row in enumerate(rows):
        cell = (row.subject, row.transparency)
        seen[cell] = seen.get(cell, 0) + 1
        ranked.append((seen[cell], number, row))
    return [row for _, _, row in sorted(ranked, key=lambda entry: entry[:2])[:count]]


def _sheet(samples: list[DecodedSample]) -> Image.Image:
    width = len(_COLUMNS) * (_CELL + _GAP) + _GAP
    row_height = _CELL + _CAPTION + _GAP
    sheet = Image.new("RGB", (width, len(samples) * row_height + _CAPTION + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for column, name in enumerate(_COLUMNS):
        draw.text((_GAP + column * (_CELL + _GAP), 6), name, _INK, font)
    for number, sample in enumerate(samples):
        top = _CAPTION + _GAP + number * row_height
        for column, pixels in enumerate(_pictures(sample)):
            cell = Image.fromarray(pixels).resize((_CELL, _CELL), Image.Resampling.LANCZOS)
            sheet.paste(cell, (_GAP + column * (_CELL + _GAP), top))
        row = sample.row
        caption = (
            f"{row.key}   {row.subject}, {row.transparency} transparent   {row.foreground_id} over "
            f"{row.background_id}   crude IoU {row.crude_iou:.3f}"
        )
        draw.text((_GAP, top + _CELL + 3), caption, _INK, font)
    return sheet


def _pictures(sample: DecodedSample) -> list[Pixels]:
    grey = np.array([0, 128, 255], np.uint8)
    return [sample.image, sample.alpha, grey[sample.trimap], grey[sample.crude_trimap]]
