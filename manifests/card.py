"""README.md of a shard set: what it is, for people, and for `datasets.load_dataset(FOLDER)`.

Without the head of this file `datasets` would take the tables without pixels, index/ and sources/,
for data.
"""

from __future__ import annotations

from collections.abc import Sequence

from manifests.shards import Shard, ShardFormat

_HEAD = """\
---
configs:
- config_name: default
  data_files:
{files}---
"""
_SPLIT = """\
  - split: {split}
    path: data/{split}-*.{extension}
"""
_BODY = """\
# A shard set for image matting

{counts}.

Made by `datagen compose` of matting-data. Each sample is a composite image with its alpha, its
exact trimap and a crude trimap; `foreground` and `background`, if the set has them, are the layers.

    import datasets
    rows = datasets.load_dataset("FOLDER OF THIS FILE")

Trimaps are palette PNGs: 0 background, 1 unknown, 2 foreground. Readers that look up the palette
(OpenCV, Pillow's `convert`, webdataset's `decode("pil")`) give 0, 128, 255 instead.
"""


def card_of(shards: Sequence[Shard], form: ShardFormat) -> str:
    """The text of README.md. Splits without samples are left out: nothing matches their pattern."""
    samples: dict[str, int] = {}
    for shard in shards:
        if shard.samples:
            samples[str(shard.split)] = samples.get(str(shard.split), 0) + shard.samples
    files = "".join(_SPLIT.format(split=split, extension=form.extension) for split in samples)
    counts = " and ".join(f"{count} samples in `{split}`" for split, count in samples.items())
    head = _HEAD.format(files=files) if files else ""
    return f"{head}\n{_BODY.format(counts=counts or 'No samples')}".lstrip()
