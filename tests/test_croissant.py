"""croissant.json is valid, and MLCommons' own library loads every sample through it."""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from manifests import open_shards
from manifests.card import About
from manifests.dataset import croissant_path, read_manifest, write_manifest
from manifests.samples import stream_names
from manifests.shards import ShardFormat
from manifests.sources import Split
from tests.training.shard_sets import write_set

ABOUT = About("Cats, cut out", "CC-BY-4.0", "https://example.org/cats", "A. Person: Cats")


@pytest.fixture(scope="module")
def croissant(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """mlcroissant with a cache of its own; it looks where that is when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROISSANT_CACHE", str(tmp_path_factory.mktemp("croissant")))
        import mlcroissant

        module: ModuleType = mlcroissant
        return module


# It uses deprecated parts of rdflib and pandas, and leaves the closing of files to the garbage
# collector.
is_outdated = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore:unclosed file:ResourceWarning"
)


def loaded(dataset: Any, name: str) -> dict[str, Mapping[str, Any]]:
    """The records of one set by their keys, without the name of the set in the names of fields."""
    records = [
        {field.removeprefix(f"{name}/"): value for field, value in record.items()}
        for record in dataset.records(name)
    ]
    gc.collect()  # what is left open is warned of here, not in the next test
    found: dict[str, Mapping[str, Any]] = {record["key"].decode(): record for record in records}
    assert len(found) == len(records)
    return found


@is_outdated
@pytest.mark.parametrize("form", ShardFormat)
def test_every_sample_is_loaded(croissant: ModuleType, tmp_path: Path, form: ShardFormat) -> None:
    keys = write_set(tmp_path, {Split.TRAIN: [3, 2], Split.VAL: [2]}, form)
    write_manifest(tmp_path, replace(read_manifest(tmp_path)[0], about=ABOUT))
    dataset = croissant.Dataset(croissant_path(tmp_path))
    assert list(dataset.metadata.issues.errors) == []
    missing = {text.split('"')[1].rpartition("/")[2] for text in dataset.metadata.issues.warnings}
    assert missing == {"datePublished", "version"}  # which nobody has stated
    assert dataset.metadata.name == ABOUT.title
    is_tar = form is ShardFormat.WEBDATASET
    rows = loaded(dataset, "rows" if is_tar else "samples")
    with open_shards(tmp_path) as shards:
        assert sorted(rows) == sorted(keys) == sorted(sample.key for sample in shards)
        for stream in stream_names(layers=True):
            pictures = loaded(dataset, stream) if is_tar else rows
            assert len(pictures) == len(keys)
            for sample in shards:
                expected = getattr(sample, stream)
                assert np.array_equal(np.asarray(pictures[sample.key][stream]), expected), stream
        for sample in shards:
            row = rows[sample.key]
            assert row["unknown_share"] == sample.row.unknown_share
            assert row["split"].decode() == sample.row.split


def test_tars_have_their_checksums(tmp_path: Path) -> None:
    write_set(tmp_path, {Split.TRAIN: [1, 1]})
    files = json.loads(croissant_path(tmp_path).read_bytes())["distribution"]
    found = {file["contentUrl"]: file["sha256"] for file in files if "sha256" in file}
    shards = read_manifest(tmp_path)[0].shards
    assert found == {f"data/{shard.name}.tar": shard.sha256 for shard in shards}
