"""Rebuild one sample from its row and its sources: two, or three if it was merged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datagen.copies import prepare_background, prepare_foreground
from datagen.sample.build import build_sample, encode_sample
from datagen.settings import Settings
from datagen.sources.folders import SourceFolders
from manifests.samples import extension_of
from manifests.shard_set import ShardSet
from manifests.storage import write_bytes


@dataclass(frozen=True)
class Replay:
    """The files of a rebuilt sample, and the streams that differ from those in the shard."""

    files: tuple[Path, ...]
    different: tuple[str, ...]


def replay(key: str, shards: ShardSet, folders: SourceFolders, out: Path) -> Replay:
    """Rebuild sample `key` of a shard set into `out`, and compare it with what is stored.

    Raises KeyError if there is no such sample, ValueError if a source has changed, or if the set
    does not know it.
    """
    settings = Settings.from_json(shards.all_settings)
    stored = shards[key]
    row, recipe = stored.row, stored.row.recipe
    second = recipe.second.foreground_id
    for known, id_ in (
        (shards.foregrounds, row.foreground_id),
        (shards.foregrounds, second or row.foreground_id),
        (shards.backgrounds, row.background_id),
    ):
        if id_ not in known:
            raise ValueError(f"{shards.root}: source {id_} of sample {key} is not in sources/")
    foregrounds, backgrounds = shards.foregrounds, shards.backgrounds
    built = build_sample(
        recipe,
        prepare_foreground(folders, foregrounds[row.foreground_id], settings),
        prepare_foreground(folders, foregrounds[second], settings) if second else None,
        prepare_background(folders, backgrounds[row.background_id], settings),
        settings,
    )
    rebuilt = encode_sample(built, key, row.shard, row.split, settings)

    files = []
    for stream, data in rebuilt.streams.items():
        path = out / f"{key}.{stream}.{extension_of(stream, settings.image_codec)}"
        write_bytes(path, data)
        files.append(path)
    different = [name for name in rebuilt.streams if rebuilt.streams[name] != stored.encoded[name]]
    return Replay(tuple(files), (*different, *(["row"] if rebuilt.row != row else [])))
