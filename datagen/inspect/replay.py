"""One sample again, from its row and its two sources (three, if it was merged)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from datagen.job import Sources
from datagen.plan import ShardPlan
from datagen.sample.working_copies import Cutout, prepare_background, prepare_cutout
from datagen.settings import Settings
from datagen.shard import compose_sample
from manifests.dataset import Dataset, read_dataset, read_sources
from manifests.pictures import read_cutout, read_file, read_photo
from manifests.pixels import Pixels
from manifests.samples import EncodedSample, Sample, extension_of
from manifests.shards import data_path, read_index, read_shard
from manifests.sources import Background, Foreground
from manifests.storage import write_bytes


@dataclass(frozen=True)
class Replay:
    """What became of a replayed sample: its files, and the streams that differ from the shard's."""

    files: tuple[Path, ...]
    different: tuple[str, ...]


def replay(key: str, root: Path, sources: Sources, out: Path) -> Replay:
    """Rebuild sample `key` of the shard set `root` into `out`, and compare it with what is stored.

    Raises KeyError if there is no such sample; ValueError if a source is no longer what it was.
    """
    dataset = read_dataset(root)
    settings = Settings.from_json(dataset.settings)
    row = _find_row(dataset, root, key)
    stored = _find_sample(dataset, root, row)
    foregrounds = {source.id: source for source in read_sources(root, Foreground)}
    backgrounds = {source.id: source for source in read_sources(root, Background)}

    used = [p.foreground_id for p in (row.recipe.foreground, row.recipe.second) if p.foreground_id]
    cutouts = [(foregrounds[id_], _cutout(foregrounds[id_], sources, settings)) for id_ in used]
    background = backgrounds[row.background_id]
    photo = _photo(background, sources, settings)
    plan = ShardPlan(row.shard, row.split, ())
    composed = compose_sample(settings, key, plan, row.recipe, cutouts, (background, photo))
    rebuilt = composed.encoded(settings)

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


def _cutout(source: Foreground, sources: Sources, settings: Settings) -> Cutout:
    if (sources.alphas is not None) != bool(source.alpha_id):
        advice = "give --alpha" if source.alpha_id else "leave --alpha out"
        home = f"a file of its own ({source.alpha_id})" if source.alpha_id else "the image"
        path = sources.foregrounds / source.id
        raise ValueError(f"{path}: was composited with its alpha in {home}; {advice}")
    data = read_file(sources.foregrounds / source.id)
    alpha = read_file(sources.alphas / source.alpha_id) if sources.alphas else None
    _check(sources.foregrounds / source.id, source, data + (alpha or b""))
    return prepare_cutout(read_cutout(data, alpha), source.box, settings)


def _photo(source: Background, sources: Sources, settings: Settings) -> Pixels:
    data = read_file(sources.backgrounds / source.id)
    _check(sources.backgrounds / source.id, source, data)
    return prepare_background(read_photo(data), settings)


def _check(path: Path, source: Foreground | Background, data: bytes) -> None:
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise ValueError(f"{path}: is not the file that was composited (its sha256 has changed)")
