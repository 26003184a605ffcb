"""A picture of a few samples of a shard set, for a look before training."""

from __future__ import annotations

import io
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from datagen.inspect.chosen import worst
from datagen.inspect.stats import read_rows
from manifests.pixels import Pixels
from manifests.samples import LAYERS, Sample
from manifests.shard_set import DecodedSample, ShardSet
from manifests.shards import read_index
from manifests.storage import Location, write_changed

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}

_CELL = 240  # pixels
_GAP = 6
_CAPTION = 22
_COLUMNS = ("image", "alpha", "trimap", "crude trimap")
_INK, _PAPER = (235, 235, 235), (24, 24, 26)


def chosen_keys(shards: ShardSet, count: int, by_crude: bool = False) -> list[str]:
    """The keys of up to `count` samples.

    Varied ones are taken from the first shard, so that the time does not depend on the size of the
    set. by_crude: those of all shards with the worst crude trimaps, the worst first.
    """
    if by_crude:
        return [shards.key(number) for number in worst(read_rows(shards), count)]
    return [row.key for row in varied(read_index(shards.root, shards.shards[0].name), count)]


def draw(
    shards: ShardSet,
    path: Location,
    keys: Sequence[str],
    on_bad: Callable[[str], None],
    layers: bool = False,
) -> list[str]:
    """Draw some samples into a picture; returns their keys.

    path: its ending is one of FORMATS. A sample that cannot be read is left out, and on_bad is
    called with the reason. Raises KeyError if there is no such sample, ValueError if none can be
    read.
    """
    samples = []
    for key in keys:
        try:
            sample = shards[key]
            _pictures(sample, layers)  # a stream is decoded when it is first used
            samples.append(sample)
        except (ValueError, OSError) as error:
            on_bad(str(error))
    if not samples:
        raise ValueError(f"{shards.root}: none of {len(keys)} samples can be read")
    content = io.BytesIO()
    sheet(samples, layers).save(content, FORMATS[path.suffix.lower()])
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


def sheet(samples: Sequence[DecodedSample], layers: bool = False) -> Image.Image:
    """The samples below each other, four pictures (or six) and a caption each."""
    columns = (*_COLUMNS, *(LAYERS if layers else ()))
    width = len(columns) * (_CELL + _GAP) + _GAP
    row_height = _CELL + _CAPTION + _GAP
    sheet = Image.new("RGB", (width, len(samples) * row_height + _CAPTION + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for column, name in enumerate(columns):
        draw.text((_GAP + column * (_CELL + _GAP), 6), name, _INK, font)
    for number, sample in enumerate(samples):
        top = _CAPTION + _GAP + number * row_height
        for column, pixels in enumerate(_pictures(sample, layers)):
            cell = Image.fromarray(pixels).resize((_CELL, _CELL), Image.Resampling.LANCZOS)
            sheet.paste(cell, (_GAP + column * (_CELL + _GAP), top))
        caption = whole = _plain(_caption(sample.row))
        kept = len(whole)
        while draw.textlength(caption, font) > width - 2 * _GAP:
            kept -= 1
            caption = f"{whole[:kept]} ..."
        draw.text((_GAP, top + _CELL + 3), caption, _INK, font)
    return sheet


def _caption(row: Sample) -> str:
    """File names come last, because long ones may not fit."""
    kind = f"{row.subject}, {row.transparency} transparent"
    sources = f"{row.foreground_id} over {row.background_id}"
    return f"{row.key}   {kind}   crude IoU {row.crude_iou:.3f}   {sources}"


def _pictures(sample: DecodedSample, layers: bool) -> list[Pixels]:
    grey = np.array([0, 128, 255], np.uint8)
    own = [sample.foreground, sample.background] if layers else []
    codes = [grey[sample.trimap], grey[sample.crude_trimap]]
    return [sample.image, sample.alpha, *codes, *(one for one in own if one is not None)]


def _plain(text: str) -> str:
    """In letters that the font has: without accents, and with ? for letters of other scripts."""
    letters = (one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    return "".join(letters).encode("ascii", "replace").decode()
