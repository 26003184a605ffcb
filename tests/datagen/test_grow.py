"""A set grows: more samples of the same settings and sources are further shards of the same set."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from datagen.job import make_shard_set
from datagen.resume import RefusedError
from datagen.settings import Settings
from manifests import open_shards
from manifests.shards import ShardFormat
from manifests.sources import Split
from tests.conftest import LocalSources, contents
from tests.datagen.in_process import InProcess

# 4 foregrounds over 3 backgrounds for training, 2 over 2 held out
SETTINGS = Settings(samples=7, size=32, shard_size=3, holdout_fg=2, holdout_bg=2)


def make(sources: LocalSources, out: Path, settings: Settings) -> dict[str, bytes]:
    result = make_shard_set(InProcess(), sources, settings, out)
    assert result.failed == ()
    return contents(out)


@pytest.mark.parametrize("form", ShardFormat)
@pytest.mark.parametrize(("first", "then"), [(7, 11), (6, 7), (3, 30), (7, 0), (2, 3)])
@pytest.mark.slow
def test_a_grown_set_is_the_larger_set(
    sources: LocalSources, tmp_path: Path, form: ShardFormat, first: int, then: int
) -> None:
    """To the last byte; the shards that were whole are not even written again."""
    settings = replace(SETTINGS, format=form)
    out = tmp_path / "grown"
    small = make(sources, out, replace(settings, samples=first))
    old = {shard.name: shard.samples for shard in open_shards(out).shards}
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.*")}
    grown = make(sources, out, replace(settings, samples=then))
    assert grown == make(sources, tmp_path / "at once", replace(settings, samples=then))
    new = {shard.name: shard.samples for shard in open_shards(out).shards}
    for path, time in times.items():
        is_kept = old.get(path.stem, 0) == new.get(path.stem, 0) and path.stem in old
        if is_kept or path.parent.name == "sources":
            name = str(path.relative_to(out))
            assert (path.stat().st_mtime_ns, grown[name]) == (time, small[name])
    assert sum(n for name, n in new.items() if name.startswith("train")) == (then or 12)
    before, after = (open_shards(out).foregrounds, open_shards(tmp_path / "at once").foregrounds)
    assert before == after


def test_the_held_out_sources_stay_held_out(sources: LocalSources, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    make(sources, out, SETTINGS)
    first = open_shards(out)
    held = {source.id for source in first.foregrounds.values() if source.split is Split.VAL}
    rows = [sample.row for sample in first.split("val")]
    make(sources, out, replace(SETTINGS, samples=12))
    grown = open_shards(out)
    assert {s.id for s in grown.foregrounds.values() if s.split is Split.VAL} == held
    assert [sample.row for sample in grown.split("val")] == rows


def test_an_interrupted_growth_is_finished(sources: LocalSources, tmp_path: Path) -> None:
    out, larger = tmp_path / "shards", replace(SETTINGS, samples=12)
    whole = make(sources, tmp_path / "at once", larger)
    make(sources, out, SETTINGS)
    for kept in ("train-00002", "train-00001"):
        part = Path(shutil.copytree(tmp_path / "at once", tmp_path / kept))
        (part / "dataset.json").unlink()
        for path in part.rglob("train-*.*"):
            if path.stem > kept:
                path.unlink()
        assert make(sources, part, larger) == whole


@pytest.mark.parametrize("samples", [1, 5, 6])
@pytest.mark.parametrize("is_finished", [True, False])
def test_a_set_does_not_shrink(
    sources: LocalSources, tmp_path: Path, samples: int, is_finished: bool
) -> None:
    out = tmp_path / "shards"
    make(sources, out, SETTINGS)
    if not is_finished:
        (out / "dataset.json").unlink()
    before = contents(out, "data", "index", "sources")
    expected = rf"has more samples than .* \({samples} of train, .* of val\); a set may grow"
    with pytest.raises(RefusedError, match=expected):
        make(sources, out, replace(SETTINGS, samples=samples))
    assert contents(out, "data", "index", "sources") == before
    assert (out / "dataset.json").exists() == is_finished


def test_more_turns_than_pairs_are_not_less(sources: LocalSources, tmp_path: Path) -> None:
    """Every pair once, the default, may be fewer samples than the set has."""
    out = tmp_path / "shards"
    make(sources, out, replace(SETTINGS, samples=14))
    with pytest.raises(RefusedError, match=r"\(12 of train, 4 of val\)"):
        make(sources, out, replace(SETTINGS, samples=0))


def test_other_settings_do_not_grow(sources: LocalSources, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    make(sources, out, SETTINGS)
    with pytest.raises(RefusedError, match=r"other settings \(shard_size: 3 -> 4\)"):
        make(sources, out, replace(SETTINGS, samples=12, shard_size=4))
