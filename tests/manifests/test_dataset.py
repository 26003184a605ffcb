"""dataset.json: what it says comes back, and a reader refuses what it cannot trust."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import open_shards
from manifests.checksums import BLANK, with_checksum
from manifests.dataset import (
    CONTRACT,
    Manifest,
    ShardSettings,
    Skipped,
    check_splits,
    dataset_path,
    read_manifest,
    read_sources,
    sources_path,
    sources_sha256,
    write_manifest,
    write_sources,
)
from manifests.pixels import ImageCodec
from manifests.shards import Shard, ShardFormat
from manifests.sources import Background, Box, Foreground, Split, Subject, Transparency
from tests.strategies import backgrounds, few, foregrounds, records

MANIFEST = Manifest(
    contract=CONTRACT,
    settings={
        **{"format": "parquet", "image_codec": "jpeg", "jpeg_quality": 90, "size": 800},
        **{"shard_size": 2, "layers": True, "rotation": 10.0},
    },
    libraries={"numpy": "2.2.6"},
    shards=(Shard("train-00000", Split.TRAIN, 2, 1234, "ab" * 32, "cd" * 32),),
    skipped=(Skipped("fgs/bröken.png", "truncated", "ends early"),),
    sources={"foregrounds": "23" * 32, "backgrounds": "45" * 32},
)


def foreground(id_: str, split: Split, pixels: str = "") -> Foreground:
    return Foreground(
        id=id_,
        sha256=f"file of {id_}",
        pixels_sha256=pixels or f"pixels of {id_}",
        height=9,
        width=8,
        box=Box(1, 2, 3, 4),
        subject=Subject.HUMAN,
        transparency=Transparency.LITTLE,
        transparency_measured=True,
        soft_share=0.25,
        split=split,
        labels="{}",
    )


def background(id_: str, split: Split, pixels: str = "") -> Background:
    return Background(id_, f"file of {id_}", pixels or f"pixels of {id_}", 9, 8, split, "{}")


def describe(root: Path, fgs: list[Foreground], bgs: list[Background]) -> None:
    """Write the sources and the dataset.json that holds their checksums."""
    sources = {
        "foregrounds": write_sources(root, Foreground, fgs),
        "backgrounds": write_sources(root, Background, bgs),
    }
    write_manifest(root, replace(MANIFEST, sources=sources))


def rewrite(path: Path, fields: Any) -> None:
    """Another content of dataset.json, with the right checksum."""
    path.write_bytes(with_checksum(json.dumps({**fields, **BLANK}, indent=1).encode()))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A shard set without its shards, which are not opened before they are read."""
    fgs, bgs = [foreground("a.png", Split.TRAIN)], [background("b.jpg", Split.TRAIN)]
    describe(tmp_path, fgs, bgs)
    return tmp_path


def test_a_dataset_comes_back(root: Path) -> None:
    manifest, settings = read_manifest(root)
    assert manifest == replace(MANIFEST, sources=manifest.sources)
    assert manifest.sources["foregrounds"] == sources_sha256([foreground("a.png", Split.TRAIN)])
    assert settings == ShardSettings(ShardFormat.PARQUET, ImageCodec.JPEG, 90, 800, 2, True)
    before = dataset_path(root).read_bytes()
    write_manifest(root, manifest)
    assert dataset_path(root).read_bytes() == before


def named(shard: Shard) -> Shard:
    """The shard with a name, checksums and counts that it may have."""
    counts: dict[str, Any] = {"samples": abs(shard.samples) % (1 << 20)}
    counts["bytes"] = abs(shard.bytes) % (1 << 63)
    return replace(shard, name="val-00007", sha256="0a" * 32, index_sha256="1b" * 32, **counts)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../../victim"},
        {"name": "/victim"},
        {"sha256": "../victim/backup"},
        {"index_sha256": "AB" * 32},
    ],
    ids=str,
)
def test_a_crafted_shard_names_no_other_file(root: Path, fields: dict[str, Any]) -> None:
    write_manifest(root, replace(MANIFEST, shards=(replace(MANIFEST.shards[0], **fields),)))
    with pytest.raises(ValueError, match=r"dataset\.json: '.*' is not a (name|sha256)"):
        read_manifest(root)


