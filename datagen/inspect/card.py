"""What README.md of a set says of it: Markdown out of its statistics, settings and sources."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from console.settings import descriptions
from console.texts import size_text
from datagen.inspect.stats import QUANTILES, Stats
from datagen.settings import Settings
from manifests.card import counts_text
from manifests.dataset import Manifest
from manifests.shards import ShardFormat

PREVIEW = "preview.jpg"

_STREAMS = """\
Each sample is one composite image with its labels:

- `image`: foreground over background, RGB;
- `alpha`: the exact opacity, 0 to 255, lossless;
- `trimap`: 0 background, 1 unknown, 2 foreground, exactly as alpha says;
- `crude_trimap`: the same codes, as a segmentation network would have led to them;
{layers}- the row: where it comes from, its measures, and every random choice of its recipe.

Trimaps are palette PNGs. Readers that look up the palette (OpenCV, Pillow's `convert`, webdataset's
`decode("pil")`) give 0, 128, 255 instead of 0, 1, 2.

    import datasets
    rows = datasets.load_dataset("FOLDER OF THIS FILE")
    {first}

    import manifests
    shards = manifests.open_shards("FOLDER OF THIS FILE")
    shards[0].image, shards[0].alpha, shards[0].trimap"""
_LAYERS = "- `foreground`, `background`: the layers, where alpha is soft;\n"
_LIMITS = """\
- Composites are not photos: light, shadow, focus and perspective of the two sources do not match.
- What one source shows comes back in many samples. Splits are made by source, so that validation
  sees neither a foreground nor a background of training; a model may still know the sources.
- A subject without a label is `unlabelled`; a transparency without a label is measured from alpha.
- Crude trimaps imitate the errors of segmentation networks; they are not the output of one."""


def card_text(
    manifest: Manifest, stats: Stats, has_alphas: bool = False, licences: Sequence[str] = ()
) -> str:
    """The text between the marks of README.md.

    has_alphas: whether the alphas of the foregrounds were files of their own. licences: those that
    were allowed, if not all.
    """
    settings = Settings.from_json(manifest.settings)
    size = sum(shard.bytes for shard in manifest.shards)
    parts = [
        f"{counts_text(manifest.shards)}: {stats.foregrounds:,} foregrounds over "
        f"{stats.backgrounds:,} backgrounds, {settings.size} x {settings.size} pixels, "
        f"{size_text(size)} in {len(manifest.shards):,} shards.",
        f"![Some samples: image, alpha, trimap, crude trimap]({PREVIEW})",
        _streams(settings),
        "## Samples by subject and transparency",
        _cells(stats),
        "## How it was made",
        "By `datagen` of matting-data. The same sources, settings and library versions give the "
        f"same bytes.\n\n    {command(settings, has_alphas, licences)}",
        _ranges(settings),
        f"Libraries: {', '.join(f'{name} {v}' for name, v in manifest.libraries.items())}.",
        "## Errors of the crude trimaps",
        _crude(stats),
        "## Licences of the sources",
        _licences(manifest),
        "## Limits",
        _LIMITS,
        *_citation(manifest),
    ]
    return "\n\n".join(parts) + "\n"


def command(settings: Settings, has_alphas: bool, licences: Sequence[str]) -> str:
    """The command that makes the set, with the folders in words."""
    words = ["datagen compose --fg FOREGROUNDS --bg BACKGROUNDS", *["--alpha ALPHAS"] * has_alphas]
    known = descriptions(Settings)
    for one in fields(Settings):
        value = getattr(settings, one.name)
        if value == one.default or not known.get(one.name) or not known[one.name].help:
            continue
        flag = one.name.replace("_", "-")
        no_value = {True: f"--{flag}", False: f"--no-{flag}"}
        words.append(no_value[value] if isinstance(value, bool) else f"--{flag} {value}")
    if licences:
        words.append(f"--licence-allow '{','.join(licences)}'")
    return " ".join(words)


def _streams(settings: Settings) -> str:
    is_tar = settings.format is ShardFormat.WEBDATASET
    name = "alpha.png" if is_tar else "alpha"
    return _STREAMS.format(
        layers=_LAYERS if settings.layers else "", first=f'rows["train"][0]["{name}"]'
    )


def _cells(stats: Stats) -> str:
    columns = ("subject", "transparency", "foregrounds", "samples", "share", "unknown")
    return _table(
        columns,
        (
            (
                *(cell.subject, cell.transparency, f"{cell.foregrounds:,}", f"{cell.samples:,}"),
                *(f"{cell.share:.1%}", f"{cell.unknown_share:.1%}" if cell.samples else ""),
            )
            for cell in stats.cells
        ),
    )


def _ranges(settings: Settings) -> str:
    """What is drawn at random for each sample, and between which bounds."""
    jitter = ("brightness", "contrast", "saturation")
    rows: list[tuple[str, str]] = [
        ("mirrored", f"with probability {settings.flip_probability}"),
        ("down-scale", f"{settings.scale_min} to {settings.scale_max}"),
        ("rotation", f"up to {settings.rotation} degrees, either way"),
        ("moved out of the image", f"up to {settings.translation} of the subject's size"),
        *((name, f"up to {getattr(settings, name)}, either way") for name in jitter),
        ("hue", f"up to {settings.hue} degrees, either way"),
        ("second foreground", f"with probability {settings.merge_probability}"),
        ("crude trimap", f"{settings.crude}"),
    ]
    return _table(("drawn for each sample", "range"), rows)


def _crude(stats: Stats) -> str:
    columns = ("quantile", *(f"{point:.0%}" for point in QUANTILES))
    names = {"iou": "IoU of the crude mask"}
    return _table(
        columns,
        (
            (names.get(name, name.replace("_", " ")), *(f"{value:.4f}" for value in points))
            for name, points in stats.crude.items()
        ),
    )


def _licences(manifest: Manifest) -> str:
    counts: Mapping[str, Mapping[str, int]] = manifest.licences
    rows = [
        (licence, kind, f"{count:,}")
        for kind, found in counts.items()
        for licence, count in found.items()
    ]
    stated = manifest.about.licence
    own = f"The set as a whole: {_plain(stated)}.\n\n" if stated else ""
    return own + _table(("licence", "sources", "number"), rows)


def _citation(manifest: Manifest) -> Iterable[str]:
    about = manifest.about
    if about.url:
        yield f"More: <{_plain(about.url)}>"
    if about.citation:
        yield "## Citation"
        yield "\n".join(f"    {line}" for line in about.citation.splitlines())


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_plain(str(cell)) for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Words from label files: neither a new line of Markdown nor a tag nor a link."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escaped)
