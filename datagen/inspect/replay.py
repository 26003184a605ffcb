"""One sample again, from its row and its two sources (three, if it was merged)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datagen.prepare import prepare_background, prepare_foreground
from datagen.sample.build import build_sample, encode_sample
from datagen.settings import Settings
from datagen.sources.folders import SourceFolders
from manifests.dataset import Dataset, read_dataset, read_sources
from manifests.samples import EncodedSample, Sample, extension_of
from manifests.shards import data_path, read_index, read_shard
from manifests.sources import Background, Foreground
from manifests.storage import write_bytes


@dataclass(frozen=True)
class Replay:
    """What became of a replayed sample: its files, and the streams that differ from the shard's."""

    files: tuple[Path, ...]
    different: tuple[str, ...]


def replay(key: str, root: Path, folders: SourceFolders, out: Path) -> Replay:
    """Rebuild sample `key` of the shard set `root` into `out`, and compare it with what is stored.

    Raises KeyError if there is no such sample; ValueError if a source is no longer what it was.
    """
    dataset = read_dataset(root)
    settings = Settings.from_json(dataset.settings)
    row = _find_row(dataset, root, key)
    stored = _find_sample(dataset, root, row)
    foregrounds = {source.id: source for source in read_sources(root, Foreground)}
    backgrounds = {source.id: source for source in read_sources(root, Background)}

    recipe, second = row.recipe, row.recipe.second.foreground_id
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
    different = [name for name in rebuilt.streams if rebuilt.streams[name] != stored.streams[name]]
    return Replay(tuple(files), (*different, *(["row"] if rebuilt.row != row else [])))


def _find_row(dataset: Dataset, root: Path, key: str) -> Sample:
    split, _, position = key.rpartition("-")
    if position.isdecimal():
        number = int(position) // dataset.settings["shard_size"]
        for shard in dataset.shards:
            if shard.split == split and shard.name.endswith(f"-{number:05d}"):
                for row in read_index(root, shard.name):
                    if row.key == key:
                        return row
    examples = ", ".join(read_index(root, s.name)[0].key for s in dataset.shards[:1])
    raise KeyError(f"no sample {key} in {root} (its keys look like {examples})")


def _find_sample(dataset: Dataset, root: Path, row: Sample) -> EncodedSample:
    path = data_path(root, row.shard, dataset.format)
    for sample in read_shard(path):
        if sample.row.key == row.key:
            return sample
    raise ValueError(f"{path}: sample {row.key} is in the index but not in the shard")