def test_sizes_are_at_least_1() -> None:
    least = ShardSettings(ShardFormat.WEBDATASET, ImageCodec.PNG, 95, 1, 1, False)
    with pytest.raises(ValueError, match=r"^size = 0, expected 1 or more"):
        replace(least, size=0)
    with pytest.raises(ValueError, match=r"^shard_size = 0, expected 1 or more"):
        replace(least, shard_size=0)


@pytest.mark.parametrize("fields", [{"samples": -1}, {"samples": 10**30}, {"bytes": -1}], ids=str)
def test_counts_that_cannot_be(root: Path, fields: dict[str, Any]) -> None:
    write_manifest(root, replace(MANIFEST, shards=(replace(MANIFEST.shards[0], **fields),)))
    with pytest.raises(
        ValueError, match=r"dataset\.json: train-00000: -?\d+ samples in -?\d+ bytes"
    ):
        read_manifest(root)


@given(
    shards=st.lists(records(Shard).map(named), max_size=3),
    skipped=st.lists(records(Skipped), max_size=3),
)
@few
def test_any_shards_come_back(
    tmp_path_factory: pytest.TempPathFactory, shards: list[Shard], skipped: list[Skipped]
) -> None:
    folder = tmp_path_factory.mktemp("set")
    write_sources(folder, Foreground, [])
    write_sources(folder, Background, [])
    manifest = replace(MANIFEST, shards=tuple(shards), skipped=tuple(skipped))
    write_manifest(folder, manifest)
    assert read_manifest(folder)[0] == manifest


@given(fgs=st.lists(foregrounds, max_size=3), bgs=st.lists(backgrounds, max_size=3))
@few
def test_sources_come_back(
    tmp_path_factory: pytest.TempPathFactory, fgs: list[Foreground], bgs: list[Background]
) -> None:
    folder = tmp_path_factory.mktemp("set")
    write_sources(folder, Foreground, fgs)
    write_sources(folder, Background, bgs)
    assert read_sources(folder, Foreground, sources_sha256(fgs)) == fgs
    assert read_sources(folder, Background, sources_sha256(bgs)) == bgs


def test_a_checksum_of_sources_sees_each_of_them_and_their_order() -> None:
    photos = [
        Background(f"{n}.jpg", f"{n}a" * 32, f"{n}b" * 32, 9, 9, Split.TRAIN, "{}")
        for n in range(3)
    ]
    sums = {
        sources_sha256(some)
        for some in (
            *(photos, photos[::-1], photos[:2], photos[1:], []),
            [*photos[:2], replace(photos[2], height=10)],
        )
    }
    assert len(sums) == 6
    assert sources_sha256(list(photos)) in sums


def test_a_set_that_is_not_there(tmp_path: Path, root: Path) -> None:
    dataset_path(root).unlink()
    with pytest.raises(FileNotFoundError, match=r"dataset\.json: the shards are not finished"):
        open_shards(root)
    with pytest.raises(FileNotFoundError, match=r"none.dataset\.json: no such folder"):
        open_shards(tmp_path / "none")


@given(share=st.floats(0, 0.99))
@few
def test_half_of_a_dataset_is_refused(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    folder = tmp_path_factory.mktemp("set")
    write_manifest(folder, MANIFEST)
    text = dataset_path(folder).read_text()
    dataset_path(folder).write_text(text[: int(share * len(text.rstrip()))])
    with pytest.raises(ValueError, match=str(dataset_path(folder))):
        open_shards(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"contract": 1}, "contract 1, .* reads contract 1 and 2"),
        (
            {"contract": CONTRACT + 1},
            rf"contract {CONTRACT + 1}, .* reads contract 1 and {CONTRACT}",
        ),
        ({"contract": None}, "contract None"),
        ({"sources": {"foregrounds": "23" * 32}}, "no 'backgrounds'"),
        ({"sources": {"foregrounds": "..", "backgrounds": ".."}}, "is not a sha256"),
        ({"shards": [{"name": "train-00000"}]}, "not a Shard: .*split"),
        ({"shards": 3}, "int"),
        ({"skipped": None}, "NoneType"),
        ({"settings": {}}, "not a ShardSettings: .*format"),
        ({"settings": {**MANIFEST.settings, "format": "zip"}}, "'zip' is not a valid ShardFormat"),
        ({"settings": {**MANIFEST.settings, "layers": 1}}, "1 is not bool"),
        ({"settings": {**MANIFEST.settings, "shard_size": 0}}, "shard_size = 0, expected 1"),
    ],
)
def test_another_content_is_refused(root: Path, change: dict[str, Any], reason: str) -> None:
    path = dataset_path(root)
    rewrite(path, {**json.loads(path.read_text()), **change})
    with pytest.raises(ValueError, match=rf"dataset\.json: .*{reason}"):
        open_shards(root)


