"""What is written last: the picture and README.md of a finished set, then its dataset.json."""

from __future__ import annotations

from collections.abc import Sequence

from console.messages import warn
from datagen.inspect.card import PREVIEW, card_text
from datagen.inspect.preview import chosen_keys, draw
from datagen.inspect.stats import read_stats
from datagen.resume import RecordedSources
from manifests.dataset import Manifest, card_path, croissant_path, write_manifest
from manifests.shard_set import shard_set_of
from manifests.storage import Location, exists

_ROWS = 4  # of the picture


def is_described(out: Location) -> bool:
    """Whether the files are there that say what a set is."""
    return all(exists(p) for p in (card_path(out), croissant_path(out), out / PREVIEW))


def describe(
    out: Location, manifest: Manifest, sources: RecordedSources, licences: Sequence[str]
) -> None:
    """Write what says what a set is, whose shards are there. licences: those that were allowed."""
    with shard_set_of(out, manifest, sources.foregrounds, sources.backgrounds) as shards:
        draw(shards, out / PREVIEW, chosen_keys(shards, _ROWS), warn)
        stats = read_stats(shards)
    has_alphas = any(source.alpha_id for source in sources.foregrounds)
    write_manifest(out, manifest, card_text(manifest, stats, has_alphas, licences))
