"""Every kind of sample is rebuilt from its row byte for byte; damage to a set is named."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from console.commands import DONE, FAILED
from datagen.cluster import Cluster
from datagen.inspect.verify import verify
from datagen.job import make_shard_set
from datagen.settings import Settings
from manifests import open_shards
from manifests.dataset import read_manifest, table_name, write_manifest, write_sources
from manifests.pixels import ImageCodec
from manifests.samples import Sample
from manifests.shards import ShardFormat, index_path, read_index, read_shard
from manifests.sources import Background, Split
from tests.conftest import (
    CUTOUTS,
    LocalSources,
    Ran,
    cutout,
    datagen,
    flip_byte,
    folders,
    here,
    make_sources,
    photo,
)

pytestmark = pytest.mark.slow

SETTINGS = Settings(size=64, shard_size=10)
Capture = pytest.CaptureFixture[str]


def all_rows(out: Path) -> list[Sample]:
    return [row for shard in open_shards(out).shards for row in read_index(out, shard.name)]


def stored(out: Path, key: str) -> dict[str, bytes]:
    for path in (out / "data").iterdir():
        for sample in read_shard(path):
            if sample.row.key == key:
                return sample.streams
    raise AssertionError(key)


def replay(
    capsys: Capture, key: str, shards: Path, sources: LocalSources, out: Path, *options: str
) -> Ran:
    command = ["replay", key, "--shards", str(shards), *folders(sources), "--out", str(out)]
    return here(capsys, *command, *options)


def matches(capsys: Capture, key: str, shards: Path, sources: LocalSources, out: Path) -> None:
    """Replay a sample; its output and its files agree with the shard."""
    ran = replay(capsys, key, shards, sources, out)
    assert (ran.code, ran.out) == (DONE, f"{key}: matches, byte for byte\n")
    written = {path.name.split(".")[1]: path.read_bytes() for path in out.iterdir()}
    assert written == stored(shards, key)


def test_default_sample(
    composed: tuple[Path, Ran], sources: LocalSources, tmp_path: Path, capsys: Capture
) -> None:
    for key in ("train-00000000", "train-00000013", "train-00000029"):
        matches(capsys, key, composed[0], sources, tmp_path / key)


def test_merged_sample(
    two_workers: Cluster, sources: LocalSources, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "shards"
    settings = replace(
        SETTINGS, samples=12, merge_probability=1.0, image_codec=ImageCodec.PNG, layers=False
    )
    assert not make_shard_set(two_workers, sources, replace(settings), out).failed
    rows = all_rows(out)
    assert len(rows) == 12
    for row in rows:
        assert row.recipe.second.foreground_id in CUTOUTS
        assert row.recipe.second.foreground_id != row.foreground_id
    matches(capsys, rows[11].key, out, sources, tmp_path / "sample")


def test_second_round_has_new_recipes(
    two_workers: Cluster, sources: LocalSources, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "shards"
    settings = replace(SETTINGS, samples=45, format=ShardFormat.PARQUET)
    assert make_shard_set(two_workers, sources, settings, out).samples == 45
    rows = all_rows(out)
    pairs = Counter((row.foreground_id, row.background_id) for row in rows)
    assert Counter(pairs.values()) == {1: 15, 2: 15}  # of 30 pairs
    assert len({row.recipe for row in rows}) == 45
    assert len({stored(out, row.key)["image"] for row in rows[:3] + rows[30:33]}) == 6
    matches(capsys, rows[44].key, out, sources, tmp_path / "sample")


def test_held_out_sources_are_in_val_only(
    two_workers: Cluster, sources: LocalSources, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "shards"
    settings = replace(SETTINGS, holdout_fg=2, holdout_bg=1)
    assert make_shard_set(two_workers, sources, settings, out).samples == 4 * 4 + 2 * 1
    assert [path.name for path in sorted((out / "data").iterdir())] == [
        *("train-00000.tar", "train-00001.tar", "val-00000.tar")
    ]
    rows = all_rows(out)
    for name in ("foreground_id", "background_id"):
        train = {getattr(row, name) for row in rows if row.split is Split.TRAIN}
        val = {getattr(row, name) for row in rows if row.split is Split.VAL}
        assert train.isdisjoint(val)
        assert len(val) == (2 if name == "foreground_id" else 1)
    shards = open_shards(out)
    splits = [source.split for source in shards.foregrounds.values()]
    splits += [source.split for source in shards.backgrounds.values()]
    assert splits.count(Split.VAL) == 3
    matches(capsys, "val-00000001", out, sources, tmp_path / "sample")


def test_alpha_in_its_own_file_gives_the_same_samples(
    two_workers: Cluster, tmp_path: Path, capsys: Capture
) -> None:
    names = [f"{number}.png" for number in range(4)]
    plain = make_sources(tmp_path / "plain", names)
    apart = make_sources(tmp_path / "apart", names)
    alphas = tmp_path / "apart" / "alphas"
    alphas.mkdir()
    for number, name in enumerate(names):
        cutout(number).getchannel("A").save(alphas / name)
        cutout(number).convert("RGB").save(apart.foregrounds / name)
    roots = [tmp_path / "of-plain", tmp_path / "of-apart"]
    settings = replace(SETTINGS, samples=10)
    make_shard_set(two_workers, plain, settings, roots[0])
    make_shard_set(two_workers, replace(apart, alphas=alphas), settings, roots[1])
    key = "train-00000007"
    samples = [list(read_shard(root / "data" / "train-00000.tar")) for root in roots]
    assert [s.streams for s in samples[0]] == [s.streams for s in samples[1]]
    assert len(samples[0]) == 10
    options = ("--alpha", str(alphas))
    assert replay(capsys, key, roots[1], apart, tmp_path / "x", *options).code == DONE
    ran = replay(capsys, key, roots[1], apart, tmp_path / "y")
    assert ran.code == FAILED
    assert "Error" not in ran.err
    assert str(apart.foregrounds) in ran.err
    assert "give --alpha" in ran.err
    ran = replay(capsys, key, roots[0], plain, tmp_path / "z", *options)
    assert (ran.code, "leave --alpha out" in ran.err) == (FAILED, True)


def test_unknown_key(
    composed: tuple[Path, Ran], sources: LocalSources, tmp_path: Path, capsys: Capture
) -> None:
    for key in ("train-00000030", "val-00000000", "nonsense", "train-٣", ""):
        ran = replay(capsys, key, composed[0], sources, tmp_path / "none")
        assert (ran.code, ran.out) == (FAILED, "")
        assert f"no sample {key}" in ran.err
        assert "train-00000000" in ran.err
    assert not (tmp_path / "none").exists()


def test_a_source_that_the_set_does_not_know(
    composed: tuple[Path, Ran], sources: LocalSources, tmp_path: Path, capsys: Capture
) -> None:
    out = Path(shutil.copytree(composed[0], tmp_path / "shards"))
    manifest, _ = read_manifest(out)
    sha256 = write_sources(out, Background, [])
    known = {**manifest.sources, table_name(Background): sha256}
    write_manifest(out, replace(manifest, sources=known))
    ran = replay(capsys, "train-00000000", out, sources, tmp_path / "sample")
    assert ran.code == FAILED
    said = rf"error: {out}: source \S+ of sample train-00000000 is not in sources/"
    assert re.search(said, ran.err)


@pytest.mark.parametrize("kind", ["foregrounds", "backgrounds"])
@pytest.mark.parametrize("harm", ["changed", "broken", "gone"])
def test_source_is_no_longer_what_it_was(
    composed: tuple[Path, Ran],
    own_sources: LocalSources,
    tmp_path: Path,
    capsys: Capture,
    kind: str,
    harm: str,
) -> None:
    out, _ = composed
    row = all_rows(out)[4]
    matches(capsys, row.key, out, own_sources, tmp_path / "before")
    path = getattr(own_sources, kind) / (
        row.foreground_id if kind == "foregrounds" else row.background_id
    )
    if harm == "gone":
        path.unlink()
    elif harm == "broken":
        path.write_bytes(path.read_bytes()[:100])
    else:
        (cutout(5) if kind == "foregrounds" else photo(7)).save(path)
    ran = replay(capsys, row.key, out, own_sources, tmp_path / "after")
    assert (ran.code, ran.out) == (FAILED, "")
    assert str(path) in ran.err
    assert not (tmp_path / "after").exists()


def test_difference_is_named(
    composed: tuple[Path, Ran], sources: LocalSources, tmp_path: Path, capsys: Capture
) -> None:
    """As after a change of the libraries: the row and all streams but one are right."""
    out = tmp_path / "shards"
    out.mkdir()
    for name in ("index", "sources", "dataset.json"):
        (out / name).symlink_to(composed[0] / name)
    (out / "data").mkdir()
    key = "train-00000002"
    data = (composed[0] / "data" / "train-00000.tar").read_bytes()
    streams = stored(composed[0], key)
    place = data.index(streams["crude_trimap"]) + len(streams["crude_trimap"]) // 2
    harmed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    (out / "data" / "train-00000.tar").write_bytes(harmed)
    ran = replay(capsys, key, out, sources, tmp_path / "sample")
    assert (ran.code, ran.out) == (FAILED, "")
    assert f"{key}: crude_trimap differ" in ran.err


def test_files_open_as_pictures(
    composed: tuple[Path, Ran], sources: LocalSources, tmp_path: Path, capsys: Capture
) -> None:
    ran = replay(capsys, "train-00000001", composed[0], sources, tmp_path / "sample")
    files = sorted(path.name for path in (tmp_path / "sample").iterdir())
    assert all(name in ran.err for name in files)
    assert len(files) == 6
    for name in files:
        with Image.open(tmp_path / "sample" / name) as picture:
            assert picture.size == (64, 64)


def test_verify_of_a_whole_set(composed: tuple[Path, Ran], two_workers: Cluster) -> None:
    found = list(verify(two_workers, open_shards(composed[0])))
    assert sorted((shard.name, findings) for shard, findings in found) == [
        (f"train-{number:05d}", []) for number in range(3)
    ]


def test_verify(composed: tuple[Path, Ran], address: str, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    shutil.copytree(composed[0], out)
    tar = out / "data" / "train-00001.tar"
    flip_byte(tar, tar.read_bytes().index(b"IDAT") + 20)  # the alpha of the first sample
    flip_byte(index_path(out, "train-00002"), 1000)
    (out / "data" / "train-00000.tar").unlink()
    ran = datagen("verify", "--shards", str(out), "--ray-address", address, "--json")
    assert ran.code == FAILED
    found = json.loads(ran.out)
    assert list(found) == ["samples", "findings"]
    named = {(finding["shard"], finding["sample"]) for finding in found["findings"]}
    assert {shard for shard, _ in named} == {"train-00000", "train-00001", "train-00002"}
    assert ("train-00001", "train-00000010") in named