@pytest.mark.parametrize(
    "name", ["contract", "settings", "libraries", "shards", "skipped", "sources"]
)
def test_a_missing_field_is_refused(root: Path, name: str) -> None:
    path = dataset_path(root)
    fields = json.loads(path.read_text())
    del fields[name]
    rewrite(path, fields)
    with pytest.raises(ValueError, match=rf"dataset\.json: .*{name}"):
        open_shards(root)


@pytest.mark.parametrize("id_", ["../victim.png", "/etc/passwd", "a/../../b", "", "a\0b"])
@pytest.mark.parametrize("field", ["id", "alpha_id"])
def test_a_crafted_source_is_no_other_file(root: Path, id_: str, field: str) -> None:
    if id_ or field == "id":
        changed: dict[str, Any] = {field: id_}
        crafted = replace(foreground("a.png", Split.TRAIN), **changed)
        write_sources(root, Foreground, [crafted])
        with pytest.raises(ValueError, match=r"foregrounds\.parquet: .*stays below its folder"):
            read_sources(root, Foreground)
    write_sources(root, Background, [background(id_, Split.TRAIN)])
    with pytest.raises(ValueError, match=r"backgrounds\.parquet: .*stays below its folder"):
        read_sources(root, Background)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_what_is_no_json_is_said(root: Path, content: bytes) -> None:
    dataset_path(root).write_bytes(content)
    with pytest.raises(ValueError, match=r"json: it is empty, or no JSON; repeat the datagen comp"):
        open_shards(root)


@pytest.mark.parametrize("content", [b"[]", b"null", b"\xff\xfe", b"3", b"[" * 100_000])
def test_no_object_is_refused(root: Path, content: bytes) -> None:
    dataset_path(root).write_bytes(content)
    with pytest.raises(ValueError, match=r"dataset\.json: "):
        open_shards(root)


@pytest.mark.parametrize("kind", [Foreground, Background])
@pytest.mark.parametrize("damage", [b"", b"PAR1 nothing", None])
def test_damaged_sources_are_refused(root: Path, kind: type[Any], damage: bytes | None) -> None:
    path = sources_path(root, kind)
    path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises(ValueError, match=str(path)):
        open_shards(root)


# Both by the same id and by the same pixels under another.
LEAKS = [("x", "pixels 1", "pixels 2"), ("y", "same", "same"), ("x", "same", "same")]


@pytest.mark.parametrize(("other", "first_pixels", "second_pixels"), LEAKS)
@pytest.mark.parametrize("splits", [(Split.TRAIN, Split.VAL), (Split.VAL, Split.TRAIN)])
def test_a_source_in_both_splits_is_refused(
    root: Path, splits: tuple[Split, Split], other: str, first_pixels: str, second_pixels: str
) -> None:
    fgs = [foreground("x", splits[0], first_pixels), foreground(other, splits[1], second_pixels)]
    bgs = [background("x", splits[0], first_pixels), background(other, splits[1], second_pixels)]
    describe(root, fgs, [])
    with pytest.raises(ValueError, match=f"the splits leak: foreground {other} is in {splits[1]}"):
        open_shards(root)
    describe(root, [], bgs)
    with pytest.raises(ValueError, match=f"the splits leak: background {other} is in {splits[1]}"):
        open_shards(root)


def test_sources_apart_are_accepted(root: Path) -> None:
    twins = [foreground("x", Split.VAL, "same"), foreground("y", Split.VAL, "same")]
    check_splits([foreground("z", Split.TRAIN), *twins], "foreground")
    describe(root, [foreground("z", Split.TRAIN), *twins], [background("x", Split.TRAIN, "same")])
    assert len(open_shards(root)) == 2, "a foreground may look like a background"
