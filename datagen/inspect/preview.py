"""A picture of a few samples of a shard set, for a look before training."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from manifests.pixels import Pixels
from manifests.samples import Sample
from manifests.shard_set import DecodedSample, ShardSet
from manifests.shards import read_index
from manifests.storage import write_changed

_CELL = 240  # pixels
_GAP = 6
_CAPTION = 22
_COLUMNS = ("image", "alpha", "trimap", "crude trimap")
_INK, _PAPER = (235, 235, 235), (24, 24, 26)


def preview(shards: ShardSet, path: Path, rows: int, on_bad: Callable[[str], None]) -> list[str]:
    """Draw up to `rows` varied samples into a picture; returns their keys.

    They are taken from the first shard, so that the time does not depend on the size of the set.
    A sample that cannot be read is left out, and on_bad is called with the reason. Raises
    ValueError if none can be read.
    """
    chosen = varied(read_index(shards.folder, shards.shards[0].name), rows)
    samples = []
    for row in chosen:
        try:
            sample = shards[row.key]
            _pictures(sample)  # a stream is decoded when it is first used
            samples.append(sample)
        except (ValueError, OSError) as error:
            on_bad(str(error))
    if not samples:
        raise ValueError(f"{shards.root}: none of {len(chosen)} samples can be read")
    content = io.BytesIO()
    sheet(samples).save(content, "JPEG" if path.suffix == ".jpg" else "PNG")
    write_changed(path, content.getvalue())
    return [sample.key for sample in samples]


def varied(rows: Sequence[Sample], count: int) -> list[Sample]:
    """Up to `count` different rows, in their order: as many foregrounds as possible, of as many
    cells as possible, over as many backgrounds as possible."""
    shown: Counter[object] = Counter()
    left = dict(enumerate(rows))
    chosen: list[int] = []
    while left and len(chosen) < count:
        # The first row of those whose foreground, then cell, then background was shown least
        number = min(left, key=lambda number: [shown[part] for part in _parts(left[number])])
        shown.update(_parts(left.pop(number)))
        chosen.append(number)
    return [rows[number] for number in sorted(chosen)]


def _parts(row: Sample) -> tuple[object, ...]:
    foreground, background = ("foreground", row.foreground_id), ("background", row.background_id)
    return foreground, (row.subject, row.transparency), background


def sheet(samples: Sequence[DecodedSample]) -> Image.Image:
    """The samples below each other, four pictures and a caption each."""
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
        caption = _caption(sample.row)
        kept = len(caption)
        while draw.textlength(caption, font) > width - 2 * _GAP:
            kept -= 1
            caption = f"{_caption(sample.row)[:kept]} ..."
        draw.text((_GAP, top + _CELL + 3), caption, _INK, font)
    return sheet


def _caption(row: Sample) -> str:
    """File names come last, because long ones may not fit."""
    kind = f"{row.subject}, {row.transparency} transparent"
    sources = f"{row.foreground_id} over {row.background_id}"
    return f"{row.key}   {kind}   crude IoU {row.crude_iou:.3f}   {sources}"


def _pictures(sample: DecodedSample) -> list[Pixels]:
    grey = np.array([0, 128, 255], np.uint8)
    return [sample.image, sample.alpha, grey[sample.trimap], grey[sample.crude_trimap]]
