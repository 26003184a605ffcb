"""Whatever a set has lost, the compose that made it makes again; whatever is wrong is noticed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from datagen.inspect.stats import read_stats
from datagen.inspect.verify import promises_of, verify_shard
from datagen.job import make_shard_set
from datagen.resume import WORK, RefusedError
from datagen.settings import Settings
from manifests import open_shards
from manifests.dataset import read_sources, sources_path
from manifests.samples import Sample
from manifests.shards import ShardFormat, index_path, read_index, read_notes
from manifests.sources import Background, Foreground
from manifests.storage import sha256_of
from manifests.tables import to_table
from tests.conftest import LocalSources, contents
from tests.datagen.in_process import InProcess

SETTINGS = Settings(samples=8, size=32, shard_size=3, holdout_fg=2, holdout_bg=2)
PARTS = ["data/train-00001", "index/train-00001", "sources/fore", "sources/back", "dataset.json"]


def make(sources: LocalSources, out: Path, settings: Settings = SETTINGS) -> dict[str, bytes]:
    result = make_shard_set(InProcess(), sources, settings, out)
    assert result.failed == ()
    return contents(out)


@pytest.fixture(scope="module", params=ShardFormat)
def settings(request: pytest.FixtureRequest) -> Settings:
    return replace(SETTINGS, format=request.param)


@pytest.fixture(scope="module")
def made(
    sources: LocalSources, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Not to be changed."""
    out = tmp_path_factory.mktemp("made") / "shards"
    make(sources, out, settings)
    return out


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    """A copy to harm."""
    return Path(shutil.copytree(made, tmp_path / "shards"))


def part(out: Path, start: str) -> Path:
    (path,) = (path for path in out.rglob("*") if str(path.relative_to(out)).startswith(start))
    return path


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path, number: int = 0) -> None:
    """One bit, drawn by the number."""
    rng, data = np.random.default_rng([7, number]), bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [Path.unlink, emptied, halved, flipped])
@pytest.mark.parametrize("start", PARTS)
def test_a_part_is_made_again(
    sources: LocalSources, settings: Settings, out: Path, start: str, harm: Callable[[Path], None]
) -> None:
    before, times = contents(out), stamps(out)
    path = part(out, start)
    harm(path)
    assert make(sources, out, settings) == before
    changed = {name for name, time in stamps(out).items() if time != times[name]}
    whose = {p for p in before if "train-00001" in p} if "train" in start else set()
    assert changed - {"dataset.json"} == whose | ({name_of(out, path)} - {"dataset.json"})


def name_of(out: Path, path: Path) -> str:
    return str(path.relative_to(out))


def stamps(out: Path) -> dict[str, int]:
    return {name_of(out, p): p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "lost",
    [("sources",), ("dataset.json", "sources"), ("dataset.json",), ("README.md", "croissant.json")],
)
def test_what_describes_a_set_is_made_from_its_shards(
    sources: LocalSources, settings: Settings, out: Path, lost: tuple[str, ...]
) -> None:
    before, times = contents(out), stamps(out)
    for name in lost:
        path = out / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert make(sources, out, settings) == before
    kept = {name for name in before if name.startswith(("data/", "index/"))}
    assert all(stamps(out)[name] == times[name] for name in kept), "no shard is made again"


@pytest.mark.parametrize("lost", ["dataset.json", "sources"])
def test_what_is_left_is_not_continued_with_something_else(
    own_sources: LocalSources, settings: Settings, out: Path, lost: str
) -> None:
    """The settings and the sources of a set are known as long as one index is left."""
    path = out / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    for index in sorted((out / "index").iterdir())[1:]:
        index.unlink()
    before = contents(out)
    with pytest.raises(RefusedError, match=r"other settings \(seed: 0 -> 7\)"):
        make(own_sources, out, replace(settings, seed=7))
    (own_sources.backgrounds / "lake.jpg").unlink()
    which = "sources/ is lost, so which is unknown" if lost == "sources" else "lake.jpg is missing"
    with pytest.raises(RefusedError, match=rf"other sources \({which}\)"):
        make(own_sources, out, settings)
    assert {k: v for k, v in contents(out).items() if not k.startswith(WORK)} == before


