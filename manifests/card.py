"""README.md of a shard set: what it is, for people, and for `datasets.load_dataset(FOLDER)`.

Without the head of this file `datasets` would take the tables without pixels, index/ and sources/,
for data. What people write into the file stays when the set grows. Of a file that is there only
what follows from the shards is written again: in the head `configs`, and `dataset_info` and
`size_categories` where they stand, and the text between the two marks.
"""

from __future__ import annotations

import json
import re
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
_INFO = """\
dataset_info:
  features:
{features}  splits:
{splits}  download_size: {bytes}
  dataset_size: {bytes}
"""
_SPLIT_INFO = """\
  - name: {split}
    num_bytes: {bytes}
    num_examples: {samples}
"""
_KIND = """\
task_categories:
- image-segmentation
tags:
- image-matting
- alpha-matte
- trimap
- synthetic
"""
_BEGIN = (
    "<!-- datagen writes the text from here to the next mark; yours stays before and after it -->"
)
_END = "<!-- the text of datagen ends here -->"
TITLE = "A shard set for image matting"
_TEXT = """\
{counts}.

Made by `datagen compose` of matting-data. Each sample is a composite image with its alpha, its
exact trimap and a crude trimap; `foreground` and `background`, if the set has them, are the layers.

    import datasets
    rows = datasets.load_dataset("FOLDER OF THIS FILE")

Trimaps are palette PNGs: 0 background, 1 unknown, 2 foreground. Readers that look up the palette
(OpenCV, Pillow's `convert`, webdataset's `decode("pil")`) give 0, 128, 255 instead.
"""
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M")
# Licences with a name of their own on the Hugging Face Hub; all others are `other` there
_LICENCES = re.compile(
    r"(cc0-1\.0|cc-by(-nc)?(-sa|-nd)?-[234]\.0|mit|apache-2\.0|odbl|odc-by|pddl|wtfpl|unlicense|"
    r"bsd-[23]-clause|gpl-[23]\.0|lgpl-3\.0|agpl-3\.0|mpl-2\.0|cdla-permissive-[12]\.0)"
)

_HEAD = re.compile(r"\A---[ \t]*\n(?P<keys>.*?)^---[ \t]*\n", re.DOTALL | re.MULTILINE)
_MARKED = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)


@dataclass(frozen=True)
class About:
    """What only a person knows about a set; "" where nothing is said.

    licence: of the set as a whole, best as its SPDX name. url: where more is to be found.
    citation: how the set is cited, BibTeX for example.
    """

    title: str = ""
    licence: str = ""
    url: str = ""
    citation: str = ""


def card_of(
    shards: Sequence[Shard],
    form: ShardFormat,
    before: str = "",
    features: str = "",
    about: About = About(),
    text: str = "",
) -> str:
    """The text of README.md. Splits without samples are left out: nothing matches their pattern.

    before: the text that is there, whose own parts stay. Without the marks all of it stays but
    what follows from the shards in the head, without which `datasets` could not load the folder.
    features: what `features_yaml` returns. text: what stands between the marks; "" for a few
    sentences that are true of every set.
    """
    totals = _totals(shards)
    text = text or _TEXT.format(counts=counts_text(shards))
    marked = f"{_BEGIN}\n\n{text}\n{_END}"
    before = before.replace("\r\n", "\n")
    head = _HEAD.match(before)
    keys, body = (head["keys"], before[head.end() :]) if head else ("", before)
    if not before.strip():
        title = about.title or TITLE
        keys, body = _first_keys(about, title) if totals else "", f"# {title}\n\n{marked}\n"
    for name, value in _facts(totals, form, features).items():
        known = re.compile(rf"^{name}:.*\n(?:(?:[ \t-].*)?\n)*", re.MULTILINE)
        if known.search(keys):
            keys = known.sub(lambda _, new=value: new, keys, count=1)
        elif name == "configs" or not before.strip():
            keys += value
    body = _MARKED.sub(lambda _: marked, body)
    separator = "" if head else "\n"
    return f"---\n{keys}---\n{separator}{body}" if keys else body


def counts_text(shards: Sequence[Shard]) -> str:
    """How many samples there are, in words."""
    samples = (f"{count} samples in `{split}`" for split, (count, _) in _totals(shards).items())
    return " and ".join(samples) or "No samples"


def _totals(shards: Sequence[Shard]) -> dict[str, tuple[int, int]]:
    """Samples and bytes of each split that has any."""
    totals: dict[str, tuple[int, int]] = {}
    for shard in shards:
        if shard.samples:
            samples, size = totals.get(str(shard.split), (0, 0))
            totals[str(shard.split)] = samples + shard.samples, size + shard.bytes
    return totals


def _first_keys(about: About, title: str) -> str:
    keys = f"pretty_name: {_quoted(title)}\n"
    if name := about.licence.casefold():
        is_known = _LICENCES.fullmatch(name)
        keys += f"license: {name}\n" if is_known else "license: other\n"
        keys += "" if is_known else f"license_name: {_quoted(about.licence)}\n"
    return keys + _KIND


def _facts(
    totals: Mapping[str, tuple[int, int]], form: ShardFormat, features: str
) -> dict[str, str]:
    """The keys that follow from the shards, each with its lines."""
    if not totals:
        return {"configs": ""}
    files = "".join(_SPLIT.format(split=split, extension=form.extension) for split in totals)
    facts = {"configs": _CONFIGS.format(files=files)}
    if features:
        splits = (
            _SPLIT_INFO.format(split=split, samples=samples, bytes=size)
            for split, (samples, size) in totals.items()
        )
        facts["dataset_info"] = _INFO.format(
            features=features,
            splits="".join(splits),
            bytes=sum(size for _, size in totals.values()),
        )
    category = bisect([10**n for n in range(3, 8)], sum(samples for samples, _ in totals.values()))
    return {"size_categories": f"size_categories:\n- {_SIZES[category]}\n", **facts}


def _quoted(text: str) -> str:
    """As YAML and JSON both read it."""
    return json.dumps(text, ensure_ascii=False)
