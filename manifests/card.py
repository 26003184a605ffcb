"""README.md of a shard set: what it is, for people, and for `datasets.load_dataset(FOLDER)`.

Without the head of this file `datasets` would take the tables without pixels, index/ and sources/,
for data. What people write into the file stays when the set grows: of a file that is there, only
`configs` in the head and what stands between the two marks are written again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from manifests.shards import Shard, ShardFormat

_CONFIGS = """\
configs:
- config_name: default
  data_files:
{files}"""
_SPLIT = """\
  - split: {split}
    path: data/{split}-*.{extension}
"""
_BEGIN = (
    "<!-- datagen writes the text from here to the next mark; yours stays before and after it -->"
)
_END = "<!-- the text of datagen ends here -->"
_TITLE = "# A shard set for image matting"
_TEXT = """\
{counts}.

Made by `datagen compose` of matting-data. Each sample is a composite image with its alpha, its
exact trimap and a crude trimap; `foreground` and `background`, if the set has them, are the layers.

    import datasets
    rows = datasets.load_dataset("FOLDER OF THIS FILE")

Trimaps are palette PNGs: 0 background, 1 unknown, 2 foreground. Readers that look up the palette
(OpenCV, Pillow's `convert`, webdataset's `decode("pil")`) give 0, 128, 255 instead.
"""

_HEAD = re.compile(r"\A---[ \t]*\n(?P<keys>.*?)^---[ \t]*\n", re.DOTALL | re.MULTILINE)
_KEY = re.compile(r"^configs:.*\n(?:(?:[ \t-].*)?\n)*", re.MULTILINE)  # with the lines below it
_MARKED = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)


def card_of(shards: Sequence[Shard], form: ShardFormat, before: str = "") -> str:
    """The text of README.md. Splits without samples are left out: nothing matches their pattern.

    before: the text that is there, whose own parts stay. Without the marks all of it stays but
    `configs`, without which `datasets` could not load the folder.
    """
    samples: dict[str, int] = {}
    for shard in shards:
        if shard.samples:
            samples[str(shard.split)] = samples.get(str(shard.split), 0) + shard.samples
    files = "".join(_SPLIT.format(split=split, extension=form.extension) for split in samples)
    counts = " and ".join(f"{count} samples in `{split}`" for split, count in samples.items())
    configs = _CONFIGS.format(files=files) if files else ""
    marked = f"{_BEGIN}\n\n{_TEXT.format(counts=counts or 'No samples')}\n{_END}"

    before = before.replace("\r\n", "\n")
    head = _HEAD.match(before)
    keys, body = (head["keys"], before[head.end() :]) if head else ("", before)
    keys = _KEY.sub(lambda _: configs, keys, count=1) if _KEY.search(keys) else keys + configs
    body = _MARKED.sub(lambda _: marked, body) if body.strip() else f"{_TITLE}\n\n{marked}\n"
    separator = "" if head else "\n"
    return f"---\n{keys}---\n{separator}{body}" if keys else body