def test_data_without_a_word_about_them_are_kept(
    sources: LocalSources, settings: Settings, out: Path
) -> None:
    shutil.rmtree(out / "index")
    (out / "dataset.json").unlink()
    before = contents(out)
    with pytest.raises(RefusedError, match="lost everything that says how its shards were made"):
        make(sources, out, settings)
    assert contents(out) == before


def faults(out: Path) -> Iterator[str]:
    """What a reader of everything finds wrong."""
    try:
        shards = open_shards(out)
        promises = promises_of(shards)
        for shard in shards.shards:
            yield from (finding.reason for finding in verify_shard(promises, shard))
    except ValueError as error:
        yield str(error)


@pytest.mark.parametrize("start", PARTS)
@pytest.mark.slow
def test_every_flipped_bit_is_noticed(made: Path, out: Path, start: str) -> None:
    assert list(faults(out)) == []
    path = part(out, start)
    whole = path.read_bytes()
    for number in range(60):
        flipped(path, number)
        assert path.read_bytes() != whole
        assert any(str(path) in fault for fault in faults(out)), f"flip {number} of {path}"
        path.write_bytes(whole)


def test_a_flipped_bit_of_an_index_never_counts(out: Path) -> None:
    """Also for those that read nothing else, or before there is a dataset.json."""
    path = part(out, "index/train-00001")
    whole, shards = path.read_bytes(), open_shards(out)
    for number in range(60):
        flipped(path, number)
        for read in (lambda: read_stats(shards), lambda: read_index(out, "train-00001")):
            with pytest.raises(ValueError, match=str(path)):
                read()
        path.write_bytes(whole)


def as_contract_1(out: Path) -> None:
    """The same set as version 0.1.0 wrote it."""
    fields = json.loads((out / "dataset.json").read_bytes())
    for shard in fields["shards"]:
        path = index_path(out, shard["name"])
        notes, rows = read_notes(out, shard["name"]), read_index(out, shard["name"])
        old = {
            "sha256": notes.sha256,
            "bytes": notes.bytes,
            "alpha_histograms": [
                {"subject": cell[0], "transparency": cell[1], "counts": counts.tolist()}
                for cell, counts in notes.alpha_histograms.items()
            ],
        }
        table = to_table(Sample, rows).replace_schema_metadata({b"matting": json.dumps(old)})
        pq.write_table(table, path, compression="zstd")
        shard["index_sha256"] = sha256_of(path)
    fgs, bgs = read_sources(out, Foreground), read_sources(out, Background)
    pq.write_table(to_table(Foreground, fgs), sources_path(out, Foreground))
    pq.write_table(to_table(Background, bgs), sources_path(out, Background))
    for name in ("sources", "checksum", "licences", "about"):
        del fields[name]
    (out / "dataset.json").write_text(json.dumps({**fields, "contract": 1}, indent=1) + "\n")


def test_a_set_of_contract_1_is_read_and_left_alone(
    sources: LocalSources, settings: Settings, made: Path, out: Path
) -> None:
    as_contract_1(out)
    assert list(faults(out)) == []
    assert list(open_shards(out))[3].row == list(open_shards(made))[3].row
    assert read_stats(open_shards(out)).cells == read_stats(open_shards(made)).cells
    flipped(part(out, "index/train-00001"))
    assert list(faults(out)), "dataset.json has its checksum"
    before = contents(out)
    with pytest.raises(RefusedError, match="another version of datagen; this version reads it"):
        make(sources, out, settings)
    (out / "dataset.json").unlink()
    with pytest.raises(RefusedError, match="another version of datagen; this version reads it"):
        make(sources, out, settings)
    assert contents(out) == {name: before[name] for name in before if name != "dataset.json"}


@pytest.mark.parametrize("field", [b'"contract": 2', b'"checksum": "', b'"sources": {'])
def test_a_damaged_set_never_passes_for_contract_1(out: Path, field: bytes) -> None:
    path = out / "dataset.json"
    whole = path.read_bytes()
    assert whole.count(field) == 1
    for change in (b"1", b"?", b" "):
        changed = field.replace(b"2", change).replace(b"c", change).replace(b"s", change)
        path.write_bytes(whole.replace(field, changed))
        with pytest.raises(ValueError, match=r"dataset\.json: .* repeat the datagen compose"):
            open_shards(out)
